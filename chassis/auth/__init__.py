"""Callers: their tokens and certificates, and what each may call."""
