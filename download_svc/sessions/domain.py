"""A download session and its files: the status machine of contract section 3, what reports do to items and items to the
session, and the events that follow. Used by the application under the user's lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from chassis.errors import DomainError, FieldViolation, Kind
from download_svc.installations.domain import GameInstalled, Installation
from download_svc.versions.domain import Version
from download_svc.versions.manifests import FileReference, Platform

UNRANKED = 2**31 - 1
"""Queue rank of a session that the user has not put in a place: behind all that have one."""
NO_REPORT_YET = -1
DEFAULT_ITEM_FAILURE = "CDN_ERROR"
"""Code of a failed file whose client did not say why: fetching it is what was tried."""


class Status(StrEnum):
    """The status of a session."""

    QUEUED = "queued"
    INITIALIZING = "initializing"
    DOWNLOADING = "downloading"
    PAUSED = "paused"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ERROR = "error"


class PauseReason(StrEnum):
    """Why a session is held back, where it was not a user who did it."""

    CLIENT_SILENT = "client_silent"


class ItemStatus(StrEnum):
    """The status of a file."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    COMPLETED = "completed"
    ERROR = "error"


class UpdateType(StrEnum):
    """The ways to get an update."""

    FULL = "full"
    DELTA = "delta"


MOVES: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.INITIALIZING, Status.PAUSED, Status.CANCELLED, Status.ERROR}),
    Status.INITIALIZING: frozenset({Status.DOWNLOADING, Status.PAUSED, Status.CANCELLED, Status.ERROR}),
    Status.DOWNLOADING: frozenset({Status.VERIFYING, Status.PAUSED, Status.CANCELLED, Status.ERROR}),
    Status.PAUSED: frozenset({Status.QUEUED, Status.CANCELLED, Status.ERROR}),
    Status.VERIFYING: frozenset({Status.DOWNLOADING, Status.COMPLETED, Status.CANCELLED, Status.ERROR}),
    Status.ERROR: frozenset({Status.QUEUED}),
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset(),
}
LIVE = frozenset({Status.QUEUED, Status.INITIALIZING, Status.DOWNLOADING, Status.PAUSED, Status.VERIFYING})
SLOT_HOLDERS = frozenset({Status.INITIALIZING, Status.DOWNLOADING, Status.VERIFYING})
IN_QUEUE = SLOT_HOLDERS | {Status.QUEUED}
"""Sessions that have a queue position: they run or wait."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session or file failed: an error code of the platform, and a text."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionMoved:
    """A session moved; `previous` is None for a new one."""

    session_id: UUID
    user_id: UUID
    product_id: UUID
    version_id: UUID
    previous: Status | None
    new: Status
    at: datetime
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class ItemMoved:
    """A file is in place, or failed."""

    user_id: UUID
    session_id: UUID
    item_id: UUID
    file_metadata_id: UUID
    relative_path: str
    previous: ItemStatus
    new: ItemStatus
    downloaded_bytes: int
    total_size_bytes: int
    at: datetime
    failure: Failure | None


SessionEvent = SessionMoved | ItemMoved | GameInstalled


def download_not_found(session_id: UUID) -> DomainError:
    return DomainError(Kind.NOT_FOUND, "DOWNLOAD_NOT_FOUND", details={"download_id": str(session_id)})


def file_not_found() -> DomainError:
    return DomainError(Kind.NOT_FOUND, "FILE_NOT_FOUND")


def invalid_transition(status: Status) -> DomainError:
    return DomainError(Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION", details={"status": status.value})


@dataclass(frozen=True, slots=True)
class ItemReport:
    """A client's report about one file."""

    item_id: UUID
    status: ItemStatus
    downloaded_bytes: int
    cdn_provider: str | None = None
    error_code: str | None = None


