"""The gateway between a real auth server and real gRPC servers with small services of our own, all on loopback."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from ipaddress import ip_network
from typing import Any

import aiohttp
import grpc
from aiohttp import web
from download.v1 import client_updates_pb2_grpc, downloads_pb2, downloads_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from library.v1 import items_pb2, items_pb2_grpc
from rest.routes import ROUTES, STREAMS
from samovar.types.v1 import page_pb2
from yarl import URL

from chassis.auth.access import Caller, current_caller
from chassis.auth.service_tokens import ServiceTokenSource
from chassis.auth.tokens import KeySet, open_key_set, service_tokens, user_tokens
from chassis.errors import DomainError, Kind
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import serve
from chassis.observability.logs import JsonFormatter
from gateway.app import AppParts, make_app, utc_now
from gateway.http.documentation import read_documentation
from gateway.http.ops import Probes
from gateway.http.server import serve_http
from gateway.jsonapi.preconditions import SharedLocks
from gateway.quota.idempotency import Idempotency
from gateway.quota.rate_limits import RateLimiter
from gateway.request.limits import Limits
from gateway.upstream.backends import open_backends
from sandbox.devstack.free_port import free_port
from tests.component.rpc_rig import AUDIENCE, ISSUER, AuthServer, auth_server, user_token

ITEM = "0b6f9d3c-26c4-4b6a-8a53-5c9f4c7f4a10"
PRODUCT = "7d8f0f5e-3a41-4f0e-9a3f-1b2c3d4e5f60"
SESSION = "11111111-2222-4333-8444-555555555555"
ORIGIN = "https://store.example.org"

ITEMS_PATH = "/api/v1/library/items"
ITEM_PATH = f"{ITEMS_PATH}/{ITEM}"
DOWNLOADS_PATH = "/api/v1/download-client/downloads"
DOWNLOAD_PATH = f"{DOWNLOADS_PATH}/{SESSION}"
STREAM_PATH = "/api/v1/ws/download-progress"

WAIT_SECONDS = 30.0
"""For what comes at once, on a machine that has other things to do."""
PROMISED_SECONDS = 1.0
"""Contract, section 4: so long after its client a service's stream ends."""
TRIES = 3

SMALL_LIMITS = Limits(
    body_bytes=64 * 1024,
    sockets_per_user=3,
    socket_buffer_events=8,
    authentication_seconds=WAIT_SECONDS,
    close_seconds=WAIT_SECONDS,
)


