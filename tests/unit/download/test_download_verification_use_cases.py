"""Verifications over memory adapters: how an entry is judged, batches, what a repair brings and fetches, how it ends."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import DomainError
from download_svc.paging import PageRequest
from download_svc.sessions import application as sessions
from download_svc.sessions.application import SessionView
from download_svc.sessions.domain import ItemReport, ItemStatus
from download_svc.updates.planning import session_plan
from download_svc.updates.plans import FileAction, VersionPlan, plan_repair
from download_svc.verifications.application import (
    MAX_KEPT_PER_INSTALLATION,
    create_verification,
    repair_verification,
    submit_hashes,
)
from download_svc.verifications.domain import (
    MAX_EXTRA_ISSUES,
    Issue,
    IssueKind,
    LocalEntry,
    PlacedEntry,
    Verification,
    VerificationCompleted,
    judge,
)
from download_svc.versions.domain import Version, VersionState
from download_svc.versions.manifests import Chunk, Entry, EntryType
from tests.unit.download.rig import World, digest, make_manifest

FILES = {"a": 1000, "b": 1000, "c": 10, "d": 0}
OTHERS = (Entry("folder", EntryType.DIRECTORY), Entry("link", EntryType.SYMLINK, link_target="a"))
EVERYTHING = PageRequest(1, 100)


async def reason(awaitable) -> str:
    with pytest.raises(DomainError) as caught:
        await awaitable
    return caught.value.reason


class Bench:
    """One version, and one user's copy of it that a test spoils."""

    def __init__(self) -> None:
        self.world = World()
        self.manifest = make_manifest(uuid4(), uuid4(), FILES, others=OTHERS)
        self.local = {
            entry.path: LocalEntry(
                entry.path, entry.type, entry.size_bytes, entry.sha256, entry.mode or None, entry.link_target
            )
            for entry in self.manifest.entries
        }
        self.device_id: UUID | None = uuid4()
        self.version: Version

    async def published(self, **version: object) -> "Bench":
        self.version = await self.world.publish(self.manifest, **version)
        return self

    def entry(self, path: str) -> Entry:
        return next(entry for entry in self.manifest.entries if entry.path == path)

    def spoil(self, path: str, *, right_chunks: Sequence[int] | None = None) -> None:
        """Other bytes; with `right_chunks` the client says which of its chunks are as they should be."""
        sha256s: tuple[bytes, ...] = ()
        if right_chunks is not None:
            chunks = enumerate(self.entry(path).chunks)
            sha256s = tuple(one.sha256 if number in right_chunks else digest("bad") for number, one in chunks)
        self.local[path] = replace(self.local[path], sha256=digest("spoilt", path), chunk_sha256s=sha256s)

    async def create(self, *, whole: bool = True, permissions: Sequence[str] = ()) -> Verification:
        return await create_verification(
            self.world.store.begin,
            self.world.versions,
            self.world.access,
            user_id=self.world.user_id,
            permissions=frozenset(permissions),
            verification_id=uuid4(),
            product_id=self.version.product_id,
            version_id=self.version.version_id,
            device_id=self.device_id,
            is_whole_tree=whole,
            now=self.world.now,
        )

    async def submit(self, one: Verification, local: Sequence[LocalEntry], *, last: bool = False) -> Verification:
        return await submit_hashes(
            self.world.store.begin,
            self.world.verifications,
            self.world.versions,
            user_id=self.world.user_id,
            verification_id=one.id,
            local=local,
            is_last=last,
            now=self.world.now,
        )

    async def verify(self, **options: bool) -> Verification:
        return await self.submit(await self.create(**options), list(self.local.values()), last=True)

    async def repair(
        self, one: Verification, *, free_space_bytes: int | None = None
    ) -> tuple[SessionView, VersionPlan]:
        world = self.world
        return await repair_verification(
            world.store.begin,
            world.verifications,
            world.versions,
            world.plans.manifests,
            world.access,
            world.policy,
            user_id=world.user_id,
            permissions=frozenset(),
            verification_id=one.id,
            installation_path="/games/it",
            priority=None,
            free_space_bytes=free_space_bytes,
            session_id=uuid4(),
            now=world.now,
        )

    async def issues(self, one: Verification) -> dict[str, str]:
        page = await self.world.verifications.issues(one, EVERYTHING)
        return {issue.path: issue.kind.value for issue in page.items}

    async def now(self, one: Verification) -> Verification:
        found = await self.world.verifications.get(one.user_id, one.id)
        assert found is not None
        return found

    @property
    def told(self) -> list[tuple[str, int, int]]:
        events = self.world.events(VerificationCompleted)
        return [(event.status.value, event.corrupted_files, event.repaired_files) for event in events]  # type: ignore[union-attr]


