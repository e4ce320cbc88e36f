"""A simulated game goes on while the gateway is away, and tells of itself as often as the server asks for."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from launcher.api.library_api import PLAYTIME, SESSIONS, LibraryApi
from launcher.api.library_resources import PlayStatus
from launcher.api.rest import open_rest
from launcher.failures import ExitCode, LauncherError
from launcher.game.play import Played, play
from launcher.settings import Account

QUICK_SECONDS = 0.001
PRODUCT_ID = uuid.uuid4()


@dataclass
class Tracker:
    """Sessions of play at a gateway that a test sends away; they count a second per heartbeat."""

    statuses: dict[str, str] = field(default_factory=dict)
    beats: list[tuple[str, int]] = field(default_factory=list)
    away: int = 0
    """Requests that find nobody from now on."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_post(f"{SESSIONS}/start", self._start)
        app.router.add_post(SESSIONS + "/{id}/heartbeat", self._heartbeat)
        app.router.add_post(SESSIONS + "/{id}/end", self._end)
        app.router.add_get(PLAYTIME, self._statistics)
        return app

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(condition), 60)

    def seconds(self, session_id: str) -> int:
        return sum(beaten == session_id for beaten, _ in self.beats)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
        try:
            if self.away:
                self.away -= 1
                return web.Response(status=503)
            return await handler(request)
        finally:
            async with self.changed:
                self.changed.notify_all()

    async def _start(self, request: web.Request) -> web.Response:
        attributes = (await request.json())["data"]["attributes"]
        assert (attributes["product_id"], attributes["platform"]) == (str(PRODUCT_ID), "linux")
        session_id = str(uuid.uuid4())
        self.statuses[session_id] = "active"
        return self._session(session_id, status=201)

    async def _heartbeat(self, request: web.Request) -> web.Response:
        session_id = request.match_info["id"]
        if self.statuses[session_id] != "active":
            error = {"code": "INVALID_STATE_TRANSITION", "title": "over", "status": "409"}
            return web.json_response({"errors": [error]}, status=409)
        attributes = (await request.json())["data"]["attributes"]
        assert attributes["client_time"].endswith("+00:00")
        self.beats.append((session_id, attributes["sequence"]))
        return web.Response(status=204)

    async def _end(self, request: web.Request) -> web.Response:
        session_id = request.match_info["id"]
        if self.statuses[session_id] == "active":
            self.statuses[session_id] = "completed"
        return self._session(session_id)

    async def _statistics(self, request: web.Request) -> web.Response:
        assert request.query["product_ids"] == str(PRODUCT_ID)
        attributes = {"total_playtime_seconds": 1000 + len(self.beats)}
        return web.json_response({"data": {"type": "playtimeStatistics", "id": "1", "attributes": attributes}})

    def _session(self, session_id: str, *, status: int = 200) -> web.Response:
        attributes = {
            "product_id": str(PRODUCT_ID),
            "status": self.statuses[session_id],
            "heartbeat_interval_seconds": 1,
            "duration_seconds": None if self.statuses[session_id] == "active" else self.seconds(session_id),
        }
        resource = {"type": "playtimeSession", "id": session_id, "attributes": attributes}
        return web.json_response({"data": resource}, status=status)


@dataclass
class Scene:
    """A game that is played, and what its player was told."""

    tracker: Tracker
    playing: asyncio.Task[Played]
    told: list[str]

    @property
    def session_ids(self) -> list[str]:
        return list(self.tracker.statuses)


@asynccontextmanager
async def playing(seconds: float | None = None, max_tries: int = 2) -> AsyncIterator[Scene]:
    tracker = Tracker()
    runner = web.AppRunner(tracker.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        owner = Account(f"http://127.0.0.1:{runner.addresses[0][1]}", "token", uuid.uuid4(), "")
        told: list[str] = []
        async with open_rest(owner, first_delay_seconds=QUICK_SECONDS, max_tries=max_tries) as rest:
            game = play(
                LibraryApi(rest),
                PRODUCT_ID,
                device_id=owner.device_id,
                platform="linux",
                seconds=seconds,
                tell=told.append,
            )
            task = asyncio.create_task(game)
            await tracker.wait_until(lambda: bool(tracker.statuses))
            yield Scene(tracker, task, told)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await runner.cleanup()


async def test_heartbeats_are_numbered_and_come_at_the_interval_the_server_asks_for() -> None:
    async with playing(seconds=2.5) as scene:
        played = await scene.playing
        (session_id,) = scene.session_ids
        beats = len(scene.tracker.beats)
        assert 1 <= beats <= 2, (
            "a busy machine may be late with the second; more often than every second they never come"
        )
        assert scene.tracker.beats == [(session_id, number) for number in range(1, beats + 1)]
        assert (played.status, played.sessions, played.heartbeats) == (PlayStatus.COMPLETED, 1, beats)
        assert (played.seconds, played.total_seconds) == (beats, 1000 + beats)


async def test_a_gateway_that_is_away_stops_no_game_and_the_player_hears_of_it_once() -> None:
    async with playing() as scene:
        scene.tracker.away = 4
        await scene.tracker.wait_until(lambda: bool(scene.tracker.beats))
        scene.playing.cancel()
        played = await scene.playing
        assert (played.status, played.sessions, played.heartbeats) == (PlayStatus.COMPLETED, 1, 1)
        (told,) = [text for text in scene.told if "503" in text]
        assert told.endswith("the game goes on")


async def test_a_session_that_the_server_gave_up_is_followed_by_another_and_both_count() -> None:
    async with playing() as scene:
        await scene.tracker.wait_until(lambda: bool(scene.tracker.beats))
        scene.tracker.statuses[scene.session_ids[0]] = "timed_out"
        await scene.tracker.wait_until(lambda: len({beaten for beaten, _ in scene.tracker.beats}) == 2)
        scene.playing.cancel()
        played = await scene.playing
        assert (played.status, played.sessions, played.seconds) == (PlayStatus.COMPLETED, 2, 2)
        assert [sequence for _, sequence in scene.tracker.beats] == [1, 1]
        assert any("a new one begins" in text for text in scene.told)


async def test_a_session_that_another_game_took_over_ends_this_one() -> None:
    async with playing() as scene:
        scene.tracker.statuses[scene.session_ids[0]] = "terminated"
        played = await scene.playing
        assert (played.status, played.sessions, played.heartbeats) == (PlayStatus.TERMINATED, 1, 0)


async def test_a_refusal_on_the_way_is_a_failure() -> None:
    async with playing() as scene:
        scene.tracker.statuses[scene.session_ids[0]] = "unheard-of"
        with pytest.raises(LauncherError) as failure:
            await scene.playing
        assert (failure.value.code, failure.value.exit_code) == ("ANSWER_UNREADABLE", ExitCode.UNEXPECTED)


async def test_a_gateway_that_stays_away_when_the_game_is_over_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.game.play.QUIT_SECONDS", 0.2)
    async with playing() as scene:
        scene.tracker.away = 1_000_000
        scene.playing.cancel()
        with pytest.raises(LauncherError, match="last heartbeat") as failure:
            await scene.playing
        assert failure.value.exit_code is ExitCode.NETWORK
