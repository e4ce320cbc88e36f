"""Periodic repairs for all users: slots of clients that fell silent, sessions and offers of withdrawn versions. Repeated by main.

Each session and each offer is a transaction of its own under its user's lock, looked at again there, so that several programs may
sweep at once. A failed one is left to the next sweep and does not block the others.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from logging import getLogger
from typing import TypeVar

from download_svc.ids import OwnedId
from download_svc.queue.domain import Queue
from download_svc.sessions.application import Policy, SessionReader
from download_svc.sessions.domain import Session
from download_svc.transaction import Begin, Transaction
from download_svc.updates.application import UpdateReader
from download_svc.updates.domain import Update, UpdateStatus
from download_svc.updates.outcomes import follow
from download_svc.versions.domain import VersionState

T = TypeVar("T")

SWEEP_SECONDS = 5.0
"""Between two sweeps."""
BATCH = 200
MAX_BATCHES = 100
"""Of one kind in one sweep: the next one goes on."""

_log = getLogger(__name__)


async def sweep(
    begin: Begin,
    sessions: SessionReader,
    updates: UpdateReader,
    policy: Policy,
    *,
    now: datetime,
    max_silence: timedelta,
) -> None:
    """Sweep once.

    Raises:
        ExceptionGroup: what failed for single rows; the others are swept.
        DomainError: SERVICE_UNAVAILABLE, the rows cannot be looked for now.
    """
    failures: list[Exception] = []

    async def lapse(owned: OwnedId) -> bool:
        return await _change(begin, policy, owned, now, lambda one: one.is_silent(now, max_silence), Session.lapse)

    async def withdraw(owned: OwnedId) -> bool:
        return await _change(begin, policy, owned, now, lambda one: one.is_live, Session.withdraw)

    def silent(after: OwnedId | None) -> Awaitable[Sequence[OwnedId]]:
        return sessions.silent(now - max_silence, after=after, limit=BATCH)

    def withdrawn(after: OwnedId | None) -> Awaitable[Sequence[OwnedId]]:
        return sessions.of_withdrawn_versions(after=after, limit=BATCH)

    await _all("client_silent", silent, lapse, place=lambda owned: owned, failures=failures)
    await _all("version_withdrawn", withdrawn, withdraw, place=lambda owned: owned, failures=failures)
    await _all(
        "offer_withdrawn",
        lambda after: updates.of_withdrawn_versions(after=after, limit=BATCH),
        lambda offer: _take_back(begin, offer),
        place=lambda offer: (offer.user_id, offer.id),
        failures=failures,
    )
    if failures:
        raise ExceptionGroup("rows could not be swept", failures)


async def _all(
    reason: str,
    find: Callable[[OwnedId | None], Awaitable[Sequence[T]]],
    change: Callable[[T], Awaitable[bool]],
    *,
    place: Callable[[T], OwnedId],
    failures: list[Exception],
) -> None:
    """Changes what is found, batch by batch behind the place of the last: one that cannot be changed is in no other's way."""
    after: OwnedId | None = None
    for _ in range(MAX_BATCHES):
        batch = await find(after)
        for one in batch:
            try:
                if await change(one):
                    _log.info("swept", extra={"reason": reason, "row_id": str(place(one)[1])})
            except Exception as error:  # noqa: BLE001  # whatever one row holds, the others are swept
                error.add_note(f"{reason}: row {place(one)[1]}")
                failures.append(error)
        if len(batch) < BATCH:
            return
        after = place(batch[-1])


async def _change(
    begin: Begin,
    policy: Policy,
    owned: OwnedId,
    now: datetime,
    is_meant: Callable[[Session], bool],
    move: Callable[[Session, datetime], None],
) -> bool:
    """Moves the session if it is still meant, and gives its slot on."""
    user_id, session_id = owned
    async with begin() as tx:
        await tx.sessions.lock(user_id)
        live = await tx.sessions.live(user_id)
        session = next((one for one in live if one.id == session_id), None)
        if session is None or not is_meant(session):
            return False
        move(session, now)
        await tx.sessions.save(session)
        await follow(tx, session, now)
        await _give_on(tx, live, policy, now)
        await tx.commit()
    return True


async def _give_on(tx: Transaction, live: Sequence[Session], policy: Policy, now: datetime) -> None:
    for promoted in Queue(live, slots=policy.slots_per_user).promote(now):
        await tx.sessions.save(promoted)


async def _take_back(begin: Begin, offer: Update) -> bool:
    async with begin() as tx:
        await tx.sessions.lock(offer.user_id)
        there = await tx.updates.get(offer.user_id, offer.product_id, offer.to_version_id)
        version = await tx.versions.get(offer.to_version_id)
        if there is None or there.status is not UpdateStatus.AVAILABLE:
            return False
        if version is None or version.state is not VersionState.RETIRED:
            return False
        await tx.updates.remove(there)
        await tx.commit()
    return True
