"""A folder of saves as one file and back. The same files give the same bytes: names in order, no times, no owners. Blocks.

Reading never follows a link; a file that cannot be read ends the packing, so that it never looks deleted. Writing goes beside
first, and keeps what it replaces.
"""

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from launcher.disk.folder import disk_failure
from launcher.failures import ExitCode, LauncherError

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 1 << 30
"""The limit of all files of one save, packed or not."""
KEPT_COPIES: Final = 10
"""The number of replaced saves that are kept, the newest ones."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed folder."""

    path: Path
    size_bytes: int
    sha256: str
    files: int
    modified_at: datetime | None
    """The newest file's, as the disk says; None where that is no date."""


def matching(folder: Path, patterns: Sequence[str]) -> Sequence[str]:
    """Paths of the plain files that the patterns name, relative and in order; a link among them is an error.

    Raises:
        LauncherError: a folder cannot be read, a link is among them, or they are too many.
    """
    found: list[str] = []

    def fail(error: OSError) -> None:
        raise disk_failure(error, str(error.filename))

    if not folder.exists():
        return found
    for parent, _, names in os.walk(folder, onerror=fail):
        for name in names:
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if not any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns):
                continue
            if not stat.S_ISREG((folder / path).lstat().st_mode):
                raise _refused("a link or another kind of entry is among the saves; nothing was synced", path)
            found.append(path)
            if len(found) > MAX_FILES:
                raise _refused(f"the patterns name more than {MAX_FILES} files", None)
    return sorted(found)


def pack(folder: Path, patterns: Sequence[str], work: Path) -> Packed | None:
    """One file in `work` with all that the patterns name; None when they name nothing.

    Raises:
        LauncherError: a file cannot be read or changed meanwhile, or the disk is full.
    """
    names = matching(folder, patterns)
    if not names:
        return None
    seen: set[str] = set()
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            raise _refused("two files differ in case alone, which other devices cannot hold", name)
        seen.add(key)
    target = work / "save.tar"
    newest, total = 0.0, 0
    with (
        _told(str(target)),
        target.open("wb") as output,
        tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in names:
            with _told(name):
                descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                with os.fdopen(descriptor, "rb") as source:
                    before = os.fstat(descriptor)
                    total += before.st_size
                    if total > MAX_BYTES:
                        raise _refused(f"the save is larger than {MAX_BYTES} bytes", name)
                    entry = tarfile.TarInfo(unicodedata.normalize("NFC", name))
                    entry.size, entry.mode = before.st_size, 0o644
                    archive.addfile(entry, source)
                    after = os.fstat(descriptor)
                    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                        raise _refused("the file changed while it was read; sync again when the game is over", name)
                    newest = max(newest, before.st_mtime)
    return Packed(target, target.stat().st_size, sha256_of(target), len(names), _moment(newest))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive_path: Path, folder: Path, patterns: Sequence[str]) -> Path | None:
    """Puts the archive's files in place of what the patterns name, each by a rename; the folder that keeps what was replaced.

    Raises:
        LauncherError: the archive is invalid, or the disk is full: then all old files are still there.
    """
    beside = folder.parent / f".{folder.name}.samovar"
    with _told(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        beside.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=beside, prefix="new-") as staging:
            names = _extract(archive_path, Path(staging))
            old = matching(folder, patterns)
            kept = _keep(folder, old, beside) if old else None
            for name in names:
                target = folder / name
                _make_parents(folder, target)
                (Path(staging) / name).replace(target)
            new = {name.casefold() for name in names}
            for name in old:
                # On a disk that ignores case two spellings are one file, which is in place already.
                if unicodedata.normalize("NFC", name).casefold() not in new:
                    (folder / name).unlink(missing_ok=True)
    return kept


def _extract(archive_path: Path, staging: Path) -> Sequence[str]:
    names: dict[str, str] = {}
    total = 0
    try:
        with tarfile.open(archive_path, mode="r:") as archive:
            for entry in archive:
                name = _checked(entry)
                total += entry.size
                if name.casefold() in names or len(names) >= MAX_FILES or total > MAX_BYTES:
                    raise _refused("the archive names a file twice, or is too large", name)
                names[name.casefold()] = name
                source = archive.extractfile(entry)
                assert source is not None  # noqa: S101  it is a plain file
                target = staging / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as output:
                    shutil.copyfileobj(source, output, 1 << 20)
                    output.flush()
                    os.fsync(output.fileno())
    except tarfile.TarError as error:
        raise LauncherError("SAVE_UNREADABLE", f"the save is no archive: {error}", ExitCode.CORRUPT) from None
    return list(names.values())


def _checked(entry: tarfile.TarInfo) -> str:
    parts = entry.name.split("/")
    is_odd = any(part in {"", ".", ".."} or "\\" in part or not part.isprintable() for part in parts)
    if not entry.isreg() or entry.size < 0 or is_odd:
        raise _refused("the archive holds a path that leaves the folder, or no plain file", repr(entry.name))
    return entry.name


def _make_parents(folder: Path, target: Path) -> None:
    """Makes the folders on the way; never goes through a link."""
    way = folder
    for part in target.parent.relative_to(folder).parts:
        way /= part
        way.mkdir(exist_ok=True)
        if way.is_symlink():
            raise _refused("a link lies where a folder belongs", str(way))


def _keep(folder: Path, names: Sequence[str], beside: Path) -> Path:
    """Copies what will be replaced; older copies than KEPT_COPIES go."""
    kept = Path(tempfile.mkdtemp(dir=beside, prefix=f"kept-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-"))
    for name in names:
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, kept / name)
        with (kept / name).open("rb+") as copy:
            os.fsync(copy.fileno())
    for old in sorted(beside.glob("kept-*"))[:-KEPT_COPIES]:
        shutil.rmtree(old, ignore_errors=True)
    return kept


def _moment(seconds: float) -> datetime | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if seconds > 0 else None


def _refused(text: str, file: str | None) -> LauncherError:
    return LauncherError("SAVE_REFUSED", text, ExitCode.DISK, file=file)


class _told:  # noqa: N801  used as a statement
    """Turns what the disk refuses into words, with the file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise disk_failure(error, self._file) from None
