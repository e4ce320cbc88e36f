"""The gateway as its composition root and its process make it."""

import asyncio
import json
import os
import signal
import sys

import aiohttp
import grpc
import pytest
from library.v1 import items_pb2_grpc
from rest.routes import ROUTES, STREAMS

from chassis.auth.tokens import open_key_set, service_tokens, user_tokens
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import serve
from gateway.main import build
from gateway.settings import GatewaySettings
from tests.component.gateway.gateway_rig import ITEM_PATH, STREAM_PATH, FakeLibrary, close_code, soon
from tests.component.rpc_rig import AUDIENCE, ISSUER, auth_server, user_token


def environment(auth, library_port: int) -> dict[str, str]:
    return {
        "AUTH_JWKS_URL": auth.jwks_url,
        "AUTH_ISSUER": ISSUER,
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_TOKEN_URL": auth.token_url,
        "SERVICE_TOKENS_ENABLED": "true",
        "SERVICE_CLIENT_SECRET": "gateway-secret",
        "LIBRARY_SERVICE_GRPC_ADDR": f"127.0.0.1:{library_port}",
        "DOWNLOAD_SERVICE_GRPC_ADDR": "127.0.0.1:1",
        "GATEWAY_HTTP_PORT": "0",
        "DRAIN_SECONDS": "1",
    }


async def test_build_serves_with_a_service_token_of_its_own_and_says_what_is_away(monkeypatch, valkey_url):
    library = FakeLibrary()
    async with (
        auth_server() as auth,
        open_key_set(auth.jwks_url) as keys,
        serve(
            name="library-service",
            bind="127.0.0.1:0",
            register=lambda server: items_pb2_grpc.add_LibraryServiceServicer_to_server(library, server),
            services=("library.v1.LibraryService",),
            verifier=user_tokens(keys, issuer=ISSUER, audience=AUDIENCE),
            service_verifier=service_tokens(keys, issuer=ISSUER, service="library-service"),
            readiness=Readiness(),
            drain_seconds=0.1,
        ) as server,
    ):
        for name, value in environment(auth, server.port).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("REDIS_ADDR", valkey_url.removeprefix("redis://").removesuffix("/0"))
        async with build(GatewaySettings()) as gateway, aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{gateway.port}"
            headers = {"Authorization": f"Bearer {user_token()}"}
            limit = None
            while limit is None:  # the count is not waited for for long
                async with http.get(url + ITEM_PATH, headers=headers) as answer:
                    assert answer.status == 200
                    limit = answer.headers.get("X-RateLimit-Limit")
            assert limit == "600"
            assert library.callers[-1].service == "gateway"
            assert auth.token_requests[-1]["client_id"] == "gateway"
            async with http.get(f"{url}/readyz") as ready:
                checks = (await ready.json())["checks"]
            assert checks == {"auth": "ok", "library-service": "ok", "download-service": "DomainError"}


def test_every_route_has_a_backend_and_a_place_of_its_own():
    places = [(route.method, route.path) for route in ROUTES] + [("GET", stream.path) for stream in STREAMS]
    assert len(places) == len(set(places))
    assert {route.rpc.split(".")[0] for route in (*ROUTES, *STREAMS)} <= {"/library", "/download"}


async def test_the_process_logs_json_and_ends_in_order_on_sigterm():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    async with auth_server() as auth:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            env={**os.environ, "PYTHONPATH": ".:gen", **environment(auth, port)},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            line: dict[str, object] = {}
            while line.get("message") != "serving":
                line = json.loads(await soon(process.stdout.readline()))
            async with aiohttp.ClientSession() as http:
                socket = await http.ws_connect(f"http://127.0.0.1:{line['port']}{STREAM_PATH}")
                process.send_signal(signal.SIGTERM)
                assert await close_code(socket) == 1001
            assert await soon(process.wait()) == 0
            rest = (await process.stdout.read()).splitlines()
            assert all(json.loads(one)["service"] == "gateway" for one in rest)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_bad_settings_stop_the_start_with_a_line_each(stream):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ".:gen", "CORS_ORIGINS": "nonsense", "GATEWAY_HTTP_PORT": "x"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await soon(process.communicate())
    assert process.returncode == 2
    if stream == "stdout":
        assert out == b""
        return
    named = {line.split(":")[0] for line in err.decode().splitlines()}
    assert named == {
        "AUTH_JWKS_URL",
        "CORS_ORIGINS",
        "DOWNLOAD_SERVICE_GRPC_ADDR",
        "GATEWAY_HTTP_PORT",
        "LIBRARY_SERVICE_GRPC_ADDR",
    }
