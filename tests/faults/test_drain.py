"""SIGTERM under load: what was taken in is answered, and sockets are told to go."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.postgres.database import CONNECTIONS_PER_KEY
from tests.e2e.clients import DOWNLOADS, ITEMS, Answer, Api, Shop, until
from tests.e2e.running import Platform
from tests.faults.conftest import Publisher, User, is_well
from tests.faults.follower import following
from tests.faults.programs import signal_program, started_again
from tests.faults.test_origin_faults import many_small_files
from tests.faults.truth import database, rows

CALLS = 6
"""In flight when the signal comes; fewer than a service has connections to its database."""


@contextlib.asynccontextmanager
async def held_up(platform: Platform, name: str, statement: str, *values: Any) -> AsyncIterator[None]:
    """Rows that nobody else can change while the block runs: calls wait for them in the middle of their work."""
    async with database(platform, name) as connection, connection.transaction():
        assert await connection.fetch(f"{statement} FOR UPDATE", *values)
        yield


async def all_wait(platform: Platform, name: str, calls: int) -> None:
    async def wait_there() -> bool:
        statement = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
        return bool((await rows(platform, "postgres", statement, name))[0]["n"] >= calls)

    await until(wait_there, f"the calls did not reach {name}")


async def not_serving(address: str) -> None:
    """Returns when the service says that it goes, or takes no calls any more."""

    async def says_so() -> bool:
        async with grpc.aio.insecure_channel(address) as channel:
            try:
                answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
        return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

    await until(says_so, f"{address} goes on serving")


def patches(api: Api, item_id: str) -> Sequence["asyncio.Task[Answer]"]:
    """Changes of one user: as many as get to the database at once."""
    notes = map(str, range(CONNECTIONS_PER_KEY))
    changes = [{"data": {"type": "libraryItemUpdate", "attributes": {"notes": note}}} for note in notes]
    return [asyncio.create_task(api.call("PATCH", f"{ITEMS}/{item_id}", body=change)) for change in changes]


async def owned_item(shop: Shop, user: User) -> str:
    product_id = await shop.new_product()
    await shop.buy(user.id, product_id)
    return str((await user.api.owns(product_id))["id"])


async def test_the_library_ends_the_calls_that_it_has_taken_in(platform: Platform, shop: Shop, user: User) -> None:
    item_id = await owned_item(shop, user)
    async with held_up(platform, "library", "SELECT FROM user_library_items WHERE id = $1", item_id):
        calls = patches(user.api, item_id)
        await all_wait(platform, "library", len(calls))
        old_pid = signal_program(platform, "library", signal.SIGTERM)
        await not_serving(platform.ready["library_grpc_addr"])
    assert [call.status for call in await asyncio.gather(*calls)] == [200] * len(calls)
    await started_again(platform, "library", old_pid)


async def test_calls_that_come_while_the_library_restarts_are_told_to_come_again(
    platform: Platform, shop: Shop, user: User, http: aiohttp.ClientSession
) -> None:
    item_id = await owned_item(shop, user)
    answers: list[Answer] = []
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            answers.append(await user.api.get(f"{ITEMS}/{item_id}"))

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            group.create_task(load())
        await until(lambda: asyncio.sleep(0, len(answers) > CALLS), "there is no load")
        old_pid = signal_program(platform, "library", signal.SIGTERM)
        await started_again(platform, "library", old_pid)
        await is_well(platform, http)
        done.set()
    assert {answer.status for answer in answers} <= {200, 503}
    assert all(answer.codes == ["SERVICE_UNAVAILABLE"] for answer in answers if answer.status == 503)


async def test_the_download_service_ends_the_calls_that_it_has_taken_in(
    platform: Platform, publisher: Publisher, shop: Shop, user: User, tmp_path: Any
) -> None:
    game = await publisher.publish(many_small_files(tmp_path / "source", 3, 1))
    await game.given_to(user, shop)
    session_id = (await user.api.startable(game.product_id)).data["id"]
    async with held_up(platform, "download", "SELECT FROM download_sessions WHERE id = $1", session_id):
        pauses = [
            asyncio.create_task(user.api.post(f"{DOWNLOADS}/{session_id}/pause")) for _ in range(CONNECTIONS_PER_KEY)
        ]
        await all_wait(platform, "download", len(pauses))
        old_pid = signal_program(platform, "download", signal.SIGTERM)
        await not_serving(platform.ready["download_grpc_addr"])
    answers = [pause.status for pause in await asyncio.gather(*pauses)]
    assert sorted(answers) == [200] + [409] * (len(pauses) - 1)
    await started_again(platform, "download", old_pid)
    assert (await user.api.get(f"{DOWNLOADS}/{session_id}")).status in {200, 503}


async def test_the_gateway_ends_its_requests_and_tells_its_sockets_to_go(
    platform: Platform, shop: Shop, user: User, http: aiohttp.ClientSession
) -> None:
    item_id = await owned_item(shop, user)
    async with following(user.api) as client:
        async with held_up(platform, "library", "SELECT FROM user_library_items WHERE id = $1", item_id):
            calls = patches(user.api, item_id)
            await all_wait(platform, "library", len(calls))
            old_pid = signal_program(platform, "gateway", signal.SIGTERM)

            async def goes() -> bool:
                try:
                    async with http.get(f"{platform.ready['gateway_url']}/readyz") as answer:
                        return answer.status == 503
                except aiohttp.ClientError:
                    return True

            await until(goes, "the gateway goes on serving")
        assert [call.status for call in await asyncio.gather(*calls)] == [200] * len(calls)
        await until(lambda: asyncio.sleep(0, bool(client.close_codes)), "the socket was not closed")
        assert client.close_codes[0] == 1001
        await started_again(platform, "gateway", old_pid)
        await until(lambda: asyncio.sleep(0, client.connections > 1), "the client did not come back")
