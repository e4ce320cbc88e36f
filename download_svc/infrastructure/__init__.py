"""Adapters of the Download Service's ports: PostgreSQL, hot state, other services, objects, memory."""
