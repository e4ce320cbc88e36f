"""Use cases of the Download Service and the ports they need."""
