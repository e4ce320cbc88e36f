"""Puts content on the disk so that nothing wrong is ever in place and a crash at any moment costs little: chunks into staged files,
each noted in the journal; whole files checked and made durable. launcher.placement renames them into place.

Everything here blocks and may run in several threads at once; launcher.pipeline and launcher.reuse call it.
"""

import os
import threading
from collections.abc import Callable, Sequence

from depot.chunks import decompress
from depot.errors import ChunkCorrupt
from launcher.failures import ExitCode, LauncherError
from launcher.folder import disk_failure
from launcher.journal import Journal
from launcher.plan import Plan, PlannedChunk, PlannedFile
from launcher.survey import hash_descriptor
from launcher.workspace import Workspace


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
            self.keep(chunk, data)
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

    def sync(self) -> None:
        """Makes the journal durable."""
        self._note(self._journal.sync)

    def record_sequence(self, sequence: int) -> None:
        """Notes the number of a report before it is sent, and makes what was noted so far durable: about twice a second."""
        self._note(lambda: self._journal.record_sequence(sequence))
        self.sync()

    def keep(self, chunk: PlannedChunk, data: bytes) -> None:
        """Writes the right bytes of a chunk to all its places.

        Raises:
            LauncherError: the disk refuses.
        """
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

    def _note(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise disk_failure(error, "the journal") from None


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written
