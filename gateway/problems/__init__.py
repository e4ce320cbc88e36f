"""Errors in the form of JSON:API."""
