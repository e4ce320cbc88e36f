"""Reports the progress of an installation to the server, so that the user's other clients see it live, and obeys the answers:
paused, cancelled, sent back to the queue. Used by launcher.install.installation.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from launcher.api.download_client import MAX_REPORT_ITEMS, Api
from launcher.api.resources import HOLDING, ItemReport, Session, SessionStatus
from launcher.api.rest import OUTAGE_SECONDS
from launcher.failures import ExitCode, LauncherError
from launcher.install.progress import CdnCounts, Ledger, Phase, cdn_reports
from launcher.install.sessions import check_running, revive

INTERVAL_SECONDS = 0.5
QUIET_INTERVAL_SECONDS = 2.0
"""A report is sent even when there is nothing new: its answer says whether the user paused."""
COMPLETION_POLLS = 20
FAREWELL_SECONDS = 5.0
_HEARING = HOLDING | {SessionStatus.COMPLETED}


@dataclass(frozen=True, slots=True)
class _Report:
    """The content of the report with one sequence number, and its files, so that it can be sent again."""

    sequence: int
    files: Sequence[int]
    items: Sequence[ItemReport]
    cdns: Mapping[str, CdnCounts]


class Reporter:
    """Reports on one session, from one task at a time.

    A report without an answer may have arrived: it is sent again under the same number, which the server applies once.

    `record_sequence` notes a number durably before it is used: numbers grow over restarts, and by the clock over lost journals.
    Where the clock was put back, they grow from the last number that the server has received.
    """

    def __init__(
        self,
        api: Api,
        session: Session,
        ledger: Ledger,
        *,
        last_sequence: int,
        record_sequence: Callable[[int], Awaitable[None]],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.session = session
        self.may_fetch = asyncio.Event()
        self.may_fetch.set()
        self._api = api
        self.ledger = ledger
        self._sequence = last_sequence
        self._record_sequence = record_sequence
        self._wall_clock = wall_clock
        self._unanswered: _Report | None = None

    async def run(self) -> None:
        """Reports until cancelled.

        Raises:
            LauncherError: the session was paused, cancelled or failed; the token expired; the server is unavailable for too long.
        """
        last_heard = last_sent = time.monotonic()
        await self._send()
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            now = time.monotonic()
            if not self._has_news and now - last_sent < QUIET_INTERVAL_SECONDS:
                continue
            last_sent = now
            try:
                await self._tick()
                last_heard = time.monotonic()
            except LauncherError as failure:
                if failure.exit_code is not ExitCode.NETWORK or now - last_heard > OUTAGE_SECONDS:
                    raise

    async def finish(self) -> Session:
        """Reports everything that the server does not know and returns when it has the session completed.

        Raises:
            LauncherError: the session was stopped, or does not become completed.
        """
        for again in (False, True):
            if again:
                self.ledger.all_in_place()  # reports may have been lost with a server: once more
            # A completed session accepts no more reports: the last report of a killed run was still on its way.
            while self._has_news and self.session.status is not SessionStatus.COMPLETED:
                await self._tick()
                if not self.may_fetch.is_set():
                    await asyncio.sleep(INTERVAL_SECONDS)
            for _ in range(COMPLETION_POLLS):
                if self.session.status is SessionStatus.COMPLETED:
                    return self.session
                await asyncio.sleep(INTERVAL_SECONDS / 2)
                await self.look()
        message = f"all files are in place, but the server has the download as {self.session.status}"
        raise LauncherError("INTERNAL_ERROR", message, ExitCode.UNEXPECTED)

    async def give_up(self, failure: LauncherError) -> None:
        """Reports to the server that a file failed for good, if the server is available now."""
        self.ledger.failed(failure.file, failure.code)
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self._unanswered is not None:
                    await self._send()
                await self._send()
        except (TimeoutError, LauncherError):
            return  # the failure itself is what the user must see, and the next run reports again

    async def look(self) -> None:
        """Requests the status of the session, and obeys it.

        Raises:
            LauncherError: it was paused, cancelled or failed.
        """
        self._obey(await self._api.download(self.session.id))

    async def _tick(self) -> None:
        if self.session.is_lapsed:
            self._obey(await revive(self._api, self.session))
        elif self.may_fetch.is_set():
            await self._send()
        else:
            await self.look()

    @property
    def _has_news(self) -> bool:
        return self._unanswered is not None or self.ledger.has_unreported

    async def _send(self) -> None:
        report = self._unanswered = self._unanswered or await self._next_report()
        session = await self._api.report(self.session.id, report.sequence, report.items, cdn_reports(report.cdns))
        self._unanswered = None
        # A session without a slot answers but applies nothing, and so does one that has received a later report.
        is_of_old_server = session.report_sequence is None and session.status in _HEARING
        if session.report_sequence != report.sequence and not is_of_old_server:
            self.ledger.give_back(report.files, report.cdns)
        self._obey(session)

    async def _next_report(self) -> _Report:
        heard = self.session.report_sequence or 0
        self._sequence = max(self._sequence + 1, heard + 1, int(self._wall_clock() * 1000))
        await self._record_sequence(self._sequence)
        files = self.ledger.take_items(MAX_REPORT_ITEMS)
        return _Report(self._sequence, files, self.ledger.item_reports(files), self.ledger.take_cdns())

    def _obey(self, session: Session) -> None:
        self.session = session
        check_running(session)
        progress = self.ledger.progress
        if session.status in _HEARING:
            self.may_fetch.set()
            if progress.phase is Phase.QUEUED:
                progress.phase = Phase.DOWNLOADING
        else:
            # Paused and queued again by another client, or lapsed while this device slept: the slot is gone, so nothing more is
            # fetched until it is back.
            self.may_fetch.clear()
            progress.phase = Phase.QUEUED
            progress.queue_position = session.queue_position
