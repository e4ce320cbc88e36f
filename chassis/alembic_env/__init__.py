"""Alembic's environment for every service: chassis.migrations points it at the service's scripts."""
