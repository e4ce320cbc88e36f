"""A real Download Service on embedded PostgreSQL and Valkey, between stand-ins of Auth, Library, Catalog and a publisher that
signs real manifests.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import grpc
from aiohttp import web
from catalog.v1 import events_pb2 as catalog_events
from catalog.v1 import product_pb2, product_pb2_grpc
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from download.v1 import (
    client_updates_pb2_grpc,
    downloads_pb2_grpc,
    installations_pb2_grpc,
    updates_pb2_grpc,
    verifications_pb2_grpc,
)
from download.v1 import downloads_pb2 as downloads
from google.protobuf.message import Message
from library.v1 import query_pb2, query_pb2_grpc

from chassis.auth.tokens import KeySet, open_key_set, service_tokens
from chassis.bus.event_bus import EventBus
from chassis.bus.factory import open_event_bus
from chassis.cloudevents.events import CloudEvent, new_event
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import serve
from depot import manifest as manifests
from depot import signing
from download_svc.main import build
from download_svc.settings import DownloadSettings
from tests.component.rpc_rig import ISSUER, AuthServer, auth_server, user_token

PATIENCE_SECONDS = 60.0
KEY_ID = "publisher-1"
LINK_KEY = "the key of links to chunks"
OBJECTS_KEY = "the key of links to objects"
CHUNK_BYTES = 1000


T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = PATIENCE_SECONDS) -> T:
    """Waits for a truthy answer."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not happen"
        await asyncio.sleep(0.02)
    return found


