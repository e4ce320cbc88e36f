"""Wires the Download Service: opens what it stands on, builds its parts, serves. Called by `python -m download_svc`."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import aiohttp
import grpc.aio
from download.v1.client_updates_pb2_grpc import add_ClientUpdateServiceServicer_to_server
from download.v1.downloads_pb2_grpc import add_DownloadServiceServicer_to_server
from download.v1.installations_pb2_grpc import add_InstallationServiceServicer_to_server
from download.v1.updates_pb2_grpc import add_UpdateServiceServicer_to_server
from download.v1.verifications_pb2_grpc import add_VerificationServiceServicer_to_server

from chassis.auth.identity import Identity, open_identity
from chassis.auth.tls import Tls, read_tls
from chassis.bus.consumers import Consumer
from chassis.bus.event_bus import EventBus
from chassis.bus.outbox import OutboxRelay
from chassis.concurrency.background import background, repeat
from chassis.erasure.job import POLL_SECONDS as ERASURE_POLL_SECONDS
from chassis.erasure.job import Erasures, ignoring_erased
from chassis.erasure.plan import ErasurePlan
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import RunningServer, serve
from chassis.live.redis_state import RedisState
from chassis.objects.object_store import ObjectStore
from chassis.postgres.database import Database, open_database
from chassis.postgres.migrations import ensure_database, upgrade
from chassis.runtime.program import run
from chassis.settings import load_settings
from depot.signing import parse_public_keys
from download_svc.access import grpc as library
from download_svc.access.application import CachedAccess
from download_svc.client_updates import presentation as client_update_servicer
from download_svc.client_updates.postgres import PostgresReleaseBook
from download_svc.client_updates.presentation import ClientUpdatePorts, ClientUpdateServicer
from download_svc.consumers import live_subscriptions, offer_subscriptions, state_subscriptions
from download_svc.erasure.postgres import ERASED, KEPT
from download_svc.erasure.presentation import erasure_subscriptions
from download_svc.erasure.redis import Feed, HotState
from download_svc.feed.redis import RedisProgressFeed
from download_svc.installations import presentation as installation_servicer
from download_svc.installations.postgres import PostgresInstallationReader
from download_svc.installations.presentation import InstallationPorts, InstallationServicer
from download_svc.links.signing import CdnLinkSigner, CdnProvider
from download_svc.patches.application import build_patches
from download_svc.patches.postgres import PostgresPatchReader
from download_svc.patches.workers import WorkerPatchBuilder
from download_svc.postgres import transactions
from download_svc.sessions import presentation as servicer
from download_svc.sessions.application import Policy
from download_svc.sessions.postgres import PostgresSessionReader
from download_svc.sessions.presentation import DownloadServicer, Ports
from download_svc.sessions.sweeps import SWEEP_SECONDS, sweep
from download_svc.settings import DownloadSettings, MigrateSettings
from download_svc.updates import presentation as update_servicer
from download_svc.updates.announcements import announce_pending
from download_svc.updates.planning import Plans
from download_svc.updates.postgres import PostgresUpdateReader
from download_svc.updates.postgres_announcements import PostgresAnnouncementReader
from download_svc.updates.presentation import UpdatePorts, UpdateServicer
from download_svc.verifications import presentation as verification_servicer
from download_svc.verifications.postgres import PostgresVerificationReader
from download_svc.verifications.presentation import VerificationPorts, VerificationServicer
from download_svc.versions import grpc as catalog
from download_svc.versions.postgres import PostgresVersionReader
from download_svc.versions.sources import PublishedManifests, StoredManifestLinks, StoredManifests

NAME: Final = "download-service"
"""The service's name to others: in tokens and as the domain of errors."""

