"""Wires the Library Service: opens what it stands on, builds its parts, serves. Called by `python -m library_svc`."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import grpc.aio
from catalog.v1 import product_pb2
from library.v1.achievements_pb2_grpc import add_AchievementServiceServicer_to_server
from library.v1.categories_pb2_grpc import add_CategoryServiceServicer_to_server
from library.v1.game_settings_pb2_grpc import add_GameSettingsSyncServiceServicer_to_server
from library.v1.internal_pb2_grpc import add_LibraryInternalServiceServicer_to_server
from library.v1.items_pb2_grpc import add_LibraryServiceServicer_to_server
from library.v1.playtime_pb2_grpc import add_PlaytimeTrackerServiceServicer_to_server
from library.v1.query_pb2_grpc import add_LibraryQueryServiceServicer_to_server
from library.v1.saves_pb2_grpc import add_CloudSaveServiceServicer_to_server
from library.v1.updates_pb2_grpc import add_LibraryUpdateServiceServicer_to_server
from library.v1.wishlist_pb2_grpc import add_WishlistServiceServicer_to_server

from chassis.auth.identity import open_identity
from chassis.auth.tls import read_tls
from chassis.bus.consumers import Consumer
from chassis.bus.outbox import OutboxRelay
from chassis.concurrency.background import attempt, background, repeat
from chassis.erasure.job import POLL_SECONDS as ERASURE_POLL_SECONDS
from chassis.erasure.job import Erasures, ignoring_erased
from chassis.erasure.plan import ErasurePlan
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import RunningServer, serve
from chassis.live.live_state import LiveValues
from chassis.objects.object_store import ObjectStore
from chassis.postgres.database import Database, open_database
from chassis.postgres.migrations import ensure_database, upgrade
from chassis.runtime.program import EXIT_CODE_FAILED, run
from chassis.settings import load_settings
from library_svc.access import presentation as query_servicer
from library_svc.access.application import AccessCache, GameAccess, open_game_access
from library_svc.access.presentation import LibraryQueryServicer
from library_svc.access.redis import open_access_cache
from library_svc.achievements import presentation as achievements
from library_svc.achievements.application import COUNT_SECONDS, AchievementTallies, DefinitionFiller, count_all
from library_svc.achievements.postgres import PostgresAchievementReader, PostgresAchievementTallies, PostgresDefinitions
from library_svc.achievements.presentation import AchievementServicer
from library_svc.catalog.application import ProductFiller
from library_svc.catalog.grpc import GrpcCatalog
from library_svc.catalog.postgres import PostgresProducts
from library_svc.categories import presentation as categories
from library_svc.categories.postgres import PostgresCategoryReader
from library_svc.categories.presentation import CategoryServicer
from library_svc.consumers import Consumers
from library_svc.entitlements import presentation as internal_servicer
from library_svc.entitlements.presentation import LibraryInternalServicer
from library_svc.erasure.postgres import ERASED, KEPT
from library_svc.erasure.presentation import erasure_subscriptions
from library_svc.erasure.redis import Feed, HotState
from library_svc.feed import presentation as updates
from library_svc.feed.application import LibraryFeed
from library_svc.feed.presentation import LibraryUpdateServicer, UpdateView, live_subscriptions
from library_svc.feed.redis import RedisLibraryFeed
from library_svc.game_settings import presentation as game_settings
from library_svc.game_settings.postgres import PostgresGameSettingsReader
from library_svc.game_settings.presentation import GameSettingsServicer
from library_svc.items import presentation as servicer
from library_svc.items.postgres_reader import PostgresReader
from library_svc.items.presentation import LibraryServicer
from library_svc.playtime import presentation as playtime
from library_svc.playtime.application import FLUSH_SECONDS, SILENCE_CHECK_SECONDS, HeartbeatRecorder
from library_svc.playtime.postgres import PostgresPlaytimeReader
from library_svc.playtime.presentation import HeartbeatPolicy, PlaytimeServicer
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from library_svc.sales.application import POLL_SECONDS, notify_all
from library_svc.sales.postgres import PostgresOutgoing
from library_svc.saves import presentation as saves
from library_svc.saves.application import SWEEP_SECONDS, CloudSaves, SavePolicy
from library_svc.saves.objects import ErasedSaves, StoredSaves
from library_svc.saves.postgres import PostgresSaveReader
from library_svc.saves.presentation import CloudSaveServicer
from library_svc.settings import LibrarySettings, MigrateSettings
from library_svc.wishlist import presentation as wishlist
from library_svc.wishlist.postgres import PostgresWishlistReader
from library_svc.wishlist.presentation import WishlistServicer

NAME: Final = "library-service"
"""The service's name to others: in tokens, in the inbox, as the domain of errors."""

