"""Patches to new versions: which are built, in what order, once, whatever fails; and how plans and links take them up."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from chassis.errors import DomainError, Kind
from depot.patches import ALGORITHM, patch_key
from download_svc.links.application import ChunkLinks, LinkedPatch
from download_svc.patches import application
from download_svc.patches.application import LEASE, PAIRS_PER_TURN, SET_ASIDE_FOR, build_patches
from download_svc.patches.domain import PatchPair, PatchState, StagedPatch, bases_of, pairs_between
from download_svc.updates.planning import REVISION_SECONDS
from download_svc.updates.plans import FileAction
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Platform
from tests.unit.download.rig import NOW, World, file_entry, make_manifest, make_version

BIG = 40_000
LIMIT = 1 << 20


@dataclass
class Builder:
    """Patches of a tenth of what the chunks cost; a test says otherwise by path."""

    outcome: Callable[[PatchPair], StagedPatch | None] | None = None
    built: list[tuple[str, bytes]] = field(default_factory=list)
    algorithm: str = ALGORITHM
    max_file_bytes: int = LIMIT
    running: int = 0
    most: int = 0

    async def build(self, product_id: UUID, pair: PatchPair) -> StagedPatch | None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0)
            self.built.append((pair.relative_path, pair.key[0]))
            return (self.outcome or self.small)(pair)
        finally:
            self.running -= 1

    @staticmethod
    def small(pair: PatchPair) -> StagedPatch:
        sha256 = hashlib.sha256(b"".join(pair.key)).digest()
        return StagedPatch(sha256, pair.chunk_bytes // 10, patch_key("p", sha256))


class Died(BaseException):
    """The process is gone: nothing that comes after is done."""


class Shelf:
    """Versions of one product, an hour apart, each with its files' contents by path."""

    def __init__(self) -> None:
        self.world = World()
        self.product_id = uuid4()
        self.released_at = NOW

    async def publish(self, files: dict[str, str], **version: object) -> Version:
        """Content is named; every content is BIG."""
        entries = [file_entry(path, BIG, content) for path, content in files.items()]
        named = [
            type(one)(
                one.path,
                one.type,
                one.size_bytes,
                hashlib.sha256(files[one.path].encode()).digest(),
                0o644,
                None,
                one.chunks,
            )
            for one in entries
        ]
        platform = version.pop("platform", Platform.LINUX)
        manifest = make_manifest(self.product_id, uuid4(), {}, others=named, platform=platform)  # type: ignore[arg-type]
        self.released_at += timedelta(hours=1)
        made = await self.world.publish(manifest, released_at=self.released_at, **version)
        async with self.world.store.begin() as tx:
            await tx.patches.request(made)
            await tx.commit()
        return made

    async def build(self, builder: Builder, *, workers: int = 2) -> bool:
        world = self.world
        return await build_patches(
            world.store.begin,
            world.versions,
            world.manifests,
            world.patches,
            builder,
            workers=workers,
            now=lambda: world.now,
        )

    async def build_all(self, builder: Builder) -> None:
        while await self.build(builder):
            pass

    @property
    def states(self) -> dict[str, PatchState]:
        return {one.relative_path: one.state for one in self.world.store.records.patches.values()}


async def test_patches_lead_from_the_three_versions_before_on_the_platform() -> None:
    shelf, builder = Shelf(), Builder()
    olds = [await shelf.publish({"a": f"v{number}"}) for number in range(5)]
    await shelf.publish({"a": "w"}, platform=Platform.WINDOWS)
    await shelf.publish({"a": "away"}, state=VersionState.RETIRED)
    new = await shelf.publish({"a": "new"})
    async with shelf.world.store.begin() as tx:
        for one in olds:
            await tx.patches.finish(one.version_id, NOW)
        await tx.commit()
    await shelf.build_all(builder)
    to_new = [one for one in shelf.world.store.records.patches.values() if one.to_version_id == new.version_id]
    assert [one.from_version_id for one in to_new] == [one.version_id for one in reversed(olds[2:])]


def test_bases_are_kept_older_and_of_the_platform() -> None:
    product = uuid4()

    def version(hours: int, **changes: object) -> Version:
        return make_version(
            make_manifest(product, uuid4()),
            released_at=NOW + timedelta(hours=hours),
            **changes,  # type: ignore[arg-type]
        )

    new = version(5)
    known = [version(hours) for hours in (1, 2, 3, 4, 6)] + [new]
    assert list(bases_of(known, new)) == [known[3], known[2], known[1]]


