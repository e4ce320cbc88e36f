"""A user's right to use a product: from the cache that all instances share or from the database. Called by LibraryQueryService and
by the use cases that change entitlements. AccessCache is the port of the cache.

A cached answer never outlives a change: a use case that changes a right suspends it before the transaction begins, and from then
on it is not cached until the transaction is over. The cache can be lost or unavailable; the database decides then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from library_svc.ids import ProductId, UserId
from library_svc.items.application import LibraryReader

ACCESS_KEPT_SECONDS = 30.0
"""Seconds for which an answer about access is cached. Also the longest time for which one can be wrong: when the instance that
changed the right could not reach the cache that others can, or the cache crashed and came back without its last second. Half of
the time for which the contract lets a caller keep it (section 3).
"""

ACCESS_CHANGE_SECONDS = 60.0
"""Seconds for which a right is not cached when its change began but no end was reported; longer than a transaction may take."""

ACCESS_READ_SECONDS = 10.0
"""Seconds in which a reader with a ticket must read the database's answer and cache it."""

REMEMBERING_LIMIT = 1_000
"""Maximum number of answers waiting to be cached; a further one is not cached, and the database is asked again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """The cached answer about a user's right to a product.

    Attributes:
        is_answer: `since` is known: since when they may use it; None: they may not.
        ticket: the ticket with which the database's answer may be cached; None: it must not be.
    """

    is_answer: bool = False
    since: datetime | None = None
    ticket: str | None = None


class AccessCache(Protocol):
    """The instances' shared cache of users' rights. It can be lost or unavailable: then it is empty, and nothing fails."""

    async def find(self, user_id: UserId, product_id: ProductId) -> CacheLookup: ...

    async def remember(self, user_id: UserId, product_id: ProductId, ticket: str, since: datetime | None) -> None:
        """Cache the answer for ACCESS_KEPT_SECONDS; does nothing if the right changed, or the ticket was lost, meanwhile."""

    async def suspend(self, user_id: UserId, product_ids: Collection[ProductId]) -> str:
        """Forgets these, and gives no ticket for them until `resume`, or for ACCESS_CHANGE_SECONDS.

        Returns:
            The name of the change, for `resume`.
        """

    async def resume(self, user_id: UserId, product_ids: Collection[ProductId], change: str) -> None:
        """Ends the change; others of the same rights may go on."""


class GameAccess:
    """Answers, and remembers what it answered; who asks does not wait for that. Made by `open_game_access`."""

    def __init__(self, reader: LibraryReader, known: AccessCache, beside: asyncio.TaskGroup) -> None:
        self._reader = reader
        self._known = known
        self._beside = beside
        self._remembering = 0

    async def since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        """Since when the user may use the product; None: they may not."""
        known = await self._known.find(user_id, product_id)
        if known.is_answer:
            return known.since
        since = await self._reader.access_since(user_id, product_id)
        if known.ticket is not None and self._remembering < REMEMBERING_LIMIT:
            self._remembering += 1
            self._beside.create_task(self._remember(user_id, product_id, known.ticket, since))
        return since

    async def _remember(self, user_id: UserId, product_id: ProductId, ticket: str, since: datetime | None) -> None:
        try:
            await self._known.remember(user_id, product_id, ticket, since)
        except Exception:  # the answer was given, so there is nobody to report it to
            logger.exception("an answer about access is not remembered")
        finally:
            self._remembering -= 1


@asynccontextmanager
async def open_game_access(reader: LibraryReader, known: AccessCache) -> AsyncIterator[GameAccess]:
    """Answers while the block runs; leaving it waits until the last answers are cached."""
    async with asyncio.TaskGroup() as beside:
        yield GameAccess(reader, known, beside)


@asynccontextmanager
async def changing(known: AccessCache, user_id: UserId, product_ids: Collection[ProductId]) -> AsyncIterator[None]:
    """Around a transaction that changes what the user may use of these products.

    When the block fails it may not be known whether the transaction was committed: then nothing is remembered for a while
    (ACCESS_CHANGE_SECONDS), instead of until the end of the block.
    """
    change = await known.suspend(user_id, product_ids)
    yield
    await known.resume(user_id, product_ids, change)
