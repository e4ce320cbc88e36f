"""Idle WebSockets are cheap: the memory of a gateway's process, as the operating system counts it, with none and with many."""

import asyncio
import os
import re
import resource
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from download.v1 import downloads_pb2_grpc

from chassis.auth.tokens import open_key_set, service_tokens, user_tokens
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import serve
from tests.component.gateway.gateway_rig import STREAM_PATH, FakeDownload
from tests.component.rpc_rig import AUDIENCE, ISSUER, auth_server, user_token

WAIT_SECONDS = 60
SOCKETS_PER_USER = 10
WARM_UP_SOCKETS = 20
OPENING_AT_ONCE = 50
MOST_KIB_PER_SOCKET = 100
"""What the normal run allows, with room for what an allocator rounds up. The long run knows the promise itself."""
PROMISED_SOCKETS = 2_000
PROMISED_MIB = 250


def resident_kib(process_id: int) -> int:
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process_id}/status").read_text())[1])


@asynccontextmanager
async def gateway_process(auth, download_port: int):
    """`python -m gateway`, one worker; its process and its port."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AUTH_JWKS_URL": auth.jwks_url,
        "AUTH_ISSUER": ISSUER,
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_TOKEN_URL": auth.token_url,
        "SERVICE_TOKENS_ENABLED": "true",
        "SERVICE_CLIENT_SECRET": "gateway-secret",
        "LIBRARY_SERVICE_GRPC_ADDR": "127.0.0.1:1",
        "DOWNLOAD_SERVICE_GRPC_ADDR": f"127.0.0.1:{download_port}",
        "GATEWAY_HTTP_PORT": "0",
        "LOG_LEVEL": "INFO",
        "DRAIN_SECONDS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            line = b""
            while b'"serving"' not in line:
                line = await process.stdout.readline()
                assert line, "the gateway ended"
        port = int(re.search(rb'"port": ?(\d+)', line)[1])
        reading = asyncio.create_task(_read_away(process.stdout))
        yield process, port
        process.send_signal(signal.SIGTERM)
        await process.wait()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read_away(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def open_idle_socket(port: int, token: str) -> asyncio.StreamWriter:
    """A handshake and then nothing: no client library whose own memory and timers would count."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    lines = (
        f"GET {STREAM_PATH} HTTP/1.1",
        "Host: gateway",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        f"Authorization: Bearer {token}",
    )
    writer.write("\r\n".join((*lines, "", "")).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    assert b"permessage-deflate" not in head
    return writer


async def memory_of(sockets: int) -> tuple[int, int]:
    """Resident KiB of a gateway that has served a few sockets, and with `sockets` more of them open."""
    download = FakeDownload()
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(auth_server())
        keys = await stack.enter_async_context(open_key_set(auth.jwks_url))
        server = await stack.enter_async_context(
            serve(
                name="download-service",
                bind="127.0.0.1:0",
                register=lambda one: downloads_pb2_grpc.add_DownloadServiceServicer_to_server(download, one),
                services=("download.v1.DownloadService",),
                verifier=user_tokens(keys, issuer=ISSUER, audience=AUDIENCE),
                service_verifier=service_tokens(keys, issuer=ISSUER, service="download-service"),
                readiness=Readiness(),
                drain_seconds=0.1,
            )
        )
        process, port = await stack.enter_async_context(gateway_process(auth, server.port))

        async def open_many(count: int) -> list[asyncio.StreamWriter]:
            opened = []
            tokens = [user_token(sub=str(uuid4())) for _ in range(-(-count // SOCKETS_PER_USER))]
            for start in range(0, count, OPENING_AT_ONCE):
                each = range(start, min(count, start + OPENING_AT_ONCE))
                opened += await asyncio.gather(
                    *(open_idle_socket(port, tokens[index // SOCKETS_PER_USER]) for index in each)
                )
            for _ in range(count):
                await download.opened.get()
            return opened

        async with asyncio.timeout(WAIT_SECONDS + sockets / 20):
            warm = await open_many(WARM_UP_SOCKETS)
            before = resident_kib(process.pid)
            idle = await open_many(sockets)
            after = resident_kib(process.pid)
            for writer in (*warm, *idle):
                writer.close()
            for _ in range(WARM_UP_SOCKETS + sockets):
                await download.left.get()
    return before, after


async def test_an_idle_socket_takes_little_memory(capsys):
    before, after = await memory_of(200)
    each = (after - before) / 200
    with capsys.disabled():
        print(f"\n200 idle sockets: {before / 1024:.0f} -> {after / 1024:.0f} MiB, {each:.0f} KiB each")
    assert each <= MOST_KIB_PER_SOCKET


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_two_thousand_idle_sockets_fit_one_worker_of_250_mib(capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * PROMISED_SOCKETS)), hard))
    before, after = await memory_of(PROMISED_SOCKETS)
    each = (after - before) / PROMISED_SOCKETS
    with capsys.disabled():
        print(f"\n2,000 idle sockets: {before / 1024:.0f} -> {after / 1024:.0f} MiB, {each:.0f} KiB each")
    assert after <= PROMISED_MIB * 1024