@dataclass(slots=True)
class Item:
    """One file of a session."""

    id: UUID
    file_metadata_id: UUID
    relative_path: str
    total_size_bytes: int
    status: ItemStatus = ItemStatus.PENDING
    downloaded_bytes: int = 0
    retry_count: int = 0
    cdn_provider: str | None = None
    failure: Failure | None = None

    def follow(self, report: ItemReport) -> None:
        """Takes over what the client says. A file that is fetched counts as fetched whole, whatever number came with it."""
        if report.status is ItemStatus.ERROR:
            if self.status is not ItemStatus.ERROR:
                self.retry_count += 1
            code = report.error_code or DEFAULT_ITEM_FAILURE
            self.failure = Failure(code, f"{self.relative_path}: {code}")
        else:
            self.failure = None
        fetched = report.status in (ItemStatus.VERIFYING, ItemStatus.COMPLETED)
        self.downloaded_bytes = self.total_size_bytes if fetched else report.downloaded_bytes
        self.status = report.status
        if report.cdn_provider is not None:
            self.cdn_provider = report.cdn_provider


@dataclass(slots=True)
class ItemCounts:
    """The number of a session's files in each status; kept with the session, so that a report need not count 100,000 rows."""

    total: int
    verifying: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def all_fetched(self) -> bool:
        return self.verifying + self.completed == self.total

    @property
    def all_completed(self) -> bool:
        return self.completed == self.total

    def moved(self, previous: ItemStatus, new: ItemStatus) -> None:
        for status, change in ((previous, -1), (new, 1)):
            if status is ItemStatus.VERIFYING:
                self.verifying += change
            elif status is ItemStatus.COMPLETED:
                self.completed += change
            elif status is ItemStatus.ERROR:
                self.failed += change


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of a download, as the user's client reports it; None = not known."""

    device_id: UUID | None = None
    installation_path: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateFrom:
    """The base of an update: the installed version, whether any of it can be reused (`type`), and the bytes to fetch."""

    version_id: UUID
    type: UpdateType
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Scope:
    """The files of a version that a session fetches, when it is not all of them: a repair."""

    files: tuple[FileReference, ...]
    total_size_bytes: int


