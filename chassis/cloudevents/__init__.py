"""Typed events, their JSON, and moments as the wire has them."""
