"""The sandbox's composition root: one process with the gRPC and HTTP sides of all stand-ins. Called by `python -m sandbox`."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import grpc
from aiohttp import web
from catalog.v1 import product_pb2_grpc
from samovar.sandbox.v1 import sandbox_pb2_grpc

from chassis.auth.tls import read_tls
from chassis.auth.tokens import open_key_set, service_tokens, user_tokens
from chassis.bus.outbox import OutboxRelay
from chassis.concurrency.background import background
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import RunningServer, serve
from chassis.http.server import serve_app
from chassis.objects.directory_store import DirectoryStore
from chassis.objects.object_store import ObjectStore
from chassis.postgres.database import open_database
from chassis.postgres.migrations import ensure_database, upgrade
from chassis.runtime import program
from chassis.settings import load_settings
from sandbox.client import CATALOG_AUDIENCE
from sandbox.peers import keys
from sandbox.peers.auth import TokenIssuer
from sandbox.peers.catalog import Catalog
from sandbox.peers.edge import EdgeHandlers
from sandbox.peers.http_server import JWKS_PATH, MAX_FORM_BYTES, AuthHandlers, ClientReleaseHandlers, ManifestHandlers
from sandbox.peers.object_http import add_object_routes
from sandbox.peers.servicers import ProductServicer, SandboxServicer
from sandbox.peers.settings import SandboxSettings
from sandbox.peers.shop import Shop

NAME = "sandbox"
EVENT_SOURCE = "platform.sandbox"
SERVICES = ("catalog.v1.ProductService", "samovar.sandbox.v1.SandboxService")
EXIT_USAGE = 2


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """The sandbox, up: its ports, and the gRPC server to wait for."""

    grpc_port: int
    http_port: int
    server: RunningServer

    async def wait(self) -> None:
        await self.server.wait()


@asynccontextmanager
async def build(
    settings: SandboxSettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[RunningSandbox]:
    """Opens everything and serves until the block ends."""
    async with AsyncExitStack() as stack:
        dsn = settings.postgres_dsn.get_secret_value()
        database = await stack.enter_async_context(open_database(dsn, application_name=NAME))
        bus = await stack.enter_async_context(settings.open_event_bus(NAME))
        objects = await stack.enter_async_context(_object_store(settings, now))
        tokens = await asyncio.to_thread(_token_issuer, settings, now)
        app = http_app(settings, tokens, objects, now)
        http_port = await stack.enter_async_context(
            serve_app(
                app, host=settings.bind_host, port=settings.sandbox_http_port, drain_seconds=settings.drain_seconds
            )
        )
        await stack.enter_async_context(background(OutboxRelay(database, bus, EVENT_SOURCE).run()))
        readiness = Readiness()
        readiness.add("database", database.ping)
        readiness.add("events", bus.ping)
        # Its own keys come over HTTP like everybody's; port 0 is known only now.
        jwks_url = settings.auth_jwks_url or f"http://{settings.bind_host}:{http_port}{JWKS_PATH}"
        key_set = await stack.enter_async_context(open_key_set(jwks_url))
        readiness.add("auth", key_set.check)
        catalog = Catalog(database, now)
        issuer, audience = settings.auth_issuer, settings.auth_audience
        server = await stack.enter_async_context(
            serve(
                name=NAME,
                bind=f"{settings.bind_host}:{settings.sandbox_grpc_port}",
                register=_registration(
                    ProductServicer(catalog, objects), SandboxServicer(tokens, catalog, Shop(database, now))
                ),
                services=SERVICES,
                verifier=user_tokens(key_set, issuer=issuer, audience=audience),
                service_verifier=service_tokens(key_set, issuer=issuer, service=CATALOG_AUDIENCE),
                readiness=readiness,
                drain_seconds=settings.drain_seconds,
                tls=await read_tls(settings),
                with_reflection=settings.grpc_reflection,
            )
        )
        yield RunningSandbox(server.port, http_port, server)


def http_app(
    settings: SandboxSettings, tokens: TokenIssuer, objects: ObjectStore, now: Callable[[], datetime]
) -> web.Application:
    """The HTTP side: Auth, manifests, the CDN at /cdn, and the object store at /objects where it is a directory of ours."""
    app = web.Application(client_max_size=MAX_FORM_BYTES)
    AuthHandlers(tokens).add_to(app)
    ManifestHandlers(objects).add_to(app)
    ClientReleaseHandlers(objects).add_to(app)
    cdn_key = settings.cdn_link_secret_key.get_secret_value()
    if isinstance(objects, DirectoryStore):
        objects_key = settings.objects_signing_key.get_secret_value()
        add_object_routes(app, "/objects", objects, objects_key, uploads=True, now=now)
        add_object_routes(app, "/cdn", objects, cdn_key, uploads=False, now=now)
    else:
        EdgeHandlers(objects, cdn_key, now).add_to(app, "/cdn")
    return app


@asynccontextmanager
async def _object_store(settings: SandboxSettings, now: Callable[[], datetime]) -> AsyncIterator[ObjectStore]:
    if settings.objects_backend == "directory":
        key = settings.objects_signing_key.get_secret_value()
        yield DirectoryStore(Path(settings.objects_directory), settings.objects_base_url, key, now=now)
    else:
        async with settings.open_object_store() as store:
            yield store


def main() -> None:
    """`python -m sandbox [serve|migrate]`."""
    command = sys.argv[1] if len(sys.argv) > 1 else "serve"
    if command not in {"serve", "migrate"} or len(sys.argv) > 2:
        sys.stderr.write("usage: python -m sandbox [serve|migrate]\n")
        sys.exit(EXIT_USAGE)
    settings = load_settings(SandboxSettings)
    if command == "migrate":
        asyncio.run(migrate(settings))
        return
    sys.exit(program.run(build, settings, NAME))


async def migrate(settings: SandboxSettings) -> None:
    """Creates the database if need be and brings it to the newest revision."""
    dsn = settings.postgres_dsn.get_secret_value()
    await ensure_database(dsn)
    await upgrade(dsn, "sandbox")


def _token_issuer(settings: SandboxSettings, now: Callable[[], datetime]) -> TokenIssuer:
    secrets = {name: secret.get_secret_value() for name, secret in settings.sandbox_client_secrets.items()}
    keys.token_keys(settings.sandbox_state_dir)  # created now: the first request need not wait for it
    return TokenIssuer(
        partial(keys.token_keys, settings.sandbox_state_dir),
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        client_secrets=secrets,
        now=now,
    )


def _registration(products: ProductServicer, levers: SandboxServicer) -> Callable[[grpc.aio.Server], None]:
    def register(server: grpc.aio.Server) -> None:
        product_pb2_grpc.add_ProductServiceServicer_to_server(products, server)
        sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(levers, server)

    return register
