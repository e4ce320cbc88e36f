"""Errors as JSON:API tells them."""
