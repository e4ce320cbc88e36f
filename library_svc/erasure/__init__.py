"""Erasure of a user: what the library removes when Account deletes somebody (152-FZ)."""
