"""Waiting for a slot ends in every status that a session can come to."""

import uuid

import pytest
from aiohttp import web

from launcher.api.download_client import open_api
from launcher.api.resources import Session
from launcher.failures import LauncherError
from launcher.install.sessions import wait_for_slot
from launcher.settings import Account

SESSION_ID = uuid.uuid4()


async def looked(_: Session) -> None:
    """What a display would show."""


async def wait_until(statuses: list[str]) -> str:
    """Waits for a slot at a gateway that answers one status after the other; answers the last."""
    left = iter(statuses)

    async def answer(_: web.Request) -> web.Response:
        attributes = {"product_id": str(uuid.uuid4()), "version_id": str(uuid.uuid4()), "status": next(left)}
        return web.json_response({"data": {"type": "downloadSession", "id": str(SESSION_ID), "attributes": attributes}})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        owner = Account(f"http://127.0.0.1:{runner.addresses[0][1]}", "token", uuid.uuid4(), "")
        async with open_api(owner) as api:
            session = await wait_for_slot(api, await api.download(SESSION_ID), looked)
            return session.status.value
    finally:
        await runner.cleanup()


async def test_a_queued_session_is_waited_for() -> None:
    assert await wait_until(["queued", "queued", "initializing"]) == "initializing"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("paused", "DOWNLOAD_PAUSED"),
        ("cancelled", "DOWNLOAD_CANCELLED"),
        ("completed", "INVALID_STATE_TRANSITION"),
        ("error", "INTERNAL_ERROR"),
    ],
)
async def test_a_session_that_will_not_get_a_slot_is_not_waited_for(status: str, code: str) -> None:
    with pytest.raises(LauncherError) as failure:
        await wait_until(["queued", status])
    assert failure.value.code == code