def sha256(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def chunk_ids(path: str, size_bytes: int) -> Sequence[str]:
    return [sha256(path, number).hex() for number in range(-(-size_bytes // CHUNK_BYTES))]


def file_entry(path: str, size_bytes: int) -> content.Entry:
    sizes = [CHUNK_BYTES] * (size_bytes // CHUNK_BYTES) + [size_bytes % CHUNK_BYTES]
    chunks = [
        content.Chunk(
            sha256=sha256(path, number),
            size_bytes=size,
            stored_sha256=sha256("stored", path, number),
            stored_size_bytes=size,
        )
        for number, size in enumerate(filter(None, sizes))
    ]
    whole = (
        chunks[0].sha256
        if len(chunks) == 1
        else sha256("file", path, size_bytes)
        if chunks
        else hashlib.sha256().digest()
    )
    return content.Entry(
        path=path, type=content.ENTRY_TYPE_FILE, size_bytes=size_bytes, sha256=whole, mode=0o644, chunks=chunks
    )


@dataclass
class Release:
    """A version as its publisher knows it."""

    product_id: UUID = field(default_factory=uuid4)
    version_id: UUID = field(default_factory=uuid4)
    files: Mapping[str, int] = field(default_factory=lambda: {"a.bin": 300, "b.pak": 2500, "c.empty": 0})
    platform: content.Platform = content.PLATFORM_LINUX

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())

    def manifest(self, **changes: Any) -> content.Manifest:
        values = {
            "format": 1,
            "product_id": str(self.product_id),
            "version_id": str(self.version_id),
            "platform": self.platform,
            "created_at": datetime.now(UTC),
            "entries": [file_entry(path, size) for path, size in sorted(self.files.items())],
        }
        return content.Manifest(**{**values, **changes})


class Library(query_pb2_grpc.LibraryQueryServiceServicer):
    """Everybody owns everything but what a test takes away."""

    def __init__(self) -> None:
        self.denied: set[tuple[str, str]] = set()

    async def CheckGameAccess(self, request: Any, context: Any) -> Any:
        return query_pb2.CheckGameAccessResponse(has_access=(request.user_id, request.product_id) not in self.denied)

    async def GetLibraryItems(self, request: Any, context: Any) -> Any:
        return query_pb2.GetLibraryItemsResponse()


class Catalog(product_pb2_grpc.ProductServiceServicer):
    """Gives the manifests that a test puts into `manifests`."""

    def __init__(self) -> None:
        self.manifests: dict[str, product_pb2.GetVersionManifestResponse] = {}

    @staticmethod
    def answer(stored: bytes, signature: content.ManifestSignature) -> product_pb2.GetVersionManifestResponse:
        return product_pb2.GetVersionManifestResponse(manifest=stored, signature=signature)

    async def GetVersionManifest(self, request: Any, context: Any) -> Any:
        found = self.manifests.get(request.version_id)
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such version")
        return found

    async def GetProduct(self, request: Any, context: Any) -> Any:
        return product_pb2.GetProductResponse()

    async def GetProductsBatch(self, request: Any, context: Any) -> Any:
        return product_pb2.GetProductsBatchResponse()

    async def ListAchievements(self, request: Any, context: Any) -> Any:
        return product_pb2.ListAchievementsResponse()


class Origin:
    """The publisher's web server: answers what `pages` holds, `(status, body)` by path."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.base_url = ""

    async def _page(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        status, body = self.pages.get(request.path, (404, b""))
        headers = {"Location": "/elsewhere"} if status == 302 else None
        return web.Response(status=status, body=body, headers=headers)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Origin"]:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._page)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


class User:
    """A user with a token: calls the service."""

    def __init__(self, stub: Any, stubs: Mapping[str, Any], **claims: Any) -> None:
        self.id = uuid4()
        self._stub = stub
        self._stubs = stubs
        self._metadata = (("authorization", f"Bearer {user_token(sub=str(self.id), **claims)}"),)

    async def call(self, method: str, request: Message) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata)

    async def ask(self, service: str, method: str, request: Message) -> Any:
        """Calls another service than DownloadService: `installations`, `updates`."""
        return await getattr(self._stubs[service], method)(request, metadata=self._metadata)

    async def start(self, release: Release, **request: Any) -> downloads.DownloadSession:
        request.setdefault("version_id", str(release.version_id))
        message = downloads.StartDownloadRequest(product_id=str(release.product_id), **request)
        return (await self.call("StartDownload", message)).session

    async def get(self, download_id: str) -> downloads.DownloadSession:
        return (await self.call("GetDownload", downloads.GetDownloadRequest(download_id=download_id))).session

    async def items(self, download_id: str, **request: Any) -> downloads.ListDownloadItemsResponse:
        return await self.call(
            "ListDownloadItems", downloads.ListDownloadItemsRequest(download_id=download_id, **request)
        )

    async def report(
        self, download_id: str, sequence: int, items: Sequence[downloads.ItemReport] = ()
    ) -> downloads.DownloadSession:
        message = downloads.ReportDownloadRequest(download_id=download_id, sequence=sequence, items=items)
        return (await self.call("ReportDownload", message)).session

    async def complete(self, download_id: str, sequence: int = 1) -> downloads.DownloadSession:
        items = (await self.items(download_id, limit=100)).items
        status = downloads.DOWNLOAD_ITEM_STATUS_COMPLETED
        return await self.report(
            download_id, sequence, [downloads.ItemReport(item_id=item.id, status=status) for item in items]
        )

    async def links(self, download_id: str, ids: Sequence[str]) -> Sequence[downloads.DownloadLink]:
        message = downloads.CreateDownloadLinksRequest(download_id=download_id, ids=ids)
        return (await self.call("CreateDownloadLinks", message)).links

    async def pause(self, download_id: str) -> downloads.DownloadSession:
        return (await self.call("PauseDownload", downloads.PauseDownloadRequest(download_id=download_id))).session

    async def resume(self, download_id: str) -> downloads.DownloadSession:
        return (await self.call("ResumeDownload", downloads.ResumeDownloadRequest(download_id=download_id))).session

    async def retry(self, download_id: str) -> downloads.DownloadSession:
        return (await self.call("RetryDownload", downloads.RetryDownloadRequest(download_id=download_id))).session

    async def cancel(self, download_id: str) -> None:
        await self.call("CancelDownload", downloads.CancelDownloadRequest(download_id=download_id))

    @asynccontextmanager
    async def watch(self, last_event_id: str | None = None) -> AsyncIterator[Any]:
        """The stream, from the moment on that the server has said that nothing will be missed."""
        call = self._stub.WatchDownloads(
            downloads.WatchDownloadsRequest(last_event_id=last_event_id), metadata=self._metadata
        )
        await call.initial_metadata()
        try:
            yield call
        finally:
            call.cancel()


@dataclass
class Rig:
    settings: DownloadSettings
    bus: EventBus
    library: Library
    catalog: Catalog
    origin: Origin
    signer: Ed25519PrivateKey
    stub: Any
    stubs: Mapping[str, Any] = field(default_factory=dict)

    def user(self, **claims: Any) -> User:
        return User(self.stub, self.stubs, **claims)

    async def send(self, message: Message) -> str:
        """Puts an event on its topic, as the other service's relay would."""
        new = new_event(message)
        event = CloudEvent(
            id=str(new.id),
            source="test",
            type=new.type,
            subject=new.subject,
            time=new.time,
            topic=new.topic,
            partition_key=new.partition_key,
            trace_parent=None,
            data=new.data,
        )
        await self.bus.publish([event])
        return event.id

    def place(self, release: Release, stored: bytes, signature: content.ManifestSignature) -> str:
        """Puts a manifest on the publisher's web server; answers its address."""
        path = f"/{release.version_id}.manifest"
        self.origin.pages[path] = (200, stored)
        self.origin.pages[path + ".sig"] = (200, signature.SerializeToString())
        return self.origin.base_url + path

    def sign(self, stored: bytes) -> content.ManifestSignature:
        return signing.sign(stored, KEY_ID, self.signer)

    async def announce(self, release: Release, url: str, **changes: Any) -> None:
        await self.send(
            catalog_events.VersionPublished(
                product_id=str(release.product_id),
                version_id=str(release.version_id),
                version_name="1.0",
                platform=release.platform,
                release_date=changes.pop("release_date", None) or datetime.now(UTC),
                file_manifest_url=url,
                **changes,
            )
        )

    async def publish(
        self, release: Release | None = None, *, seconds: float = PATIENCE_SECONDS, **changes: Any
    ) -> Release:
        """Publishes a release the good way, and waits until it can be downloaded."""
        release = release or Release()
        stored = await asyncio.to_thread(manifests.serialise, release.manifest())
        await self.announce(release, self.place(release, stored, self.sign(stored)), **changes)
        await until(lambda: self.is_known(release), "the version is published", seconds=seconds)
        return release

    async def is_known(self, release: Release) -> bool:
        rows = await self.rows("SELECT 1 FROM product_versions WHERE version_id = $1", release.version_id)
        return bool(rows)

    async def rows(self, query: str, *values: object) -> Sequence[Any]:
        return await _rows(self.settings.postgres_dsn.get_secret_value(), query, *values)

    async def log(self, topic: str, containing: str) -> Sequence[Any]:
        """Records of the event log that mention a text, oldest first."""
        query = (
            "SELECT id, value, headers FROM log WHERE topic = $1 AND convert_from(value, 'UTF8') LIKE $2 ORDER BY id"
        )
        return await self.event_rows(query, topic, f"%{containing}%")

    async def event_rows(self, query: str, *values: object) -> Sequence[Any]:
        return await _rows(self.settings.events_postgres_dsn.get_secret_value(), query, *values)


async def _rows(dsn: str, query: str, *values: object) -> Sequence[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


@asynccontextmanager
async def _peer(
    keys: KeySet, name: str, service: str, add: Callable[[Any, grpc.aio.Server], None], servicer: Any
) -> AsyncIterator[str]:
    """A stand-in that admits service tokens only, as the real one does."""
    async with serve(
        name=name,
        bind="127.0.0.1:0",
        register=lambda server: add(servicer, server),
        services=(service,),
        verifier=None,
        service_verifier=service_tokens(keys, issuer=ISSUER, service=name),
        readiness=Readiness(),
        drain_seconds=0,
    ) as server:
        yield f"127.0.0.1:{server.port}"


def make_settings(auth: AuthServer, folder: Path, signer: Ed25519PrivateKey, **others: Any) -> DownloadSettings:
    return DownloadSettings(
        download_service_grpc_port=0,
        drain_seconds=0,
        auth_jwks_url=auth.jwks_url,
        auth_issuer=ISSUER,
        auth_token_url=auth.token_url,
        service_tokens_enabled=True,
        service_client_secret="the secret of the service",
        objects_directory=str(folder),
        objects_base_url="http://objects.test/objects",
        objects_signing_key=OBJECTS_KEY,
        cdn_link_secret_key=LINK_KEY,
        cdn_providers=({"name": "origin", "base_url": "http://cdn.test/cdn", "region": "local", "weight": 1},),
        manifest_public_keys=signing.format_public_keys({KEY_ID: signing.public_key(signer)}),
        manifest_allow_http=True,
        **others,
    )


@asynccontextmanager
async def rig(
    folder: Path, *, postgres_dsn: str, events_dsn: str, redis_addr: str, **others: Any
) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        opened = stack.enter_async_context
        auth = await opened(auth_server())
        keys = await opened(open_key_set(auth.jwks_url))
        library, catalog, origin = Library(), Catalog(), await opened(Origin().served())
        library_address = await opened(
            _peer(
                keys,
                "library-service",
                "library.v1.LibraryQueryService",
                query_pb2_grpc.add_LibraryQueryServiceServicer_to_server,
                library,
            )
        )
        catalog_address = await opened(
            _peer(
                keys,
                "catalog-service",
                "catalog.v1.ProductService",
                product_pb2_grpc.add_ProductServiceServicer_to_server,
                catalog,
            )
        )
        signer = Ed25519PrivateKey.generate()
        settings = make_settings(
            auth,
            folder,
            signer,
            postgres_dsn=postgres_dsn,
            events_postgres_dsn=events_dsn,
            redis_addr=redis_addr,
            library_service_grpc_addr=library_address,
            catalog_service_grpc_addr=catalog_address,
            manifest_origins=origin.base_url,
            **others,
        )
        bus = await opened(open_event_bus("postgres", postgres_dsn=events_dsn))
        server = await opened(build(settings))
        channel = await opened(
            open_channel(
                f"127.0.0.1:{server.port}",
                audience="download-service",
                service_tokens=None,
                services=("download.v1.DownloadService",),
                timeout_seconds=PATIENCE_SECONDS,
            )
        )
        stub = downloads_pb2_grpc.DownloadServiceStub(channel)
        stubs = {
            "installations": installations_pb2_grpc.InstallationServiceStub(channel),
            "updates": updates_pb2_grpc.UpdateServiceStub(channel),
            "client_updates": client_updates_pb2_grpc.ClientUpdateServiceStub(channel),
            "verifications": verifications_pb2_grpc.VerificationServiceStub(channel),
        }
        yield Rig(settings, bus, library, catalog, origin, signer, stub, stubs)
