"""Verifications, their issues, and the manifest's entries at paths: over every adapter."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from download_svc.paging import PageRequest
from download_svc.verifications.domain import Issue, IssueKind, Verification, VerificationStatus
from download_svc.versions.domain import Version
from download_svc.versions.manifests import Entry, EntryType
from tests.contract.download.conftest import Ports
from tests.unit.download.rig import NOW, file_entry, make_manifest

PAGE = PageRequest()
OTHERS = (
    Entry("data", EntryType.DIRECTORY),
    Entry("latest", EntryType.SYMLINK, link_target="data"),
    replace(file_entry("bin/tool", 10), mode=0o755),
)


async def published(ports: Ports) -> Version:
    return await ports.publish(make_manifest(uuid4(), uuid4(), others=OTHERS))


def verification(version: Version, user_id: UUID | None = None, **changes: object) -> Verification:
    values: dict[str, object] = {"device_id": uuid4(), "is_whole_tree": True, "started_at": NOW, **changes}
    return Verification(uuid4(), user_id or uuid4(), version.product_id, version.version_id, **values)  # type: ignore[arg-type]


async def add(ports: Ports, *verifications: Verification, keep: int = 10, keep_of_user: int = 100) -> None:
    for one in verifications:
        async with ports.begin() as tx:
            await tx.verifications.add(one, keep=keep, keep_of_user=keep_of_user)
            await tx.commit()


async def test_a_verification_comes_back_as_it_was_saved_and_only_to_its_user(ports: Ports) -> None:
    one = verification(await published(ports))
    await add(ports, one)
    assert await ports.verifications.get(one.user_id, one.id) == one
    assert await ports.verifications.get(uuid4(), one.id) is None
    session_id = uuid4()
    changed = one.listed([0, 17]).completed(3, NOW).being_repaired(session_id).repair_failed(["b", "a"], NOW)
    async with ports.begin() as tx:
        assert await tx.verifications.get(one.user_id, one.id) == one
        await tx.verifications.save(changed)
    assert await ports.verifications.get(one.user_id, one.id) == one, "not committed"
    async with ports.begin() as tx:
        await tx.verifications.save(changed)
        await tx.commit()
    assert await ports.verifications.get(one.user_id, one.id) == changed
    assert changed.checked_files == 2
    assert await ports.verifications.of_session(one.user_id, session_id) == changed
    async with ports.begin() as tx:
        assert await tx.verifications.of_session(one.user_id, session_id) == changed
        assert await tx.verifications.of_session(uuid4(), session_id) is None


async def test_only_the_newest_of_a_place_are_kept(ports: Ports) -> None:
    version, user_id, device_id = await published(ports), uuid4(), uuid4()
    made = [
        verification(version, user_id, device_id=device_id, started_at=NOW + timedelta(hours=hour)) for hour in range(4)
    ]
    elsewhere = [verification(version, user_id), verification(version, user_id, device_id=None), verification(version)]
    await add(ports, *elsewhere, *made, keep=2)
    found = [await ports.verifications.get(one.user_id, one.id) for one in (*made, *elsewhere)]
    assert found == [None, None, *made[2:], *elsewhere]
    await add(ports, verification(version, user_id, started_at=NOW + timedelta(days=1)), keep_of_user=3)
    found = [await ports.verifications.get(one.user_id, one.id) for one in (*made, *elsewhere)]
    assert found == [None, None, *made[2:], None, None, elsewhere[2]], "another user's is none of them"


async def test_issues_are_the_last_word_about_each_path(ports: Ports) -> None:
    one = verification(await published(ports))
    await add(ports, one)
    async with ports.begin() as tx:
        issues = [
            Issue("é", IssueKind.CORRUPTED, frozenset({0, 2})),
            Issue("b", IssueKind.EXTRA),
            Issue("Z", IssueKind.WRONG_MODE),
        ]
        await tx.verifications.replace_issues(one, ["é", "b", "Z", "right"], issues)
        await tx.verifications.replace_issues(one, ["b", "c"], [Issue("c", IssueKind.MISSING)])
        assert await tx.verifications.count_issues(one) == {
            IssueKind.CORRUPTED: 1,
            IssueKind.WRONG_MODE: 1,
            IssueKind.MISSING: 1,
        }
        assert list(await tx.verifications.damaged_paths(one, limit=2)) == ["Z", "c"]
        await tx.commit()
    page = await ports.verifications.issues(one, PAGE)
    assert [issue.path for issue in page.items] == ["Z", "c", "é"], "by the bytes of their UTF-8 form"
    assert page.items[2].right_chunks == {0, 2}
    second = await ports.verifications.issues(one, PageRequest(2, 2))
    assert ([issue.path for issue in second.items], second.total) == (["é"], 3)
    missing = await ports.verifications.issues(one, PAGE, kind=IssueKind.MISSING)
    assert [issue.path for issue in missing.items] == ["c"]
    assert list(await ports.verifications.damage(one)) == list(page.items)
    stranger = replace(one, user_id=uuid4())
    assert (await ports.verifications.issues(stranger, PAGE)).total == 0


async def test_what_was_not_listed_is_missing_links_and_folders_only_of_a_whole_tree(ports: Ports) -> None:
    version = await published(ports)
    placed = await ports.versions.entries_at(version.version_id, ["bin/game", "bin/tool", "data", "latest", "nothing"])
    assert {path: one.entry.type.value for path, one in placed.items()} == {
        "bin/game": "file",
        "bin/tool": "file",
        "data": "directory",
        "latest": "symlink",
    }
    assert placed["latest"].entry == OTHERS[1]
    assert placed["bin/tool"].entry == replace(OTHERS[2], chunks=())
    assert placed["data"].entry == OTHERS[0]
    assert await ports.versions.entries_at(uuid4(), ["data"]) == {}
    for is_whole_tree, links in ((True, ["data", "latest"]), (False, [])):
        one = verification(version, is_whole_tree=is_whole_tree)
        one = one.listed([placed["bin/game"].ordinal, placed["bin/tool"].ordinal])
        await add(ports, one)
        async with ports.begin() as tx:
            await tx.verifications.replace_issues(one, ["bin/game"], [Issue("bin/game", IssueKind.CORRUPTED)])
            await tx.verifications.add_missing(one)
            await tx.commit()
        found = (await ports.verifications.issues(one, PAGE)).items
        missing = sorted(["data/a.pak", "data/empty", *links])
        assert [issue.path for issue in found if issue.kind is IssueKind.MISSING] == missing
        assert [issue.path for issue in found if issue.kind is not IssueKind.MISSING] == ["bin/game"]


async def test_a_verification_of_nothing_listed_misses_everything(ports: Ports) -> None:
    one = verification(await published(ports))
    await add(ports, one)
    async with ports.begin() as tx:
        await tx.verifications.add_missing(one)
        assert await tx.verifications.count_issues(one) == {IssueKind.MISSING: 6}
    assert one.status is VerificationStatus.PENDING
