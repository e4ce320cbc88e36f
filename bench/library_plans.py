"""What PostgreSQL does for the statements of the library that count: each is caught as the service sends it, and explained with
what it read. Used by bench.library and by the test that none reads a whole table.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from bench.library_data import ACHIEVEMENTS, Player
from chassis.postgres.database import Database
from library_svc.achievements.application import AchievementSort, DefinitionFiller, update_progress
from library_svc.achievements.domain import SetTo
from library_svc.achievements.postgres import PostgresAchievementReader, PostgresAchievementTallies, PostgresDefinitions
from library_svc.catalog.domain import Language
from library_svc.ids import AchievementId, CategoryId, PlaytimeSessionId, ProductId, UserId
from library_svc.items.application import ItemQuery, ItemSort
from library_svc.items.postgres_reader import PostgresReader
from library_svc.playtime.application import end_session, start_session
from library_svc.playtime.domain import Heartbeat
from library_svc.playtime.postgres import PostgresPlaytimeReader
from library_svc.playtime.redis import RedisHeartbeats
from library_svc.postgres import PostgresLibrary
from library_svc.transaction import Origin
from tests.fakes.library.store import MemoryCatalog
from tests.fakes.live_state import MemoryLiveValues

FLUSHED = 500
"""Heartbeats written down in one statement that is explained."""
MAX_SILENCE = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Plan:
    """Of one statement. `buffers` are pages looked at, of 8 KiB; `nodes` what was done, with the table or index."""

    name: str
    milliseconds: float
    planning_milliseconds: float
    buffers: int
    nodes: Sequence[str]

    @property
    def scanned_tables(self) -> Sequence[str]:
        """Those that were read from end to end."""
        return [node.removeprefix("Seq Scan ") for node in self.nodes if node.startswith("Seq Scan ")]

    def __str__(self) -> str:
        return f"{self.name:28} {self.milliseconds:8.2f} ms, {self.buffers:5} pages: {', '.join(self.nodes)}"


async def explain(database: Database, player: Player) -> Sequence[Plan]:
    """The plans of all, for a user of the load. What the statements change is undone."""
    plans = []
    live = await PostgresPlaytimeReader(database).silent_since(datetime.now(UTC), limit=FLUSHED)
    for name, act in _acts(database, player, [session.live_heartbeat for session in live]).items():
        with _caught() as caught:
            await act()
        for number, (statement, parameters) in enumerate(caught, start=1):
            label = name if len(caught) == 1 else f"{name} {number}/{len(caught)}"
            plans.append(await _plan(database, label, statement, parameters))
    return plans


def _acts(
    database: Database, player: Player, live: Sequence[Heartbeat]
) -> Mapping[str, Callable[[], Awaitable[object]]]:
    reader, library = PostgresReader(database), PostgresLibrary(database, consumer="bench")
    playtime, achieved = PostgresPlaytimeReader(database), PostgresAchievementReader(database)
    user_id, product_id = UserId(player.user_id), ProductId(player.product_id(0))
    now = datetime.now(UTC)
    heartbeat_store = RedisHeartbeats(MemoryLiveValues(), max_silence=MAX_SILENCE)

    def page(**query: Any) -> Callable[[], Awaitable[object]]:
        return lambda: reader.list_items(ItemQuery(user_id, Language.RU, **query))

    async def unlock() -> None:
        filler = DefinitionFiller(MemoryCatalog(), PostgresDefinitions(database), now=lambda: now)
        await update_progress(
            library.begin,
            achieved,
            filler,
            user_id=user_id,
            product_id=product_id,
            achievement_id=AchievementId(player.achievement_id(0, ACHIEVEMENTS - 1)),
            step=SetTo(1),
            origin=Origin(user_id, None, ""),
            now=now,
        )

    async def flush() -> None:
        strange = [Heartbeat(UserId(uuid4()), PlaytimeSessionId(uuid4()), now) for _ in range(FLUSHED - len(live))]
        async with library.begin() as tx:
            await tx.playtime.record_heartbeats([*live, *strange])

    async def play() -> None:
        started = await start_session(
            library.begin,
            heartbeat_store,
            user_id=user_id,
            product_id=product_id,
            platform=None,
            device_id=None,
            now=now,
        )
        await end_session(
            library.begin, heartbeat_store, user_id=user_id, session_id=started.id, now=now, max_silence=MAX_SILENCE
        )

    return {
        **{f"page {sort}": page(sort=sort) for sort in ItemSort},
        "page with categories": page(include_categories=True),
        "page of a search": page(search="номер 1"),
        "page of a category": page(category_id=CategoryId(uuid4())),
        "game access": lambda: reader.access_since(user_id, product_id),
        "owned items": lambda: reader.owned_items(user_id, [product_id]),
        "achievements": lambda: achieved.list_achievements(user_id, product_id, AchievementSort.RARITY_ASC),
        "unlock": unlock,
        "adding up": lambda: PostgresAchievementTallies(database).add_up(limit=1000),
        "flush of heartbeats": flush,
        "silent sessions": lambda: playtime.silent_since(now - MAX_SILENCE, limit=500),
        "statistics": lambda: playtime.statistics(user_id, [], only_recent=False, now=now),
        "a session": play,
    }


@contextmanager
def _caught() -> Iterator[list[tuple[str, Any]]]:
    """The statements that this process sends in the block, as the driver gets them."""
    caught: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        # A plain INSERT reads nothing; NOTIFY comes from the database's own task.
        is_plain_insert = statement.lstrip().startswith("INSERT") and "ON CONFLICT" not in statement
        if not is_plain_insert and "advisory" not in statement and not statement.startswith("NOTIFY"):
            caught.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield caught
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def _plan(database: Database, name: str, statement: str, parameters: Any) -> Plan:
    async with database.begin() as tx:  # never committed
        answer = await tx.connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", tuple(parameters)
        )
        found = answer.scalar_one()
    (told,) = json.loads(found) if isinstance(found, str) else found
    root = told["Plan"]
    return Plan(
        name,
        told["Execution Time"],
        told["Planning Time"],
        root["Shared Hit Blocks"] + root["Shared Read Blocks"],
        list(dict.fromkeys(_nodes(root))),
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[str]:
    """What touches a table or an index, each with its name."""
    place = node.get("Index Name") or node.get("Relation Name")
    if place and "Never Executed" not in node:
        yield f"{node['Node Type']} {place}"
    for child in node.get("Plans", ()):
        yield from _nodes(child)


async def unused_indexes(database: Database) -> Sequence[tuple[str, int]]:
    """Indexes of the users' tables that no statement has used since the statistics began, with their bytes; keys left out."""
    statement = text(
        """
        SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
        WHERE idx_scan = 0 AND NOT indisunique AND relname IN
            ('user_library_items', 'entitlements', 'playtime_sessions', 'user_achievements', 'user_library_item_to_categories')
        ORDER BY 2 DESC
        """
    )
    async with database.connect() as connection:
        return [(row[0], row[1]) for row in await connection.execute(statement)]