# --- judging -------------------------------------------------------------------------------------------------------------------

FILE = Entry("f", EntryType.FILE, 3, digest("f"), 0o755)
LINK = Entry("f", EntryType.SYMLINK, link_target="x")
FOLDER = Entry("f", EntryType.DIRECTORY)


@pytest.mark.parametrize(
    ("published", "local", "kind"),
    [
        (FILE, LocalEntry("f", EntryType.FILE, 3, digest("f"), 0o755), None),
        (FILE, LocalEntry("f", EntryType.FILE, 3, digest("f"), None), None),
        (FILE, LocalEntry("f", EntryType.FILE, 3, digest("f"), 0o644), "wrong_mode"),
        (FILE, LocalEntry("f", EntryType.FILE, 4, digest("f"), 0o755), "corrupted"),
        (FILE, LocalEntry("f", EntryType.FILE, 3, digest("g"), 0o644), "corrupted"),
        (FILE, LocalEntry("f", EntryType.FILE, 3, None, 0o755), "corrupted"),
        (FILE, LocalEntry("f", EntryType.SYMLINK, link_target="x"), "corrupted"),
        (LINK, LocalEntry("f", EntryType.SYMLINK, link_target="x"), None),
        (LINK, LocalEntry("f", EntryType.SYMLINK, link_target="y"), "corrupted"),
        (LINK, LocalEntry("f", EntryType.DIRECTORY), "corrupted"),
        (FOLDER, LocalEntry("f", EntryType.DIRECTORY, mode=0o700), None),
        (FOLDER, LocalEntry("f", EntryType.FILE, 3, digest("f")), "corrupted"),
        (None, LocalEntry("f", EntryType.FILE, 3, digest("f")), "extra"),
        (None, LocalEntry("f", EntryType.DIRECTORY), "extra"),
    ],
)
def test_an_entry_is_judged(published: Entry | None, local: LocalEntry, kind: str | None) -> None:
    placed = {"f": PlacedEntry(4, published)} if published else {}
    found = judge([local], placed, {})
    assert [issue.kind.value for issue in found.issues] == ([kind] if kind else [])
    assert list(found.ordinals) == ([4] if published else [])
    assert list(found.paths) == ["f"]


def test_of_a_path_that_comes_twice_the_last_word_counts() -> None:
    wrong, right = LocalEntry("f", EntryType.FILE, 9), LocalEntry("f", EntryType.FILE, 3, digest("f"), 0o755)
    placed = {"f": PlacedEntry(0, FILE)}
    assert judge([wrong, right], placed, {}).issues == []
    assert len(judge([right, wrong], placed, {}).issues) == 1


def test_chunks_that_lie_as_they_should_are_known_as_far_as_the_file_reaches() -> None:
    chunks = [Chunk(digest(number), 1, digest("s", number), 1) for number in range(4)]
    entry = replace(FILE, size_bytes=4)
    cut = LocalEntry("f", EntryType.FILE, 3, None, None, None, (digest(0), digest("bad"), digest(2)))
    (issue,) = judge([cut], {"f": PlacedEntry(0, entry)}, {"f": chunks}).issues
    assert issue.right_chunks == {0, 2}
    longer = replace(cut, chunk_sha256s=(*map(digest, range(9)),))
    (issue,) = judge([longer], {"f": PlacedEntry(0, entry)}, {"f": chunks}).issues
    assert issue.right_chunks == {0, 1, 2, 3}


# --- batches -------------------------------------------------------------------------------------------------------------------


