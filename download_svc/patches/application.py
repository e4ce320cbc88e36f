"""Builds the patches to new versions: pair by pair, each noted when it is done, so that a crash or a second instance costs at most
the pairs at hand. Repeated by main. And what plans and links read.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from chassis.errors import is_unavailable
from download_svc.patches.domain import (
    OfferedPatch,
    Patch,
    PatchBuild,
    PatchPair,
    StagedPatch,
    bases_of,
    pairs_between,
)
from download_svc.transaction import Begin
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import ManifestReader, Version, VersionState

LEASE = timedelta(minutes=10)
"""Time for which the version of a dead builder is not taken over; much longer than the building of one pair may take."""
PAIRS_PER_TURN = 100
"""Pairs of one version that are built before another version's turn comes."""
PAUSE_WHEN_UNAVAILABLE = timedelta(seconds=5)
SET_ASIDE_FOR = timedelta(minutes=10)
"""The time for which a failing version is set aside, so that it does not delay the others."""


class PatchReader(Protocol):
    """Patches as plans, links and the builder read them."""

    async def revisions(self, product_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Of each product a number that grows with its offered patches; what has none is left out. One statement."""

    async def offered(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Sequence[OfferedPatch]:
        """Offered patches to one of these contents."""

    async def of_version(
        self, product_id: UUID, version_id: UUID, sha256s: Collection[bytes]
    ) -> Sequence[OfferedPatch]:
        """Those of the offered patches, by their own SHA-256, that give a file of the version."""

    async def tried(self, product_id: UUID, to_sha256s: Collection[bytes]) -> Collection[tuple[bytes, bytes]]:
        """Pairs of contents that something became of, whatever it is, to one of these."""


class PatchBuilder(Protocol):
    """Makes patches."""

    @property
    def algorithm(self) -> str: ...

    @property
    def max_file_bytes(self) -> int:
        """Larger files go by chunks."""

    async def build(self, product_id: UUID, pair: PatchPair) -> StagedPatch | None:
        """Builds a patch within bounds of memory and time, applies it as a launcher does, and stores it. Idempotent.

        Returns:
            None when there is no patch that is worth it: it takes too much, gives a wrong file, or saves too little.

        Raises:
            SERVICE_UNAVAILABLE: to be tried again.
        """


async def build_patches(
    begin: Begin,
    versions: VersionReader,
    manifests: ManifestReader,
    patches: PatchReader,
    builder: PatchBuilder,
    *,
    workers: int,
    now: Callable[[], datetime],
) -> bool:
    """Takes the next version's turn. One that fails is set aside for a time, and is in no other's way.

    Returns:
        Whether there was something to do.

    Raises:
        What failed, noted at the version.
    """
    async with begin() as tx:
        build = await tx.patches.claim(now(), now() + LEASE)
        await tx.commit()
    if build is None:
        return False
    try:
        is_done = await _build_some(begin, versions, manifests, patches, builder, build, workers=workers, now=now)
    except Exception as error:  # noqa: BLE001  a job: whatever a version holds, it costs that version
        failure = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        failure.add_note(f"version {build.version_id}")
        pause = PAUSE_WHEN_UNAVAILABLE if is_unavailable(failure) else SET_ASIDE_FOR
        async with begin() as tx:
            await tx.patches.set_aside(build.version_id, until=now() + pause, reason=repr(failure))
            await tx.commit()
        raise failure from None
    async with begin() as tx:
        if is_done:
            await tx.patches.finish(build.version_id, now())
        else:
            await tx.patches.release(build.version_id, now())
        await tx.commit()
    return True


async def _build_some(
    begin: Begin,
    versions: VersionReader,
    manifests: ManifestReader,
    patches: PatchReader,
    builder: PatchBuilder,
    build: PatchBuild,
    *,
    workers: int,
    now: Callable[[], datetime],
) -> bool:
    """Builds at most PAIRS_PER_TURN patches. Returns whether nothing is left."""
    known = await versions.of_product(build.product_id)
    new = next((version for version in known if version.version_id == build.version_id), None)
    if new is None or new.state is not VersionState.KEPT:
        return True
    tx = await _untried(manifests, patches, builder, bases_of(known, new), new, limit=PAIRS_PER_TURN + 1)
    waiting = iter(tx[:PAIRS_PER_TURN])
    done = 0

    async def go_on() -> None:
        nonlocal done
        for base, pair in waiting:  # one iterator for all workers
            staged = await builder.build(build.product_id, pair)
            from_sha256, to_sha256 = pair.key
            patch = Patch(
                build.product_id,
                base.version_id,
                new.version_id,
                pair.relative_path,
                from_sha256,
                pair.old.size_bytes,
                to_sha256,
                builder.algorithm,
                staged,
            )
            async with begin() as tx:
                await tx.patches.add(patch)
                await tx.patches.extend(build.version_id, now() + LEASE)
                await tx.commit()
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(go_on())
    return done == len(tx)


async def _untried(
    manifests: ManifestReader,
    patches: PatchReader,
    builder: PatchBuilder,
    bases: Sequence[Version],
    new: Version,
    *,
    limit: int,
) -> Sequence[tuple[Version, PatchPair]]:
    """Pairs to build, from the newest version before first: most users have that."""
    found: list[tuple[Version, PatchPair]] = []
    if not bases:
        return found
    entries = await manifests.entries(new)
    taken: set[tuple[bytes, bytes]] = set()
    for base in bases:
        before = await manifests.entries(base)
        pairs = await asyncio.to_thread(pairs_between, before, entries, max_file_bytes=builder.max_file_bytes)
        tried = set(await patches.tried(new.product_id, {pair.key[1] for pair in pairs}))
        for pair in pairs:
            if pair.key not in tried and pair.key not in taken:
                taken.add(pair.key)
                found.append((base, pair))
                if len(found) == limit:
                    return found
    return found
