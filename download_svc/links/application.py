"""Signed links to chunks, and the reference to a session's manifest: only of the session's own version."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, Kind
from download_svc.access.application import CachedAccess, end_access, product_access_denied
from download_svc.patches.application import PatchReader
from download_svc.sessions.application import Policy, SessionReader
from download_svc.sessions.domain import Session, download_not_found, file_not_found, invalid_transition
from download_svc.transaction import Begin
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import version_not_found
from download_svc.versions.manifests import Chunk, StoredManifest


@dataclass(frozen=True, slots=True)
class Link:
    """Signed, for GET with ranges, at one CDN."""

    url: str
    cdn_provider: str
    expires_at: datetime


class ManifestLinks(Protocol):
    """Signed links to the kept copies of manifests."""

    def link(self, key: str, now: datetime) -> tuple[str, datetime]:
        """URL, and when it ends. No network."""


class LinkSigner(Protocol):
    """Signs links to objects on the CDNs, without the network."""

    def sign(self, product_id: UUID, sha256s: Sequence[bytes], now: datetime) -> Sequence[Sequence[Link]]:
        """For each chunk of the product its candidates, best first. CPU only; long lists belong in a thread."""

    def sign_patches(self, product_id: UUID, sha256s: Sequence[bytes], now: datetime) -> Sequence[Sequence[Link]]:
        """Likewise for patches of the product, by their own SHA-256."""


MAX_LINKS_PER_ANSWER = 4_000
"""Chunks in one answer, which keeps it under a gRPC message's 4 MiB with three CDNs; a longer file is asked for by chunk."""
THREAD_ABOVE_LINKS = 256


@dataclass(frozen=True, slots=True)
class LinkedPatch:
    """A patch as links see it: it is transferred as it is."""

    sha256: bytes
    stored_size_bytes: int

    @property
    def stored_sha256(self) -> bytes:
        return self.sha256


@dataclass(frozen=True, slots=True)
class ChunkLinks:
    """One chunk, or one patch, and where it can be had, best first."""

    chunk: Chunk | LinkedPatch
    candidates: Sequence[Link]


@dataclass(frozen=True, slots=True)
class ManifestLink:
    """The session's signed manifest by reference."""

    session_id: UUID
    manifest: StoredManifest
    url: str
    expires_at: datetime


async def create_links(
    begin: Begin,
    sessions: SessionReader,
    versions: VersionReader,
    patches: PatchReader,
    access: CachedAccess,
    signer: LinkSigner,
    policy: Policy,
    *,
    user_id: UUID,
    session_id: UUID,
    ids: Sequence[bytes | UUID],
    now: datetime,
) -> Sequence[ChunkLinks]:
    """Signs links to chunks and patches, in the order asked for, each once; an id is the SHA-256 of either or a file_metadata_id.

    When Library says that access has ended, the user's live sessions of the product are cancelled.

    Raises:
        DOWNLOAD_NOT_FOUND; INVALID_STATE_TRANSITION: the session holds no slot.
        PRODUCT_ACCESS_DENIED: access has ended.
        FILE_NOT_FOUND: at least one id is not of the session's manifest; no link is signed.
        INVALID_ARGUMENT: the files have more than MAX_LINKS_PER_ANSWER chunks.
    """
    view = await sessions.get(user_id, session_id)
    if view is None:
        raise download_not_found(session_id)
    session = view.session
    if not session.holds_slot:
        raise invalid_transition(session.status)
    if not await access.is_granted(user_id, session.product_id, now):
        await end_access(
            begin, access, user_id=user_id, product_id=session.product_id, slots=policy.slots_per_user, now=now
        )
        raise product_access_denied(session.product_id)
    wanted = await _wanted(versions, patches, session, ids)
    if len(wanted) <= THREAD_ABOVE_LINKS:
        return _signed(signer, session.product_id, wanted, now)
    return await asyncio.to_thread(_signed, signer, session.product_id, wanted, now)


def _signed(
    signer: LinkSigner, product_id: UUID, wanted: Sequence[Chunk | LinkedPatch], now: datetime
) -> Sequence[ChunkLinks]:
    chunks = [one.sha256 for one in wanted if isinstance(one, Chunk)]
    patches = [one.sha256 for one in wanted if isinstance(one, LinkedPatch)]
    of_chunks = iter(signer.sign(product_id, chunks, now))
    of_patches = iter(signer.sign_patches(product_id, patches, now) if patches else ())
    return [ChunkLinks(one, next(of_chunks if isinstance(one, Chunk) else of_patches)) for one in wanted]


async def manifest_link(
    sessions: SessionReader,
    versions: VersionReader,
    objects: ManifestLinks,
    *,
    user_id: UUID,
    session_id: UUID,
    now: datetime,
) -> ManifestLink:
    """Return the link to the session's manifest. Raises: DOWNLOAD_NOT_FOUND."""
    view = await sessions.get(user_id, session_id)
    if view is None:
        raise download_not_found(session_id)
    version = await versions.get(view.session.product_id, view.session.version_id)
    if version is None:
        raise version_not_found(view.session.product_id)
    url, expires_at = objects.link(version.manifest.key, now)
    return ManifestLink(session_id, version.manifest, url, expires_at)


async def _wanted(
    versions: VersionReader, patches: PatchReader, session: Session, ids: Sequence[bytes | UUID]
) -> Sequence[Chunk | LinkedPatch]:
    sha256s = list(dict.fromkeys(one for one in ids if isinstance(one, bytes)))
    file_ids = list(dict.fromkeys(one for one in ids if isinstance(one, UUID)))
    by_sha256: dict[bytes, Chunk | LinkedPatch] = {}
    if sha256s:
        by_sha256.update(await versions.chunks(session.version_id, sha256s))
        if others := [sha256 for sha256 in sha256s if sha256 not in by_sha256]:
            for patch in await patches.of_version(session.product_id, session.version_id, others):
                by_sha256[patch.sha256] = LinkedPatch(patch.sha256, patch.size_bytes)
    by_file: Mapping[UUID, Sequence[Chunk]] = {}
    if file_ids:
        by_file = await versions.chunks_of_files(session.version_id, file_ids, limit=MAX_LINKS_PER_ANSWER + 1)
    wanted: dict[bytes, Chunk | LinkedPatch] = {}
    for one in ids:
        found: Sequence[Chunk | LinkedPatch] | None
        found = by_file.get(one) if isinstance(one, UUID) else [by_sha256[one]] if one in by_sha256 else None
        if found is None:
            raise file_not_found()
        wanted.update((chunk.sha256, chunk) for chunk in found if chunk.sha256 not in wanted)
    if len(wanted) > MAX_LINKS_PER_ANSWER or sum(map(len, by_file.values())) > MAX_LINKS_PER_ANSWER:
        description = f"more than {MAX_LINKS_PER_ANSWER} chunks; ask for them by their SHA-256"
        raise DomainError(Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description})
    return list(wanted.values())
