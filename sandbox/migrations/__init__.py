"""The schema of the stand-ins."""
