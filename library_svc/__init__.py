"""The Library Service: what a user owns, and what state it is in. Started by `python -m library_svc`; wired in main.py."""