EVENT_SOURCE: Final = "platform.library-service"
CATALOG_NAME: Final = "catalog-service"
CATALOG_SERVICES: Final = (product_pb2.DESCRIPTOR.services_by_name["ProductService"].full_name,)
SERVICES: Final = (
    servicer.SERVICE_NAME,
    query_servicer.SERVICE_NAME,
    internal_servicer.SERVICE_NAME,
    categories.SERVICE_NAME,
    game_settings.SERVICE_NAME,
    wishlist.SERVICE_NAME,
    playtime.SERVICE_NAME,
    achievements.SERVICE_NAME,
    updates.SERVICE_NAME,
    saves.SERVICE_NAME,
)


@asynccontextmanager
async def build(settings: LibrarySettings) -> AsyncIterator[RunningServer]:
    """The running service; leaving the block drains it."""
    async with AsyncExitStack() as stack:
        opened = stack.enter_async_context
        identity = await opened(open_identity(settings, name=NAME))
        tls = await read_tls(settings)
        dsn = settings.postgres_dsn.get_secret_value()
        database = await opened(open_database(dsn, pool_size=settings.postgres_pool_size, application_name=NAME))
        bus = await opened(settings.open_event_bus(NAME))
        catalog = await opened(
            open_channel(
                settings.catalog_service_grpc_addr,
                audience=CATALOG_NAME,
                service_tokens=identity.service_tokens,
                services=CATALOG_SERVICES,
                tls=tls,
            )
        )

        live = await opened(settings.open_live_state())
        access_cache = await opened(
            open_access_cache(
                settings.redis_addr,
                password=settings.redis_password.get_secret_value(),
                database=settings.redis_db,
                prefix=settings.redis_prefix,
            )
        )
        access = await opened(open_game_access(PostgresReader(database), access_cache))
        objects = await opened(settings.open_object_store(settings.s3_bucket_savegames))
        plan = ErasurePlan(
            ERASED, stores=[HotState(database, live.values), ErasedSaves(objects)], last=[Feed(live.streams)], kept=KEPT
        )
        erasures = Erasures(database, plan)
        feed = RedisLibraryFeed(live.streams, erasures.is_erased)
        now = partial(datetime.now, UTC)
        parts = _wire(settings, database, GrpcCatalog(catalog), live.values, access, access_cache, feed, objects)

        subscriptions = (*parts.consumers.subscriptions(), *erasure_subscriptions(erasures.request, now=now))
        readiness = Readiness()
        readiness.add("postgres", database.ping)
        if identity.keys:
            readiness.add("auth", identity.keys.check)

        # Opened before the server, so closed after it: events flow until the last call is served.
        await opened(
            background(
                OutboxRelay(database, bus, EVENT_SOURCE).run(),
                Consumer(bus, settings.kafka_consumer_group_library, ignoring_erased(subscriptions)).run(),
                Consumer(bus, settings.kafka_consumer_group_library_live, live_subscriptions(feed)).run(),
                _keep_written(parts.heartbeats),
                repeat("silent sessions", parts.heartbeats.end_silent, pause_seconds=SILENCE_CHECK_SECONDS),
                repeat("achievement tallies", partial(count_all, parts.tallies), pause_seconds=COUNT_SECONDS),
                repeat("erasures", erasures.run_pending, pause_seconds=ERASURE_POLL_SECONDS),
                repeat("sale notices", parts.notify_of_sales, pause_seconds=POLL_SECONDS),
                repeat("sweep of saves", parts.cloud_saves.sweep, pause_seconds=SWEEP_SECONDS),
            )
        )
        yield await opened(
            serve(
                name=NAME,
                bind=f"{settings.bind_host}:{settings.library_service_grpc_port}",
                register=parts.register,
                services=SERVICES,
                verifier=identity.verifier,
                service_verifier=identity.service_verifier,
                readiness=readiness,
                drain_seconds=settings.drain_seconds,
                tls=tls,
                workers=settings.workers,
                with_reflection=settings.grpc_reflection,
                rate_limiter=await stack.enter_async_context(settings.open_rate_limiter(NAME)),
                health_bind=f"{settings.bind_host}:{settings.health_port}" if settings.health_port else "",
                record_refusal=database.record_refusal,
            )
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The assembled program: the servicers, and the jobs that run beside them."""

    register: Callable[[grpc.aio.Server], None]
    consumers: Consumers
    heartbeats: HeartbeatRecorder
    tallies: AchievementTallies
    cloud_saves: CloudSaves
    notify_of_sales: Callable[[], Awaitable[None]]


async def _keep_written(heartbeats: HeartbeatRecorder) -> None:
    """Writes heartbeats down again and again, and a last time at the end."""
    try:
        await repeat("heartbeats", heartbeats.flush, pause_seconds=FLUSH_SECONDS)
    finally:
        await attempt("heartbeats", heartbeats.flush)


def _wire(
    settings: LibrarySettings,
    database: Database,
    catalog: GrpcCatalog,
    live: LiveValues,
    access: GameAccess,
    access_cache: AccessCache,
    feed: LibraryFeed,
    objects: ObjectStore,
) -> Parts:
    library = PostgresLibrary(database, consumer=NAME)
    reader, products = PostgresReader(database), PostgresProducts(database)
    begin, now = library.begin, partial(datetime.now, UTC)
    filler = ProductFiller(catalog, products, now=now)
    pace = HeartbeatPolicy(
        interval=timedelta(seconds=settings.playtime_heartbeat_interval_seconds),
        max_silence=timedelta(seconds=settings.playtime_session_timeout_seconds),
    )
    sessions, heartbeat_store = PostgresPlaytimeReader(database), RedisHeartbeats(live, max_silence=pace.max_silence)
    achieved = PostgresAchievementReader(database)
    definitions = DefinitionFiller(catalog, PostgresDefinitions(database), now=now)
    heartbeats = HeartbeatRecorder(begin, sessions, heartbeat_store, max_silence=pace.max_silence, now=now)

    save_reader = PostgresSaveReader(database)
    policy = SavePolicy(
        file_limit_bytes=settings.max_savegame_size_bytes,
        quota_bytes=settings.user_savegame_quota_bytes,
        url_life=timedelta(seconds=settings.s3_presigned_url_ttl_seconds),
    )
    cloud_saves = CloudSaves(begin, save_reader, StoredSaves(objects), access, policy, now=now)

    def register(server: grpc.aio.Server) -> None:
        add_LibraryServiceServicer_to_server(LibraryServicer(begin, reader, filler), server)
        add_CategoryServiceServicer_to_server(CategoryServicer(begin, PostgresCategoryReader(database)), server)
        add_CloudSaveServiceServicer_to_server(CloudSaveServicer(begin, save_reader, cloud_saves, now=now), server)
        settings_reader = PostgresGameSettingsReader(database)
        add_GameSettingsSyncServiceServicer_to_server(GameSettingsServicer(begin, settings_reader, now=now), server)
        wishlist_reader = PostgresWishlistReader(database)
        add_WishlistServiceServicer_to_server(WishlistServicer(begin, wishlist_reader, filler, now=now), server)
        add_PlaytimeTrackerServiceServicer_to_server(
            PlaytimeServicer(begin, sessions, heartbeat_store, heartbeats, pace=pace, now=now), server
        )
        add_AchievementServiceServicer_to_server(AchievementServicer(begin, achieved, definitions, now=now), server)
        query = LibraryQueryServicer(reader, access, sessions, achieved, definitions, now=now)
        add_LibraryQueryServiceServicer_to_server(query, server)
        add_LibraryInternalServiceServicer_to_server(
            LibraryInternalServicer(begin, access_cache, heartbeat_store, now=now), server
        )
        update_servicer = LibraryUpdateServicer(feed, UpdateView(reader, achieved), now=now)
        add_LibraryUpdateServiceServicer_to_server(update_servicer, server)

    return Parts(
        register=register,
        consumers=Consumers(begin, access_cache, heartbeat_store, now=now),
        heartbeats=heartbeats,
        tallies=PostgresAchievementTallies(database),
        cloud_saves=cloud_saves,
        notify_of_sales=partial(notify_all, begin, PostgresOutgoing(database), now=now),
    )


async def migrate(settings: MigrateSettings) -> None:
    """Brings the database to the newest schema; creates it when it is missing."""
    dsn = settings.postgres_dsn.get_secret_value()
    await ensure_database(dsn)
    await upgrade(dsn, "library_svc")


def _run_migrate(settings: MigrateSettings) -> int:
    try:
        asyncio.run(migrate(settings))
    except OSError as error:
        sys.stderr.write(f"POSTGRES_DSN: the database cannot be reached: {error}\n")
        return EXIT_CODE_FAILED
    return 0


def main() -> int:
    """Runs the command of the command line and returns the exit code."""
    parser = argparse.ArgumentParser(prog="library_svc", description="The Library Service")
    parser.add_argument("command", nargs="?", choices=("serve", "migrate"), default="serve")
    if parser.parse_args().command == "migrate":
        return _run_migrate(load_settings(MigrateSettings))
    return run(build, load_settings(LibrarySettings), NAME)
