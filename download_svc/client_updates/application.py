"""Answering which release of the launcher an installation should have; making releases known, rolling them out, going back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid4

from download_svc.client_updates.domain import (
    RELEASES_LIMIT,
    ClientRelease,
    ClientReleaseAlreadyExists,
    ClientReleaseLimitExceeded,
    ClientReleaseNotFound,
    ClientVersion,
    Line,
    Offer,
    offer,
)


class ReleaseBook(Protocol):
    """The releases. Each method is one transaction of its own."""

    async def of_line(self, line: Line) -> Sequence[ClientRelease]: ...

    async def add(self, release: ClientRelease) -> ClientRelease:
        """The release, or the one that has its line and version already."""

    async def set_rollout(self, release_id: UUID, permille: int) -> ClientRelease | None: ...

    async def roll_back(self, to: ClientRelease, halted: Sequence[ClientRelease]) -> ClientRelease | None:
        """Marks the release and offers it to everybody, and halts the others, all at once."""

    async def find(self, release_id: UUID) -> ClientRelease | None: ...


async def check(
    book: ReleaseBook, line: Line, installed: ClientVersion, installation_id: UUID | None, *, is_manual: bool
) -> Offer:
    """Return the release that the installation should get.

    Raises:
        ClientReleaseNotFound: the line has no release for it.
    """
    found = offer(await book.of_line(line), installed, installation_id, is_manual=is_manual)
    if found is None:
        raise ClientReleaseNotFound
    return found


async def add_release(
    book: ReleaseBook,
    line: Line,
    version: ClientVersion,
    *,
    minimum_version: ClientVersion | None,
    target_sha256: bytes,
    target_size_bytes: int,
    now: datetime,
) -> ClientRelease:
    """Create the release, which nobody is offered yet.

    Raises:
        ClientReleaseAlreadyExists: the version is another release.
        ClientReleaseLimitExceeded: there are too many.
    """
    known = await book.of_line(line)
    if len(known) >= RELEASES_LIMIT and all(one.version != version for one in known):
        raise ClientReleaseLimitExceeded
    wanted = ClientRelease(
        uuid4(), line, version, target_sha256, target_size_bytes, now, minimum_version=minimum_version
    )
    kept = await book.add(wanted)
    if not kept.is_same_content(wanted):
        raise ClientReleaseAlreadyExists(version)
    return kept


async def set_rollout(book: ReleaseBook, release_id: UUID, permille: int) -> ClientRelease:
    """The release with another stage; 0 halts it.

    Raises:
        ClientReleaseNotFound: the release does not exist.
    """
    kept = await book.set_rollout(release_id, permille)
    if kept is None:
        raise ClientReleaseNotFound
    return kept


async def roll_back(book: ReleaseBook, release_id: UUID) -> ClientRelease:
    """The release as the way back: everybody is offered it, and every higher version is halted.

    Raises:
        ClientReleaseNotFound: the release does not exist.
    """
    wanted = await book.find(release_id)
    if wanted is None:
        raise ClientReleaseNotFound
    higher = [one for one in await book.of_line(wanted.line) if one.version > wanted.version]
    kept = await book.roll_back(wanted, higher)
    if kept is None:
        raise ClientReleaseNotFound
    return kept
