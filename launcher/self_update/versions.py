"""Versions of the launcher side by side, and the pointer to the one that runs. A version is proven before the pointer goes to it,
and the pointer is renamed: killed at any point, it names a version that has run. Blocks; used by launcher.self_update.updating.

    ROOT/samovar-client.json    what the installation is: id, channel, where releases come from
    ROOT/current                link to versions/X
    ROOT/versions/X/            bin/samovar, trust/root.json, …
    ROOT/drafts/                what is not whole yet; emptied under the lock
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import IO, Final

from launcher.failures import ExitCode, LauncherError

PROOF_SECONDS: Final = 120.0
MAX_MEMBERS: Final = 50_000
MAX_UNPACKED_BYTES: Final = 4 << 30
READ_BYTES: Final = 1 << 20
_VERSION: Final = re.compile(r"[0-9]{1,6}([.][0-9]{1,6}){1,3}")
PROGRAM: Final = Path("bin/samovar")
ROOT_METADATA: Final = Path("trust/root.json")


class _Hashed:
    """A file whose bytes are hashed as they are read: what was unpacked is what was hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash, self.size_bytes = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        return chunk

    def digest(self) -> bytes:
        return self._hash.digest()


class Versions:
    """One installation's versions."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pointer = root / "current"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone; what others left half done is gone.

        Raises:
            LauncherError: another update is running.
        """
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = "another update of the launcher is running"
                raise LauncherError("CLIENT_UPDATE_RUNNING", message, ExitCode.CONFLICT) from None
            shutil.rmtree(self.root / "drafts", ignore_errors=True)
            (self.root / "drafts").mkdir(mode=0o700)
            yield
        finally:
            os.close(descriptor)

    def current(self) -> str:
        """The version that the pointer names."""
        try:
            return checked_version(Path(self._pointer.readlink()).name)
        except OSError as error:
            message = f"{self._pointer} does not name a version: {error.strerror}"
            raise LauncherError("CLIENT_INSTALLATION_BROKEN", message, ExitCode.DISK) from None

    def folder(self, version: str) -> Path:
        """Return the folder of a version, present or future."""
        return self.root / "versions" / checked_version(version)

    def draft(self) -> Path:
        """A new name for something that is not whole yet."""
        return self.root / "drafts" / token_hex(8)

    def unpack(self, archive: Path, version: str, sha256: bytes) -> None:
        """Puts a version beside the others, if the bytes that were unpacked are those that were signed. It is not used yet.

        Raises:
            LauncherError: the file is another one than was checked, or no release.
        """
        draft = self.draft()
        descriptor = os.open(archive, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            hashed = _Hashed(file)
            failure: Exception | None = None
            try:
                _extract(hashed, draft)
            except (tarfile.TarError, ValueError, EOFError, OSError) as error:
                failure = error
            while hashed.read(READ_BYTES):
                pass
        if hashed.digest() != sha256:
            message = "the release was changed between its check and its installation"
            raise LauncherError("CLIENT_TARGET_CHANGED", message, ExitCode.CORRUPT)
        if isinstance(failure, OSError) and failure.errno is not None:
            raise failure
        if failure is not None or not (draft / PROGRAM).is_file() or not (draft / ROOT_METADATA).is_file():
            raise LauncherError("CLIENT_RELEASE_INVALID", f"the release is not a launcher: {failure}", ExitCode.CORRUPT)
        os.sync()
        folder = self.folder(version)
        folder.parent.mkdir(exist_ok=True)
        if folder.exists():  # of an attempt before; the one that runs is never asked for
            folder.rename(self.draft())
        draft.rename(folder)
        _sync_folder(folder.parent)

    def switch(self, version: str) -> None:
        """Has the version run from now on, if it runs; else the one before goes on.

        Raises:
            LauncherError: the version does not run.
        """
        before = self.current()
        self._prove(self.folder(version), version)
        self._point(version)
        try:
            self._prove(self._pointer, version)
        except LauncherError:
            self._point(before)
            raise
        self._forget_others({before, version})

    def _prove(self, folder: Path, version: str) -> None:
        """Starts the program of a folder and has it say its version."""
        command = [str(folder / PROGRAM), "self-update", "--prove"]
        try:
            done = subprocess.run(  # noqa: S603  # a release that was signed
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROOF_SECONDS, check=False, text=True
            )
            said = done.stdout.strip() if done.returncode == 0 else f"exit code {done.returncode}"
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            said = str(error)
        if said != f"samovar {version}":
            message = f"version {version} does not run here ({said[:200]}); the installed version stays"
            raise LauncherError("CLIENT_RELEASE_DOES_NOT_RUN", message, ExitCode.UNEXPECTED)

    def _point(self, version: str) -> None:
        draft = self.draft()
        draft.symlink_to(Path("versions") / version)
        draft.replace(self._pointer)
        _sync_folder(self.root)

    def _forget_others(self, kept: set[str]) -> None:
        for folder in (self.root / "versions").iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def checked_version(text: str) -> str:
    """The version, if it can be one: it becomes the name of a folder.

    Raises:
        LauncherError: it cannot.
    """
    if not _VERSION.fullmatch(text):
        raise LauncherError("CLIENT_VERSION_INVALID", f"{text[:40]!r} is not a version", ExitCode.CORRUPT)
    return text


def _extract(source: _Hashed, folder: Path) -> None:
    """Unpacks within bounds; names that lead out of the folder are refused. Raises: TarError, ValueError, OSError."""
    folder.mkdir(mode=0o755)
    members, size_bytes = 0, 0
    with tarfile.open(fileobj=source, mode="r|gz") as archive:  # type: ignore[call-overload]
        for member in archive:
            members, size_bytes = members + 1, size_bytes + member.size
            if members > MAX_MEMBERS or size_bytes > MAX_UNPACKED_BYTES:
                raise ValueError("it is too large")
            archive.extract(member, folder, filter="data")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
