"""The launcher's own folder in the root of a game: who works there (a lock), which session, what is staged, what is installed.
Everything here blocks: call it in a thread. Used by launcher.install.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from launcher import journal
from launcher.failures import ExitCode, LauncherError
from launcher.folder import Folder, disk_failure
from launcher.journal import Journal, Recorded
from launcher.plan import STAGING_FOLDER, Plan

STATE_FILE = "state.json"
INSTALLED_FILE = "installed.json"
MANIFEST_FILE = "manifest"
STAGED_FOLDER = "staging"
LOCK_FILE = "lock"
MAX_STATE_BYTES = 64 * 1024
SPARE_BYTES = 1 << 20
"""Left free beside what the files need: folders, journal, the file system's own."""
SPARE_BYTES_PER_FILE = 4096
"""Half a block lost at each file's end, rounded up, and its inode."""


@dataclass(frozen=True, slots=True)
class State:
    """Which session an interrupted run belongs to."""

    session_id: UUID
    product_id: UUID
    version_id: UUID


class Workspace:
    """A game's folder, open and locked: `root` the game, `own` the launcher's folder, `staged` the files not in place yet."""

    def __init__(self, root: Folder, own: Folder, staged: Folder, lock: int, *, made: Sequence[Path]) -> None:
        self.root = root
        self.own = own
        self.staged = staged
        self._lock = lock
        self._made = made
        self._journal: Journal | None = None

    @classmethod
    def open(cls, directory: Path) -> "Workspace":
        """Opens the folder, made if missing, for this process alone.

        Raises:
            LauncherError: another launcher works there, or the disk refuses.
        """
        made = [path for path in (directory / STAGING_FOLDER, directory) if not path.exists()]
        root = Folder.open_root(directory)
        try:
            own = root.enter(STAGING_FOLDER, create=True)
            staged = own.enter(STAGED_FOLDER, create=True)
            lock = own.open_file(LOCK_FILE, os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another launcher is at work in {directory}"
            raise LauncherError("FOLDER_IN_USE", message, ExitCode.USAGE) from None
        except OSError as error:
            raise disk_failure(error, f"{directory}/{STAGING_FOLDER}") from None
        return cls(root, own, staged, lock, made=made)

    def close(self) -> None:
        """A folder that was made for nothing (the download was refused) goes again."""
        if self._journal is not None:
            self._journal.close()
        if self._made:
            self.own.remove(LOCK_FILE)
            with suppress(OSError):
                os.rmdir(STAGED_FOLDER, dir_fd=self.own.descriptor)
            for path in self._made:
                with suppress(OSError):  # there is something in it
                    path.rmdir()
        os.close(self._lock)
        for folder in (self.staged, self.own, self.root):
            folder.close()

    def open_journal(self, manifest_sha256: bytes) -> tuple[Journal, Recorded | None]:
        """The journal of this manifest and what it says; nothing when it is new."""
        try:
            self._journal, recorded = Journal.open(self.own, manifest_sha256)
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{journal.FILE_NAME}") from None
        return self._journal, recorded

    def free_bytes(self) -> int:
        """What the disk has left for this user."""
        status = os.fstatvfs(self.root.descriptor)
        return status.f_bavail * status.f_frsize

    def state(self) -> State | None:
        """Of an interrupted run; None when there was none, or what it left makes no sense."""
        try:
            value = json.loads(self.own.read_file(STATE_FILE, max_bytes=MAX_STATE_BYTES) or b"null")
            return State(UUID(value["session_id"]), UUID(value["product_id"]), UUID(value["version_id"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{STATE_FILE}") from None

    def save_state(self, state: State) -> None:
        self._made = ()
        value = {
            "session_id": str(state.session_id),
            "product_id": str(state.product_id),
            "version_id": str(state.version_id),
        }
        self._replace(STATE_FILE, json.dumps(value).encode())

    def check_product(self, product_id: UUID) -> None:
        """One folder holds one product.

        Raises:
            LauncherError: another one is installed here.
        """
        try:
            stored = self.own.read_file(INSTALLED_FILE, max_bytes=MAX_STATE_BYTES) or b"{}"
            installed = json.loads(stored).get("product_id", str(product_id))
        except (ValueError, AttributeError):
            return
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{INSTALLED_FILE}") from None
        if installed != str(product_id):
            message = f"the folder holds another product, {installed}: choose another folder"
            raise LauncherError("FOLDER_IN_USE", message, ExitCode.USAGE)

    def stored_manifest(self, sha256: bytes, *, max_bytes: int) -> bytes | None:
        """The manifest that an earlier run kept, unchecked; None when it cannot be read."""
        try:
            return self.own.read_file(manifest_name(sha256), max_bytes=max_bytes)
        except OSError:
            return None

    def keep_manifest(self, sha256: bytes, stored: bytes) -> None:
        self._replace(manifest_name(sha256), stored)

    def need_bytes(self, needed_bytes: int, files: int) -> None:
        """There is room for so much more.

        Raises:
            LauncherError: there is not.
        """
        wanted = needed_bytes + SPARE_BYTES + files * SPARE_BYTES_PER_FILE
        free = self.free_bytes()
        if wanted > free:
            message = f"the disk is too full: {wanted:,} bytes are needed, {free:,} are free"
            raise LauncherError("INSUFFICIENT_CLIENT_DISK_SPACE", message, ExitCode.DISK)

    def clear_staged(self) -> None:
        """Removes every staged file: nothing is known about them."""
        for name in self.staged.names():
            self.staged.remove(name)

    def note_installed(self, plan: Plan) -> None:
        """Notes what is in place now, for updates and verifications to come."""
        value = {
            "product_id": str(plan.product_id),
            "version_id": str(plan.version_id),
            "manifest_sha256": plan.manifest_sha256.hex(),
            "manifest": manifest_name(plan.manifest_sha256),
        }
        self._replace(INSTALLED_FILE, json.dumps(value).encode())

    def discard(self) -> None:
        """Forgets the session and everything staged; what says what is installed stays."""
        kept = self._installed_manifest()
        try:
            self.own.remove(STATE_FILE)
            self.own.remove(journal.FILE_NAME)
            self.clear_staged()
            for name in self.own.names():
                if name.startswith(f"{MANIFEST_FILE}-") and name != kept:
                    self.own.remove(name)
            self.own.sync()
        except OSError as error:
            raise disk_failure(error, STAGING_FOLDER) from None

    def _installed_manifest(self) -> str | None:
        try:
            value = json.loads(self.own.read_file(INSTALLED_FILE, max_bytes=MAX_STATE_BYTES) or b"null")
        except ValueError:
            return None
        return str(value.get("manifest")) if isinstance(value, dict) else None

    def _replace(self, name: str, data: bytes) -> None:
        try:
            self.own.replace_file(name, data)
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{name}") from None


def manifest_name(sha256: bytes) -> str:
    """What a kept manifest is called in the launcher's folder."""
    return f"{MANIFEST_FILE}-{sha256.hex()[:16]}"
