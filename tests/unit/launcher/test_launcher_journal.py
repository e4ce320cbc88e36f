"""The journal: what was appended is read again, whatever the end of the file looks like."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.disk.folder import Folder
from launcher.disk.journal import Journal, Recorded

MANIFEST = bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    opened = Folder.open_root(tmp_path)
    yield opened
    opened.close()


def reopened(folder: Folder, manifest: bytes = MANIFEST) -> Recorded | None:
    journal, recorded = Journal.open(folder, manifest)
    journal.close()
    return recorded


def filled(folder: Folder) -> None:
    journal, recorded = Journal.open(folder, MANIFEST)
    assert recorded is None
    journal.record_chunks([(1, 0), (1, 1), (7, 3)])
    journal.record_files([(1, 1_700_000_000_123_456_789)])
    journal.record_sequence(5)
    journal.record_sequence(9)
    journal.sync()
    journal.close()


def test_what_was_recorded_is_read_again(folder: Folder) -> None:
    filled(folder)
    assert reopened(folder) == Recorded({1: {0, 1}, 7: {3}}, {1: 1_700_000_000_123_456_789}, 9)


def test_the_journal_of_another_manifest_means_nothing(folder: Folder) -> None:
    filled(folder)
    assert reopened(folder, bytes(32)) is None
    assert reopened(folder, bytes(32)) == Recorded()


def test_a_torn_tail_is_cut_off_and_writing_goes_on_behind_it(folder: Folder, tmp_path: Path) -> None:
    filled(folder)
    whole = (tmp_path / "journal").read_bytes()
    for length in range(50, len(whole)):
        (tmp_path / "journal").write_bytes(whole[:length])
        journal, recorded = Journal.open(folder, MANIFEST)
        assert recorded is not None
        assert recorded.chunks.get(7, set()) <= {3}
        journal.record_chunks([(9, 9)])
        journal.close()
        again = reopened(folder)
        assert again is not None
        assert again.chunks[9] == {9}


def test_garbage_is_never_read_as_a_record(folder: Folder, tmp_path: Path) -> None:
    filled(folder)
    chance = random.Random(1)
    whole = (tmp_path / "journal").read_bytes()
    truth = reopened(folder)
    assert truth is not None
    for _ in range(300):
        spoilt = bytearray(whole)
        spoilt[chance.randrange(50, len(whole))] ^= 1 << chance.randrange(8)
        (tmp_path / "journal").write_bytes(spoilt)
        recorded = reopened(folder)
        assert recorded is not None
        assert all(recorded.chunks[file] <= truth.chunks[file] for file in recorded.chunks)
        assert recorded.files.items() <= truth.files.items()


def test_a_journal_that_is_a_link_is_not_opened(folder: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (tmp_path / "journal").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        Journal.open(folder, MANIFEST)
    assert outside.read_bytes() == b"mine"