async def test_a_tree_as_published_is_right_and_the_platform_is_told() -> None:
    bench = await Bench().published()
    one = await bench.create()
    assert (one.status.value, one.checked_files) == ("pending", 0)
    entries = list(bench.local.values())
    first = await bench.submit(one, entries[:2])
    assert (first.status.value, first.checked_files, first.completed_at) == ("in_progress", 2, None)
    assert bench.told == []
    last = await bench.submit(one, entries[2:], last=True)
    assert (last.status.value, last.checked_files) == ("completed_ok", len(entries))
    assert last.completed_at == bench.world.now
    assert bench.told == [("completed_ok", 0, 0)]
    assert await reason(bench.submit(one, entries)) == "INVALID_STATE_TRANSITION"
    assert await reason(bench.repair(last)) == "INVALID_STATE_TRANSITION"


async def test_every_kind_of_issue_is_found_over_batches_and_a_later_word_mends_an_earlier_one() -> None:
    bench = await Bench().published()
    right = dict(bench.local)
    bench.spoil("a")
    bench.local["c"] = replace(bench.local["c"], mode=0o755)
    bench.local["mine"] = LocalEntry("mine", size_bytes=1, sha256=digest("mine"))
    del bench.local["b"], bench.local["link"]
    one = await bench.create()
    await bench.submit(one, list(bench.local.values()))
    await bench.submit(one, list(bench.local.values()))  # its answer was lost
    assert await bench.issues(one) == {"a": "corrupted", "c": "wrong_mode", "mine": "extra"}
    last = await bench.submit(one, [right["c"]], last=True)
    assert await bench.issues(one) == {"a": "corrupted", "b": "missing", "link": "missing", "mine": "extra"}
    assert (last.status.value, last.corrupted_files) == ("completed_errors", 3)
    assert bench.told == [("completed_errors", 3, 0)]


async def test_a_client_that_lists_files_only_misses_no_links() -> None:
    bench = await Bench().published()
    bench.local = {path: one for path, one in bench.local.items() if one.type is EntryType.FILE}
    assert (await bench.verify(whole=False)).status.value == "completed_ok"
    found = await bench.verify(whole=True)
    assert await bench.issues(found) == {"folder": "missing", "link": "missing"}


async def test_what_the_user_added_is_no_damage_and_remembered_within_bounds() -> None:
    bench = await Bench().published()
    one = await bench.create()
    for start in range(0, MAX_EXTRA_ISSUES + 2000, 1000):
        await bench.submit(one, [LocalEntry(f"extra/{number}") for number in range(start, start + 1000)])
    last = await bench.submit(one, list(bench.local.values()), last=True)
    assert (last.status.value, last.corrupted_files) == ("completed_ok", 0)
    page = await bench.world.verifications.issues(one, EVERYTHING, kind=IssueKind.EXTRA)
    assert page.total == MAX_EXTRA_ISSUES


async def test_a_verification_is_its_users_and_of_a_version_that_the_user_may_have() -> None:
    bench = await Bench().published(channel="beta", state=VersionState.RETIRED)
    assert await reason(bench.create()) == "VERSION_NOT_FOUND"
    one = await bench.create(permissions=["channel:beta"])
    owner, bench.world.user_id = bench.world.user_id, uuid4()
    assert await reason(bench.submit(one, [])) == "VERIFICATION_NOT_FOUND"
    assert await reason(bench.repair(one)) == "VERIFICATION_NOT_FOUND"
    bench.world.user_id = owner
    bench.world.library.denied.add((owner, bench.version.product_id))
    assert await reason(bench.create(permissions=["channel:beta"])) == "PRODUCT_ACCESS_DENIED"


async def test_only_the_last_verifications_of_an_installation_are_kept() -> None:
    bench = await Bench().published()
    made = []
    for _ in range(MAX_KEPT_PER_INSTALLATION + 2):
        bench.world.now = bench.world.now.replace(microsecond=len(made))
        made.append(await bench.verify())
    found = [await bench.world.verifications.get(one.user_id, one.id) for one in made]
    assert found[:2] == [None, None]
    assert None not in found[2:]


# --- repairing -----------------------------------------------------------------------------------------------------------------


