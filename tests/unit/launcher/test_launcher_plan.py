"""From manifest to plan: each distinct chunk once, every place it goes."""

import hashlib
from uuid import UUID, uuid4, uuid5

from content.v1 import manifest_pb2 as content

from launcher.api.resources import ItemStatus
from launcher.disk.plan import Plan, item_id, plan_of
from launcher.disk.scan import Found
from launcher.install.pipeline import missing_chunks
from launcher.install.progress import Ledger, Progress


def manifest_of(files: dict[str, list[bytes]]) -> content.Manifest:
    manifest = content.Manifest(product_id=str(uuid4()), version_id=str(uuid4()))
    for path, pieces in files.items():
        data = b"".join(pieces)
        entry = manifest.entries.add(path=path, type=content.ENTRY_TYPE_FILE, size_bytes=len(data), mode=0o644)
        entry.sha256 = hashlib.sha256(data).digest()
        for piece in pieces:
            name = hashlib.sha256(piece).digest()
            entry.chunks.add(sha256=name, size_bytes=len(piece), stored_sha256=name, stored_size_bytes=len(piece))
    return manifest


def plan(files: dict[str, list[bytes]]) -> Plan:
    return plan_of(manifest_of(files), manifest_sha256=bytes(32))


TREE = {"a": [b"one", b"two", b"one"], "b": [b"two"], "c": [], "d": [b"three"]}


def test_a_chunk_is_planned_once_with_all_its_places() -> None:
    planned = plan(TREE)
    assert [chunk.size_bytes for chunk in planned.chunks] == [3, 3, 5]
    one, two, _ = planned.chunks
    assert [(place.file, place.chunk, place.offset) for place in one.places] == [(0, 0, 0), (0, 2, 6)]
    assert [(place.file, place.chunk, place.offset) for place in two.places] == [(0, 1, 3), (1, 0, 0)]
    assert planned.total_bytes == 17


def test_only_what_lacks_is_missing_and_only_where_it_lacks() -> None:
    planned = plan(TREE)
    found = Found(in_place={1}, ready={3}, chunks={0: {0}})
    missing = missing_chunks(planned, found)
    assert [[(place.file, place.chunk) for place in chunk.places] for chunk in missing] == [[(0, 2)], [(0, 1)]]


def test_the_ledger_follows_files_until_they_are_whole_and_told() -> None:
    planned, session_id = plan(TREE), uuid4()
    found = Found(chunks={0: {0}})
    ledger = Ledger(planned, session_id, found, Progress())
    assert [file.path for file in ledger.whole_files(found)] == ["c"]
    assert ledger.progress.resumed_bytes == 3
    one, two, three = missing_chunks(planned, found)
    assert ledger.chunk_stored(one, "north") == []
    assert [file.path for file in ledger.chunk_stored(two, "south")] == ["a", "b"]
    assert [file.path for file in ledger.chunk_stored(three, "south")] == ["d"]
    assert ledger.progress.done_bytes == planned.total_bytes
    taken = ledger.take_items(2)
    assert len(taken) == 2
    ledger.give_back(taken, {})
    reports = {report.item_id: report for report in ledger.item_reports(ledger.take_items(10))}
    assert set(reports) == {uuid5(session_id, path) for path in ("a", "b", "d")}
    assert reports[item_id(session_id, "a")].downloaded_bytes == 9
    assert reports[item_id(session_id, "a")].status is ItemStatus.DOWNLOADING
    assert not ledger.has_unreported
    ledger.all_in_place()
    assert {report.status for report in ledger.item_reports(ledger.take_items(10))} == {ItemStatus.COMPLETED}


def test_a_failure_of_no_file_is_laid_to_the_first_that_is_not_whole() -> None:
    planned, session_id = plan(TREE), UUID(int=1)
    ledger = Ledger(planned, session_id, Found(in_place={0}), Progress())
    ledger.failed(None, "INSUFFICIENT_CLIENT_DISK_SPACE")
    first, *_ = ledger.item_reports(ledger.take_items(1))
    assert first.item_id == uuid5(session_id, "b")
    assert first.error_code == "INSUFFICIENT_CLIENT_DISK_SPACE"
