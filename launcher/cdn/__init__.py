"""Chunks from CDNs."""
