"""The reports of clients on their progress: reports move items, items move the session, ended sessions pass on their slots."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from download_svc.feed.application import ProgressFeed
from download_svc.queue.domain import Queue
from download_svc.sessions.application import Policy, SessionReader, SessionView
from download_svc.sessions.domain import Item, ItemReport, Session, Status, download_not_found
from download_svc.transaction import Begin, Transaction
from download_svc.updates.outcomes import follow


async def report_download(
    begin: Begin,
    sessions: SessionReader,
    board: ProgressFeed,
    policy: Policy,
    *,
    user_id: UUID,
    session_id: UUID,
    sequence: int,
    reports: Sequence[ItemReport],
    now: datetime,
) -> SessionView:
    """Applies a report and answers the session as it is then. Idempotent by `sequence`: a stale one changes nothing, and so does
    any report on a session that holds no slot; only one that lapsed while its client was silent is queued again.

    Raises: DOWNLOAD_NOT_FOUND, FILE_NOT_FOUND, VALIDATION_ERROR.
    """
    touched: Sequence[Item] | None = None
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        session = await tx.sessions.get(user_id, session_id)
        if session is None:
            raise download_not_found(session_id)
        if session.is_woken_by(sequence):
            session = await _wake(tx, policy, session, now)
            if not session.takes(sequence):
                await tx.commit()
        if session.takes(sequence):
            touched = await _apply(tx, policy, session, sequence, reports, now)
            await tx.commit()
    if touched is not None:
        # After the commit and best effort: progress is hot state, a report stands without it.
        await board.progress(session, touched, now)
    view = await sessions.get(user_id, session_id)
    return SessionView(session, None) if view is None else view


async def _wake(tx: Transaction, policy: Policy, session: Session, now: datetime) -> Session:
    """Queues a session again whose client is back; it has its slot at once if one is free."""
    live = await tx.sessions.live(session.user_id)
    session = next(one for one in live if one.id == session.id)
    session.resume(now)
    promoted = Queue(live, slots=policy.slots_per_user).promote(now)
    for one in {one.id: one for one in (session, *promoted)}.values():
        await tx.sessions.save(one)
    await follow(tx, session, now)
    return session


async def _apply(
    tx: Transaction, policy: Policy, session: Session, sequence: int, reports: Sequence[ItemReport], now: datetime
) -> Sequence[Item]:
    items = await tx.sessions.items(session.user_id, session.id, [report.item_id for report in reports])
    touched = session.report(sequence, reports, items, now)
    await tx.sessions.save_items(session.user_id, touched)
    replaced = None
    if session.status is Status.COMPLETED:
        before = await tx.installations.on_device(session.user_id, session.device_id, session.product_id)
        replaced = before.installation.version_id if before else None
        session.installed(await tx.installations.put(session.installation(), now), now)
    await tx.sessions.save(session)
    if not session.holds_slot:
        await follow(tx, session, now, replaced=replaced)
        queue = Queue(await tx.sessions.live(session.user_id), slots=policy.slots_per_user)
        for promoted in queue.promote(now):
            await tx.sessions.save(promoted)
    return touched
