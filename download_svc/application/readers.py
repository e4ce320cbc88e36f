"""What use cases read outside of transactions, page by page where it may be much, and the shapes that they read. Adapters:
infrastructure/postgres_*.py and memory.py; one contract suite (tests/contract/download) runs over both.
"""

from uuid import UUID

OwnedId = tuple[UUID, UUID]
"""A user, and the id of something of theirs."""
