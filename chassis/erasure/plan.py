"""The plan of an erasure, as each service defines it: one line for each table or store. Run by chassis.erasure.job.

Source: contract section 6 (`account.user.deleted.v1`), tables.md (`erasures`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

NOBODY = UUID(int=0)
"""Stands in rows that must stay without their user."""


@dataclass(frozen=True, slots=True)
class ErasedTable:
    """A table whose rows of the user are deleted, or stay without a user.

    Attributes:
        is_kept_for_nobody: the row is needed without its user: NOBODY takes their place.
        made_with: rows are created only in the transaction that creates their row of this table, whose guard is theirs.
    """

    name: str
    column: str = "user_id"
    is_kept_for_nobody: bool = False
    made_with: str = ""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table that names users and is left as it is, with the reason."""

    name: str
    reason: str


class ErasedStore(Protocol):
    """Something beside PostgreSQL that holds what is the user's: hot state, objects."""

    @property
    def name(self) -> str:
        """Names the store in the counts of an erasure."""

    async def erase(self, user_id: UUID) -> int:
        """Removes what is the user's; it may be repeated. Called before the rows go, so it can look in them for what there is.

        Returns:
            How much was removed, as the store counts.

        Raises:
            DomainError: SERVICE_UNAVAILABLE; the erasure continues later.
        """


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """All that an erasure does in one service, in order: the stores, then the tables, children before parents.

    Attributes:
        last: whatever has to be notified when the rows are gone, such as open streams.
        kept: tables with a user that stay; for the record, and for the test that walks the schema.
    """

    tables: Sequence[ErasedTable]
    stores: Sequence[ErasedStore] = ()
    last: Sequence[ErasedStore] = ()
    kept: Sequence[KeptTable] = ()
