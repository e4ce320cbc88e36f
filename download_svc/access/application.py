"""Library's word on access, asked at every start and kept for a minute at most for links. What ends access ends here too."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.queue.domain import Queue
from download_svc.transaction import Begin
from download_svc.updates.outcomes import follow


class Access(Protocol):
    """Library's word on who may use what."""

    async def has_access(self, user_id: UUID, product_id: UUID) -> bool:
        """Raises: SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED."""


CACHE_SECONDS = 60
MAX_CACHED_ANSWERS = 100_000


def product_access_denied(product_id: UUID) -> DomainError:
    return DomainError(Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED", details={"product_id": str(product_id)})


class CachedAccess:
    """Positive answers of Library by user and product, each for CACHE_SECONDS. A refusal is never kept: it may end any time."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._granted: OrderedDict[tuple[UUID, UUID], datetime] = OrderedDict()

    async def require_now(self, user_id: UUID, product_id: UUID, now: datetime) -> None:
        """Asks Library.

        Raises:
            PRODUCT_ACCESS_DENIED: the user may not use the product.
        """
        if not await self.is_granted_now(user_id, product_id, now):
            raise product_access_denied(product_id)

    async def is_granted(self, user_id: UUID, product_id: UUID, now: datetime) -> bool:
        """Asks Library unless it said yes within CACHE_SECONDS."""
        asked_at = self._granted.get((user_id, product_id))
        if asked_at is not None and now - asked_at < timedelta(seconds=CACHE_SECONDS):
            return True
        return await self.is_granted_now(user_id, product_id, now)

    def forget(self, user_id: UUID, product_id: UUID) -> None:
        self._granted.pop((user_id, product_id), None)

    async def is_granted_now(self, user_id: UUID, product_id: UUID, now: datetime) -> bool:
        """Asks Library."""
        key = (user_id, product_id)
        # Forgotten before asking: an answer that does not come must not leave an old one standing.
        self.forget(user_id, product_id)
        if not await self._access.has_access(user_id, product_id):
            return False
        self._granted[key] = now
        while len(self._granted) > MAX_CACHED_ANSWERS:
            self._granted.popitem(last=False)
        return True


async def follow_removal(
    begin: Begin,
    access: CachedAccess,
    *,
    user_id: UUID,
    product_id: UUID,
    slots: int,
    now: datetime,
    event: tuple[str, str, str],
) -> None:
    """The user lost the product at some time. The event may come late, and the product may be theirs again: Library knows.

    Raises: SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED: the event is to be handled again.
    """
    if not await access.is_granted_now(user_id, product_id, now):
        await end_access(begin, access, user_id=user_id, product_id=product_id, slots=slots, now=now, event=event)


async def end_access(
    begin: Begin,
    access: CachedAccess,
    *,
    user_id: UUID,
    product_id: UUID,
    slots: int,
    now: datetime,
    event: tuple[str, str, str] | None = None,
) -> None:
    """Cancels the user's live sessions of a product that the user may no longer use, and gives their slots on.

    `event` is the consumer and the event's source and id when an event caused it: a second delivery then does nothing.
    """
    access.forget(user_id, product_id)
    async with begin(user_id) as tx:
        if event is not None and not await tx.first_time(*event):
            return
        await tx.sessions.lock(user_id)
        live = await tx.sessions.live(user_id)
        ended = [session for session in live if session.product_id == product_id]
        for session in ended:
            session.cancel(now)
        promoted = Queue(live, slots=slots).promote(now)
        for session in [*ended, *promoted]:
            await tx.sessions.save(session)
        for session in ended:
            await follow(tx, session, now)
        await tx.commit()
