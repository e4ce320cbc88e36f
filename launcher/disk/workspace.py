"""The launcher's own folder in the root of a game: who works there (a lock), which session, what is staged, what is installed.
Everything here blocks: call it in a thread. Used by launcher.install.installation.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from depot.errors import ManifestInvalid
from depot.manifest import MAX_STORED_BYTES
from launcher.disk import journal
from launcher.disk.folder import Folder, Walker, disk_failure, set_mode
from launcher.disk.journal import Journal, Recorded
from launcher.disk.plan import STAGING_FOLDER, Plan, read_kept
from launcher.failures import ExitCode, LauncherError

STATE_FILE = "state.json"
INSTALLED_FILE = "installed.json"
MANIFEST_FILE = "manifest"
STAGED_FOLDER = "staging"
LOCK_FILE = "lock"
KEPT_FILE = "kept"
MAX_KEPT_BYTES = 16 << 20
_INCOMING = "incoming"
_KEEPS_MODES = "keeps_modes"
_PROBE = "probe"
"""The name of a file or link that tests the capabilities of the disk."""
_HOLDS_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
MAX_STATE_BYTES = 64 * 1024
SPARE_BYTES = 1 << 20
"""Left free beside what the files need: folders, journal, the file system's own."""
SPARE_BYTES_PER_FILE = 4096
"""Half a block lost at each file's end, rounded up, and its inode."""


@dataclass(frozen=True, slots=True)
class State:
    """The session that an interrupted run belongs to."""

    session_id: UUID
    product_id: UUID
    version_id: UUID
    is_rollback: bool = False


@dataclass(frozen=True, slots=True)
class Installed:
    """The product in a game's folder; the version is unknown until its first installation is finished."""

    product_id: UUID
    version_id: UUID | None