EVENT_SOURCE: Final = "platform.download-service"
LIBRARY_NAME: Final = "library-service"
CATALOG_NAME: Final = "catalog-service"
ANNOUNCE_SECONDS: Final = 1.0
"""Seconds between two looks for new versions to announce."""
PATCH_SECONDS: Final = 2.0
"""Between two looks for versions that patches are to be built to."""


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources that are opened first and that everything else is built on."""

    identity: Identity
    tls: Tls | None
    database: Database
    bus: EventBus
    state: RedisState
    objects: ObjectStore
    http: aiohttp.ClientSession
    library: grpc.aio.Channel
    catalog: grpc.aio.Channel

    def erasures(self) -> Erasures:
        """Return the erasures, which remove the data of deleted users."""
        stores, last = [HotState(self.database, self.state.values)], [Feed(self.state.streams)]
        return Erasures(self.database, ErasurePlan(ERASED, stores=stores, last=last, kept=KEPT))


SERVICES: Final = (
    servicer.SERVICE,
    installation_servicer.SERVICE,
    update_servicer.SERVICE,
    verification_servicer.SERVICE,
    client_update_servicer.SERVICE,
)


@dataclass(frozen=True, slots=True)
class Services:
    """The ports of each servicer."""

    downloads: Ports
    installations: InstallationPorts
    updates: UpdatePorts
    verifications: VerificationPorts
    client_updates: ClientUpdatePorts

    def register(self, server: grpc.aio.Server) -> None:
        """Puts all servicers on a server."""
        add_DownloadServiceServicer_to_server(DownloadServicer(self.downloads), server)
        add_InstallationServiceServicer_to_server(InstallationServicer(self.installations), server)
        add_UpdateServiceServicer_to_server(UpdateServicer(self.updates), server)
        add_VerificationServiceServicer_to_server(VerificationServicer(self.verifications), server)
        add_ClientUpdateServiceServicer_to_server(ClientUpdateServicer(self.client_updates), server)


@asynccontextmanager
async def build(settings: DownloadSettings) -> AsyncIterator[RunningServer]:
    """The running service; leaving the block drains it."""
    async with AsyncExitStack() as stack:
        resources = await _open(settings, stack)
        services = _wire(settings, resources)
        readiness = Readiness()
        # Not the hot state: without it downloads go on, only nobody sees them live.
        readiness.add("postgres", resources.database.ping)
        if resources.identity.keys:
            readiness.add("auth", resources.identity.keys.check)
        # Opened before the server, so closed after it: events flow until the last call is served.
        await stack.enter_async_context(background(*_jobs(settings, resources, services)))
        yield await stack.enter_async_context(
            serve(
                name=NAME,
                bind=f"{settings.bind_host}:{settings.download_service_grpc_port}",
                register=services.register,
                services=SERVICES,
                verifier=resources.identity.verifier,
                service_verifier=resources.identity.service_verifier,
                readiness=readiness,
                drain_seconds=settings.drain_seconds,
                tls=resources.tls,
                workers=settings.workers,
                with_reflection=settings.grpc_reflection,
                rate_limiter=await stack.enter_async_context(settings.open_rate_limiter(NAME)),
                health_bind=f"{settings.bind_host}:{settings.health_port}" if settings.health_port else "",
                record_refusal=resources.database.record_refusal,
            )
        )


def _wire(settings: DownloadSettings, resources: Resources) -> Services:
    now = partial(datetime.now, UTC)
    begin = transactions(resources.database)
    access = CachedAccess(library.LibraryAccess(resources.library))
    policy = Policy(settings.max_concurrent_downloads_per_user, settings.default_download_priority)
    sessions = PostgresSessionReader(resources.database)
    versions = PostgresVersionReader(resources.database)
    installed = PostgresInstallationReader(resources.database)
    verifications = PostgresVerificationReader(resources.database)
    patches = PostgresPatchReader(resources.database)
    plans = Plans(StoredManifests(resources.objects), patches)
    return Services(
        Ports(
            begin=begin,
            sessions=sessions,
            versions=versions,
            patches=patches,
            access=access,
            signer=_link_signer(settings),
            manifests=StoredManifestLinks(resources.objects),
            board=RedisProgressFeed(resources.state.values, resources.state.streams, resources.erasures().is_erased),
            policy=policy,
            now=now,
        ),
        InstallationPorts(begin, installed, versions, now),
        UpdatePorts(
            begin=begin,
            sessions=sessions,
            versions=versions,
            installations=installed,
            updates=PostgresUpdateReader(resources.database),
            verifications=verifications,
            access=access,
            plans=plans,
            policy=policy,
            now=now,
        ),
        VerificationPorts(begin, verifications, versions, plans.manifests, access, policy, now),
        ClientUpdatePorts(PostgresReleaseBook(resources.database), now),
    )


def _jobs(settings: DownloadSettings, resources: Resources, services: Services) -> Sequence[Coroutine[Any, Any, None]]:
    """Return the background jobs of the server: publishing events, consuming events, and the work that new versions cause."""
    ports = services.updates
    published = _published_manifests(settings, resources)
    erasures = resources.erasures()
    subscriptions = [
        *state_subscriptions(ports.begin, published, ports.access, ports.policy, ports.now),
        *offer_subscriptions(ports.begin, ports.versions, ports.installations, ports.plans, ports.now),
        *erasure_subscriptions(erasures.request, now=ports.now),
    ]
    live = live_subscriptions(ports.sessions, services.downloads.board)
    announcements = PostgresAnnouncementReader(resources.database)

    async def announce() -> None:
        await announce_pending(
            ports.begin, announcements, ports.versions, ports.installations, ports.plans, now=ports.now()
        )

    async def sweep_once() -> None:
        silence = timedelta(seconds=settings.download_session_timeout_seconds)
        await sweep(ports.begin, ports.sessions, ports.updates, ports.policy, now=ports.now(), max_silence=silence)

    builder = WorkerPatchBuilder(resources.objects, max_file_bytes=settings.patch_max_file_mb << 20)

    async def build_once() -> None:
        while settings.patch_workers and await build_patches(
            ports.begin,
            ports.versions,
            ports.plans.manifests,
            services.downloads.patches,
            builder,
            workers=settings.patch_workers,
            now=ports.now,
        ):
            pass

    return (
        OutboxRelay(resources.database, resources.bus, EVENT_SOURCE).run(),
        Consumer(resources.bus, settings.kafka_consumer_group_download, ignoring_erased(subscriptions)).run(),
        Consumer(resources.bus, settings.kafka_consumer_group_download_live, live).run(),
        repeat("announcements", announce, pause_seconds=ANNOUNCE_SECONDS),
        repeat("erasures", erasures.run_pending, pause_seconds=ERASURE_POLL_SECONDS),
        repeat("sweeps", sweep_once, pause_seconds=SWEEP_SECONDS),
        repeat("patches", build_once, pause_seconds=PATCH_SECONDS),
    )


async def _open(settings: DownloadSettings, stack: AsyncExitStack) -> Resources:
    opened = stack.enter_async_context
    identity = await opened(open_identity(settings, name=NAME))
    tls = await read_tls(settings)

    def channel(address: str, audience: str, service: str) -> grpc.aio.Channel:
        return open_channel(
            address, audience=audience, service_tokens=identity.service_tokens, services=(service,), tls=tls
        )

    return Resources(
        identity=identity,
        tls=tls,
        database=await opened(
            open_database(
                settings.postgres_dsn.get_secret_value(),
                pool_size=settings.postgres_pool_size,
                application_name=NAME,
            )
        ),
        bus=await opened(settings.open_event_bus(NAME)),
        state=await opened(settings.open_live_state()),
        objects=await opened(settings.open_object_store()),
        http=await opened(aiohttp.ClientSession(auto_decompress=False)),
        library=await opened(channel(settings.library_service_grpc_addr, LIBRARY_NAME, library.SERVICE)),
        catalog=await opened(channel(settings.catalog_service_grpc_addr, CATALOG_NAME, catalog.SERVICE)),
    )


def _link_signer(settings: DownloadSettings) -> CdnLinkSigner:
    return CdnLinkSigner(
        [CdnProvider(one.name, one.base_url, one.region, one.weight) for one in settings.cdn_providers],
        key=settings.cdn_link_secret_key.get_secret_value(),
        ttl_seconds=settings.cdn_link_ttl_seconds,
    )


def _published_manifests(settings: DownloadSettings, resources: Resources) -> PublishedManifests:
    return PublishedManifests(
        resources.http,
        catalog.CatalogManifests(resources.catalog),
        resources.objects,
        public_keys=parse_public_keys(settings.manifest_public_keys),
        origins=settings.manifest_origins,
        allow_http=settings.manifest_allow_http,
    )


async def migrate(settings: MigrateSettings) -> None:
    """Brings the database to the newest schema; creates it when it is missing."""
    dsn = settings.postgres_dsn.get_secret_value()
    await ensure_database(dsn)
    await upgrade(dsn, "download_svc")


def main() -> int:
    """Runs the command of the command line and returns the exit code."""
    parser = argparse.ArgumentParser(prog="download_svc", description="The Download Service")
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    if parser.parse_args().command == "migrate":
        asyncio.run(migrate(load_settings(MigrateSettings)))
        return 0
    return run(build, load_settings(DownloadSettings), NAME)