async def test_a_repair_is_a_session_of_the_damaged_files_that_fetches_their_damaged_chunks() -> None:
    bench = await Bench().published()
    bench.spoil("a", right_chunks=[0, 2])
    bench.spoil("b")
    bench.local["c"] = replace(bench.local["c"], mode=0o755)
    found = await bench.verify()
    view, plan = await bench.repair(found)
    session = view.session
    assert (session.from_version_id, session.version_id) == (bench.version.version_id, bench.version.version_id)
    assert (session.device_id, session.installation_path) == (bench.device_id, "/games/it")
    assert session.total_size_bytes == 2010, "only what is damaged counts"
    items = bench.world.store.state.items[session.id].values()
    assert [item.relative_path for item in items] == ["a", "b", "c"]
    chunks = bench.entry("a").chunks[1], *bench.entry("b").chunks
    assert [chunk for one in plan.files for chunk in one.fetch] == list(chunks)
    assert plan.fetch_bytes == sum(chunk.stored_size_bytes for chunk in chunks)
    actions = {one.path: one.action for one in plan.files}
    assert actions == {
        "a": FileAction.CHUNKS,
        "b": FileAction.CHUNKS,
        "c": FileAction.KEEP,
        "d": FileAction.KEEP,
    }
    world = bench.world
    _, shown = await session_plan(
        world.sessions,
        world.versions,
        world.verifications,
        world.plans,
        user_id=world.user_id,
        session_id=session.id,
    )
    assert shown == plan
    assert (await bench.now(found)).session_id == session.id
    assert world.store.records.updates == {}, "a repair is no update"


async def test_a_repair_that_ends_well_makes_the_verification_right() -> None:
    bench = await Bench().published()
    bench.spoil("a")
    found = await bench.verify()
    view, _ = await bench.repair(found)
    await bench.world.report(view.session.id, 1, bench.world.items_of(view.session.id, ItemStatus.COMPLETED))
    now = await bench.now(found)
    assert (now.status.value, now.corrupted_files, now.repaired_files) == ("completed_ok", 1, 1)
    assert bench.told == [("completed_errors", 1, 0), ("completed_ok", 1, 1)]
    assert world_history(bench) == []
    assert await reason(bench.repair(now)) == "INVALID_STATE_TRANSITION"


def world_history(bench: Bench) -> list[object]:
    return list(bench.world.store.records.history.values())


async def test_a_repair_that_fails_names_what_is_still_to_be_had_and_a_retry_can_end_well() -> None:
    bench = await Bench().published()
    bench.spoil("a")
    del bench.local["b"]
    found = await bench.verify()
    view, _ = await bench.repair(found)
    world, session_id = bench.world, view.session.id
    item = next(iter(world.store.state.items[session_id]))
    await world.report(session_id, 1, [ItemReport(item, ItemStatus.ERROR, 0, None, "CDN_ERROR")])
    failed = await bench.now(found)
    assert (failed.status.value, failed.requiring_redownload) == ("failed_to_repair", ("a", "b"))
    await sessions.retry_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=session_id, now=world.now
    )
    await world.report(session_id, 2, world.items_of(session_id, ItemStatus.COMPLETED))
    mended = await bench.now(found)
    assert (mended.status.value, mended.repaired_files, mended.requiring_redownload) == ("completed_ok", 2, ())
    assert [status for status, _, _ in bench.told] == ["completed_errors", "failed_to_repair", "completed_ok"]


async def test_a_cancelled_repair_can_be_begun_again() -> None:
    bench = await Bench().published()
    bench.spoil("a")
    found = await bench.verify()
    view, _ = await bench.repair(found)
    assert await reason(bench.repair(found)) == "DOWNLOAD_ALREADY_ACTIVE"
    world = bench.world
    await sessions.cancel_download(
        world.store.begin, world.policy, user_id=world.user_id, session_id=view.session.id, now=world.now
    )
    assert (await bench.now(found)).status.value == "completed_errors"
    again, _ = await bench.repair(found)
    assert (await bench.now(found)).session_id == again.session.id != view.session.id


async def test_ten_repairs_at_once_are_one() -> None:
    bench = await Bench().published()
    bench.spoil("a")
    found = await bench.verify()
    results = await asyncio.gather(*(bench.repair(found) for _ in range(10)), return_exceptions=True)
    refused = [result.reason for result in results if isinstance(result, DomainError)]
    assert refused == ["DOWNLOAD_ALREADY_ACTIVE"] * 9


