"""Following a stream: the launcher comes back after every loss with the last event it saw, and says why when it may not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import WSCloseCode, web

from launcher.cli.watching import LIBRARY_UPDATES, Event, follow
from launcher.failures import ExitCode, LauncherError
from launcher.settings import Account

NOBODY = "http://127.0.0.1:1"


def envelope(event_type: str, event_id: str, **payload: Any) -> str:
    return json.dumps(
        {"event_type": event_type, "id": event_id, "timestamp": "2026-03-01T12:00:00Z", "payload": payload}
    )


class Gateway:
    """Tells each client in turn what the next of `stories` says: texts, then a close code (None = cuts the connection)."""

    def __init__(self) -> None:
        self.stories: list[tuple[list[str], int | None]] = []
        self.asked: list[tuple[str | None, str | None]] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.query.get("last_event_id"), request.headers.get("Authorization")))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        texts, code = self.stories.pop(0)
        for text in texts:
            await socket.send_str(text)
        if code is None and request.transport is not None:
            request.transport.abort()
        else:
            await socket.close(code=code or WSCloseCode.OK)
        return socket


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway, app = Gateway(), web.Application()
    app.router.add_get(LIBRARY_UPDATES, gateway.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield gateway
    await runner.cleanup()


async def followed(url: str, count: int = 1) -> list[Event]:
    account = Account(url, "token", uuid4(), "")
    async with (
        asyncio.timeout(60),
        aclosing(follow(account, LIBRARY_UPDATES, max_tries=2, first_delay_seconds=0.01)) as events,
    ):
        return [await anext(events) for _ in range(count)]


async def test_after_every_loss_it_goes_on_from_the_last_event(gateway: Gateway):
    gateway.stories = [
        ([envelope("category.updated", "e-1", category_id="a"), envelope("category.updated", "e-2")], None),
        ([], 1013),
        ([envelope("stream.end", "", reason="shutdown")], 1001),
        ([envelope("resync_required", "f-1", reason="unknown_id")], None),
        ([envelope("category.updated", "f-2")], 1000),
    ]
    events = await followed(gateway.url, 4)
    assert [event.id for event in events] == ["e-1", "e-2", "f-1", "f-2"]
    assert (events[0].type, events[0].payload) == ("category.updated", {"category_id": "a"})
    assert [place for place, _ in gateway.asked] == [None, "e-2", "e-2", "e-2", "f-1"]
    assert {bearer for _, bearer in gateway.asked} == {"Bearer token"}


@pytest.mark.parametrize(("close_code", "exit_code"), [(4401, ExitCode.NOT_SIGNED_IN), (4403, ExitCode.DENIED)])
async def test_a_refusal_that_stays_ends_it_in_the_gateways_words(gateway: Gateway, close_code: int, exit_code: int):
    gateway.stories = [([envelope("stream.error", "", code="X", detail="the token is over")], close_code)]
    with pytest.raises(LauncherError) as failed:
        await followed(gateway.url)
    assert (failed.value.exit_code, failed.value.message) == (exit_code, "the token is over")


async def test_an_event_that_does_not_read_has_a_name(gateway: Gateway):
    gateway.stories = [(["[]"], None)]
    with pytest.raises(LauncherError) as failed:
        await followed(gateway.url)
    assert failed.value.code == "ANSWER_UNREADABLE"


async def test_a_gateway_that_never_was_there_is_given_up():
    with pytest.raises(LauncherError) as failed:
        await followed(NOBODY)
    assert (failed.value.code, failed.value.exit_code) == ("SERVICE_UNAVAILABLE", ExitCode.NETWORK)
