"""The real Library Service in this process: its own composition root over a real PostgreSQL, between a stand-in of Auth and a
small Catalog, called over gRPC and heard and told over the event log.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import grpc.aio
import orjson
from catalog.v1 import product_pb2, product_pb2_grpc
from google.protobuf.message import Message
from grpc_status import rpc_status
from library.v1 import items_pb2 as pb
from library.v1.achievements_pb2_grpc import AchievementServiceStub
from library.v1.categories_pb2_grpc import CategoryServiceStub
from library.v1.game_settings_pb2_grpc import GameSettingsSyncServiceStub
from library.v1.internal_pb2_grpc import LibraryInternalServiceStub
from library.v1.items_pb2_grpc import LibraryServiceStub
from library.v1.playtime_pb2_grpc import PlaytimeTrackerServiceStub
from library.v1.query_pb2_grpc import LibraryQueryServiceStub
from library.v1.saves_pb2_grpc import CloudSaveServiceStub
from library.v1.updates_pb2_grpc import LibraryUpdateServiceStub
from library.v1.wishlist_pb2_grpc import WishlistServiceStub
from payment.v1.events_pb2 import PurchaseCompleted, PurchasedItem, RefundCompleted, RefundedItem
from sqlalchemy import event
from sqlalchemy.engine import Engine

from chassis.bus.event_log import PostgresEventLog, open_event_log
from chassis.cloudevents.events import CloudEvent, from_wire, new_event
from chassis.errors import DomainError, Kind
from chassis.errors.wire import to_rpc_status
from chassis.grpc_client.rpc_client import open_channel
from library_svc.main import NAME, SERVICES, build, migrate
from library_svc.settings import LibrarySettings
from tests.component.rpc_rig import AUDIENCE, ISSUER, as_user, auth_server, user_token

WAIT_SECONDS = 60.0
BESIDE = ("achievement_notes", "playtime_sessions.last_heartbeat_at <")
"""Signs of statements that the service runs by the clock and for no request."""
NOBODY = "127.0.0.1:1"
"""An address where nobody listens."""
BUSINESS_TABLES = (
    "user_library_items",
    "entitlements",
    "item_downloads",
    "item_installations",
    "catalog_products",
    "user_game_categories",
    "user_library_item_to_categories",
    "game_specific_settings",
    "wishlist_items",
    "playtime_sessions",
    "user_achievements",
    "achievement_stats",
    "catalog_achievements",
)


class SmallCatalog(product_pb2_grpc.ProductServiceServicer):
    """Knows what it is given; remembers what it was asked and with which credentials; can be slow."""

    def __init__(self) -> None:
        self.titles: dict[UUID, tuple[str, str]] = {}
        self.achievements: dict[UUID, list[product_pb2.Achievement]] = {}
        self.calls: list[Sequence[str]] = []
        self.credentials: list[str] = []
        self.delay_seconds = 0.0

    async def GetProductsBatch(self, request: Any, context: Any) -> Any:
        self.calls.append(tuple(request.product_ids))
        self.credentials.append(dict(context.invocation_metadata()).get("x-service-authorization", ""))
        await asyncio.sleep(self.delay_seconds)
        known = [(text, self.titles[UUID(text)]) for text in request.product_ids if UUID(text) in self.titles]
        return product_pb2.GetProductsBatchResponse(
            products=[
                product_pb2.Product(
                    product_id=text,
                    titles=product_pb2.LocalizedText(ru=ru, en=en),
                    cover_image_url=f"https://covers.test/{text}",
                    product_type="game",
                )
                for text, (ru, en) in known
            ]
        )

    async def ListAchievements(self, request: Any, context: Any) -> Any:
        product_id = UUID(request.product_id)
        if product_id not in self.achievements:
            unknown = DomainError(Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", details={"product_id": request.product_id})
            await context.abort_with_status(rpc_status.to_status(to_rpc_status(unknown, domain="catalog-service")))
        return product_pb2.ListAchievementsResponse(achievements=self.achievements[product_id])


@dataclass
class Rig:
    """A running service and what surrounds it."""

    items: LibraryServiceStub
    query: LibraryQueryServiceStub
    internal: LibraryInternalServiceStub
    categories: CategoryServiceStub
    settings: GameSettingsSyncServiceStub
    wishes: WishlistServiceStub
    playtime: PlaytimeTrackerServiceStub
    achievements: AchievementServiceStub
    updates: LibraryUpdateServiceStub
    saves: CloudSaveServiceStub
    program: LibrarySettings
    catalog: SmallCatalog
    bus: PostgresEventLog
    postgres_dsn: str
    events_dsn: str
    program_settings: LibrarySettings
    stop_catalog: Callable[[], Awaitable[None]]

    async def publish(self, *messages: Message, copies: int = 1) -> None:
        """Has other services tell these events; each copy has the same id."""
        for message in messages:
            new = new_event(message)
            sent = CloudEvent(
                id=str(new.id),
                source="platform.test",
                type=new.type,
                subject=new.subject,
                time=new.time,
                topic=new.topic,
                partition_key=new.partition_key,
                trace_parent=None,
                data=new.data,
            )
            await self.bus.publish([sent] * copies)

    async def publish_dated(self, message: Message, member: str, time: str) -> None:
        """Has another service tell of something at a time, both in the envelope and in the member of the data."""
        new = new_event(message)
        document = {
            "specversion": "1.0",
            "id": str(new.id),
            "source": "platform.test",
            "type": new.type,
            "time": time,
            "data": {**new.data, member: time},
        }
        await self.bus.append_raw(new.topic, new.partition_key, orjson.dumps(document))

    async def has_settled(self) -> bool:
        """Whether every event so far is dealt with."""
        return await self.bus.lag(self.program.kafka_consumer_group_library) == 0

    async def buy(self, user_id: UUID, *product_ids: UUID, order_id: str | None = None) -> str:
        """A purchase, and the wait until it is in the library. Returns the order's id."""
        order_id = order_id or str(uuid4())
        await self.publish(purchase(user_id, *product_ids, order_id=order_id))
        for product_id in product_ids:
            await until(lambda product_id=product_id: self._has(user_id, product_id))
        return order_id

    async def told(self, topic: str) -> Sequence[tuple[CloudEvent, Mapping[str, str]]]:
        """Everything on a topic so far, with headers."""
        connection = await asyncpg.connect(self.events_dsn)
        try:
            rows = await connection.fetch(
                "SELECT value, headers::text AS headers FROM log WHERE topic = $1 ORDER BY partition, id", topic
            )
        finally:
            await connection.close()
        return [(from_wire(bytes(row["value"]), topic=topic), row["headers"]) for row in rows]

    async def _has(self, user_id: UUID, product_id: UUID) -> bool:
        connection = await asyncpg.connect(self.postgres_dsn)
        try:
            sql = "SELECT true FROM user_library_items WHERE user_id = $1 AND product_id = $2"
            return bool(await connection.fetchval(sql, user_id, product_id))
        finally:
            await connection.close()


