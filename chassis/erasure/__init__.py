"""Erasure of a user from a service: what goes, what stays and why, and the job that does it."""
