"""A simulated game: plays a product for a while, as a game client does. Heartbeats at the interval that the server asks for; while
the gateway is away the game goes on. Used by launcher.cli.library_commands.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

from launcher.api.library_api import LibraryApi
from launcher.api.library_resources import PlaySession, PlayStatus
from launcher.failures import ExitCode, LauncherError

MIN_INTERVAL_SECONDS = 1
"""Between heartbeats, whatever the server asks for."""
QUIT_SECONDS = 120.0
"""The time to wait for an unavailable gateway when the game is over."""
AGAIN_SECONDS = 1.0
"""Between tries to reach an unavailable gateway, beside those that each call makes by itself."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Played:
    """The counted playtime.

    Attributes:
        status: how the last session ended.
        sessions: more than one if the gateway was unavailable for so long that the server gave one up.
        seconds: that the sessions lasted.
        total_seconds: that the user ever played the product.
    """

    status: PlayStatus
    product_id: UUID
    session_id: UUID
    sessions: int
    heartbeats: int
    seconds: int
    total_seconds: int


@dataclass(slots=True)
class _Game:
    """A game that runs: its live session, and what came before."""

    api: LibraryApi
    attributes: dict[str, Any]
    tell: Callable[[str], None]
    session: PlaySession
    ended: list[PlaySession] = field(default_factory=list)
    heartbeats: int = 0

    async def run(self) -> None:
        """Plays until it is cancelled, or until another game of the same product on this device took the session over."""
        while True:
            await self._beat_until_over()
            over = await self._patiently(lambda: self.api.end_session(self.session.id))
            if over.status is not PlayStatus.TIMED_OUT:
                return
            self.ended.append(over)
            self.tell("the server gave the session up in the meantime; a new one begins")
            self.session = await self._patiently(lambda: self.api.start_session(self.attributes))

    async def quit(self) -> Played:
        """Ends the session.

        Raises:
            LauncherError: the gateway stays unavailable; the server counts to the last heartbeat.
        """
        try:
            async with asyncio.timeout(QUIT_SECONDS):
                last = await self._patiently(lambda: self.api.end_session(self.session.id))
                total_seconds = await self._patiently(lambda: self.api.total_playtime(last.product_id))
        except TimeoutError:
            message = "the gateway stays away: what is counted ends with the last heartbeat"
            raise LauncherError("SERVICE_UNAVAILABLE", message, ExitCode.NETWORK) from None
        # Who quits before a new session has begun ends the one that was given up once more.
        sessions = {session.id: session for session in (*self.ended, last)}
        return Played(
            status=last.status,
            product_id=last.product_id,
            session_id=last.id,
            sessions=len(sessions),
            heartbeats=self.heartbeats,
            seconds=sum(session.duration_seconds or 0 for session in sessions.values()),
            total_seconds=total_seconds,
        )

    async def _beat_until_over(self) -> None:
        interval_seconds = max(self.session.heartbeat_interval_seconds, MIN_INTERVAL_SECONDS)
        for sequence in count(1):
            await asyncio.sleep(interval_seconds)
            try:
                await self._patiently(partial(self._beat, sequence))
            except LauncherError as refusal:
                if refusal.code != "INVALID_STATE_TRANSITION":
                    raise
                return
            self.heartbeats += 1

    async def _beat(self, sequence: int) -> None:
        client_time = datetime.now(UTC).isoformat()
        await self.api.heartbeat(self.session.id, sequence=sequence, client_time=client_time)

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Calls again and again while the gateway is unavailable; says so once."""
        for attempt in count(1):
            try:
                return await call()
            except LauncherError as failure:
                if failure.exit_code is not ExitCode.NETWORK:
                    raise
                if attempt == 1:
                    self.tell(f"{failure}; the game goes on")
            await asyncio.sleep(AGAIN_SECONDS)
        raise AssertionError("unreachable")


async def play(
    api: LibraryApi,
    product_id: UUID,
    *,
    device_id: UUID,
    platform: str,
    seconds: float | None,
    tell: Callable[[str], None],
) -> Played:
    """Plays for so long, or until it is cancelled: that is how a player quits, and no failure. Cancelled again, it gives up.

    `tell` receives the messages for the player.

    Raises:
        LauncherError: the product cannot be played, or the playtime cannot be reported to the server.
    """
    attributes = {"product_id": str(product_id), "platform": platform, "device_id": str(device_id)}
    game = _Game(api, attributes, tell, await api.start_session(attributes))
    tell("the game runs; Ctrl-C ends it")
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # inside a task
    try:
        async with asyncio.timeout(seconds):
            await game.run()
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        task.uncancel()
    return await game.quit()