def purchase(user_id: UUID, *product_ids: UUID, order_id: str) -> PurchaseCompleted:
    items = [PurchasedItem(product_id=str(each), product_type="game", quantity=1) for each in product_ids]
    return PurchaseCompleted(user_id=str(user_id), order_id=order_id, items=items, purchase_timestamp=datetime.now(UTC))


def refund(user_id: UUID, *product_ids: UUID, order_id: str) -> RefundCompleted:
    items = [RefundedItem(product_id=str(each)) for each in product_ids]
    return RefundCompleted(
        user_id=str(user_id), order_id=order_id, refund_id=str(uuid4()), items=items, refunded_at=datetime.now(UTC)
    )


def user(user_id: UUID, *, language: str = "ru", **claims: Any) -> tuple[tuple[str, str], ...]:
    """Metadata of a user's call."""
    return (*as_user(user_token(sub=str(user_id), **claims)), ("accept-language", language))


async def own_items(rig: Rig, user_id: UUID, *, language: str = "ru", **request: object) -> Sequence[pb.LibraryItem]:
    """A page of the user's items."""
    response = await rig.items.ListItems(pb.ListItemsRequest(**request), metadata=user(user_id, language=language))
    return response.items


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await holds():
            await asyncio.sleep(0.02)


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements on the library's own tables that this process runs in the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if any(table in statement for table in BUSINESS_TABLES) and not any(sign in statement for sign in BESIDE):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


OBJECTS = {
    "objects_directory": "/nowhere",
    "objects_base_url": "http://127.0.0.1:1/objects",
    "objects_signing_key": "secret",
}
"""A store that nothing is asked of."""


@asynccontextmanager
async def library_rig(
    new_database: Callable[..., Awaitable[str]],
    redis_addr: str = NOBODY,
    *,
    beside: Rig | None = None,
    **overrides: Any,
) -> AsyncIterator[Rig]:
    """The service; what it has of live state it can do without, so by default it has none. `beside` another one it works on the
    same databases.
    """
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(auth_server())
        catalog, catalog_server = SmallCatalog(), grpc.aio.server()
        product_pb2_grpc.add_ProductServiceServicer_to_server(catalog, catalog_server)
        catalog_port = catalog_server.add_insecure_port("127.0.0.1:0")
        await catalog_server.start()
        stack.push_async_callback(catalog_server.stop, None)
        settings = LibrarySettings(
            library_service_grpc_port=0,
            postgres_dsn=beside.postgres_dsn if beside else await new_database("library"),
            events_postgres_dsn=beside.events_dsn if beside else await new_database("events"),
            catalog_service_grpc_addr=f"127.0.0.1:{catalog_port}",
            auth_jwks_url=auth.jwks_url,
            auth_issuer=ISSUER,
            auth_audience=AUDIENCE,
            auth_token_url=auth.token_url,
            service_tokens_enabled=True,
            service_client_secret="secret",
            drain_seconds=0.5,
            redis_addr=redis_addr,
            **(OBJECTS | overrides),
        )
        await migrate(settings)
        server = await stack.enter_async_context(build(settings))
        bus = await stack.enter_async_context(open_event_log(settings.events_postgres_dsn.get_secret_value()))
        channel = await stack.enter_async_context(
            open_channel(f"127.0.0.1:{server.port}", audience=NAME, service_tokens=None, services=SERVICES)
        )
        yield Rig(
            items=LibraryServiceStub(channel),
            query=LibraryQueryServiceStub(channel),
            internal=LibraryInternalServiceStub(channel),
            categories=CategoryServiceStub(channel),
            settings=GameSettingsSyncServiceStub(channel),
            wishes=WishlistServiceStub(channel),
            playtime=PlaytimeTrackerServiceStub(channel),
            achievements=AchievementServiceStub(channel),
            updates=LibraryUpdateServiceStub(channel),
            saves=CloudSaveServiceStub(channel),
            program=settings,
            catalog=catalog,
            bus=bus,
            postgres_dsn=settings.postgres_dsn.get_secret_value(),
            events_dsn=settings.events_postgres_dsn.get_secret_value(),
            program_settings=settings,
            stop_catalog=lambda: catalog_server.stop(None),
        )
