"""The manifest as bytes, and the rules of its entries."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
import zstandard
from content.v1 import manifest_pb2 as content
from hypothesis import given
from hypothesis import strategies as st

from depot.chunks import MAX_CHUNK_BYTES
from depot.manifest import ManifestInvalid, check, parse, serialise, total_size_bytes

PRODUCT = UUID("11111111-1111-5111-8111-111111111111")
VERSION = UUID("22222222-2222-5222-8222-222222222222")


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def chunk(data: bytes) -> content.Chunk:
    return content.Chunk(
        sha256=digest(data),
        size_bytes=len(data),
        stored_sha256=digest(b"stored" + data),
        stored_size_bytes=len(data) + 9,
    )


def file(path: str, *parts: bytes, mode: int = 0o644) -> content.Entry:
    data = b"".join(parts)
    return content.Entry(
        path=path,
        type=content.ENTRY_TYPE_FILE,
        size_bytes=len(data),
        sha256=digest(data),
        mode=mode,
        chunks=[chunk(part) for part in parts],
    )


def manifest(*entries: content.Entry) -> content.Manifest:
    return content.Manifest(
        format=1,
        product_id=str(PRODUCT),
        version_id=str(VERSION),
        platform=content.PLATFORM_LINUX,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        entries=sorted(entries, key=lambda entry: entry.path.encode()),
    )


def good() -> content.Manifest:
    return manifest(
        content.Entry(path="bin", type=content.ENTRY_TYPE_DIRECTORY),
        file("bin/game", b"one", b"two", mode=0o755),
        file("empty"),
        content.Entry(path="link", type=content.ENTRY_TYPE_SYMLINK, link_target="bin/game"),
        file("same", b"one"),
    )


def checked(message: content.Manifest) -> None:
    check(message, product_id=PRODUCT, version_id=VERSION, platform=content.PLATFORM_LINUX)


def test_a_good_manifest_passes_and_survives_the_trip() -> None:
    stored = serialise(good())
    assert parse(stored) == good()
    assert serialise(good()) == stored
    checked(parse(stored))
    assert total_size_bytes(good()) == 9


def test_ids_may_be_given_as_text() -> None:
    assert check(good(), product_id=str(PRODUCT), version_id=str(VERSION), platform=content.PLATFORM_LINUX) is None


Edit = Callable[[content.Manifest], object]


def entry_of(message: content.Manifest, path: str) -> content.Entry:
    return next(entry for entry in message.entries if entry.path == path)


def set_on(name_of_entry: str, /, **fields: object) -> Edit:
    def edit(message: content.Manifest) -> None:
        for name, value in fields.items():
            setattr(entry_of(message, name_of_entry), name, value)

    return edit


def set_on_chunk(name_of_entry: str, /, **fields: object) -> Edit:
    def edit(message: content.Manifest) -> None:
        for name, value in fields.items():
            setattr(entry_of(message, name_of_entry).chunks[0], name, value)

    return edit


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda m: setattr(m, "format", 2), "format is 2"),
        (lambda m: setattr(m, "product_id", str(VERSION)), "another product"),
        (lambda m: setattr(m, "product_id", str(PRODUCT).upper() + " "), "another product"),
        (lambda m: setattr(m, "version_id", str(PRODUCT)), "another version"),
        (lambda m: setattr(m, "platform", content.PLATFORM_WINDOWS), "another platform"),
        (lambda m: setattr(m, "platform", content.PLATFORM_UNSPECIFIED), "no platform"),
        (lambda m: m.ClearField("created_at"), "when it was written"),
        (set_on("bin/game", path="bin/../game"), "'..'"),
        (set_on("bin/game", type=content.ENTRY_TYPE_UNSPECIFIED), "no known type"),
        (set_on("bin/game", type=17), "no known type"),
        (set_on("bin/game", size_bytes=-1), "negative size"),
        (set_on("bin/game", size_bytes=7), "7 bytes long, its chunks 6"),
        (set_on("bin/game", sha256=b"short"), "SHA-256"),
        (set_on("bin/game", mode=0o777), "mode 0777"),
        (set_on("bin/game", mode=0o4755), "mode 4755"),
        (set_on("bin/game", mode=0), "mode 0000"),
        (set_on("bin/game", link_target="x"), "link target"),
        (set_on("empty", sha256=digest(b"x")), "empty"),
        (lambda m: entry_of(m, "bin/game").ClearField("chunks"), "6 bytes long, its chunks 0"),
        (lambda m: entry_of(m, "empty").chunks.append(chunk(b"x")), "0 bytes long, its chunks 1"),
        (set_on("link", mode=0o644), "not a file"),
        (set_on("link", link_target="../out"), "leaves the tree"),
        (lambda m: entry_of(m, "link").chunks.append(chunk(b"x")), "not a file"),
        (set_on("bin", size_bytes=1), "not a file"),
        (set_on("bin", link_target="x"), "folder with a link target"),
        (set_on_chunk("bin/game", sha256=b"short"), "chunk whose SHA-256"),
        (set_on_chunk("bin/game", stored_sha256=b""), "chunk whose SHA-256"),
        (set_on_chunk("bin/game", size_bytes=0), "chunk of 0 bytes"),
        (set_on_chunk("bin/game", size_bytes=-3), "chunk of -3 bytes"),
        (set_on_chunk("bin/game", size_bytes=MAX_CHUNK_BYTES + 1), "allowed"),
        (set_on_chunk("bin/game", stored_size_bytes=0), "stored in 0 bytes"),
        (set_on_chunk("bin/game", stored_size_bytes=1 << 40), "stored in"),
        (set_on_chunk("same", stored_sha256=digest(b"other")), "otherwise than an entry before"),
        (set_on_chunk("same", stored_size_bytes=5), "otherwise than an entry before"),
        (set_on("same", sha256=digest(b"other")), "not the file's"),
    ],
)
def test_a_broken_rule_is_named(edit: Edit, rule: str) -> None:
    message = good()
    edit(message)
    with pytest.raises(ManifestInvalid) as refused:
        checked(message)
    assert rule in refused.value.description


def test_sizes_that_add_up_past_all_reason_are_refused() -> None:
    huge = content.Entry(
        path="x", type=content.ENTRY_TYPE_FILE, size_bytes=(1 << 50) + 1, sha256=digest(b""), mode=0o644
    )
    with pytest.raises(ManifestInvalid):
        checked(manifest(huge))


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"not zstd",
        serialise(good())[:-4],
        serialise(good()) + b"more",
        serialise(good()) + serialise(good()),
        zstandard.ZstdCompressor().compress(b"\xff\xff\xff not protobuf"),
        zstandard.ZstdCompressor(write_content_size=False).compress(good().SerializeToString()),
    ],
    ids=["empty", "garbage", "cut", "longer", "two frames", "not protobuf", "no declared size"],
)
def test_bytes_that_are_no_manifest_are_refused(stored: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse(stored)


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    assert len(bomb) < 10_000
    with pytest.raises(ManifestInvalid, match="MANIFEST_INVALID") as refused:
        parse(bomb, max_uncompressed_bytes=1_000_000)
    assert "larger than 1000000 bytes" in refused.value.description


FILES = st.dictionaries(
    st.text("abcdefgй", min_size=1, max_size=8), st.lists(st.binary(min_size=1, max_size=50), max_size=4), max_size=12
)


@given(FILES)
def test_what_a_publisher_writes_is_what_a_reader_gets(files: dict[str, list[bytes]]) -> None:
    written = manifest(*(file(path, *parts) for path, parts in files.items()))
    read = parse(serialise(written))
    checked(read)
    assert read == written
    assert total_size_bytes(read) == sum(len(part) for parts in files.values() for part in parts)


@given(st.binary(max_size=300))
def test_random_bytes_never_do_worse_than_being_refused(stored: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse(stored)


@given(st.data())
def test_a_flipped_bit_is_refused_or_gives_a_message(data: st.DataObject) -> None:
    stored = bytearray(serialise(good()))
    position = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[position // 8] ^= 1 << position % 8
    try:
        message = parse(bytes(stored))
    except ManifestInvalid:
        return
    assert isinstance(message, content.Manifest)
