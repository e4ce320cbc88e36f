"""A deleted account on the whole platform: nothing of the user is left in either service, open sockets end, nothing is stored for
the user again, and others notice nothing.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from sandbox.client import sandbox_stub
from tests.e2e.clients import DOWNLOAD_PROGRESS, LIBRARY_UPDATES, Api, Shop, assert_error, until
from tests.e2e.running import Platform
from tests.faults.truth import rows

CATEGORIES = "/api/v1/library/categories"
FORBIDDEN = 4403
END_SECONDS = 60


@pytest.fixture
async def gone(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def other(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


async def end_of(api: Api, path: str, http: aiohttp.ClientSession, opened: asyncio.Event) -> int | None:
    """The code with which the socket ends."""
    headers = {"Authorization": f"Bearer {api.token}"}
    async with http.ws_connect(api.url + path, headers=headers) as socket:
        opened.set()
        async for _ in socket:
            pass
        return socket.close_code


async def test_a_deleted_user_is_gone_from_the_whole_platform(
    platform: Platform, shop: Shop, gone: Api, other: Api, http: aiohttp.ClientSession
) -> None:
    product_id = await shop.new_product()
    for api in (gone, other):
        await shop.buy(api.user_id, product_id)
        await api.owns(product_id)
        made = await api.post(CATEGORIES, "userCategory", name=str(uuid.uuid4()))
        assert made.status == 201, made.document
    opened = [asyncio.Event(), asyncio.Event()]
    paths = (LIBRARY_UPDATES, DOWNLOAD_PROGRESS)
    ends = [asyncio.ensure_future(end_of(gone, path, http, event)) for path, event in zip(paths, opened, strict=True)]
    await asyncio.gather(*(asyncio.wait_for(event.wait(), END_SECONDS) for event in opened))

    async with sandbox_stub(platform.private) as stub:
        await stub.DeleteUser(sandbox_pb2.DeleteUserRequest(user_id=gone.user_id))

    async def is_done() -> bool:
        statement = "SELECT FROM erasures WHERE user_id = $1 AND done_at IS NOT NULL"
        found = [await rows(platform, name, statement, uuid.UUID(gone.user_id)) for name in ("library", "download")]
        return all(found)

    await until(is_done, "the user is not erased", END_SECONDS)
    assert await asyncio.wait_for(asyncio.gather(*ends), END_SECONDS) == [FORBIDDEN, FORBIDDEN]
    refused = await gone.post(CATEGORIES, "userCategory", name="again")
    assert_error(refused, 403, "ACCOUNT_ERASED")
    assert (await gone.get("/api/v1/library/items")).data == []
    (erasure,) = await rows(
        platform, "library", "SELECT counts FROM erasures WHERE user_id = $1", uuid.UUID(gone.user_id)
    )
    counted = json.loads(erasure["counts"])
    assert (counted["user_library_items"], counted["entitlements"], counted["user_game_categories"]) == (1, 1, 1)

    assert (await other.owns(product_id))["id"]
    kept = await other.post(CATEGORIES, "userCategory", name="other")
    assert kept.status == 201, kept.document