def test_pairs_are_changed_files_within_the_limits_the_dearest_first() -> None:
    old = [file_entry(path, BIG, f"{path}1") for path in ("a", "b", "same", "gone")] + [file_entry("tiny", 10, "t1")]
    new = [
        file_entry("a", BIG, "a2"),
        file_entry("b", 2 * BIG, "b2"),
        old[2],
        file_entry("more", BIG, "m"),
        file_entry("tiny", 12, "t"),
    ]
    pairs = pairs_between(old, new, max_file_bytes=3 * BIG)
    # `file_entry` hashes path and size, so `a` has to differ in size to be another file
    assert [pair.relative_path for pair in pairs] == ["b"]
    assert pairs[0].chunk_bytes == sum(chunk.stored_size_bytes for chunk in new[1].chunks)
    assert pairs[0].max_patch_bytes < pairs[0].chunk_bytes
    assert pairs_between(old, new, max_file_bytes=BIG) == []


def test_a_file_that_got_another_number_in_its_name_is_patched_from_its_namesake_that_goes() -> None:
    old = [
        file_entry(path, BIG, path)
        for path in ("l/libA-1a2b3c4d.so.0.28", "l/libB-00ff00ff.so", "l/libA-77777777.so.0.27")
    ]
    new = [
        file_entry("l/libA-99887766.so.0.30", BIG + 1, "x"),
        file_entry("m/libB-11ff00ff.so", BIG, "y"),
        file_entry("l/libA-77777777.so.0.27", BIG + 400, "z"),
    ]
    pairs = pairs_between(old, new, max_file_bytes=LIMIT)
    assert {(pair.old.path, pair.relative_path) for pair in pairs} == {
        ("l/libA-1a2b3c4d.so.0.28", "l/libA-99887766.so.0.30"),
        ("l/libA-77777777.so.0.27", "l/libA-77777777.so.0.27"),
    }, "not from another folder, and not from a file that stays"


async def test_what_saves_too_little_is_noted_and_never_tried_again() -> None:
    shelf = Shelf()
    builder = Builder(lambda pair: None if pair.relative_path == "zip" else Builder.small(pair))
    await shelf.publish({"code": "1", "zip": "1z"})
    await shelf.publish({"code": "2", "zip": "2z"})
    await shelf.build_all(builder)
    assert shelf.states == {"code": PatchState.OFFERED, "zip": PatchState.USELESS}
    tried = len(builder.built)
    await shelf.publish({"code": "3", "zip": "2z"})
    await shelf.build_all(builder)
    assert [path for path, _ in builder.built[tried:]] == ["code", "code"]


async def test_a_builder_that_dies_half_way_is_followed_by_one_that_goes_on() -> None:
    shelf, builder = Shelf(), Builder()
    await shelf.publish({f"f{number}": "1" + str(number) for number in range(6)})
    await shelf.build_all(builder)
    await shelf.publish({f"f{number}": "2" + str(number) for number in range(6)})

    def dies_at_third(pair: PatchPair) -> StagedPatch:
        if len(builder.built) == 3:
            raise Died
        return Builder.small(pair)

    builder.outcome = dies_at_third
    with pytest.raises(BaseExceptionGroup) as caught:
        await shelf.build(builder, workers=1)
    assert caught.group_contains(Died)
    assert len(shelf.states) == 2, "what was done is noted"
    builder.outcome = None
    assert await shelf.build(builder) is False, "its lease still runs"
    shelf.world.now += LEASE
    before = len(builder.built)
    await shelf.build_all(builder)
    assert len(shelf.states) == 6
    assert len(builder.built) - before == 4, "and not built again"


async def test_a_version_that_fails_is_set_aside_and_in_no_others_way() -> None:
    shelf, builder = Shelf(), Builder()
    await shelf.publish({"a": "1"})
    await shelf.build_all(builder)
    bad, other = await shelf.publish({"a": "2"}), Shelf()
    other.world = shelf.world
    await other.publish({"b": "1"})
    await other.publish({"b": "2"})

    def fails(pair: PatchPair) -> StagedPatch:
        if pair.relative_path == "a":
            raise DomainError(Kind.FAILED_PRECONDITION, "MANIFEST_INVALID")
        return Builder.small(pair)

    builder.outcome = fails
    with pytest.raises(DomainError, match="MANIFEST_INVALID"):
        await shelf.build(builder)
    assert "MANIFEST_INVALID" in shelf.world.store.records.build_failures[bad.version_id]
    await shelf.build_all(builder)
    assert shelf.states == {"b": PatchState.OFFERED}
    builder.outcome = None
    shelf.world.now += SET_ASIDE_FOR
    await shelf.build_all(builder)
    assert shelf.states == {"a": PatchState.OFFERED, "b": PatchState.OFFERED}


