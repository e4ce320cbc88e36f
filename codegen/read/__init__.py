"""Descriptors to a checked model."""
