"""Puts content on the disk so that nothing wrong is ever in place and a crash at any moment costs little: chunks into staged files,
each noted in the journal; whole files checked and made durable; then all of them renamed into place.

Everything here blocks and may run in several threads at once; launcher.pipeline calls it in batches.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence

from depot.chunks import decompress
from depot.errors import ChunkCorrupt
from launcher.failures import ExitCode, LauncherError
from launcher.folder import Folder, Walker, disk_failure
from launcher.journal import Journal
from launcher.plan import Plan, PlannedChunk, PlannedFile, PlannedLink
from launcher.survey import hash_descriptor
from launcher.workspace import Workspace

_LINK_NAME = "link"


class Writer:
    """Writes one installation."""

    def __init__(self, workspace: Workspace, plan: Plan, journal: Journal, stop: threading.Event) -> None:
        self._workspace = workspace
        self._plan = plan
        self._journal = journal
        self._stop = stop

    def store(self, batch: Sequence[tuple[PlannedChunk, bytes]]) -> list[ChunkCorrupt | None]:
        """Checks, decompresses and writes chunks to all their places. Per chunk: None, or what is wrong with its bytes.

        Raises:
            LauncherError: the disk refuses; what was written before is noted.
        """
        outcome: list[ChunkCorrupt | None] = []
        for chunk, stored in batch:
            try:
                data = decompress(
                    stored, size_bytes=chunk.size_bytes, sha256=chunk.sha256, stored_sha256=chunk.stored_sha256
                )
            except ChunkCorrupt as corrupt:
                outcome.append(corrupt)
                continue
            self._store_one(chunk, data)
            outcome.append(None)
        return outcome

    def settle(self, files: Sequence[PlannedFile]) -> None:
        """Checks whole staged files, sets their modes and makes them durable.

        Raises:
            LauncherError: FILE_HASH_MISMATCH (the file is dropped, to be fetched anew), or the disk refuses.
        """
        settled: list[tuple[int, int]] = []
        for file in files:
            try:
                settled.append((file.index, self._settle_one(file)))
            except OSError as error:
                raise disk_failure(error, file.path) from None
        self._note(lambda: self._journal.record_files(settled))

    def commit(self, in_place: Iterable[int]) -> None:
        """Makes the tree: folders, all files that are not in place yet, links; then makes the names durable. Repeatable.

        Raises:
            LauncherError: something lies in the way, or the disk refuses.
        """
        self.sync()
        walker = Walker(self._workspace.root)
        touched: dict[str, None] = {}
        placed = set(in_place)
        path = ""
        try:
            for path in self._plan.directories:
                self._make_folder(walker, path, touched)
            for file in self._plan.files.values():
                path = file.path
                self._place_file(walker, file, touched, is_in_place=file.index in placed)
            for link in self._plan.links:
                path = link.path
                self._place_link(walker, link, touched)
            for path in touched:
                folder = walker.folder(path.split("/") if path else [])
                if folder is not None:
                    folder.sync()
        except OSError as error:
            raise disk_failure(error, path) from None
        finally:
            walker.close()

    def sync(self) -> None:
        """Makes the journal durable."""
        self._note(self._journal.sync)

    def record_sequence(self, sequence: int) -> None:
        """Notes the number of a report before it is sent, and makes what was noted so far durable: about twice a second."""
        self._note(lambda: self._journal.record_sequence(sequence))
        self.sync()

    def _store_one(self, chunk: PlannedChunk, data: bytes) -> None:
        written: list[tuple[int, int]] = []
        for place in chunk.places:
            file = self._plan.files[place.file]
            try:
                descriptor = self._workspace.staged.open_file(file.staged_name, os.O_WRONLY | os.O_CREAT)
                try:
                    _write_at(descriptor, data, place.offset)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise disk_failure(error, file.path) from None
            written.append((place.file, place.chunk))
        self._note(lambda: self._journal.record_chunks(written))

    def _settle_one(self, file: PlannedFile) -> int:
        descriptor = self._workspace.staged.open_file(file.staged_name, os.O_RDWR | os.O_CREAT)
        try:
            # A file of one chunk was checked as that chunk: the manifest's rules make their hashes the same.
            is_right = os.fstat(descriptor).st_size == file.size_bytes and (
                len(file.chunks) < 2 or hash_descriptor(descriptor, self._stop) == file.sha256
            )
            if not is_right:
                self._workspace.staged.remove(file.staged_name)
                message = "the file is not the one that was published"
                raise LauncherError("FILE_HASH_MISMATCH", message, ExitCode.CORRUPT, file=file.path)
            os.fchmod(descriptor, file.mode)
            os.fsync(descriptor)
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)

    def _make_folder(self, walker: Walker, path: str, touched: dict[str, None]) -> None:
        parent, name = walker.parent_of(path, create=True)
        assert parent is not None  # noqa: S101  # created
        if parent.status(name) is None:
            _touch(touched, path)
        walker.folder(path.split("/"), create=True)

    def _place_file(self, walker: Walker, file: PlannedFile, touched: dict[str, None], *, is_in_place: bool) -> None:
        parent, name = walker.parent_of(file.path, create=True)
        assert parent is not None  # noqa: S101  # created
        if is_in_place:
            _set_mode(parent, name, file.mode)
            return
        os.rename(file.staged_name, name, src_dir_fd=self._workspace.staged.descriptor, dst_dir_fd=parent.descriptor)
        _touch(touched, file.path)

    def _place_link(self, walker: Walker, link: PlannedLink, touched: dict[str, None]) -> None:
        parent, name = walker.parent_of(link.path, create=True)
        assert parent is not None  # noqa: S101  # created
        if _leads_to(parent, name) == link.target:
            return
        staged = self._workspace.staged
        staged.remove(_LINK_NAME)
        os.symlink(link.target, _LINK_NAME, dir_fd=staged.descriptor)
        os.rename(_LINK_NAME, name, src_dir_fd=staged.descriptor, dst_dir_fd=parent.descriptor)
        _touch(touched, link.path)

    def _note(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise disk_failure(error, "the journal") from None


def _touch(touched: dict[str, None], path: str) -> None:
    """The folder that the path lies in has a new name in it, and so may each folder above."""
    while path:
        path = path.rpartition("/")[0]
        if path in touched:
            return
        touched[path] = None


def _leads_to(parent: Folder, name: str) -> str | None:
    """Where the link of that name leads, if there is one."""
    status = parent.status(name)
    if status is None or not stat.S_ISLNK(status.st_mode):
        return None
    return os.readlink(name, dir_fd=parent.descriptor)


def _set_mode(parent: Folder, name: str, mode: int) -> None:
    descriptor = parent.open_file(name, os.O_RDONLY)
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
