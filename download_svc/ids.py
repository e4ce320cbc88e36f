"""The identity of a user's row in the Download Service."""

from uuid import UUID

OwnedId = tuple[UUID, UUID]
"""A user, and the id of something of theirs."""