@dataclass(frozen=True, slots=True)
class Kept:
    """Content of the user's that lay at a path of the game, and where it is now."""

    path: str
    kept_as: str


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
        """Opens the folder, created if missing, for this process alone.

        Raises:
            LauncherError: another launcher works there, or the disk refuses.
        """
        made = [path for path in (directory / STAGING_FOLDER, directory) if not os.path.exists(path)]  # noqa: PTH110  never raises
        root = Folder.open_root(directory)
        try:
            own = root.enter(STAGING_FOLDER, create=True)
            staged = own.enter(STAGED_FOLDER, create=True)
            lock = _locked(own)
        except BlockingIOError:
            raise _in_use(directory) from None
        except OSError as error:
            raise disk_failure(error, f"{directory}/{STAGING_FOLDER}") from None
        return cls(root, own, staged, lock, made=made)

    @classmethod
    def open_to_read(cls, directory: Path) -> "Workspace | None":
        """Opens a game's folder only to look at it, whoever it belongs to and however it is mounted: nothing is made or written
        there. None when no launcher has left anything in it.

        Raises:
            LauncherError: a launcher works there, or the disk cannot be read.
        """
        root = Folder.open_existing(directory)
        if root is None:
            return None
        try:
            own = root.enter(STAGING_FOLDER)
            lock = _shared_lock(own)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            raise _in_use(directory) from None
        except OSError as error:
            raise disk_failure(error, f"{directory}/{STAGING_FOLDER}") from None
        # Nothing is staged here: the launcher's folder replaces the staging folder, which may be missing.
        return cls(root, own, Folder(os.dup(own.descriptor)), lock, made=())

    def close(self) -> None:
        """Closes the folder. Removes it when it was created in vain (the download was refused)."""
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
        """Return the bytes on the disk that this user can still use."""
        status = os.fstatvfs(self.root.descriptor)
        return status.f_bavail * status.f_frsize

    def state(self) -> State | None:
        """Return the state of an interrupted run; None when there was none or its notes are invalid."""
        try:
            value = json.loads(self.own.read_file(STATE_FILE, max_bytes=MAX_STATE_BYTES) or b"null")
            return _state_of(value)
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
            "is_rollback": state.is_rollback,
        }
        self._replace(STATE_FILE, json.dumps(value).encode())

    def check_product(self, product_id: UUID) -> None:
        """Check that the folder holds no other product.

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
        """Check that the disk has room for so many more bytes and files.

        Raises:
            LauncherError: there is not.
        """
        wanted = needed_bytes + SPARE_BYTES + files * SPARE_BYTES_PER_FILE
        free = self.free_bytes()
        if wanted > free:
            message = f"the disk is too full: {wanted:,} bytes are needed, {free:,} are free"
            raise LauncherError("INSUFFICIENT_CLIENT_DISK_SPACE", message, ExitCode.DISK)

    def keeps_modes(self) -> bool:
        """Return True when the disk keeps the modes of files: tested on a file of the launcher's, or as noted at the installation
        when nothing can be written.
        """
        noted = bool(self._installed_value().get(_KEEPS_MODES, True))
        try:
            self.own.remove(_PROBE)
            descriptor = self.own.open_file(_PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except OSError:
            return noted
        try:
            for mode in (0o755, 0o644):
                set_mode(descriptor, mode)
                if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
                    return False
        finally:
            os.close(descriptor)
            with suppress(OSError):
                self.own.remove(_PROBE)
        return True

    def require_links(self) -> None:
        """Check that the disk supports symbolic links.

        Raises:
            LauncherError: it cannot.
        """
        try:
            self.own.remove(_PROBE)
            os.symlink("nowhere", _PROBE, dir_fd=self.own.descriptor)
            self.own.remove(_PROBE)
        except OSError as error:
            if error.errno not in _HOLDS_NO_LINKS:
                raise disk_failure(error, STAGING_FOLDER) from None
            message = "the game has symbolic links, which this disk cannot hold: choose a folder on another one"
            raise LauncherError("LINKS_UNSUPPORTED", message, ExitCode.DISK) from None

    def clear_staged(self) -> None:
        """Removes every staged file: nothing is known about them."""
        for name in self.staged.names():
            self.staged.remove(name)

    def installed(self) -> Installed | None:
        """Return the product in the folder; None when it is unknown."""
        value = self._installed_value()
        try:
            product_id = UUID(value["product_id"])
            version_id = UUID(value["version_id"]) if "version_id" in value else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return Installed(product_id, version_id)

    def kept_plans(self) -> Sequence[Plan]:
        """The trees whose files may be in the game's folder: what is installed, and what was being put in place when a run was
        interrupted. A kept manifest that is not whole any more is left out.
        """
        value = self._installed_value()
        plans = []
        for reference in (value, value.get(_INCOMING)):
            stored = self._kept_manifest(reference)
            if stored is not None:
                with suppress(ManifestInvalid):
                    plans.append(read_kept(stored))
        return plans

    def installed_plan(self) -> Plan | None:
        """Return the plan of the version in place; None when there is none or its kept manifest is damaged."""
        installed = self.installed()
        return next((plan for plan in self.kept_plans() if installed and plan.version_id == installed.version_id), None)

    def note_kept(self, path: str, kept_as: str) -> None:
        """Notes that unknown content at `path` is about to be renamed to `kept_as`, until the user was notified."""
        line = json.dumps([path, kept_as]).encode() + b"\n"
        self.own.remove_shared(KEPT_FILE)
        descriptor = self.own.open_file(KEPT_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def take_kept(self) -> Sequence[Kept]:
        """Return the kept content that still exists, of this run and of interrupted earlier ones, and clear the notes about it."""
        walker = Walker(self.root)
        found: dict[str, Kept] = {}
        try:
            for line in (self.own.read_file(KEPT_FILE, max_bytes=MAX_KEPT_BYTES) or b"").splitlines():
                with suppress(ValueError, TypeError, OSError):  # torn, or of an entry that is gone
                    path, kept_as = json.loads(line)
                    parent, name = walker.parent_of(kept_as)
                    if parent is not None and parent.status(name) is not None:
                        found[kept_as] = Kept(path, kept_as)
            self.own.remove(KEPT_FILE)
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{KEPT_FILE}") from None
        finally:
            walker.close()
        return list(found.values())

    def note_incoming(self, plan: Plan) -> None:
        """Notes what is about to be put in place, so that whatever comes after a crash knows whose files lie there."""
        value = self._installed_value()
        value["product_id"] = str(plan.product_id)
        value[_INCOMING] = _reference(plan)
        self._replace(INSTALLED_FILE, json.dumps(value).encode())

    def note_installed(self, plan: Plan) -> None:
        """Notes what is in place now, for updates and verifications to come."""
        value: dict[str, object] = {"product_id": str(plan.product_id), "version_id": str(plan.version_id)}
        value |= _reference(plan)
        if not self.keeps_modes():
            value[_KEEPS_MODES] = False
        self._replace(INSTALLED_FILE, json.dumps(value).encode())

    def remove_own(self) -> None:
        """Removes the launcher's folder from a game's folder that holds no game any more, and that folder if it is empty."""
        self.clear_staged()
        for name in self.own.names():
            if name != STAGED_FOLDER:
                self.own.remove(name)
        with suppress(OSError):  # what is not the launcher's stays
            os.rmdir(STAGED_FOLDER, dir_fd=self.own.descriptor)
            os.rmdir(STAGING_FOLDER, dir_fd=self.root.descriptor)

    def discard(self) -> None:
        """Removes the session's state and everything staged; the notes about the installed version stay."""
        value = self._installed_value()
        kept = {_manifest_of(value), _manifest_of(value.get(_INCOMING))}
        try:
            self.own.remove(STATE_FILE)
            self.own.remove(journal.FILE_NAME)
            self.clear_staged()
            for name in self.own.names():
                if name.startswith(f"{MANIFEST_FILE}-") and name not in kept:
                    self.own.remove(name)
            self.own.sync()
        except OSError as error:
            raise disk_failure(error, STAGING_FOLDER) from None

    def _installed_value(self) -> dict[str, Any]:
        """Return the noted value, unchecked; empty when there is none or it is invalid."""
        try:
            value = json.loads(self.own.read_file(INSTALLED_FILE, max_bytes=MAX_STATE_BYTES) or b"null")
        except ValueError:
            return {}
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{INSTALLED_FILE}") from None
        return value if isinstance(value, dict) else {}

    def _kept_manifest(self, reference: object) -> bytes | None:
        if not isinstance(reference, dict):
            return None
        try:
            sha256 = bytes.fromhex(reference["manifest_sha256"])
        except (ValueError, KeyError, TypeError):
            return None
        stored = self.stored_manifest(sha256, max_bytes=MAX_STORED_BYTES)
        return stored if stored is not None and hashlib.sha256(stored).digest() == sha256 else None

    def _replace(self, name: str, data: bytes) -> None:
        try:
            self.own.replace_file(name, data)
        except OSError as error:
            raise disk_failure(error, f"{STAGING_FOLDER}/{name}") from None


