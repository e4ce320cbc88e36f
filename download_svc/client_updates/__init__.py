"""Releases of the launcher itself: which one an installation should have, and what their publisher says of each."""
