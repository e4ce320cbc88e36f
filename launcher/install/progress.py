"""The progress of an installation: per file, what is missing; overall, figures for people; and what is not yet reported.
Lives on the event loop; filled by launcher.install.pipeline, emptied by launcher.install.reporter, shown by launcher.cli.display.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from uuid import UUID

from launcher.api.resources import CdnReport, ItemReport, ItemStatus
from launcher.disk.plan import Plan, PlannedChunk, PlannedFile, item_id
from launcher.disk.scan import Found


class Phase(StrEnum):
    """The current phase of an installation."""

    STARTING = "starting"
    QUEUED = "queued"
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    INSTALLING = "installing"
    COMPLETED = "completed"


@dataclass(slots=True)
class Progress:
    """The figures to display. `done_bytes` and `total_bytes` are of the files, `fetched_bytes` of what came over the network."""

    phase: Phase = Phase.STARTING
    queue_position: int | None = None
    slot_holders: str = ""
    """The downloads that hold the slots while this one waits."""
    total_files: int = 0
    done_files: int = 0
    total_bytes: int = 0
    done_bytes: int = 0
    fetched_bytes: int = 0
    resumed_bytes: int = 0
    reused_bytes: int = 0
    """Bytes of the files that were copied from content on the disk."""
    patched_files: int = 0
    patch_fallbacks: dict[str, str] = field(default_factory=dict)
    """Files whose patch could not be used, and why: their chunks are fetched."""


@dataclass(slots=True)
class CdnCounts:
    """The counts of one CDN since the last report."""

    bytes: int = 0
    seconds: float = 0.0
    errors: int = 0


@dataclass(slots=True)
class _File:
    lacks_chunks: int
    present_bytes: int
    status: ItemStatus
    provider: str | None = None
    error_code: str | None = None


class Ledger:
    """The state of every file, and which of them the server does not know yet.

    `scope` has the items that the session brings when they are not all of the version's: others are not reported to the server.
    """

    def __init__(
        self, plan: Plan, session_id: UUID, found: Found, progress: Progress, *, scope: frozenset[UUID] | None = None
    ) -> None:
        self._plan = plan
        self._scope = scope
        self._session_id = session_id
        self.progress = progress
        self._files: dict[int, _File] = {}
        self._unreported: dict[int, None] = {}
        self._cdns: dict[str, CdnCounts] = {}
        for file in plan.files.values():
            present_bytes = found.present_bytes(file)
            whole = file.index in found.in_place or file.index in found.ready
            lacks = 0 if whole else len(file.chunks) - len(found.chunks.get(file.index, ()))
            status = ItemStatus.VERIFYING if whole else ItemStatus.PENDING
            self._files[file.index] = _File(lacks, present_bytes, status)
            if present_bytes or whole:
                self._tell(file.index)
            progress.done_bytes += present_bytes
            progress.done_files += whole
        progress.resumed_bytes = progress.done_bytes
        progress.total_bytes = plan.total_bytes
        progress.total_files = len(plan.files)

    def whole_files(self, found: Found) -> list[PlannedFile]:
        """Return the files that lack no chunk but are not checked yet: empty ones, and those that an earlier run just finished."""
        return [
            file
            for file in self._plan.files.values()
            if self._files[file.index].lacks_chunks == 0
            and file.index not in found.in_place
            and file.index not in found.ready
        ]

    def chunks_reused(self, chunks: Iterable[PlannedChunk]) -> None:
        """Record that these chunks were copied from the disk to their places."""
        before = self.progress.done_bytes
        for chunk in chunks:
            self.chunk_stored(chunk, None)
        self.progress.reused_bytes += self.progress.done_bytes - before

    def patched(self, chunks: Iterable[PlannedChunk]) -> None:
        """Record that a file, and these chunks with it, was built by a patch."""
        for chunk in chunks:
            self.chunk_stored(chunk, None)
        self.progress.patched_files += 1

    def patch_failed(self, file: PlannedFile, reason: str) -> None:
        """Record that the patch of the file failed and that the file is fetched by chunks."""
        self.progress.patch_fallbacks[file.path] = reason

    def chunk_stored(self, chunk: PlannedChunk, provider: str | None) -> list[PlannedFile]:
        """Record that a chunk lies in all its places; no provider = it was on the disk. Return the files that are complete now."""
        whole = []
        for place in chunk.places:
            state = self._files[place.file]
            state.lacks_chunks -= 1
            state.present_bytes += chunk.size_bytes
            state.status = ItemStatus.DOWNLOADING
            state.provider = provider or state.provider
            self._tell(place.file)
            self.progress.done_bytes += chunk.size_bytes
            if state.lacks_chunks == 0:
                whole.append(self._plan.files[place.file])
        return whole

    def delivered(self, provider: str, size_bytes: int, seconds: float, *, errors: int = 0) -> None:
        """Count a delivery of a CDN, or its errors."""
        cdn = self._cdns.setdefault(provider, CdnCounts())
        cdn.bytes += size_bytes
        cdn.seconds += seconds
        cdn.errors += errors
        self.progress.fetched_bytes += size_bytes

    def files_checked(self, files: Iterable[PlannedFile]) -> None:
        for file in files:
            self._files[file.index].status = ItemStatus.VERIFYING
            self._tell(file.index)
            self.progress.done_files += 1

    def all_in_place(self) -> None:
        """Record that every file is in place and must be reported to the server."""
        for index, state in self._files.items():
            state.status = ItemStatus.COMPLETED
            self._tell(index)

    def failed(self, path: str | None, code: str) -> None:
        """Record that a file failed for good. A failure of no particular file is attributed to the first incomplete one."""
        if path is not None and not any(file.path == path for file in self._told_files()):
            path = None
        for file in self._told_files():
            state = self._files[file.index]
            if file.path == path or (path is None and state.status in {ItemStatus.PENDING, ItemStatus.DOWNLOADING}):
                state.status = ItemStatus.ERROR
                state.error_code = code
                # First in the queue: it should be reported at once.
                self._unreported = {file.index: None} | self._unreported
                return

    def _told_files(self) -> Iterable[PlannedFile]:
        return (file for file in self._plan.files.values() if self._is_told(file))

    def _is_told(self, file: PlannedFile) -> bool:
        return self._scope is None or item_id(self._session_id, file.path) in self._scope

    def _tell(self, index: int) -> None:
        if self._is_told(self._plan.files[index]):
            self._unreported[index] = None

    @property
    def has_unreported(self) -> bool:
        return bool(self._unreported)

    def take_items(self, max_items: int) -> list[int]:
        """Return the files to report now; those that change again meanwhile will be reported again."""
        taken = list(islice(self._unreported, max_items))
        for index in taken:
            del self._unreported[index]
        return taken

    def take_cdns(self) -> dict[str, CdnCounts]:
        """Return and reset the counts of the CDNs since the last report."""
        taken, self._cdns = self._cdns, {}
        return taken

    def give_back(self, items: Iterable[int], cdns: Mapping[str, CdnCounts]) -> None:
        """Restore the content of a report that the server did not accept."""
        self._unreported = dict.fromkeys(items) | self._unreported
        for provider, lost in cdns.items():
            cdn = self._cdns.setdefault(provider, CdnCounts())
            cdn.bytes += lost.bytes
            cdn.seconds += lost.seconds
            cdn.errors += lost.errors

    def item_reports(self, items: Iterable[int]) -> Sequence[ItemReport]:
        """Return the current state of the files, for the server."""
        reports = []
        for index in items:
            state = self._files[index]
            item = item_id(self._session_id, self._plan.files[index].path)
            reports.append(ItemReport(item, state.status, state.present_bytes, state.provider, state.error_code))
        return reports


def cdn_reports(cdns: Mapping[str, CdnCounts]) -> Sequence[CdnReport]:
    """Return the counts as reports for the server."""
    return [
        CdnReport(provider, cdn.bytes, round(cdn.seconds * 1000), cdn.errors) for provider, cdn in sorted(cdns.items())
    ]