def _locked(own: Folder) -> int:
    """The descriptor of the launcher's lock, held. A copy of the folder by `cp -al` shares the file with the first: it gets one.

    Raises:
        BlockingIOError: another launcher holds it.
    """
    status = own.status(LOCK_FILE)
    if status is not None and status.st_nlink > 1:
        shared = own.open_file(LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own.remove_shared(LOCK_FILE)
        finally:
            os.close(shared)
    lock = own.open_file(LOCK_FILE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def _shared_lock(own: Folder) -> int:
    """Raises: BlockingIOError, another launcher is at work. One whose lock this user cannot open does not count."""
    try:
        lock = own.open_file(LOCK_FILE, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return os.dup(own.descriptor)
    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return lock


def _in_use(directory: Path) -> LauncherError:
    return LauncherError("FOLDER_IN_USE", f"another launcher is at work in {directory}", ExitCode.USAGE)


def is_same_folder(one: Path, other: Path) -> bool:
    """Return True when two paths lead to the same folder, even if they are spelt differently."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def is_game_folder(directory: Path) -> bool:
    """Return True when the directory contains the launcher's own folder."""
    return (directory / STAGING_FOLDER).is_dir()


def is_at_work(directory: Path) -> bool:
    """Return True when a launcher is working in this game's folder now; False for a missing folder. Changes nothing."""
    try:
        own = Folder(os.open(directory / STAGING_FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
    except OSError:
        return False
    try:
        lock = own.open_file(LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(lock)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        own.close()
    return False


def _state_of(value: Any) -> State:
    ids = (UUID(value["session_id"]), UUID(value["product_id"]), UUID(value["version_id"]))
    return State(*ids, is_rollback=bool(value.get("is_rollback", False)))


def _reference(plan: Plan) -> dict[str, str]:
    return {"manifest_sha256": plan.manifest_sha256.hex(), "manifest": manifest_name(plan.manifest_sha256)}


def _manifest_of(reference: object) -> str | None:
    return str(reference.get("manifest")) if isinstance(reference, dict) else None


def manifest_name(sha256: bytes) -> str:
    """Return the file name of a kept manifest in the launcher's folder."""
    return f"{MANIFEST_FILE}-{sha256.hex()[:16]}"
