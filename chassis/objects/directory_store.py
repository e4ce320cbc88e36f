"""The object store in a directory, for the embedded platform: served by sandbox.peers.object_http under signed URLs.

An object is written beside its place, synced and renamed, so that a crash leaves the old object, the new one or none, never half.
"""

import asyncio
import base64
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from chassis.objects.object_store import CHECKSUM_HEADER, ObjectInfo, SignedUpload, check_key, object_not_found
from chassis.objects.signed_urls import sign

SIZE_PARAMETER = "size"
SHA256_PARAMETER = "sha256"
FILENAME_PARAMETER = "filename"

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)

WORK_FOLDER = ".incoming"


class DirectoryStore:
    """Objects under `root`; URLs under `base_url`, signed with `signing_key`."""

    def __init__(
        self, root: Path, base_url: str, signing_key: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if not signing_key:
            raise ValueError("a store cannot sign its URLs with an empty key")
        self._root = root
        self._base_url = base_url.rstrip("/")
        self._signing_key = signing_key
        self._now = now

    async def put(self, key: str, content: bytes | Path) -> None:
        target = self.path_of(key)
        await asyncio.to_thread(self._write, target, content)

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self.path_of(key).read_bytes)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise object_not_found(key) from error

    async def head(self, key: str) -> ObjectInfo | None:
        path = self.path_of(key)
        found = await asyncio.to_thread(stat_file, path)
        if found is None:
            return None
        return ObjectInfo(key, found.st_size, etag_of(found), datetime.fromtimestamp(found.st_mtime, UTC))

    async def sha256(self, key: str) -> str | None:
        return await asyncio.to_thread(_sha256_of, self.path_of(key))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for folder in await asyncio.to_thread(_folders, self._root):
            for key, found in await asyncio.to_thread(_files, self._root, folder):
                if key.startswith(prefix):
                    yield ObjectInfo(key, found.st_size, etag_of(found), datetime.fromtimestamp(found.st_mtime, UTC))

    async def delete(self, key: str) -> None:
        path = self.path_of(key)
        with suppress(FileNotFoundError, NotADirectoryError):
            await asyncio.to_thread(path.unlink)

    def presign_get(self, key: str, *, expires_in_seconds: float, filename: str = "") -> str:
        expires_at = self._now() + timedelta(seconds=expires_in_seconds)
        query = f"?{urlencode({FILENAME_PARAMETER: filename})}" if filename else ""
        return sign(f"{self._url_of(key)}{query}", key=self._signing_key, expires_at=expires_at)

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, expires_in_seconds: float) -> SignedUpload:
        if _SHA256.fullmatch(sha256) is None or size_bytes < 0:
            raise ValueError("an upload is bound to a size and a SHA-256")
        digest = bytes.fromhex(sha256)
        expires_at = self._now() + timedelta(seconds=expires_in_seconds)
        bound = urlencode({SIZE_PARAMETER: str(size_bytes), SHA256_PARAMETER: digest.hex()})
        url = sign(f"{self._url_of(key)}?{bound}", key=self._signing_key, expires_at=expires_at, method="PUT")
        headers = {
            "content-length": str(size_bytes),
            CHECKSUM_HEADER: base64.b64encode(digest).decode("ascii"),
            "if-none-match": "*",
        }
        return SignedUpload(url=url, headers=headers)

    def path_of(self, key: str) -> Path:
        """The file of an object.

        Raises:
            KeyInvalid: the key breaks the rules; so no path can leave the root.
        """
        return self._root / check_key(key)

    def work_file(self) -> Path:
        """A new file's path on the same file system as the objects; its folder is created. Blocks."""
        folder = self._root / WORK_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid.uuid4().hex

    def publish_new(self, work_file: Path, key: str) -> bool:
        """Gives a synced work file its key if the key is free; returns whether it was. Blocks."""
        target = self.path_of(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            # A hard link fails on an existing name, which a rename would replace: this decides races for good.
            os.link(work_file, target)
        except FileExistsError:
            return False
        finally:
            work_file.unlink(missing_ok=True)
        sync_folder(target.parent)
        return True

    def _write(self, target: Path, content: bytes | Path) -> None:
        work_file = self.work_file()
        try:
            with work_file.open("xb") as output:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, output, 1 << 20)
                else:
                    output.write(content)
                output.flush()
                os.fsync(output.fileno())
            target.parent.mkdir(parents=True, exist_ok=True)
            work_file.replace(target)
        finally:
            work_file.unlink(missing_ok=True)
        sync_folder(target.parent)

    def _url_of(self, key: str) -> str:
        return f"{self._base_url}/{quote(check_key(key))}"


def stat_file(path: Path) -> os.stat_result | None:
    """The status of a regular file that is not a link, or None. Blocks."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if (found.st_mode & 0o170000) == 0o100000 else None


def _sha256_of(path: Path) -> str | None:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _folders(root: Path) -> list[Path]:
    return [Path(folder) for folder, *_ in os.walk(root) if Path(folder).name != WORK_FOLDER]


def _files(root: Path, folder: Path) -> list[tuple[str, os.stat_result]]:
    try:
        paths = list(folder.iterdir())
    except FileNotFoundError:
        return []
    found = [(path.relative_to(root).as_posix(), stat_file(path)) for path in paths]
    return [(key, status) for key, status in found if status is not None]


def etag_of(found: os.stat_result) -> str:
    """A strong entity tag: objects are replaced, never rewritten, so time, size and inode distinguish any two."""
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'


def sync_folder(folder: Path) -> None:
    """Makes a rename or a link in the folder last. Blocks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
