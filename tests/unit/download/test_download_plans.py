"""From one manifest to another: what stays, is copied, fetched, deleted; and what it costs to the byte."""

import hashlib
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from download_svc.patches.domain import OfferedPatch
from download_svc.sessions.domain import UpdateType
from download_svc.updates.plans import FileAction, plan_versions
from download_svc.versions.manifests import Chunk, Entry, EntryType

Tree = Mapping[str, tuple[bytes, ...]]
PIECES = st.sampled_from([bytes([number]) * (number + 1) for number in range(8)])
TREES = st.dictionaries(st.sampled_from("abcdef"), st.lists(PIECES, max_size=4).map(tuple))


def chunk(piece: bytes) -> Chunk:
    sha256 = hashlib.sha256(piece).digest()
    return Chunk(sha256, len(piece), hashlib.sha256(sha256).digest(), 100 + len(piece))


def entries(tree: Tree) -> list[Entry]:
    made = [Entry("folder", EntryType.DIRECTORY)]
    for path, pieces in tree.items():
        data = b"".join(pieces)
        sha256 = hashlib.sha256(data).digest()
        made.append(Entry(path, EntryType.FILE, len(data), sha256, 0o644, None, tuple(map(chunk, pieces))))
    return made


def test_every_way_to_have_a_file() -> None:
    old = {"kept": (b"k",), "moved": (b"m", b"n"), "changed": (b"aa", b"b", b"c"), "dropped": (b"d",)}
    new = {"kept": (b"k",), "elsewhere": (b"m", b"n"), "changed": (b"b", b"new", b"new"), "more": (b"new", b"d")}
    plan = plan_versions(entries(old), entries(new))
    by_path = {one.path: one for one in plan.files}
    assert {path: one.action.value for path, one in by_path.items()} == {
        "kept": "keep",
        "elsewhere": "copy",
        "changed": "chunks",
        "more": "chunks",
        "moved": "delete",
        "dropped": "delete",
    }
    assert by_path["elsewhere"].from_path == "moved"
    (place,) = by_path["changed"].on_disk
    assert (place.path, place.offset_bytes, place.size_bytes) == ("changed", 2, 1)
    assert by_path["changed"].fetch == (chunk(b"new"),)
    assert by_path["more"].fetch == (), "a chunk is fetched once, for the first file that needs it"
    assert plan.fetch_bytes == 103
    assert plan.required_disk_space_bytes == 2 + 7 + 4
    assert plan.update_type is UpdateType.DELTA
    assert [one.path for one in plan.files] == sorted(by_path)


def test_from_nothing_it_is_a_whole_download() -> None:
    plan = plan_versions((), entries({"a": (b"x", b"y"), "b": (b"y",)}))
    assert plan.update_type is UpdateType.FULL
    assert plan.fetch_bytes == 202
    assert plan.required_disk_space_bytes == 3


def test_a_patch_may_start_from_a_file_at_another_path_and_only_from_one_that_is_there() -> None:
    old, new = {"lib-1": (b"aaaa",), "other": (b"o",)}, {"lib-2": (b"bbbbb",), "other": (b"o",)}

    def offer(base: bytes, size_bytes: int) -> OfferedPatch:
        hashes = (hashlib.sha256(data).digest() for data in (base, b"bbbbb"))
        return OfferedPatch("lib-2", "hdiff13-zstd", next(hashes), len(base), next(hashes), b"p" * 32, size_bytes)

    dear, cheap, foreign = offer(b"o", 30), offer(b"aaaa", 20), offer(b"not here", 1)
    plan = plan_versions(entries(old), entries(new), [dear, cheap, foreign])
    [patched] = [one for one in plan.files if one.patch]
    assert (patched.path, patched.from_path, patched.patch, plan.fetch_bytes) == ("lib-2", "lib-1", cheap, 20)
    assert plan_versions(entries(old), entries(new), [foreign]).fetch_bytes == 105
    assert plan_versions(entries(old), entries(new), [offer(b"aaaa", 105)]).fetch_bytes == 105


