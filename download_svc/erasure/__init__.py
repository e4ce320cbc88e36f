"""Erasure of a user: what the Download Service removes when Account deletes somebody (152-FZ)."""
