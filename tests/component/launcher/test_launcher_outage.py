"""A gateway that goes away in the middle is waited for; one that never answered is not."""

import uuid

import pytest
from aiohttp import web

from launcher.api.library_api import LibraryApi
from launcher.api.rest import MAX_TRIES, open_rest
from launcher.failures import LauncherError
from launcher.settings import Account

PATIENT_SECONDS = 30.0
QUICK_SECONDS = 0.001


class Gateway:
    """Answers an empty library, but for the requests that `away` says."""

    def __init__(self, away: range) -> None:
        self.requests = 0
        self._away = away

    async def answer(self, _: web.Request) -> web.Response:
        self.requests += 1
        if self.requests - 1 in self._away:
            return web.Response(status=503)
        return web.json_response({"data": [], "meta": {"total_pages": 1}})


async def ask_twice(gateway: Gateway, outage_seconds: float) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", gateway.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        owner = Account(url, "token", uuid.uuid4(), "")
        async with open_rest(owner, first_delay_seconds=QUICK_SECONDS, outage_seconds=outage_seconds) as rest:
            await LibraryApi(rest).check_token()
            await LibraryApi(rest).check_token()
    finally:
        await runner.cleanup()


async def test_a_gateway_that_answered_before_is_waited_for_beyond_the_usual_tries() -> None:
    gateway = Gateway(away=range(1, 1 + 2 * MAX_TRIES))
    await ask_twice(gateway, PATIENT_SECONDS)
    assert gateway.requests == 2 + 2 * MAX_TRIES


async def test_a_gateway_that_never_answered_is_given_up_after_the_usual_tries() -> None:
    gateway = Gateway(away=range(2 * MAX_TRIES))
    with pytest.raises(LauncherError, match="503") as failure:
        await ask_twice(gateway, PATIENT_SECONDS)
    assert failure.value.code == "SERVICE_UNAVAILABLE"
    assert gateway.requests == MAX_TRIES


async def test_a_command_that_has_no_time_gives_up_after_the_usual_tries() -> None:
    gateway = Gateway(away=range(1, 1 + 2 * MAX_TRIES))
    with pytest.raises(LauncherError, match="503"):
        await ask_twice(gateway, 0.0)
    assert gateway.requests == 1 + MAX_TRIES
