"""`samovar events` and `samovar objects` (operations), on a bus and a store as operators have them."""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from adapters import adapters, settings_of
from typer.testing import CliRunner

from chassis.bus.event_bus import BusRecord, EventBus
from chassis.bus.kafka_topics import delete_topics_with, make_topics
from chassis.cloudevents.events import CloudEvent
from chassis.runtime.backends import EventSettings
from operations import events, objects
from operations.registry import FILES, topics

TOPIC = "com.platform.catalog.events.v1"


@pytest.fixture(params=adapters(__file__))
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, str]]:
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_url").rsplit("/", 1)[0]
        chosen = {"EVENTS_BACKEND": "postgres", "EVENTS_POSTGRES_DSN": f"{server}/events_{uuid.uuid4().hex[:12]}"}
    else:
        prefix = f"test-{uuid.uuid4().hex[:12]}."
        brokers = settings_of("kafka")["KAFKA_BROKERS"]
        chosen = {"EVENTS_BACKEND": "kafka", "KAFKA_BROKERS": brokers, "KAFKA_PREFIX": prefix}
        asyncio.run(make_topics(brokers, [prefix + topic for topic in topics()]))
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    yield chosen
    if "KAFKA_PREFIX" in chosen:
        asyncio.run(delete_topics_with(chosen["KAFKA_BROKERS"], chosen["KAFKA_PREFIX"]))


def run(*words: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "300"}).invoke(events.app, list(words))
    return done.exit_code, done.output


def on_the_bus(work: Callable[[EventBus], object]) -> list[BusRecord]:
    async def main() -> list[BusRecord]:
        async with EventSettings().open_event_bus("test") as bus:
            await work(bus)  # type: ignore[misc]
            return [record async for record in bus.scan(TOPIC)]

    return asyncio.run(main())


def happened(number: int) -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()),
        source="platform.test",
        type="com.platform.catalog.version.published.v1",
        subject=None,
        time=datetime(2026, 3, 1, tzinfo=UTC),
        topic=TOPIC,
        partition_key=f"user-{number}",
        trace_parent=None,
        data={"number": number},
    )


async def give_up_two(bus: EventBus) -> None:
    await bus.publish([happened(number) for number in range(2)])
    records = [record async for record in bus.scan(TOPIC)]
    for record, reason in zip(records, ("EVENT_INVALID", "MANIFEST_INVALID"), strict=True):
        await bus.dead_letter(record, group="download-service", reason=reason, description=f"[because] {reason}")


async def nothing(bus: EventBus) -> None:
    await bus.ping()


async def deal_with_one(bus: EventBus) -> None:
    await bus.publish([happened(number) for number in range(3)])
    async with bus.subscribe("download-service", [TOPIC]) as reader:
        while not (records := await reader.poll(max_records=1, wait_seconds=1.0)):
            pass
        await reader.commit(records[0])


def test_dead_letters_are_listed_shown_and_replayed(environment: Mapping[str, str]):
    on_the_bus(give_up_two)
    code, listed = run("dlq", "list")
    assert code == 0, listed
    assert "2 dead letters" in listed
    assert "[because] EVENT_INVALID" in listed
    only = run("dlq", "list", "--topic", TOPIC, "--reason", "MANIFEST_INVALID")[1]
    assert "1 dead letters" in only
    (address,) = re.findall(r"\S+\.dlq:\d+:\d+", only)
    code, shown = run("dlq", "show", address)
    assert code == 0, shown
    assert "dlq-reason: MANIFEST_INVALID" in shown
    assert '"number":' in shown
    code, replayed = run("dlq", "replay", address)
    assert code == 0, replayed
    assert replayed == f"replayed {address} to {TOPIC}\n"
    assert len(on_the_bus(nothing)) == 3
    assert run("dlq", "replay", "--all", "--topic", TOPIC)[0] == 0
    assert len(on_the_bus(nothing)) == 5


WHATEVER = (
    b"",
    b"\xff\x00[/bold]\x1b[31m",
    b"[" * 5_000,
    b'{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "0001-01-01T00:00:00+03:00"}',
    b'{"specversion": "1.0", "id": "1", "source": "s", "type": "[/t]", "time": "9999-12-31T23:59:59-05:00"}',
)


