"""Alembic's environment of every service's migrations."""
