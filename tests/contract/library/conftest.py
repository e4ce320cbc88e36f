"""The adapters that the library's port suites run over: memory, and PostgreSQL with the real schema.

The tests of a session share a database; each works with users and products of its own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from library_svc.achievements.application import AchievementReader, AchievementTallies, Definitions
from library_svc.achievements.postgres import PostgresAchievementReader, PostgresAchievementTallies, PostgresDefinitions
from library_svc.catalog.domain import Products
from library_svc.catalog.postgres import PostgresProducts
from library_svc.categories.application import CategoryReader
from library_svc.categories.postgres import PostgresCategoryReader
from library_svc.events import LibraryEvent
from library_svc.game_settings.application import GameSettingsReader
from library_svc.game_settings.postgres import PostgresGameSettingsReader
from library_svc.ids import UserId
from library_svc.items.application import LibraryReader
from library_svc.items.postgres_reader import PostgresReader
from library_svc.outgoing import outgoing
from library_svc.playtime.application import PlaytimeReader
from library_svc.playtime.postgres import PostgresPlaytimeReader
from library_svc.postgres import PostgresLibrary
from library_svc.saves.application import SaveReader
from library_svc.saves.postgres import PostgresSaveReader
from library_svc.schema import shared
from library_svc.transaction import Begin
from library_svc.wishlist.application import WishlistReader
from library_svc.wishlist.postgres import PostgresWishlistReader
from tests.fakes.library.store import MemoryLibrary, MemoryProducts

Told = tuple[str, str]
"""An event as the platform is told it: the end of its type, its product."""


Audited = tuple[str, str, str]
"""An entry of the audit log: action, resource, outcome."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """One technology's adapters of the ports, and a look at what was told to the platform about a user."""

    begin: Begin
    reader: LibraryReader
    products: Products
    categories: CategoryReader
    settings: GameSettingsReader
    wishes: WishlistReader
    playtime: PlaytimeReader
    saves: SaveReader
    achievements: AchievementReader
    tallies: AchievementTallies
    definitions: Definitions
    told: Callable[[UserId], Awaitable[Sequence[Told]]]
    audited: Callable[[UserId], Awaitable[Sequence[Audited]]]


@pytest.fixture(scope="session")
def migrated_databases() -> list[str]:
    """The session's database once it is made; fixtures are asynchronous per test, so it is kept here between them."""
    return []


@pytest.fixture(params=["memory", "postgres"])
async def adapters(request, migrated_databases, new_database) -> AsyncIterator[Adapters]:
    if request.param == "memory":
        products = MemoryProducts()
        library = MemoryLibrary(products)

        async def told_in_memory(user_id: UserId) -> Sequence[Told]:
            return [_told(event) for event in library.events if event.user_id == user_id]

        async def audited_in_memory(user_id: UserId) -> Sequence[Audited]:
            return [(action, resource, outcome) for who, action, resource, outcome in library.audited if who == user_id]

        yield Adapters(
            begin=library.begin,
            reader=library,
            products=products,
            categories=library,
            settings=library,
            wishes=library,
            playtime=library,
            saves=library,
            achievements=library,
            tallies=library,
            definitions=library.definitions,
            told=told_in_memory,
            audited=audited_in_memory,
        )
        return

    if not migrated_databases:
        dsn = await new_database("library")
        await upgrade(dsn, "library_svc")
        migrated_databases.append(dsn)
    async with open_database(migrated_databases[0]) as database:

        async def told_in_outbox(user_id: UserId) -> Sequence[Told]:
            columns = shared.outbox.c
            statement = select(columns.type, columns.payload).where(columns.partition_key == str(user_id))
            async with database.connect() as connection:
                rows = await connection.execute(statement.order_by(columns.position))
            return [(row.type.removeprefix("com.platform.library."), row.payload["productId"]) for row in rows]

        async def audited_in_log(user_id: UserId) -> Sequence[Audited]:
            log = shared.audit_log.c
            statement = select(log.action, log.resource, log.outcome).where(log.actor == str(user_id)).order_by(log.at)
            async with database.connect() as connection:
                return [tuple(row) for row in await connection.execute(statement)]

        library = PostgresLibrary(database, consumer="tests")
        yield Adapters(
            begin=library.begin,
            reader=PostgresReader(database),
            products=PostgresProducts(database),
            categories=PostgresCategoryReader(database),
            settings=PostgresGameSettingsReader(database),
            wishes=PostgresWishlistReader(database),
            playtime=PostgresPlaytimeReader(database),
            saves=PostgresSaveReader(database),
            achievements=PostgresAchievementReader(database),
            tallies=PostgresAchievementTallies(database),
            definitions=PostgresDefinitions(database),
            told=told_in_outbox,
            audited=audited_in_log,
        )


def _told(event: LibraryEvent) -> Told:
    new = outgoing(event)
    return new.type.removeprefix("com.platform.library."), new.data["productId"]
