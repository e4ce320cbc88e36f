"""The gateways and publishers that the launcher trusts: recorded in files of this user, which nobody else can write.
`samovar up` notes here the platform that this user started, so that `samovar login` at its address trusts its manifests.
"""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PLATFORMS_FILE = "platforms.json"
MAX_PLATFORMS = 32
MAX_FILE_BYTES = 1 << 20

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotOwn(Exception):
    """A file that another user may have written; the text names it and says what to do."""


def config_home(environment: Mapping[str, str]) -> Path:
    """The launcher's profile: `$SAMOVAR_CONFIG_HOME`, else `$XDG_CONFIG_HOME/samovar`, else `~/.config/samovar`."""
    if home := environment.get("SAMOVAR_CONFIG_HOME"):
        return Path(home).absolute()
    return (Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "samovar").absolute()


def read_own(path: Path) -> bytes | None:
    """Return the bytes of a file of this user in a folder of this user's; None when the file is missing.

    Raises:
        NotOwn: another user owns it or its folder, or can write there.
        OSError: it cannot be read.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        try:
            descriptor = os.open(path.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            _check_own(os.fstat(folder), path.parent)
            _check_own(os.fstat(descriptor), path)
            return file.read(MAX_FILE_BYTES)
    finally:
        os.close(folder)


def write_own(path: Path, value: Mapping[str, Any]) -> None:
    """Writes JSON atomically, and never readable by others at any moment (mkstemp makes files 0600).

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def trusted_platforms(home: Path) -> Mapping[str, str]:
    """Manifest keys of the platforms that this user started and that run, by the address of their gateway.

    Raises:
        NotOwn, OSError: as `read_own`.
    """
    try:
        noted = json.loads(read_own(home / PLATFORMS_FILE) or b"{}")
    except ValueError:
        return {}
    return {str(url): str(keys) for url, keys in noted.items()} if isinstance(noted, dict) else {}


@contextlib.contextmanager
def trusting(home: Path, gateway_urls: Sequence[str], keys: str) -> Iterator[None]:
    """Keeps the addresses and keys of a running platform in the profile of the user who started it.

    Raises:
        NotOwn, OSError: the profile cannot be read or written.
    """
    own = dict.fromkeys(gateway_urls, keys)
    noted = {url: known for url, known in trusted_platforms(home).items() if url not in own} | own
    write_own(home / PLATFORMS_FILE, dict(list(noted.items())[-MAX_PLATFORMS:]))
    try:
        yield
    finally:
        with contextlib.suppress(NotOwn, OSError):
            left = {url: known for url, known in trusted_platforms(home).items() if own.get(url) != known}
            write_own(home / PLATFORMS_FILE, left)


def _check_own(status: os.stat_result, path: Path) -> None:
    is_shared = status.st_mode & _WRITABLE_BY_OTHERS and not (
        stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    )
    if status.st_uid not in {os.geteuid(), 0}:
        raise NotOwn(f"{path} belongs to another user (uid {status.st_uid}), who could say where your token goes")
    if is_shared:
        raise NotOwn(f"{path} can be written by other users: `chmod go-w` it if all in it is yours")