def test_the_list_survives_every_record(environment: Mapping[str, str]):
    async def give_up_all(bus: EventBus) -> None:
        for number, value in enumerate(WHATEVER):
            record = BusRecord(TOPIC, 0, number, f"[/{number}]", value)
            await bus.dead_letter(
                record, group="download-service", reason="EVENT_INVALID", description="[/no] such tag"
            )
        await bus.append_raw(f"{TOPIC}.dlq", "nobody", b"put there by hand")  # type: ignore[attr-defined]

    on_the_bus(give_up_all)
    code, listed = run("dlq", "list")
    assert code == 0, listed
    assert f"{len(WHATEVER) + 1} dead letters" in listed
    for address in re.findall(r"\S+\.dlq:\d+:\d+", listed):
        code, shown = run("dlq", "show", address)
        assert code == 0, shown
    code, replayed = run("dlq", "replay", "--all")
    assert code == 1
    assert replayed.count("cannot be replayed") == 1
    assert len(on_the_bus(nothing)) == len(WHATEVER)


def test_replay_wants_to_know_what(environment: Mapping[str, str]):
    assert run("dlq", "replay")[0] == 2
    assert run("dlq", "replay", "a:1:1", "--all")[0] == 2


@pytest.mark.parametrize("address", [f"{TOPIC}.dlq:0:999", "com.other.dlq:0:1", "nonsense"])
def test_an_address_where_nothing_lies_is_an_error(environment: Mapping[str, str], address: str):
    code, said = run("dlq", "show", address)
    assert code == 1
    assert "no dead letter at" in said


def test_topics_are_made_where_they_must_be(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch):
    code, said = run("topics")
    assert code == 0, said
    if environment["EVENTS_BACKEND"] == "kafka":
        prefix = environment["KAFKA_PREFIX"]
        assert said.splitlines() == sorted(f"there  {prefix}{topic}{end}" for topic in topics() for end in ("", ".dlq"))
        monkeypatch.setenv("KAFKA_PREFIX", f"{prefix}new.")
        names = sorted(f"{prefix}new.{topic}{end}" for topic in topics() for end in ("", ".dlq"))
        for outcome in ("made", "there"):
            assert run("topics") == (0, "".join(f"{outcome}  {name}\n" for name in names))
    else:
        assert said == "EVENTS_BACKEND is postgres: its topics need not be made\n"


def test_the_lag_of_groups_is_told(environment: Mapping[str, str]):
    assert run("lag", "download-service") == (0, f"download-service  {events.NEVER_JOINED}\n")
    assert run("lag", "download-service", "--topic", TOPIC) == (0, "download-service  0\n")
    on_the_bus(deal_with_one)
    told = run("lag", "download-service", "library-service")
    assert told == (0, f"download-service  2\nlibrary-service  {events.NEVER_JOINED}\n")
    told = run("lag", "download-service", "library-service", "--topic", TOPIC)
    assert told == (0, "download-service  2\nlibrary-service  3\n")


def test_a_topic_that_is_none_of_the_platforms_is_refused(environment: Mapping[str, str]):
    code, said = run("lag", "library-service", "--topic", "com.platform.typo.events.v1")
    assert code == 2
    assert "com.platform.typo.events.v1" in said


def test_a_bus_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVENTS_BACKEND", "kafka")
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:1")
    assert run("lag", "download-service") == (1, "samovar events: the event bus is away (SERVICE_UNAVAILABLE)\n")
    code, said = run("topics")
    assert code == 1
    assert "no Kafka at 127.0.0.1:1" in said


def test_a_directory_needs_no_bucket(monkeypatch: pytest.MonkeyPatch):
    for name in ("OBJECTS_DIRECTORY", "OBJECTS_BASE_URL", "OBJECTS_SIGNING_KEY"):
        monkeypatch.setenv(name, "x")
    done = CliRunner().invoke(objects.app, ["bucket"])
    assert (done.exit_code, done.output) == (0, "OBJECTS_BACKEND is directory: it needs no bucket\n")


def test_every_proto_with_events_is_in_the_registry():
    root = Path(__file__).parents[2] / "proto"
    with_events = {
        str(file.relative_to(root)) for file in root.rglob("*.proto") if "samovar.options.v1.event)" in file.read_text()
    }
    assert with_events == {file.name for file in FILES}