async def test_a_repair_is_refused_that_cannot_be() -> None:
    bench = await Bench().published()
    bench.spoil("a")
    assert await reason(bench.repair(await bench.create())) == "INVALID_STATE_TRANSITION"
    found = await bench.verify()
    assert await reason(bench.repair(found, free_space_bytes=999)) == "INSUFFICIENT_CLIENT_DISK_SPACE"
    bench.world.library.denied.add((bench.world.user_id, bench.version.product_id))
    assert await reason(bench.repair(found)) == "PRODUCT_ACCESS_DENIED"
    bench.world.library.denied.clear()
    kept = bench.world.store.state.versions[bench.version.version_id]
    bench.world.store.state.versions[kept.version_id] = replace(kept, state=VersionState.RETIRED)
    assert await reason(bench.repair(found)) == "VERSION_NOT_AVAILABLE"
    assert bench.world.store.state.sessions == {}


# --- the plan of a repair, for any damage --------------------------------------------------------------------------------------

PIECES = st.sampled_from([bytes([number]) * (number + 1) for number in range(6)])
TREES = st.dictionaries(st.sampled_from("abcdef"), st.lists(PIECES, max_size=4).map(tuple), min_size=1)


def chunk_of(piece: bytes) -> Chunk:
    sha256 = hashlib.sha256(piece).digest()
    return Chunk(sha256, len(piece), hashlib.sha256(sha256).digest(), 100 + len(piece))


@given(st.data(), TREES)
def test_a_repair_makes_the_tree_whole_and_fetches_only_what_nothing_on_the_disk_has(
    data: st.DataObject, tree: dict[str, tuple[bytes, ...]]
) -> None:
    whole = {path: b"".join(pieces) for path, pieces in tree.items()}
    entries = [
        Entry(
            path,
            EntryType.FILE,
            len(whole[path]),
            hashlib.sha256(whole[path]).digest(),
            0o644,
            None,
            tuple(map(chunk_of, tree[path])),
        )
        for path in sorted(tree)
    ]
    disk = dict(whole)
    issues = []
    for path in data.draw(st.sets(st.sampled_from(sorted(tree)))):
        kind = data.draw(st.sampled_from([IssueKind.CORRUPTED, IssueKind.MISSING, IssueKind.WRONG_MODE]))
        right: frozenset[int] = frozenset()
        if kind is IssueKind.CORRUPTED:
            right = frozenset(data.draw(st.sets(st.sampled_from(range(len(tree[path])))))) if tree[path] else right
            pieces = [piece if number in right else b"\xff" * len(piece) for number, piece in enumerate(tree[path])]
            disk[path] = b"".join(pieces)
        elif kind is IssueKind.MISSING:
            del disk[path]
        issues.append(Issue(path, kind, right))
    plan = plan_repair(entries, issues)
    wire = {one.sha256 for file in plan.files for one in file.fetch}
    pieces_by_sha256 = {chunk_of(piece).sha256: piece for pieces in tree.values() for piece in pieces}
    built = {}
    for one in plan.files:
        if one.action is FileAction.KEEP:
            built[one.path] = disk[one.path]
        elif one.action is FileAction.COPY:
            assert one.from_path is not None
            built[one.path] = disk[one.from_path]
        else:
            have = {p.sha256: disk[p.path][p.offset_bytes : p.offset_bytes + p.size_bytes] for p in one.on_disk}
            got = {sha256: pieces_by_sha256[sha256] for sha256 in wire}
            built[one.path] = b"".join((have | got)[chunk_of(piece).sha256] for piece in tree[one.path])
    assert built == whole
    damaged = {issue.path: issue for issue in issues if issue.kind is not IssueKind.WRONG_MODE}
    there = {
        chunk_of(piece).sha256
        for path, pieces in tree.items()
        for number, piece in enumerate(pieces)
        if path not in damaged or number in damaged[path].right_chunks
    }
    lost = {chunk_of(piece).sha256 for path in damaged for piece in tree[path]}
    assert wire <= lost - there
    copied = {one.path for one in plan.files if one.action is FileAction.COPY}
    needed = {chunk_of(piece).sha256 for path in damaged if path not in copied for piece in tree[path]}
    assert wire == needed - there
