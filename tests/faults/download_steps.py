"""The Download Service's use cases, each in a process that dies (SIGKILL) at the step that it is told. One program for all of them,
run by test_download_step_kills: for each line on its input, an order in JSON, it forks a process that does the order, and
answers with how that ended and what it said.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.bus.consumers import Consumer
from chassis.bus.event_log import PostgresEventLog, open_event_log
from chassis.bus.outbox import OutboxRelay
from chassis.concurrency.background import background
from chassis.errors import DomainError
from chassis.live.redis_state import open_redis_state
from chassis.objects.directory_store import DirectoryStore
from chassis.postgres.database import open_database
from depot import manifest as manifests
from depot import signing
from download_svc.access.application import CachedAccess
from download_svc.consumers import live_subscriptions, state_subscriptions
from download_svc.feed.redis import RedisProgressFeed
from download_svc.installations import application as installations
from download_svc.installations.domain import InstallationChanges
from download_svc.postgres import transactions
from download_svc.sessions import application as sessions
from download_svc.sessions import reports
from download_svc.sessions.application import Policy, SessionReader, StartRequest
from download_svc.sessions.domain import ItemReport, ItemStatus, SessionMoved, Target
from download_svc.sessions.postgres import PostgresSessionReader
from download_svc.sessions.sweeps import sweep
from download_svc.transaction import Begin
from download_svc.updates.postgres import PostgresUpdateReader
from download_svc.versions.manifests import derived_ids
from download_svc.versions.postgres import PostgresVersionReader
from download_svc.versions.sources import PublishedManifests
from tests.component.download.rig import Release
from tests.faults.death import Bus, Death
from tests.unit.download.rig import FILES, make_manifest, make_version

SERVICE = "download-service"
LIVE = "download-service-live"
EVENT_SOURCE = f"platform.{SERVICE}"
KEY_ID = "publisher-1"
SEQUENCE = 7
MAX_SILENCE = 300
REFUSED_AGAIN = frozenset({"INVALID_STATE_TRANSITION", "DOWNLOAD_ALREADY_ACTIVE", "INSTALLATION_NOT_FOUND"})
"""What a client hears that asks again for what was done before the service died."""

Names = Mapping[str, UUID]


class Library:
    """Library's word on access: yes, until it has told that the game is gone."""

    def __init__(self, *, is_gone: bool) -> None:
        self._is_gone = is_gone

    async def has_access(self, _user_id: UUID, _product_id: UUID) -> bool:
        return not self._is_gone


