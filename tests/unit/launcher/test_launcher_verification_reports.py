"""What a verification tells the server: all entries, in batches that are neither too many nor too long, the last one marked."""

from hypothesis import given
from hypothesis import strategies as st

from launcher.api.download_client import MAX_HASH_FILES
from launcher.disk.verification import LocalEntry
from launcher.install.verification_reports import MAX_BATCH_BYTES, batches

PATHS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
ENTRIES = st.lists(
    st.builds(
        LocalEntry,
        PATHS,
        st.sampled_from(["file", "symlink", "directory"]),
        st.integers(0, 100),
        st.none() | st.binary(min_size=32, max_size=32),
    ),
    max_size=30,
)


@given(ENTRIES)
def test_every_entry_is_told_once_and_only_the_last_batch_is_marked(entries: list[LocalEntry]) -> None:
    made = list(batches(entries))
    assert [one["path"] for files, _ in made for one in files] == [entry.path for entry in entries]
    assert [is_last for _, is_last in made] == [False] * (len(made) - 1) + [True]


def test_batches_hold_so_many_files_and_so_many_bytes() -> None:
    many = [LocalEntry(f"f{number}") for number in range(2 * MAX_HASH_FILES + 1)]
    assert [len(files) for files, _ in batches(many)] == [MAX_HASH_FILES, MAX_HASH_FILES, 1]
    long = [LocalEntry("x" * 4000 + str(number), chunk_sha256s=(b"s" * 32,) * 5000) for number in range(4)]
    sizes = [sum(len(str(one)) for one in files) for files, _ in batches(long)]
    assert len(sizes) == 2
    assert max(sizes) <= MAX_BATCH_BYTES


def test_names_that_are_no_text_and_what_is_not_known_are_left_out() -> None:
    bad = b"\xff".decode("utf-8", "surrogateescape")
    entries = [
        LocalEntry(bad),
        LocalEntry("link", "symlink", link_target=bad),
        LocalEntry("x" * 5000),
        LocalEntry("ok"),
    ]
    assert list(batches(entries)) == [([{"path": "ok", "size_bytes": 0}], True)]
    whole = LocalEntry("f", "file", 3, b"s" * 32, 0o755, None, (b"c" * 32,))
    ((files, _),) = batches([whole, LocalEntry("l", "symlink", link_target="f")])
    assert files == [
        {
            "path": "f",
            "size_bytes": 3,
            "sha256": (b"s" * 32).hex(),
            "mode": 0o755,
            "chunk_sha256s": [(b"c" * 32).hex()],
        },
        {"path": "l", "size_bytes": 0, "type": "symlink", "link_target": "f"},
    ]