@given(TREES, TREES, st.data())
def test_with_patches_the_plan_still_rebuilds_the_new_version_and_never_fetches_more(
    old: Tree, new: Tree, data: st.DataObject
) -> None:
    """Whatever patches there are, of whatever size; one that is deleted afterwards is replaced by its file's chunks."""
    content = {path: b"".join(tree) for path, tree in new.items()}
    disk = {path: b"".join(tree) for path, tree in old.items()}
    changed = [path for path in sorted(content) if path in disk and disk[path] != content[path]]
    offered = []
    for path in changed:
        if data.draw(st.booleans()):
            base, result = (hashlib.sha256(tree[path]).digest() for tree in (disk, content))
            size_bytes = data.draw(st.integers(1, 400))
            offered.append(
                OfferedPatch(path, "hdiff13-zstd", base, len(disk[path]), result, base[:16] + result[:16], size_bytes)
            )
    plan = plan_versions(entries(old), entries(new), offered)
    without = plan_versions(entries(old), entries(new))
    assert plan.fetch_bytes <= without.fetch_bytes
    assert plan.required_disk_space_bytes == without.required_disk_space_bytes
    wire = {one.sha256: one.stored_size_bytes for file in plan.files for one in file.fetch}
    patched = [file for file in plan.files if file.patch]
    assert plan.fetch_bytes == sum(wire.values()) + sum(file.patch.size_bytes for file in patched if file.patch)
    assert sum(len(one.fetch) for one in plan.files) == len(wire), "each chunk once"
    pieces = {chunk(piece).sha256: piece for tree in (*old.values(), *new.values()) for piece in tree}
    had = {chunk(piece).sha256 for tree in old.values() for piece in tree} | set(wire)
    for file in patched:
        assert file.patch is not None
        assert file.patch.from_sha256 == hashlib.sha256(disk[file.path]).digest()
        assert file.patch.to_sha256 == hashlib.sha256(content[file.path]).digest()
        had |= {chunk(piece).sha256 for piece in new[file.path]}
    for file in plan.files:
        if file.action is FileAction.CHUNKS:
            assert b"".join(pieces[chunk(piece).sha256] for piece in new[file.path]) == content[file.path]
            assert {chunk(piece).sha256 for piece in new[file.path]} <= had, "nothing is lacking"


@given(TREES, TREES)
def test_the_plan_rebuilds_the_new_version_from_the_old_and_what_it_fetches(old: Tree, new: Tree) -> None:
    plan = plan_versions(entries(old), entries(new))
    disk = {path: b"".join(pieces) for path, pieces in old.items()}
    wire = {one.sha256: one.stored_size_bytes for file in plan.files for one in file.fetch}
    pieces = {chunk(piece).sha256: piece for tree in new.values() for piece in tree}
    built: dict[str, bytes] = {}
    for one in plan.files:
        if one.action is FileAction.KEEP:
            built[one.path] = disk[one.path]
        elif one.action is FileAction.COPY:
            assert one.from_path is not None
            built[one.path] = disk[one.from_path]
        elif one.action is FileAction.CHUNKS:
            have = {p.sha256: disk[p.path][p.offset_bytes : p.offset_bytes + p.size_bytes] for p in one.on_disk}
            got = {sha256: pieces[sha256] for sha256 in wire}
            built[one.path] = b"".join((have | got)[chunk(piece).sha256] for piece in new[one.path])
    assert built == {path: b"".join(tree) for path, tree in new.items()}
    assert {one.path for one in plan.files if one.action is FileAction.DELETE} == set(old) - set(new)
    assert plan.fetch_bytes == sum(wire.values())
    assert sum(len(one.fetch) for one in plan.files) == len(wire)
    known = {chunk(piece).sha256 for tree in old.values() for piece in tree}
    assert not known & set(wire), "what the old version has is never fetched"