async def test_two_builders_at_once_build_each_pair_once() -> None:
    shelf, builder = Shelf(), Builder()
    await shelf.publish({f"f{number}": "1" + str(number) for number in range(8)})
    await shelf.build_all(builder)
    await shelf.publish({f"f{number}": "2" + str(number) for number in range(8)})
    await asyncio.gather(*(shelf.build_all(builder) for _ in range(4)))
    assert len(builder.built) == len(set(builder.built)) == 8
    assert 1 < builder.most <= 2, "and no more workers at once than it was told"


async def test_a_large_version_takes_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "PAIRS_PER_TURN", 3)
    assert PAIRS_PER_TURN > 3
    shelf, builder = Shelf(), Builder()
    await shelf.publish({f"f{number}": "1" + str(number) for number in range(8)})
    await shelf.build_all(builder)
    await shelf.publish({f"f{number}": "2" + str(number) for number in range(8)})
    turns = 0
    while await shelf.build(builder):
        turns += 1
    assert (turns, len(shelf.states)) == (3, 8)


async def test_a_withdrawn_version_gets_none() -> None:
    shelf, builder = Shelf(), Builder()
    await shelf.publish({"a": "1"})
    await shelf.publish({"a": "2"}, state=VersionState.RETIRED)
    await shelf.build_all(builder)
    assert (builder.built, shelf.world.store.records.builds) == ([], {})


async def test_a_plan_takes_patches_up_within_seconds_of_their_offer() -> None:
    shelf = Shelf()
    world = shelf.world
    old, new = await shelf.publish({"a": "1", "b": "x"}), await shelf.publish({"a": "2", "b": "y"})
    by_chunks = await world.plans.between(old, new)
    assert {one.action for one in by_chunks.files} == {FileAction.CHUNKS}
    await shelf.build_all(Builder(lambda pair: Builder.small(pair) if pair.relative_path == "a" else None))
    world.now += timedelta(seconds=REVISION_SECONDS)
    plan = await world.plans.between(old, new)
    assert {one.path: one.action for one in plan.files} == {"a": FileAction.PATCH, "b": FileAction.CHUNKS}
    [patched] = [one for one in plan.files if one.patch]
    assert patched.patch is not None
    b_bytes = sum(chunk.stored_size_bytes for one in by_chunks.files if one.path == "b" for chunk in one.fetch)
    assert plan.fetch_bytes == patched.patch.size_bytes + b_bytes
    assert plan.required_disk_space_bytes == by_chunks.required_disk_space_bytes == 2 * BIG
    assert (await world.plans.cost(old, new)).fetch_bytes == plan.fetch_bytes
    back = await world.plans.between(new, old)
    assert {one.action for one in back.files} == {FileAction.CHUNKS}, "nobody built the way back"


async def test_links_to_a_sessions_patches_are_signed_beside_its_chunks() -> None:
    shelf = Shelf()
    world = shelf.world
    await shelf.publish({"a": "1"})
    new = await shelf.publish({"a": "2"})
    await shelf.build_all(Builder())
    [patch] = [one for one in world.store.records.patches.values() if one.staged]
    assert patch.staged is not None
    chunk = file_entry("a", BIG, "2").chunks[0]
    session = (await world.start(new)).session
    links: list[ChunkLinks] = list(await world.links(session.id, [patch.staged.sha256, chunk.sha256]))
    assert [link.chunk.sha256 for link in links] == [patch.staged.sha256, chunk.sha256]
    assert links[0].chunk == LinkedPatch(patch.staged.sha256, patch.staged.size_bytes)
    assert f"/staging/{shelf.product_id}/patches/" in links[0].candidates[0].url
    assert f"/content/{shelf.product_id}/chunks/" in links[1].candidates[0].url


async def test_a_patch_to_another_version_is_not_the_sessions() -> None:
    shelf = Shelf()
    world = shelf.world
    old = await shelf.publish({"a": "1"})
    await shelf.publish({"a": "2"})
    await shelf.build_all(Builder())
    [patch] = [one for one in world.store.records.patches.values() if one.staged]
    assert patch.staged is not None
    session = (await world.start(old)).session
    with pytest.raises(DomainError, match="FILE_NOT_FOUND"):
        await world.links(session.id, [patch.staged.sha256])
