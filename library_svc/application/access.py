"""Whether a user may use a product: out of what all instances remember, or out of the database. Called by LibraryQueryService, and
by all who change entitlements.

An answer that is remembered never outlives a change: who changes a right says so before the transaction begins, and from then on
nothing is remembered of it until the transaction is over. What is remembered can be lost, and be away; the database decides then.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime

from library_svc.application.ports import KnownAccess, LibraryReader
from library_svc.domain.ids import ProductId, UserId


class GameAccess:
    """Answers, and forgets in time."""

    def __init__(self, reader: LibraryReader, known: KnownAccess) -> None:
        self._reader = reader
        self._known = known

    async def since(self, user_id: UserId, product_id: ProductId) -> datetime | None:
        """Since when the user may use the product; None: they may not."""
        known = await self._known.find(user_id, product_id)
        if known.is_answer:
            return known.since
        since = await self._reader.access_since(user_id, product_id)
        if known.ticket is not None:
            await self._known.remember(user_id, product_id, known.ticket, since)
        return since

    @asynccontextmanager
    async def changing(self, user_id: UserId, product_ids: Collection[ProductId]) -> AsyncIterator[None]:
        """Around a transaction that changes what the user may use of these products.

        When the block fails it may not be known whether the transaction was committed: then nothing is remembered for a while
        (ACCESS_CHANGE_SECONDS), instead of until the end of the block.
        """
        change = await self._known.suspend(user_id, product_ids)
        yield
        await self._known.resume(user_id, product_ids, change)
