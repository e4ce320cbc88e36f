"""Verifications: begun, filled batch by batch, repaired by a session of their own. Called by the servicer, one function per RPC."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from download_svc.access.application import CachedAccess
from download_svc.sessions.application import Policy, SessionView, StartRequest, start_download
from download_svc.sessions.domain import Scope, Session, Target, UpdateFrom, UpdateType
from download_svc.transaction import Begin, Transaction
from download_svc.updates.planning import require_space
from download_svc.updates.plans import VersionPlan, plan_repair
from download_svc.verifications.domain import (
    MAX_EXTRA_ISSUES,
    Issue,
    IssueKind,
    Judgement,
    LocalEntry,
    Verification,
    VerificationReader,
    judge,
    verification_not_found,
)
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import ManifestReader, Version, channels_of, version_not_found
from download_svc.versions.manifests import Chunk, Entry, EntryType, FileReference, derived_ids

MAX_KEPT_PER_INSTALLATION = 10
"""Verifications of one product on one device of a user; older ones are forgotten."""
MAX_KEPT_PER_USER = 30
"""Of all products and devices: a verification of which nothing was listed has an issue for each of its version's files."""
MAX_CHUNKS_PER_BATCH = 50_000
"""Chunks of the manifest that one batch is compared with; what is above counts as not reported."""


async def create_verification(
    begin: Begin,
    versions: VersionReader,
    access: CachedAccess,
    *,
    user_id: UUID,
    permissions: frozenset[str],
    verification_id: UUID,
    product_id: UUID,
    version_id: UUID,
    device_id: UUID | None,
    is_whole_tree: bool,
    now: datetime,
) -> Verification:
    """Begins a verification. A retired version can be verified too. Not idempotent.

    Raises:
        VERSION_NOT_FOUND: unknown, or in a channel that the user may not see; PRODUCT_ACCESS_DENIED.
    """
    version = await versions.get(product_id, version_id)
    if version is None or version.channel not in channels_of(permissions):
        raise version_not_found(product_id)
    await access.require_now(user_id, product_id, now)
    verification = Verification(verification_id, user_id, product_id, version_id, device_id, is_whole_tree, now)
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        await tx.verifications.add(verification, keep=MAX_KEPT_PER_INSTALLATION, keep_of_user=MAX_KEPT_PER_USER)
        await tx.commit()
    return verification


async def submit_hashes(
    begin: Begin,
    verifications: VerificationReader,
    versions: VersionReader,
    *,
    user_id: UUID,
    verification_id: UUID,
    local: Sequence[LocalEntry],
    is_last: bool,
    now: datetime,
) -> Verification:
    """Judges a batch; with the last one everything that was not listed is missing, and this is published. A batch that comes
    twice says the same twice.

    Raises: VERIFICATION_NOT_FOUND; INVALID_STATE_TRANSITION: the last batch has come.
    """
    seen = await verifications.get(user_id, verification_id)
    if seen is None:
        raise verification_not_found(verification_id)
    seen.require_open()
    judgement = await _judge(versions, seen.version_id, local)
    async with begin(user_id) as tx:
        await tx.sessions.lock(user_id)
        verification = await _get(tx, user_id, verification_id)
        verification.require_open()
        verification = verification.listed(judgement.ordinals)
        issues = await _with_bounded_extras(tx, verification, judgement)
        await tx.verifications.replace_issues(verification, judgement.paths, issues)
        if is_last:
            await tx.verifications.add_missing(verification)
            counts = await tx.verifications.count_issues(verification)
            damaged = sum(count for kind, count in counts.items() if kind is not IssueKind.EXTRA)
            verification = verification.completed(damaged, now)
            tx.record(verification.completion(now))
        await tx.verifications.save(verification)
        await tx.commit()
    return verification