@dataclass(slots=True)
class Session:
    """One download of one version to one device. Every method that moves it leaves events for `take_events`."""

    id: UUID
    user_id: UUID
    product_id: UUID
    version_id: UUID
    platform: Platform
    device_id: UUID | None
    installation_path: str | None
    priority: int
    status: Status
    total_size_bytes: int
    items: ItemCounts
    created_at: datetime
    updated_at: datetime
    queue_rank: int = UNRANKED
    downloaded_bytes: int = 0
    last_sequence: int = NO_REPORT_YET
    failure: Failure | None = None
    update_type: UpdateType | None = None
    from_version_id: UUID | None = None
    pause_reason: PauseReason | None = None
    _events: list[SessionEvent] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def start(
        cls,
        version: Version,
        target: Target,
        *,
        session_id: UUID,
        user_id: UUID,
        priority: int,
        now: datetime,
        update: UpdateFrom | None = None,
        scope: Scope | None = None,
    ) -> "Session":
        """A new session of the files of a version, all or those of the scope, queued."""
        session = cls(
            id=session_id,
            user_id=user_id,
            product_id=version.product_id,
            version_id=version.version_id,
            platform=version.platform,
            device_id=target.device_id,
            installation_path=target.installation_path,
            priority=priority,
            status=Status.QUEUED,
            total_size_bytes=scope.total_size_bytes if scope else version.total_size_bytes,
            items=ItemCounts(len(scope.files) if scope else version.file_count),
            created_at=now,
            updated_at=now,
            update_type=update.type if update else None,
            from_version_id=update.version_id if update else None,
        )
        session._record_move(None, now)
        return session

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def holds_slot(self) -> bool:
        return self.status in SLOT_HOLDERS

    @property
    def is_repair(self) -> bool:
        """It makes the version in place whole again."""
        return self.from_version_id == self.version_id

    @property
    def queue_key(self) -> tuple[int, int, datetime, UUID]:
        """Order of the queue: the user's own, then priority, then age."""
        return (self.queue_rank, -self.priority, self.created_at, self.id)

    @property
    def progress_percentage(self) -> float:
        if self.status is Status.COMPLETED:
            return 100.0
        if self.total_size_bytes == 0:
            return 0.0
        return 100.0 * self.downloaded_bytes / self.total_size_bytes

    def copy(self) -> "Session":
        """The session as it is now, without events, untouched by later moves."""
        return replace(self, items=replace(self.items), _events=[])

    def take_events(self) -> Sequence[SessionEvent]:
        """Events since the last call, oldest first."""
        events, self._events = self._events, []
        return events

    def begin(self, now: datetime) -> None:
        """Gets a slot."""
        self._move(Status.INITIALIZING, now, only_from=frozenset({Status.QUEUED}))

    def pause(self, now: datetime) -> None:
        self._move(Status.PAUSED, now)

    def resume(self, now: datetime) -> None:
        self._move(Status.QUEUED, now, only_from=frozenset({Status.PAUSED}))

    def is_silent(self, now: datetime, max_silence: timedelta) -> bool:
        """It holds a slot, and nothing has moved it and no report was taken in for longer than this."""
        return self.holds_slot and now - self.updated_at > max_silence

    def lapse(self, now: datetime) -> None:
        """Gives the slot up because the client is silent. It is paused, and its client's next report queues it again."""
        if self.status is Status.VERIFYING:  # what is not in place yet has to be said again, like what is not fetched
            self._move(Status.DOWNLOADING, now)
        self._move(Status.PAUSED, now, only_from=SLOT_HOLDERS)
        self.pause_reason = PauseReason.CLIENT_SILENT

    def is_woken_by(self, sequence: int) -> bool:
        """Return True when a report with this sequence comes from a client that was paused for its silence."""
        return self.pause_reason is PauseReason.CLIENT_SILENT and sequence > self.last_sequence

    def withdraw(self, now: datetime) -> None:
        """Fails because its version was withdrawn."""
        failure = Failure("VERSION_NOT_AVAILABLE", "the version was withdrawn")
        self._move(Status.ERROR, now, only_from=LIVE, failure=failure)

    def cancel(self, now: datetime) -> None:
        self._move(Status.CANCELLED, now)

    def retry(self, now: datetime) -> None:
        """Queues it again; its failed files are pending again (the caller resets their rows)."""
        self._move(Status.QUEUED, now, only_from=frozenset({Status.ERROR}))
        self.items.failed = 0

    def takes(self, sequence: int) -> bool:
        """Return True if a report with this sequence has an effect: the session holds a slot and the report is newer than the last.

        A paused, ended or waiting session is not moved by its client's late reports; the client learns its status from the answer.
        """
        return self.holds_slot and sequence > self.last_sequence

    def report(
        self, sequence: int, reports: Sequence[ItemReport], items: Mapping[UUID, Item], now: datetime
    ) -> Sequence[Item]:
        """Moves items as reported, then the session as its items stand. Answers the items that were touched.

        `items` holds the rows of all items named. All or nothing: a bad report changes nothing.

        Raises:
            FILE_NOT_FOUND: an item that is not of this session.
            VALIDATION_ERROR: more bytes than the file has.
        """
        _check_reports(reports, items)
        touched: dict[UUID, Item] = {}
        for report in reports:
            item = items[report.item_id]
            self._follow(item, report, now)
            touched[item.id] = item
        self.last_sequence = sequence
        self.updated_at = now
        if self.status is Status.INITIALIZING:
            self._move(Status.DOWNLOADING, now)
        self._follow_items(touched.values(), now)
        return list(touched.values())

    def installed(self, remaining_installations: int, now: datetime) -> None:
        """Records that the completed session's version is in place."""
        self._events.append(
            GameInstalled(self.user_id, self.product_id, self.version_id, self.device_id, remaining_installations, now)
        )

    def installation(self) -> Installation:
        return Installation(
            self.user_id, self.device_id, self.product_id, self.version_id, self.platform, self.installation_path
        )

    def _follow(self, item: Item, report: ItemReport, now: datetime) -> None:
        previous, bytes_before = item.status, item.downloaded_bytes
        item.follow(report)
        self.downloaded_bytes += item.downloaded_bytes - bytes_before
        if item.status is previous:
            return
        self.items.moved(previous, item.status)
        if item.status in (ItemStatus.COMPLETED, ItemStatus.ERROR):
            self._events.append(
                ItemMoved(
                    user_id=self.user_id,
                    session_id=self.id,
                    item_id=item.id,
                    file_metadata_id=item.file_metadata_id,
                    relative_path=item.relative_path,
                    previous=previous,
                    new=item.status,
                    downloaded_bytes=item.downloaded_bytes,
                    total_size_bytes=item.total_size_bytes,
                    at=now,
                    failure=item.failure,
                )
            )

    def _follow_items(self, touched: Iterable[Item], now: datetime) -> None:
        failure = next((item.failure for item in touched if item.failure is not None), None)
        if failure is not None:
            self._move(Status.ERROR, now, failure=failure)
            return
        if self.status is Status.VERIFYING and not self.items.all_fetched:
            self._move(Status.DOWNLOADING, now)
        elif self.status is Status.DOWNLOADING and self.items.all_fetched:
            self._move(Status.VERIFYING, now)
        if self.status is Status.VERIFYING and self.items.all_completed:
            self._move(Status.COMPLETED, now)

    def _move(
        self, new: Status, now: datetime, *, only_from: frozenset[Status] | None = None, failure: Failure | None = None
    ) -> None:
        if new not in MOVES[self.status] or (only_from is not None and self.status not in only_from):
            raise invalid_transition(self.status)
        previous, self.status = self.status, new
        self.failure = failure
        self.pause_reason = None
        self.updated_at = now
        self._record_move(previous, now)

    def _record_move(self, previous: Status | None, now: datetime) -> None:
        self._events.append(
            SessionMoved(
                session_id=self.id,
                user_id=self.user_id,
                product_id=self.product_id,
                version_id=self.version_id,
                previous=previous,
                new=self.status,
                at=now,
                failure=self.failure,
            )
        )


