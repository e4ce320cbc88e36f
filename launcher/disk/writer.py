"""Puts content on the disk so that nothing wrong is ever in place and a crash at any moment costs little: chunks into staged files,
each noted in the journal; whole files checked and made durable. launcher.disk.commit renames them into place.

Everything here blocks and may run in several threads at once; launcher.install.pipeline and launcher.install.reuse call it.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from depot.chunks import decompress, unpack
from depot.errors import ChunkCorrupt
from launcher.disk.durability import begin_writing_back, can_sync_file_system, sync_file_system
from launcher.disk.folder import disk_failure, set_mode
from launcher.disk.journal import Journal
from launcher.disk.plan import Plan, PlannedChunk, PlannedFile
from launcher.disk.scan import Found, hash_descriptor
from launcher.disk.workspace import Workspace
from launcher.failures import ExitCode, LauncherError

MAX_WAITING_CHUNKS = 4
"""The chunks of one file that are kept in memory until they can be hashed in order; further ones are read again."""
MAX_SINGLE_SYNCS = 8
"""Up to so many small files are synced one by one; for more the whole file system is synced at once."""


class _Digest:
    """SHA-256 of a file of several chunks, taken as they come, mostly from memory: the file need not be read again."""

    def __init__(self, file: PlannedFile, present: Iterable[int]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._sha256 = hashlib.sha256()
        self._next = 0
        self._waiting: dict[int, bytes | None] = dict.fromkeys(present)
        self._kept = 0

    def take(self, number: int, data: bytes, descriptor: int) -> None:
        """Hash a chunk that lies in the file. A chunk that comes before its turn is kept, or read again when it is its turn."""
        with self._lock:
            is_kept = self._kept < MAX_WAITING_CHUNKS
            self._kept += is_kept
            self._waiting[number] = data if is_kept else None
            while self._next in self._waiting:
                waiting = self._waiting.pop(self._next)
                self._kept -= waiting is not None
                ref = self._file.chunks[self._next]
                self._sha256.update(waiting or os.pread(descriptor, ref.size_bytes, ref.offset))
                self._next += 1

    def value(self) -> bytes | None:
        """Return the SHA-256 of the whole file; None when chunks are missing."""
        with self._lock:
            return self._sha256.digest() if self._next == len(self._file.chunks) else None


class Writer:
    """Writes one installation; `found` says which chunks were staged before."""

    def __init__(self, workspace: Workspace, plan: Plan, journal: Journal, found: Found, stop: threading.Event) -> None:
        self._workspace = workspace
        self._plan = plan
        self._journal = journal
        self._found = found
        self._stop = stop
        self._lock = threading.Lock()
        self._digests: dict[int, _Digest] = {}
        self._written: dict[int, int] = {}
        """Files of one chunk, whole and right and with their mode, but not durable yet: their modification times (ns)."""

    def store(self, batch: Sequence[tuple[PlannedChunk, bytes | bytearray]]) -> list[ChunkCorrupt | None]:
        """Checks, decompresses and writes chunks to all their places. Per chunk: None, or what is wrong with its bytes.

        Every byte is hashed twice, as received and as part of its file: a chunk that is a whole file here, others by `settle`.

        Raises:
            LauncherError: the disk refuses; what was written before is noted.
        """
        outcome: list[ChunkCorrupt | None] = []
        written: list[tuple[int, int]] = []
        try:
            for chunk, stored in batch:
                try:
                    data = self._unpack(chunk, stored)
                except ChunkCorrupt as corrupt:
                    outcome.append(corrupt)
                    continue
                self._write(chunk, data, written)
                outcome.append(None)
        finally:
            self._note(lambda: self._journal.record_chunks(written))
        return outcome

    def settle(self, files: Sequence[PlannedFile]) -> None:
        """Checks whole staged files, sets their modes and makes them durable.

        Raises:
            LauncherError: FILE_HASH_MISMATCH (the file is dropped, to be fetched anew), or the disk refuses.
        """
        settled: list[tuple[int, int]] = []
        unsynced: list[PlannedFile] = []
        for file in files:
            try:
                mtime_ns = self._written.pop(file.index, None)
                if mtime_ns is None:
                    mtime_ns = self._settle_one(file)
                else:
                    unsynced.append(file)
            except OSError as error:
                raise disk_failure(error, file.path) from None
            settled.append((file.index, mtime_ns))
        self._make_durable(unsynced)
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
        self._write(chunk, data, written)
        self._note(lambda: self._journal.record_chunks(written))

    def _unpack(self, chunk: PlannedChunk, stored: bytes | bytearray) -> bytes:
        if all(len(self._plan.files[place.file].chunks) > 1 for place in chunk.places):
            return unpack(stored, size_bytes=chunk.size_bytes, stored_sha256=chunk.stored_sha256)
        return decompress(stored, size_bytes=chunk.size_bytes, sha256=chunk.sha256, stored_sha256=chunk.stored_sha256)

    def _write(self, chunk: PlannedChunk, data: bytes, written: list[tuple[int, int]]) -> None:
        for place in chunk.places:
            file = self._plan.files[place.file]
            try:
                descriptor = self._workspace.staged.open_file(file.staged_name, os.O_RDWR | os.O_CREAT)
                try:
                    _write_at(descriptor, data, place.offset)
                    if len(file.chunks) == 1:
                        self._finish_small(file, descriptor)
                    else:
                        begin_writing_back(descriptor, place.offset, len(data))
                        self._digest_of(file).take(place.chunk, data, descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise disk_failure(error, file.path) from None
            written.append((place.file, place.chunk))

    def _finish_small(self, file: PlannedFile, descriptor: int) -> None:
        """A file of one chunk is finished with it, but for its durability."""
        status = os.fstat(descriptor)
        if status.st_size != file.size_bytes:  # something longer was staged under the name
            os.ftruncate(descriptor, file.size_bytes)
            status = os.fstat(descriptor)
        set_mode(descriptor, file.mode)
        self._written[file.index] = status.st_mtime_ns

    def _digest_of(self, file: PlannedFile) -> _Digest:
        with self._lock:
            digest = self._digests.get(file.index)
            if digest is None:
                digest = self._digests[file.index] = _Digest(file, self._found.chunks.get(file.index, ()))
            return digest

    def _settle_one(self, file: PlannedFile) -> int:
        descriptor = self._workspace.staged.open_file(file.staged_name, os.O_RDWR | os.O_CREAT)
        try:
            digest = self._digests.pop(file.index, None)
            # A file of one chunk was checked as that chunk: the manifest's rules make their hashes the same.
            is_right = os.fstat(descriptor).st_size == file.size_bytes and (
                len(file.chunks) < 2
                or ((digest.value() if digest else None) or hash_descriptor(descriptor, self._stop)) == file.sha256
            )
            if not is_right:
                self._workspace.staged.remove(file.staged_name)
                message = "the file is not the one that was published"
                raise LauncherError("FILE_HASH_MISMATCH", message, ExitCode.CORRUPT, file=file.path)
            set_mode(descriptor, file.mode)
            os.fsync(descriptor)
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)

    def _make_durable(self, files: Sequence[PlannedFile]) -> None:
        """Many files together: one by one each would wait for the disk."""
        if not files:
            return
        staged = self._workspace.staged
        file = files[0]
        try:
            if len(files) > MAX_SINGLE_SYNCS and can_sync_file_system():
                sync_file_system(staged.descriptor)
                return
            for file in files:
                descriptor = staged.open_file(file.staged_name, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise disk_failure(error, file.path) from None

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