async def repair_verification(
    begin: Begin,
    verifications: VerificationReader,
    versions: VersionReader,
    manifests: ManifestReader,
    access: CachedAccess,
    policy: Policy,
    *,
    user_id: UUID,
    permissions: frozenset[str],
    verification_id: UUID,
    installation_path: str | None,
    priority: int | None,
    free_space_bytes: int | None,
    session_id: UUID,
    now: datetime,
) -> tuple[SessionView, VersionPlan]:
    """Queues a session of the damaged files alone, and answers what it has to fetch: only chunks that nothing on the disk has, as
    far as the verification knows. Not idempotent; a second call while the first repair is live is DOWNLOAD_ALREADY_ACTIVE.

    Raises:
        VERIFICATION_NOT_FOUND; INVALID_STATE_TRANSITION: nothing is damaged, or not everything is listed yet.
        INSUFFICIENT_CLIENT_DISK_SPACE: the plan needs more than is free; else as start_download.
    """
    verification = await verifications.get(user_id, verification_id)
    if verification is None:
        raise verification_not_found(verification_id)
    verification.require_repairable()
    version = await _version(versions, verification)
    entries = await manifests.entries(version)
    issues = await verifications.damage(verification)
    plan = await asyncio.to_thread(plan_repair, entries, issues)
    require_space(plan, free_space_bytes)

    async def attach(tx: Transaction, session: Session) -> None:
        current = await _get(tx, user_id, verification_id)
        current.require_repairable()
        await tx.verifications.save(current.being_repaired(session.id))

    view = await start_download(
        begin,
        versions,
        access,
        policy,
        StartRequest(
            product_id=version.product_id,
            version_id=version.version_id,
            platform=version.platform,
            target=Target(verification.device_id, installation_path),
            priority=priority,
            update=UpdateFrom(version.version_id, UpdateType.DELTA, plan.fetch_bytes),
            scope=_scope(version, entries, issues),
        ),
        user_id=user_id,
        permissions=permissions,
        session_id=session_id,
        now=now,
        attach=attach,
    )
    return view, plan


def _scope(version: Version, entries: Sequence[Entry], issues: Sequence[Issue]) -> Scope:
    damaged = {issue.path for issue in issues}
    files = [entry for entry in entries if entry.type is EntryType.FILE and entry.path in damaged]
    ids = derived_ids(version.version_id, [entry.path for entry in files])
    references = (FileReference(file_id, entry.path) for file_id, entry in zip(ids, files, strict=True))
    return Scope(tuple(references), sum(entry.size_bytes for entry in files))


async def _judge(versions: VersionReader, version_id: UUID, local: Sequence[LocalEntry]) -> Judgement:
    published = await versions.entries_at(version_id, [one.path for one in local]) if local else {}
    telling = [one.path for one in local if one.chunk_sha256s and one.path in published]
    chunks: Mapping[str, Sequence[Chunk]] = {}
    if telling:
        ids = dict(zip(derived_ids(version_id, telling), telling, strict=True))
        found = await versions.chunks_of_files(version_id, list(ids), limit=MAX_CHUNKS_PER_BATCH)
        chunks = {ids[file_id]: some for file_id, some in found.items()}
    return judge(local, published, chunks)


async def _with_bounded_extras(tx: Transaction, verification: Verification, judgement: Judgement) -> Sequence[Issue]:
    extras = [issue for issue in judgement.issues if issue.kind is IssueKind.EXTRA]
    if not extras:
        return judgement.issues
    known = (await tx.verifications.count_issues(verification)).get(IssueKind.EXTRA, 0)
    kept = extras[: max(0, MAX_EXTRA_ISSUES - known)]
    return [*(issue for issue in judgement.issues if issue.is_damage), *kept]


async def _version(versions: VersionReader, verification: Verification) -> Version:
    version = await versions.get(verification.product_id, verification.version_id)
    if version is None:
        raise version_not_found(verification.product_id)
    return version


async def _get(tx: Transaction, user_id: UUID, verification_id: UUID) -> Verification:
    verification = await tx.verifications.get(user_id, verification_id)
    if verification is None:
        raise verification_not_found(verification_id)
    return verification