class Publisher:
    """Gives the manifest of any version, the same each time, signed."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes(32))

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        return {KEY_ID: self._key.public_key().public_bytes_raw()}

    async def get(self, product_id: UUID, version_id: UUID) -> tuple[bytes, content.ManifestSignature]:
        manifest = Release(product_id, version_id).manifest(created_at=datetime(2030, 1, 1, tzinfo=UTC))
        stored = manifests.serialise(manifest)
        return stored, signing.sign(stored, KEY_ID, self._key)


class Objects(DirectoryStore):
    """A store that dies when it has stored."""

    death: Death

    async def put(self, key: str, content: Any) -> None:
        await super().put(key, content)
        self.death.at("manifest kept")


class Board(RedisProgressFeed):
    """A board that dies when it has announced."""

    death: Death

    async def announce(self, moved: SessionMoved, queue: Any, *, event_id: str) -> None:
        await super().announce(moved, queue, event_id=event_id)
        self.death.at("announced")


@dataclass(frozen=True)
class Service:
    """What a use case works with, and whom and what it is about."""

    policy: Policy
    death: Death
    names: Names
    begin: Begin
    sessions: SessionReader
    versions: PostgresVersionReader
    updates: PostgresUpdateReader
    access: CachedAccess
    board: Board
    manifests: PublishedManifests
    log: PostgresEventLog
    relay: OutboxRelay
    dsn: str
    events_dsn: str

    @property
    def whose(self) -> dict[str, Any]:
        return {"user_id": self.names["user"], "session_id": self.names["first"], "now": now()}

    async def know(self, product: str, version: str) -> None:
        """Has a version known, in another way than its use case."""
        manifest = make_manifest(self.names[product], self.names[version])
        async with self.begin() as tx:
            await tx.versions.add(make_version(manifest), manifest)
            await tx.commit()

    async def start(self, session: str, product: str) -> None:
        is_again = await self.sessions.get(self.names["user"], self.names[session]) is not None
        await sessions.start_download(
            self.begin,
            self.versions,
            self.access,
            self.policy,
            StartRequest(self.names[product], target=Target(self.names["device"], "/games")),
            user_id=self.names["user"],
            permissions=frozenset(),
            session_id=uuid4() if is_again else self.names[session],
            now=now(),
        )

    async def move(self, use_case: Callable[..., Awaitable[object]]) -> None:
        await use_case(self.begin, self.policy, **self.whose)

    async def report(self, status: ItemStatus) -> None:
        items = [ItemReport(one, status, 0) for one in derived_ids(self.names["first"], list(FILES))]
        await reports.report_download(
            self.begin, self.sessions, self.board, self.policy, sequence=SEQUENCE, reports=items, **self.whose
        )

    async def installation(self) -> dict[str, Any]:
        rows = await fetch(self.dsn, "SELECT id FROM installations WHERE user_id = $1", self.names["user"])
        gone = self.names["user"]  # an id that is no installation's
        return {"user_id": self.names["user"], "installation_id": rows[0]["id"] if rows else gone, "now": now()}

    async def pin(self) -> None:
        changes = InstallationChanges(is_pinned=True)
        await installations.change_installation(self.begin, changes=changes, **await self.installation())

    async def uninstall(self) -> None:
        await installations.report_uninstalled(self.begin, **await self.installation())

    async def fall_silent(self) -> None:
        """As if nothing had been heard of the first session for an hour."""
        statement = "UPDATE download_sessions SET updated_at = now() - interval '1 hour' WHERE id = $1"
        await fetch(self.dsn, statement, self.names["first"])

    async def retire(self) -> None:
        async with self.begin() as tx:
            await tx.versions.retire(self.names["version"])
            await tx.commit()

    async def sweep(self) -> None:
        await sweep(
            self.begin, self.sessions, self.updates, self.policy, now=now(), max_silence=timedelta(seconds=MAX_SILENCE)
        )

    async def consume(self, group: str) -> None:
        """Reads as the service does, until there is nothing left to read."""
        handlers = (
            live_subscriptions(self.sessions, self.board)
            if group == LIVE
            else state_subscriptions(self.begin, self.manifests, self.access, self.policy, now)
        )
        async with background(Consumer(Bus(self.log, self.death), group, handlers).run()):
            while await self.is_behind(group):
                await asyncio.sleep(0.01)

    async def is_behind(self, group: str) -> bool:
        statement = """SELECT count(*) AS partitions, count(*) FILTER (WHERE EXISTS (SELECT FROM log l
            WHERE l.topic = o.topic AND l.partition = o.partition AND l.id > o.id)) AS behind
            FROM offsets o WHERE "group" = $1"""
        (row,) = await fetch(self.events_dsn, statement, group)
        return row["behind"] > 0 or row["partitions"] == 0  # none while it is no member yet

    async def relay_all(self) -> None:
        async with background(self.relay.run()):
            while await fetch(self.dsn, "SELECT FROM outbox WHERE published_at IS NULL LIMIT 1"):
                await asyncio.sleep(0.01)


WORK: Mapping[str, Callable[[Service], Awaitable[None]]] = {
    "know versions": lambda it: it.know("product", "version"),
    "know other versions": lambda it: it.know("other product", "other version"),
    "start": lambda it: it.start("first", "product"),
    "start another": lambda it: it.start("second", "other product"),
    "pause": lambda it: it.move(sessions.pause_download),
    "resume": lambda it: it.move(sessions.resume_download),
    "cancel": lambda it: it.move(sessions.cancel_download),
    "retry": lambda it: it.move(sessions.retry_download),
    "report all in place": lambda it: it.report(ItemStatus.COMPLETED),
    "report failures": lambda it: it.report(ItemStatus.ERROR),
    "pin": lambda it: it.pin(),
    "uninstall": lambda it: it.uninstall(),
    "fall silent": lambda it: it.fall_silent(),
    "retire": lambda it: it.retire(),
    "sweep": lambda it: it.sweep(),
    "hear": lambda it: it.consume(SERVICE),
    "announce": lambda it: it.consume(LIVE),
    "relay": lambda it: it.relay_all(),
}


def now() -> datetime:
    return datetime.now(UTC)


async def fetch(dsn: str, statement: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


@asynccontextmanager
async def service(order: Mapping[str, Any], death: Death) -> AsyncIterator[Service]:
    publisher, objects = Publisher(), Objects(Path(order["objects"]), "http://127.0.0.1/objects", "k" * 16)
    async with (
        open_database(order["dsn"]) as database,
        open_event_log(order["events_dsn"]) as log,
        open_redis_state(order["redis"]) as state,
        aiohttp.ClientSession() as http,
    ):
        board = Board(state.values, state.streams)
        board.death = objects.death = death
        published = PublishedManifests(
            http, publisher, objects, public_keys=publisher.public_keys, origins=(), allow_http=True
        )
        yield Service(
            policy=Policy(slots_per_user=1, default_priority=5),
            death=death,
            names={name: UUID(value) for name, value in order["names"].items()},
            begin=transactions(database),
            sessions=PostgresSessionReader(database),
            versions=PostgresVersionReader(database),
            updates=PostgresUpdateReader(database),
            access=CachedAccess(Library(is_gone=order["work"][-1] == "hear")),
            board=board,
            manifests=published,
            log=log,
            relay=OutboxRelay(database, Bus(log, death), EVENT_SOURCE),
            dsn=order["dsn"],
            events_dsn=order["events_dsn"],
        )


async def obey(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Does the order's work; only the last part of it dies."""
    quiet, death = Death("never"), Death(order["step"])
    *before, last = order["work"]
    async with service(order, quiet) as it:
        for name in before:
            await WORK[name](it)
    async with service(order, death) as it:
        death.watch_transactions()
        try:
            await WORK[last](it)
        except DomainError as refusal:
            if refusal.reason not in REFUSED_AGAIN:
                raise
            return {"refused": refusal.reason}
        death.at("done")
    return {"passed": death.passed}


def fork(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a process of its own ended with the order."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        answer = asyncio.run(obey(order))
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        answer = said.read()
    _, status = os.waitpid(child, 0)
    return {"id": order["id"], "ended": os.waitstatus_to_exitcode(status), **json.loads(answer or b"{}")}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(fork(json.loads(line))), flush=True)