class FakeLibrary(items_pb2_grpc.LibraryServiceServicer):
    """Answers plainly; raises `error` when the test set one; keeps what it was asked, by whom."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.callers: list[Caller] = []
        self.metadata: list[dict[str, str]] = []
        self.error: Exception | None = None
        self.total_items = 45
        self.items_on_a_page = 1
        self.added_at: Timestamp | None = None
        self.hangs: asyncio.Event | None = None
        self.is_hidden = False
        """Of its one item, as it was last changed."""
        self.remaining_seconds: list[float] = []
        """What each call had left of its deadline when it came in."""

    async def _see(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.requests.append(request)
        self.callers.append(current_caller())
        self.remaining_seconds.append(context.time_remaining())
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        if self.hangs is not None:
            await self.hangs.wait()
        if self.error is not None:
            raise self.error

    async def ListItems(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        page = page_pb2.PageInfo(
            total_items=self.total_items, current_page=request.page or 1, per_page=request.limit or 20
        )
        return items_pb2.ListItemsResponse(items=[self._item(ITEM)] * self.items_on_a_page, page=page)

    async def GetItem(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        return items_pb2.GetItemResponse(item=self._item(request.library_item_id))

    async def UpdateItem(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        self.is_hidden = request.item.is_hidden
        return items_pb2.UpdateItemResponse(item=self._item(request.library_item_id))

    def _item(self, item_id: str) -> Any:
        return items_pb2.LibraryItem(
            id=item_id, product_id=PRODUCT, title="Чайка", added_at=self.added_at, is_hidden=self.is_hidden
        )


class FakeDownload(downloads_pb2_grpc.DownloadServiceServicer):
    """Streams what the test puts into `events`: a message, an error to raise, or None to end the stream."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.opened: asyncio.Queue[Any] = asyncio.Queue()
        self.left: asyncio.Queue[Any] = asyncio.Queue()
        self.follows: asyncio.Event | None = None
        """When it follows, if not at once."""
        self.link_url = ""
        self.remaining_seconds: list[float] = []
        self.error: Exception | None = None
        self.hangs: asyncio.Event | None = None

    async def StartDownload(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        self.remaining_seconds.append(context.time_remaining())
        if self.hangs is not None:
            await self.hangs.wait()
        if self.error is not None:
            raise self.error
        return downloads_pb2.StartDownloadResponse(
            session=downloads_pb2.DownloadSession(id=SESSION, product_id=request.product_id)
        )

    async def PauseDownload(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return downloads_pb2.PauseDownloadResponse(session=downloads_pb2.DownloadSession(id=request.download_id))

    async def CancelDownload(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return downloads_pb2.CancelDownloadResponse()

    async def GetDownloadManifest(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return downloads_pb2.GetDownloadManifestResponse(manifest=downloads_pb2.ManifestReference())

    async def CreateDownloadLinks(self, request: Any, context: Any) -> Any:
        self.requests.append(request)
        return downloads_pb2.CreateDownloadLinksResponse(
            links=[
                downloads_pb2.DownloadLink(
                    id=request.ids[0], candidates=[downloads_pb2.LinkCandidate(url=self.link_url)]
                )
            ]
        )

    async def WatchDownloads(self, request: Any, context: Any) -> Any:
        self.opened.put_nowait(request)
        if self.follows is not None:
            await self.follows.wait()
        await context.send_initial_metadata(())
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.left.put_nowait(request)


def progress(event_id: str, session: str = SESSION, done: int = 1) -> Any:
    message = downloads_pb2.WatchDownloadsResponse(event_id=event_id)
    message.occurred_at.FromJsonString("2026-01-02T03:04:05Z")
    message.progress.download_session_id = session
    message.progress.downloaded_bytes = done
    return message


def status(event_id: str, *, padding: str = "") -> Any:
    message = downloads_pb2.WatchDownloadsResponse(event_id=event_id)
    message.occurred_at.FromJsonString("2026-01-02T03:04:05Z")
    message.status_changed.download_session_id = SESSION
    message.status_changed.product_id = padding
    message.status_changed.new_status = downloads_pb2.DOWNLOAD_STATUS_PAUSED
    return message


@dataclass
class GatewayRig:
    url: str
    http: aiohttp.ClientSession
    auth: AuthServer
    library: FakeLibrary
    download: FakeDownload
    probes: Probes
    log: list[dict[str, Any]]
    stop_library: Callable[[], Any]
    start_library: Callable[[], Any]
    """On the port that it had."""
    stop_download: Callable[[], Any]
    app: web.Application
    keys: KeySet
    token: str = field(default_factory=user_token)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        raw: bytes | None = None,
        token: str | None = "",
        **headers: str,
    ) -> "Answer":
        """`token`: "" = a good one, None = none."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        payload = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        if payload is not None:
            sent.setdefault("Content-Type", "application/vnd.api+json")
        url = URL(self.url + path, encoded=True)
        async with self.http.request(
            method, url, data=payload, headers=sent, skip_auto_headers=["Content-Type", "Accept"]
        ) as response:
            content = await response.read()
            return Answer(response.status, response.headers, json.loads(content) if content else None)

    async def connect(
        self,
        *,
        query: str = "",
        token: str | None = "",
        protocols: Sequence[str] = (),
        origin: str | None = None,
        **headers: str,
    ) -> aiohttp.ClientWebSocketResponse:
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        return await self.http.ws_connect(
            f"{self.url}{STREAM_PATH}{query}", protocols=protocols, origin=origin, headers=headers
        )

    def access_lines(self) -> list[dict[str, Any]]:
        return [line for line in self.log if line["logger"] == "gateway.access"]


@dataclass
class Answer:
    status: int
    headers: Any
    document: Any

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.document["errors"]

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.errors]

    @property
    def sources(self) -> list[Any]:
        return [error.get("source") for error in self.errors]


@contextmanager
def captured_logs() -> Any:
    """Every line of the process's log as it would be written."""
    lines: list[dict[str, Any]] = []
    formatter = JsonFormatter("gateway")

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(formatter.format(record)))

    handler, root = Keeper(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _add_download(download: FakeDownload, server: grpc.aio.Server) -> None:
    downloads_pb2_grpc.add_DownloadServiceServicer_to_server(download, server)
    # Anybody may call it, so its requests come as far as the service's validation.
    client_updates_pb2_grpc.add_ClientUpdateServiceServicer_to_server(
        client_updates_pb2_grpc.ClientUpdateServiceServicer(), server
    )


async def _start_service(
    stack: AsyncExitStack, keys: KeySet, service: str, register: Callable[[grpc.aio.Server], None], port: int = 0
) -> tuple[int, AsyncExitStack]:
    """A service by its full name, until the stack ends; returns its port, and what ends it sooner."""
    name = f"{service.partition('.')[0]}-service"
    own = await stack.enter_async_context(AsyncExitStack())
    server = await own.enter_async_context(
        serve(
            name=name,
            bind=f"127.0.0.1:{port}",
            register=register,
            services=(service,),
            verifier=user_tokens(keys, issuer=ISSUER, audience=AUDIENCE),
            service_verifier=service_tokens(keys, issuer=ISSUER, service=name),
            readiness=Readiness(),
            drain_seconds=0.1,
        )
    )
    return server.port, own


@asynccontextmanager
async def gateway_rig(
    *,
    limits: Limits = SMALL_LIMITS,
    deadline_seconds: float = WAIT_SECONDS,
    start_deadline_seconds: float = WAIT_SECONDS,
    now: Callable[[], datetime] = utc_now,
    rate_limiter: RateLimiter | None = None,
    idempotency: Idempotency | None = None,
    locks: SharedLocks | None = None,
    library: FakeLibrary | None = None,
) -> AsyncIterator[GatewayRig]:
    library, download = library or FakeLibrary(), FakeDownload()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(captured_logs())
        auth = await stack.enter_async_context(auth_server())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        keys = await stack.enter_async_context(open_key_set(auth.jwks_url))
        add_library = partial(items_pb2_grpc.add_LibraryServiceServicer_to_server, library)
        add_download = partial(_add_download, download)
        start_library = partial(_start_service, stack, keys, "library.v1.LibraryService", add_library)
        # It may be started again on its port, which the system must not have given away meanwhile.
        library_port, library_stack = await start_library(free_port())
        download_port, download_stack = await _start_service(stack, keys, "download.v1.DownloadService", add_download)
        tokens = ServiceTokenSource(auth.token_url, client_id="gateway", client_secret="gateway-secret", session=http)
        backends = await stack.enter_async_context(
            open_backends(
                {"library": f"127.0.0.1:{library_port}", "download": f"127.0.0.1:{download_port}"},
                [route.rpc for route in ROUTES] + [stream.rpc for stream in STREAMS],
                service_tokens=tokens,
                deadline_seconds=deadline_seconds,
                start_deadline_seconds=start_deadline_seconds,
            )
        )
        readiness = Readiness()
        readiness.add("library-service", lambda: backends.check("library"))
        probes = Probes(readiness)
        app = make_app(
            AppParts(
                routes=ROUTES,
                streams=STREAMS,
                backends=backends,
                verifier=user_tokens(keys, issuer=ISSUER, audience=AUDIENCE, now=now),
                probes=probes,
                documentation=await asyncio.to_thread(read_documentation, "rest"),
                cors_origins=(ORIGIN,),
                trusted_proxies=(ip_network("127.0.0.0/8"),),
                limits=limits,
                now=now,
                rate_limiter=rate_limiter,
                idempotency=idempotency,
                locks=locks,
            )
        )
        port = await stack.enter_async_context(
            serve_http(app, host="127.0.0.1", port=0, drain_seconds=1.0, limits=limits)
        )
        url = f"http://127.0.0.1:{port}"
        yield GatewayRig(
            url,
            http,
            auth,
            library,
            download,
            probes,
            log,
            library_stack.aclose,
            partial(start_library, library_port),
            download_stack.aclose,
            app,
            keys,
        )


def not_found() -> DomainError:
    return DomainError(Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND")


async def envelope(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next event of a socket."""
    async with asyncio.timeout(WAIT_SECONDS):
        message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.TEXT, message
    decoded: dict[str, Any] = json.loads(message.data)
    return decoded


async def close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Reads a socket to its end."""
    async with asyncio.timeout(WAIT_SECONDS):
        while (await socket.receive()).type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            pass
    return socket.close_code


async def soon(waitable: Any) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        return await waitable


async def quickest(seconds_of: Callable[[], Awaitable[float]]) -> float:
    """The least of a few: what is promised to be quick may be held up once by a machine that has other things to do."""
    return min([await seconds_of() for _ in range(TRIES)])
