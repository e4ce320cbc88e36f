"""Starting, holding back, resuming, retrying and cancelling downloads. Called by the servicer, one function per RPC."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from download_svc.access.application import CachedAccess
from download_svc.ids import OwnedId
from download_svc.paging import Page, PageRequest
from download_svc.queue.domain import Queue
from download_svc.sessions.domain import (
    Item,
    ItemStatus,
    Scope,
    Session,
    Status,
    Target,
    UpdateFrom,
    download_not_found,
)
from download_svc.transaction import Begin, Transaction
from download_svc.updates.outcomes import follow, note_update
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import channels_of, choose, require_disk_space, require_kept
from download_svc.versions.manifests import FileReference, Platform, derived_ids


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as it is shown: with its place in the queue, if it has one."""

    session: Session
    queue_position: int | None


class SessionReader(Protocol):
    """Sessions as they are shown; each method is a fixed number of statements."""

    async def get(self, user_id: UUID, session_id: UUID) -> SessionView | None: ...

    async def page(
        self, user_id: UUID, page: PageRequest, *, status: Status | None = None, product_id: UUID | None = None
    ) -> Page[SessionView]:
        """Newest first."""

    async def items(self, session: Session, page: PageRequest, *, status: ItemStatus | None = None) -> Page[Item]:
        """Files of a session, ordered by path (bytes of its UTF-8 form)."""

    async def queue(self, user_id: UUID) -> Sequence[UUID]:
        """Sessions that run or wait, first to last."""

    async def silent(self, since: datetime, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        """Of everybody: sessions that hold a slot and have not changed since, by user and id from behind `after`."""

    async def of_withdrawn_versions(self, *, after: OwnedId | None, limit: int) -> Sequence[OwnedId]:
        """Of everybody: live sessions of retired versions, by user and id from behind `after`."""


THREAD_ABOVE_FILES = 2_000
"""Deriving more item ids than this takes milliseconds that belong in a thread."""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A user's request to download something; None = not given."""

    product_id: UUID
    version_id: UUID | None = None
    platform: Platform | None = None
    target: Target = field(default_factory=Target)
    priority: int | None = None
    free_space_bytes: int | None = None
    update: UpdateFrom | None = None
    scope: Scope | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings that the rules need."""

    slots_per_user: int
    default_priority: int


Attach = Callable[[Transaction, Session], Awaitable[None]]
"""A function that writes what belongs to a new session, in the session's transaction."""


async def start_download(
    begin: Begin,
    versions: VersionReader,
    access: CachedAccess,
    policy: Policy,
    request: StartRequest,
    *,
    user_id: UUID,
    permissions: frozenset[str],
    session_id: UUID,
    now: datetime,
    attach: Attach | None = None,
) -> SessionView:
    """Queues a download, and gives it a slot in the same transaction if one is free.

    Answers the session as it was accepted (`queued`, contract section 3), even when it has its slot already: that move is an
    event of its own. Not idempotent; a second call while the first is live is DOWNLOAD_ALREADY_ACTIVE.

    Raises:
        PRODUCT_NOT_FOUND, VERSION_NOT_FOUND, VERSION_NOT_AVAILABLE, INVALID_ARGUMENT: see domain.versions.choose.
        PRODUCT_ACCESS_DENIED, INSUFFICIENT_CLIENT_DISK_SPACE, DOWNLOAD_ALREADY_ACTIVE, DOWNLOAD_QUEUE_FULL.
    """
    version = choose(
        await versions.of_product(request.product_id),
        product_id=request.product_id,
        version_id=request.version_id,
        platform=request.platform,
        channels=channels_of(permissions),
    )
    await access.require_now(user_id, version.product_id, now)
    require_disk_space(version, request.free_space_bytes)
    files = request.scope.files if request.scope else await versions.files(version.version_id)
    item_ids = await _item_ids(session_id, files)
    session = Session.start(
        version,
        request.target,
        session_id=session_id,
        user_id=user_id,
        priority=policy.default_priority if request.priority is None else request.priority,
        now=now,
        update=request.update,
        scope=request.scope,
    )
    accepted = session.copy()
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        queue = Queue(await tx.sessions.live(user_id), slots=policy.slots_per_user)
        queue.require_place(session)
        queue.join(session)
        promoted = queue.promote(now)
        await tx.sessions.add(session, files, item_ids)
        if request.update is not None and not session.is_repair:
            await note_update(tx, session, request.update, version, now)
        if attach is not None:
            await attach(tx, session)
        for other in promoted:
            if other.id != session.id:
                await tx.sessions.save(other)
        await tx.commit()
    return SessionView(accepted, queue.position(session))


async def pause_download(
    begin: Begin, policy: Policy, *, user_id: UUID, session_id: UUID, now: datetime
) -> SessionView:
    """Holds a session back; its slot goes to the next. Raises: DOWNLOAD_NOT_FOUND, INVALID_STATE_TRANSITION."""
    return await _move(begin, policy, user_id, session_id, now, lambda session: session.pause(now))


async def resume_download(
    begin: Begin, policy: Policy, *, user_id: UUID, session_id: UUID, now: datetime
) -> SessionView:
    """Queues a paused session again. Raises: DOWNLOAD_NOT_FOUND, INVALID_STATE_TRANSITION, VERSION_NOT_AVAILABLE."""
    return await _move(begin, policy, user_id, session_id, now, lambda session: session.resume(now), needs_version=True)


async def cancel_download(begin: Begin, policy: Policy, *, user_id: UUID, session_id: UUID, now: datetime) -> None:
    """Ends a live session. Raises: DOWNLOAD_NOT_FOUND, INVALID_STATE_TRANSITION."""
    await _move(begin, policy, user_id, session_id, now, lambda session: session.cancel(now))


async def retry_download(
    begin: Begin, policy: Policy, *, user_id: UUID, session_id: UUID, now: datetime
) -> SessionView:
    """Queues a failed session again, its failed files pending.

    Raises: DOWNLOAD_NOT_FOUND, INVALID_STATE_TRANSITION, VERSION_NOT_AVAILABLE, DOWNLOAD_ALREADY_ACTIVE, DOWNLOAD_QUEUE_FULL.
    """
    async with begin(user_id) as tx:
        session, queue = await _load(tx, policy, user_id, session_id)
        session.retry(now)
        require_kept(await tx.versions.get(session.version_id))
        queue.require_place(session)
        queue.join(session)
        await tx.sessions.reset_failed_items(user_id, session_id)
        await _save(tx, session, queue.promote(now))
        await follow(tx, session, now)
        await tx.commit()
    return SessionView(session, queue.position(session))


async def _move(
    begin: Begin,
    policy: Policy,
    user_id: UUID,
    session_id: UUID,
    now: datetime,
    move: Callable[[Session], None],
    *,
    needs_version: bool = False,
) -> SessionView:
    async with begin(user_id) as tx:
        session, queue = await _load(tx, policy, user_id, session_id)
        move(session)
        if needs_version:
            require_kept(await tx.versions.get(session.version_id))
        await _save(tx, session, queue.promote(now))
        await follow(tx, session, now)
        await tx.commit()
    return SessionView(session, queue.position(session))


async def _load(tx: Transaction, policy: Policy, user_id: UUID, session_id: UUID) -> tuple[Session, Queue]:
    """The session, and the user's queue holding the same object if it is live."""
    await tx.sessions.lock(user_id)
    live = await tx.sessions.live(user_id)
    session = next((one for one in live if one.id == session_id), None)
    if session is None:
        session = await tx.sessions.get(user_id, session_id)
    if session is None:
        raise download_not_found(session_id)
    return session, Queue(live, slots=policy.slots_per_user)


async def _save(tx: Transaction, session: Session, promoted: Sequence[Session]) -> None:
    await tx.sessions.save(session)
    for other in promoted:
        if other.id != session.id:
            await tx.sessions.save(other)


async def _item_ids(session_id: UUID, files: Sequence[FileReference]) -> Sequence[UUID]:
    paths = [file.relative_path for file in files]
    if len(paths) <= THREAD_ABOVE_FILES:
        return derived_ids(session_id, paths)
    return await asyncio.to_thread(derived_ids, session_id, paths)
