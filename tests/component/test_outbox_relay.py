"""chassis.bus.outbox against a real PostgreSQL, onto the real log and the memory bus: nothing is lost, order is kept, outages
pass.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from chassis.bus.event_bus import refused
from chassis.bus.event_log import open_event_log
from chassis.bus.outbox import INBOX_KEPT, OUTBOX_KEPT, SET_ASIDE_FOR, OutboxRelay
from chassis.cloudevents.events import CloudEvent, from_wire
from chassis.errors import DomainError
from chassis.postgres.database import Database, open_database
from sandbox.devstack.free_port import free_port
from tests.component.data_rig import (
    TOPIC,
    count,
    game_added,
    kill_backends,
    proxied,
    record,
    running,
    sample_database,
    until,
)
from tests.conftest import postgres_server, server_folder
from tests.fakes.event_bus import MemoryEventBus

NewDatabase = Callable[[str], Awaitable[str]]
SOURCE = "platform.sample-service"
UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


@pytest.fixture
async def database(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    monkeypatch.syspath_prepend(str(tmp_path))
    async with sample_database(await new_database("sample"), tmp_path) as database:
        yield database


def relayed(bus: MemoryEventBus, key: str = "user-1") -> list[int]:
    records = [record for record in bus.records(TOPIC) if record.key == key]
    return [int(str(from_wire(record.value, topic=TOPIC).data["productId"])) for record in records]


class CrashingBus(MemoryEventBus):
    """Takes the first batch, and before it answers something happens to the relay."""

    def __init__(self, crash: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._crash: Callable[[], Awaitable[object]] | None = crash

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        await super().publish(events)
        if self._crash is not None:
            crash, self._crash = self._crash, None
            await crash()


class BrokenBus(MemoryEventBus):
    """Is down until told otherwise."""

    is_down = True
    refusals = 0

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        if self.is_down:
            self.refusals += 1
            raise ConnectionRefusedError
        await super().publish(events)


async def test_an_event_reaches_the_bus_as_it_was_recorded(database: Database):
    bus, event = MemoryEventBus(), game_added(7)
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, event)
        await until(lambda: bool(bus.records(TOPIC)))
    sent = from_wire(bus.records(TOPIC)[0].value, topic=TOPIC)
    assert (sent.id, sent.source, sent.type, sent.subject) == (str(event.id), SOURCE, event.type, event.subject)
    assert (sent.time, sent.partition_key, dict(sent.data)) == (event.time, "user-1", dict(event.data))


async def test_an_event_is_marked_and_not_sent_twice(database: Database):
    bus = MemoryEventBus()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, game_added(1))
        await until(lambda: _is_zero(database, UNPUBLISHED))
        await record(database, game_added(2))
        await until(lambda: _is_zero(database, UNPUBLISHED))
    assert relayed(bus) == [1, 2]


async def test_what_was_committed_while_no_relay_ran_is_sent(database: Database):
    bus = MemoryEventBus()
    await record(database, *[game_added(number) for number in range(1200)])
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: len(relayed(bus)) == 1200)
    assert relayed(bus) == list(range(1200))


async def test_an_event_is_on_the_bus_within_tens_of_milliseconds(database: Database, monkeypatch: pytest.MonkeyPatch):
    # With the polling out of the way only the notification can be this fast.
    monkeypatch.setattr("chassis.bus.outbox.POLL_SECONDS", 60.0)
    bus = MemoryEventBus()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, game_added(0))
        await until(lambda: len(relayed(bus)) == 1)
        delays_seconds = []
        for number in range(1, 21):
            started = time.perf_counter()
            await record(database, game_added(number))
            await until(lambda number=number: len(relayed(bus)) == number + 1)
            delays_seconds.append(time.perf_counter() - started)
    # The least: a machine that has other things to do holds up any of them, and polling would hold up all.
    assert min(delays_seconds) < 0.1


async def test_order_per_key_is_kept_when_writers_compete(database: Database):
    bus = MemoryEventBus()

    async def write(user_id: str) -> None:
        for number in range(25):
            await record(database, game_added(number, user_id))

    async with running(OutboxRelay(database, bus, SOURCE).run):
        await asyncio.gather(*[write(f"user-{number}") for number in range(4)])
        await until(lambda: _is_zero(database, UNPUBLISHED))
    assert all(relayed(bus, f"user-{number}") == list(range(25)) for number in range(4))


async def test_a_relay_that_dies_between_publishing_and_marking_sends_again_under_the_same_id(database: Database):
    bus = CrashingBus(lambda: kill_backends(database.dsn, f"{SOURCE} outbox"))
    await record(database, game_added(1), game_added(2))
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: _is_zero(database, UNPUBLISHED))
    assert relayed(bus) == [1, 2, 1, 2]
    ids = [from_wire(found.value, topic=TOPIC).id for found in bus.records(TOPIC)]
    assert ids[:2] == ids[2:]


async def test_a_cancelled_relay_is_taken_over_by_the_next(database: Database):
    bus = MemoryEventBus()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, game_added(1))
        await until(lambda: _is_zero(database, UNPUBLISHED))
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, game_added(2))
        await until(lambda: len(relayed(bus)) == 2)
    assert relayed(bus) == [1, 2]


async def test_of_two_relays_one_works_and_the_other_takes_over(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.outbox.STANDBY_SECONDS", 0.02)
    one, two = MemoryEventBus(), MemoryEventBus()
    async with running(OutboxRelay(database, one, "one").run) as (first,):
        await record(database, game_added(1))
        await until(lambda: relayed(one) == [1])
        async with running(OutboxRelay(database, two, "two").run):
            await record(database, game_added(2))
            await until(lambda: _is_zero(database, UNPUBLISHED))
            first.cancel()
            await record(database, game_added(3))
            await until(lambda: relayed(two) == [3])
    assert (relayed(one), relayed(two)) == ([1, 2], [3])


async def test_a_bus_that_is_down_stops_only_the_relay_and_then_gets_everything(database: Database):
    bus = BrokenBus()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        for number in range(5):
            await record(database, game_added(number))
        await until(lambda: bus.refusals >= 2)
        assert await count(database, UNPUBLISHED) == 5
        bus.is_down = False
        await until(lambda: relayed(bus) == [0, 1, 2, 3, 4])


async def test_a_listener_that_lost_its_connection_listens_again(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.bus.outbox.POLL_SECONDS", 60.0)
    bus = MemoryEventBus()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await record(database, game_added(1))
        await until(lambda: _is_zero(database, UNPUBLISHED))
        assert await kill_backends(database.dsn, f"{SOURCE} outbox") == 1
        await record(database, game_added(2))
        await until(lambda: relayed(bus) == [1, 2])
        await record(database, game_added(3))
        await until(lambda: relayed(bus) == [1, 2, 3])


async def test_a_lost_notification_only_delays(database: Database, monkeypatch: pytest.MonkeyPatch):
    async def never(_: Database) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Database, "announce", never)
    bus = MemoryEventBus()
    async with open_database(database.dsn) as silent, running(OutboxRelay(silent, bus, SOURCE).run):
        await record(silent, game_added(1))
        await until(lambda: relayed(bus) == [1])
        await record(silent, game_added(2))
        await until(lambda: relayed(bus) == [1, 2])


async def test_a_log_behind_a_cut_network_gets_everything_once_it_is_mended(
    database: Database, new_database: NewDatabase
):
    events_dsn = await new_database("events")
    async with (
        proxied(events_dsn) as proxy,
        open_event_log(proxy.dsn) as bus,
        running(OutboxRelay(database, bus, SOURCE).run),
    ):
        await record(database, game_added(0))
        await until(lambda: _is_zero(database, UNPUBLISHED))
        proxy.cut()
        for number in range(1, 4):
            await record(database, game_added(number))
        proxy.mend()
        await until(lambda: _is_zero(database, UNPUBLISHED))
    assert await _logged(events_dsn) == [0, 1, 2, 3]


async def test_a_restarted_server_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    port = free_port()
    # Not tmp_path: the server's account could not reach a folder below pytest's own.
    with server_folder("samovar-restart-") as folder:
        with postgres_server(port, folder) as dsn:
            async with sample_database(dsn, tmp_path):
                pass
        bus = MemoryEventBus()
        async with open_database(dsn) as database, running(OutboxRelay(database, bus, SOURCE).run):
            with postgres_server(port, folder):
                await record(database, game_added(1))
                await until(lambda: _is_zero(database, UNPUBLISHED))
            with postgres_server(port, folder):
                await until(lambda: _recorded(database, 2))
                await until(lambda: relayed(bus) == [1, 2])


async def test_what_is_old_is_deleted_and_what_is_unsent_never(database: Database):
    bus = BrokenBus()
    await record(database, *[game_added(number) for number in range(3)])
    async with database.begin() as tx:
        ages = {"sent": OUTBOX_KEPT * 2, "inbox": INBOX_KEPT * 2}
        await tx.connection.exec_driver_sql(
            "UPDATE outbox SET published_at = now() - $1::interval WHERE payload ->> 'productId' = '0'", (ages["sent"],)
        )
        await tx.connection.exec_driver_sql(
            "UPDATE outbox SET created_at = now() - $1::interval WHERE published_at IS NULL", (ages["sent"],)
        )
        await tx.connection.exec_driver_sql(
            "INSERT INTO inbox (consumer, source, event_id, handled_at) VALUES"
            " ('c', 's', 'old', now() - $1::interval), ('c', 's', 'new', now()), ('c', 't', 'old', now())",
            (ages["inbox"],),
        )
        await tx.commit()
    bus.is_down = False
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: _is_zero(database, "SELECT count(*) - 2 FROM inbox"))
        await until(lambda: _is_zero(database, "SELECT count(*) - 2 FROM outbox"))
    assert sorted(relayed(bus)) == [1, 2]


class PickyBus(MemoryEventBus):
    """Refuses the events of some products, as another error or as itself."""

    def __init__(self, *products: str, error: Exception) -> None:
        super().__init__()
        self.refused_products = set(products)
        self._error = error

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        if any(event.data["productId"] in self.refused_products for event in events):
            raise self._error
        await super().publish(events)


@pytest.mark.parametrize(
    "error", [refused("too large"), ValueError("\0"), TypeError()], ids=lambda error: type(error).__name__
)
async def test_an_event_that_the_bus_refuses_is_set_aside_and_those_behind_it_go_on(
    database: Database, error: Exception
):
    bus = PickyBus("1", "3", error=error)
    await record(database, *[game_added(number) for number in range(6)])
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: relayed(bus) == [0, 2, 4, 5])
        await until(lambda: _is_zero(database, "SELECT count(*) - 2 FROM outbox WHERE set_aside_for IS NOT NULL"))
    assert await count(database, UNPUBLISHED) == 2


async def test_a_row_that_makes_no_event_is_set_aside_and_those_behind_it_go_on(database: Database):
    bus = MemoryEventBus()
    await record(database, *[game_added(number) for number in range(3)])
    async with database.begin() as tx:
        # A number that JSON has and no double.
        broken = """UPDATE outbox SET payload = '{"huge": 1e400}' WHERE payload ->> 'productId' = '1'"""
        await tx.connection.exec_driver_sql(broken)
        await tx.commit()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: relayed(bus) == [0, 2])


async def test_what_was_set_aside_is_tried_again(database: Database):
    bus = PickyBus("1", error=refused("no room"))
    await record(database, game_added(1), game_added(2))
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: relayed(bus) == [2])
        await until(lambda: _is_zero(database, "SELECT count(*) - 1 FROM outbox WHERE published_at IS NULL"))
    bus.refused_products.clear()
    async with database.begin() as tx:
        await tx.connection.exec_driver_sql(
            "UPDATE outbox SET set_aside_at = now() - $1::interval", (2 * SET_ASIDE_FOR,)
        )
        await tx.commit()
    async with running(OutboxRelay(database, bus, SOURCE).run):
        await until(lambda: relayed(bus) == [2, 1])
        await until(lambda: _is_zero(database, UNPUBLISHED))


async def _is_zero(database: Database, query: str) -> bool:
    return await count(database, query) == 0


async def _recorded(database: Database, number: int) -> bool:
    try:
        await record(database, game_added(number))
    except DomainError:
        return False
    return True


async def _logged(dsn: str) -> list[int]:
    async with open_event_log(dsn) as log:
        return [int(str(from_wire(one.value, topic=TOPIC).data["productId"])) async for one in log.scan(TOPIC)]
