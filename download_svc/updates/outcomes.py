"""The consequences of a session's change: the user's update follows it, a verification learns how its repair ended. Called inside
the transaction of every use case that moves sessions.
"""

from datetime import datetime
from uuid import UUID, uuid5

from download_svc.sessions.domain import Session, Status, UpdateFrom
from download_svc.transaction import Transaction
from download_svc.updates.domain import HistoryEntry, Update, UpdateOutcome, UpdateStatus
from download_svc.verifications.domain import MAX_REDOWNLOAD_PATHS
from download_svc.versions.domain import Version, is_step_forward


def update_id(user_id: UUID, product_id: UUID, to_version_id: UUID) -> UUID:
    """The same for the same update, whoever makes its row first."""
    return uuid5(to_version_id, f"{user_id}/{product_id}")


async def note_update(tx: Transaction, session: Session, update: UpdateFrom, version: Version, now: datetime) -> None:
    """A session over another version has begun."""
    await tx.updates.put(
        Update(
            id=update_id(session.user_id, session.product_id, session.version_id),
            user_id=session.user_id,
            product_id=session.product_id,
            from_version_id=update.version_id,
            to_version_id=session.version_id,
            type=update.type,
            size_bytes=update.size_bytes,
            release_notes_url=version.release_notes_url,
            status=UpdateStatus.DOWNLOADING,
            created_at=now,
            updated_at=now,
        )
    )


async def follow(tx: Transaction, session: Session, now: datetime, *, replaced: UUID | None = None) -> None:
    """The session has moved. `replaced` is the version that was on the device before one that is completed, if that is known."""
    if session.is_repair:
        await _follow_repair(tx, session, now)
    else:
        await _follow_update(tx, session, now, session.from_version_id or replaced)


async def _follow_repair(tx: Transaction, session: Session, now: datetime) -> None:
    if session.status not in (Status.COMPLETED, Status.ERROR):
        return
    verification = await tx.verifications.of_session(session.user_id, session.id)
    if verification is None:
        return
    if session.status is Status.COMPLETED:
        verification = verification.repaired(now)
    else:
        paths = await tx.verifications.damaged_paths(verification, limit=MAX_REDOWNLOAD_PATHS)
        verification = verification.repair_failed(paths, now)
    await tx.verifications.save(verification)
    tx.record(verification.completion(now))


async def _follow_update(tx: Transaction, session: Session, now: datetime, previous: UUID | None) -> None:
    update = await tx.updates.get(session.user_id, session.product_id, session.version_id)
    if session.status is Status.COMPLETED:
        if update is not None:
            await tx.updates.put(update.moved(UpdateStatus.APPLIED, now))
        version = await tx.versions.get(session.version_id)
        if version is not None:
            await tx.updates.remove_available(session.user_id, session.product_id, released_until=version.released_at)
        if previous is not None and previous != session.version_id:
            await _remember(tx, session, previous, UpdateOutcome.SUCCESS, now)
    elif session.from_version_id is None or update is None:
        return
    elif session.status is Status.ERROR:
        await tx.updates.put(update.moved(UpdateStatus.FAILED, now))
        await _remember(tx, session, previous, UpdateOutcome.FAILED, now)
    elif session.status is Status.CANCELLED:
        await _take_back(tx, session, update, now)
    elif update.status is UpdateStatus.FAILED:
        await tx.updates.put(update.moved(UpdateStatus.DOWNLOADING, now))


async def _take_back(tx: Transaction, session: Session, update: Update, now: datetime) -> None:
    """A cancelled update can still be had; a cancelled way back was never an offer, unless from a version that was withdrawn."""
    old = await tx.versions.get(update.from_version_id)
    new = await tx.versions.get(session.version_id)
    if old is not None and new is not None and is_step_forward(old, new):
        await tx.updates.put(update.moved(UpdateStatus.AVAILABLE, now))
    else:
        await tx.updates.remove(update)


async def _remember(
    tx: Transaction, session: Session, previous: UUID | None, outcome: UpdateOutcome, now: datetime
) -> None:
    await tx.updates.add_history(
        HistoryEntry(
            id=uuid5(session.id, now.isoformat()),
            user_id=session.user_id,
            product_id=session.product_id,
            applied_version_id=session.version_id,
            previous_version_id=previous,
            outcome=outcome,
            applied_at=now,
            error_message=session.failure.message if session.failure else None,
        )
    )
