"""The way to a running sandbox for command-line tools: reads platform.json, fetches a service token, gives the stub. Used by
sandbox.cli and by the supervisor. Keeps its imports few: a command should start at once.
"""

import asyncio
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from samovar.sandbox.v1 import sandbox_pb2_grpc

CLIENT_ID = "sandbox-cli"
CATALOG_AUDIENCE = "catalog-service"
CALL_TIMEOUT_SECONDS = 15.0
TOKEN_TIMEOUT_SECONDS = 5.0
_MAX_TOKEN_ANSWER_BYTES = 64 * 1024


class PlatformAway(Exception):
    """No platform can be reached; the text says so in one line."""


def read_platform(home: Path | None = None) -> Mapping[str, Any]:
    """Return the description of the running platform that the supervisor wrote.

    Raises:
        PlatformAway: no platform is running.
    """
    path = (home or Path(os.environ.get("SAMOVAR_HOME", ".samovar"))) / "platform.json"
    try:
        facts: Mapping[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise PlatformAway(f"no platform is running here ({path} is missing): start one with `samovar up`") from None
    except (OSError, ValueError) as error:
        raise PlatformAway(f"{path} cannot be read: {error}") from error
    return facts


@asynccontextmanager
async def sandbox_stub(facts: Mapping[str, Any]) -> AsyncIterator[sandbox_pb2_grpc.SandboxServiceStub]:
    """The levers of the platform that `facts` (platform.json) describes.

    Raises:
        PlatformAway: its Auth stand-in cannot be reached, or does not know us.
    """
    authorise: Any = _Authorise(lambda: _service_token(facts))
    address: str = facts["sandbox_grpc_addr"]
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(address, options=options, interceptors=[authorise]) as channel:
        yield sandbox_pb2_grpc.SandboxServiceStub(channel)


class _Authorise(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Every call with a fresh service token: calls are few, and a token may end while content is being published."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        token = await asyncio.to_thread(self._token)
        metadata = (*(client_call_details.metadata or ()), ("x-service-authorization", f"Bearer {token}"))
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=client_call_details.timeout or CALL_TIMEOUT_SECONDS,
            metadata=grpc.aio.Metadata(*metadata),
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)


def _service_token(facts: Mapping[str, Any]) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": facts["cli_client_secret"],
        "audience": CATALOG_AUDIENCE,
    }
    body = urllib.parse.urlencode(form).encode()
    # Without a proxy: the platform is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url: str = facts["auth_token_url"]
    try:
        with opener.open(url, body, timeout=TOKEN_TIMEOUT_SECONDS) as answer:
            token: str = json.loads(answer.read(_MAX_TOKEN_ANSWER_BYTES))["access_token"]
    except urllib.error.HTTPError as error:
        error.close()
        raise PlatformAway(f"the platform's Auth refused the command line ({url} answered {error.code})") from None
    except (OSError, ValueError, KeyError):
        raise PlatformAway(f"the platform does not answer at {url}: is `samovar up` running?") from None
    return token