def _check_reports(reports: Sequence[ItemReport], items: Mapping[UUID, Item]) -> None:
    if any(report.item_id not in items for report in reports):
        raise file_not_found()
    violations = [
        FieldViolation(
            f"items[{index}].downloaded_bytes",
            f"the file has {items[report.item_id].total_size_bytes} bytes",
            "item.size",
        )
        for index, report in enumerate(reports)
        if report.downloaded_bytes > items[report.item_id].total_size_bytes
    ]
    if violations:
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "VALIDATION_ERROR",
            details={"description": "more bytes than the file has"},
            violations=violations,
        )


class Sessions(Protocol):
    """Sessions and items of one user, inside a transaction."""

    async def lock(self, user_id: UUID) -> None:
        """Makes other writers of this user's sessions wait until the transaction ends. Taken first by every use case that
        writes, so that slots are counted right and no two transactions wait for each other.
        """

    async def lock_all(self, user_ids: Collection[UUID]) -> None:
        """`lock` for several users, in one order for everybody."""

    async def get(self, user_id: UUID, session_id: UUID) -> Session | None: ...

    async def live(self, user_id: UUID) -> Sequence[Session]:
        """All live sessions of the user, at most MAX_LIVE_SESSIONS_PER_USER."""

    async def add(self, session: Session, files: Sequence[FileReference], item_ids: Sequence[UUID]) -> None:
        """A new session with one pending item per file (`item_ids` in the order of `files`), in one statement.

        Raises:
            DOWNLOAD_ALREADY_ACTIVE: the product is live for this device.
        """

    async def save(self, session: Session) -> None:
        """The session's row as it is now, and its events.

        Raises:
            DOWNLOAD_ALREADY_ACTIVE: it became live while another one is.
        """

    async def items(self, user_id: UUID, session_id: UUID, item_ids: Sequence[UUID]) -> Mapping[UUID, Item]:
        """Return those of the items that belong to the session."""

    async def save_items(self, user_id: UUID, items: Sequence[Item]) -> None:
        """The items' rows as they are now, in one statement."""

    async def reset_failed_items(self, user_id: UUID, session_id: UUID) -> None:
        """Makes failed items pending; their retry counts stay."""
