"""Many WebSockets at once, and one that never reads."""

import asyncio
import re
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psutil
import pytest
from download.v1 import downloads_pb2 as downloads

from chassis.live.redis_state import open_redis_state
from tests.e2e.clients import DOWNLOADS, Shop, until
from tests.e2e.running import Platform
from tests.faults.conftest import Game, Town, User
from tests.faults.follower import Follower, following
from tests.faults.programs import pid_of, signal_program, started_again
from tests.faults.test_lost_state import valkey_url
from tests.faults.truth import status_moves

SOCKETS_OF_A_USER = 10
MANY = pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(300)])
EVENTS = 600
"""More than a socket's buffer holds, and with their texts more than the kernel holds."""
TEXT_BYTES = 40_000
MEMORY_BYTES = 64 << 20
SLOW_READER = 4408
CLOSE_FRAME = b"\x88\x02" + SLOW_READER.to_bytes(2, "big")
RECEIVE_BUFFER_BYTES = 4096


@pytest.mark.parametrize("users_count", [5, MANY])
async def test_clients_that_come_back_all_at_once_miss_nothing(
    users_count: int, platform: Platform, game: Game, shop: Shop, town: Town
) -> None:
    """Ten sockets of each user: fifty clients in the normal run, two hundred in the long one."""
    users = [await town.new_user() for _ in range(users_count)]
    await asyncio.gather(*(game.given_to(user, shop) for user in users))
    async with AsyncExitStack() as stack:
        opening = [stack.enter_async_context(following(user.api)) for user in users for _ in range(SOCKETS_OF_A_USER)]
        clients: list[Follower] = [await one for one in opening]
        sessions = [(await user.api.startable(game.product_id)).data["id"] for user in users]
        per_client = [session for session in sessions for _ in range(SOCKETS_OF_A_USER)]

        async def all_heard(last: str) -> bool:
            pairs = zip(clients, per_client, strict=True)
            return all(client.moves(session)[-1:] and client.moves(session)[-1][1] == last for client, session in pairs)

        await until(lambda: all_heard("initializing"), "not all were told of the start")
        old_pid = signal_program(platform, "gateway")
        await started_again(platform, "gateway", old_pid)

        async def all_back() -> bool:
            return all(client.connections > 1 for client in clients)

        await until(all_back, "not all came back")
        for user, session in zip(users, sessions, strict=True):
            assert (await user.api.post(f"{DOWNLOADS}/{session}/pause")).status == 200
        await until(lambda: all_heard("paused"), "not all were told of the pause")
        for client, session in zip(clients, per_client, strict=True):
            assert client.was_told_to_resync or client.moves(session) == await status_moves(platform, session)


async def test_a_client_that_never_reads_costs_little_and_is_closed_with_4408(platform: Platform, user: User) -> None:
    address = urlsplit(platform.ready["gateway_url"])
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=RECEIVE_BUFFER_BYTES)
    try:
        writer.write(
            f"GET /api/v1/ws/download-progress HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {user.api.token}\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        gateway = psutil.Process(pid_of(platform, "gateway"))
        before = gateway.memory_info().rss
        log = platform.home.parent / f"{platform.home.name}-up.log"
        read_from = log.stat().st_size
        most = await flood(platform, user, gateway)

        async def closed() -> bool:
            with log.open("rb") as lines:
                lines.seek(read_from)
                return re.search(rf'"close_code": ?{SLOW_READER}\b'.encode(), lines.read()) is not None

        await until(closed, "the gateway did not close the socket")
        most = max(most, gateway.memory_info().rss)
        assert most - before < MEMORY_BYTES, f"{(most - before) >> 20} MiB for one socket"
        assert (await reader.read(-1)).endswith(CLOSE_FRAME), "the client was not told why"
    finally:
        writer.transport.abort()


async def flood(platform: Platform, user: User, gateway: psutil.Process) -> int:
    """Puts many big events of the kind that may not be dropped into the user's stream; answers the gateway's most memory."""
    failure = downloads.DownloadFailure(code="CDN_ERROR", message="x" * TEXT_BYTES)
    changed = downloads.DownloadStatusChanged(
        download_session_id=user.id,
        product_id=user.id,
        new_status=downloads.DownloadStatus.DOWNLOAD_STATUS_ERROR,
        error_details=failure,
    )
    event = downloads.WatchDownloadsResponse(occurred_at=datetime.now(UTC), status_changed=changed)
    payload = event.SerializeToString()
    most = 0
    async with open_redis_state(valkey_url(platform)) as state:
        for _ in range(EVENTS // 20):
            await state.streams.append(f"download_events:{{{user.id}}}", [payload] * 20)
            most = max(most, gateway.memory_info().rss)
    return most
