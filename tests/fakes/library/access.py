"""What is remembered of users' rights in this process: for tests and experiments."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from library_svc.access.application import ACCESS_CHANGE_SECONDS, ACCESS_KEPT_SECONDS, ACCESS_READ_SECONDS, CacheLookup
from library_svc.ids import ProductId, UserId


@dataclass(slots=True)
class _Right:
    until: float
    answer: CacheLookup | None = None
    ticket: str | None = None
    changes: set[str] = field(default_factory=set)


class MemoryAccessCache:
    """The AccessCache in a dict. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rights: dict[tuple[UserId, ProductId], _Right] = {}

    async def find(self, user_id: UserId, product_id: ProductId) -> CacheLookup:
        right = self._right(user_id, product_id)
        if right.changes or right.answer:
            return right.answer or CacheLookup()
        right.ticket, right.until = uuid4().hex, self._clock() + ACCESS_READ_SECONDS
        return CacheLookup(ticket=right.ticket)

    async def remember(self, user_id: UserId, product_id: ProductId, ticket: str, since: datetime | None) -> None:
        right = self._right(user_id, product_id)
        if right.ticket == ticket:
            right.answer, right.ticket = CacheLookup(is_answer=True, since=since), None
            right.until = self._clock() + ACCESS_KEPT_SECONDS

    async def suspend(self, user_id: UserId, product_ids: Collection[ProductId]) -> str:
        change = uuid4().hex
        for product_id in product_ids:
            right = self._right(user_id, product_id)
            right.answer = right.ticket = None
            right.changes.add(change)
            right.until = self._clock() + ACCESS_CHANGE_SECONDS
        return change

    async def resume(self, user_id: UserId, product_ids: Collection[ProductId], change: str) -> None:
        for product_id in product_ids:
            right = self._right(user_id, product_id)
            right.answer = right.ticket = None
            right.changes.discard(change)

    def forget(self) -> None:
        """Loses everything."""
        self._rights.clear()

    def _right(self, user_id: UserId, product_id: ProductId) -> _Right:
        key = (user_id, product_id)
        right = self._rights.get(key)
        if right is None or right.until <= self._clock():
            right = self._rights[key] = _Right(until=self._clock() + ACCESS_READ_SECONDS)
        return right
