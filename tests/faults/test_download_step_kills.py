"""kill -9 of the Download Service between each pair of steps of each use case: every SQL statement, the commit, the answer, and for
events the reading, the acknowledgement and the relay. Before the commit nothing has happened, after it everything; asked again,
as clients and the bus do, it has happened once.
"""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from catalog.v1.events_pb2 import VersionPublished, VersionWithdrawn
from content.v1 import manifest_pb2 as content
from download.v1 import downloads_pb2 as downloads
from google.protobuf.message import Message
from library.v1.events_pb2 import GameRemoved

from chassis.bus.event_log import open_event_log
from chassis.cloudevents.events import CloudEvent, new_event
from chassis.live.live_state import StreamRecord
from chassis.live.redis_state import open_redis_state
from chassis.postgres.migrations import upgrade
from tests.faults.death import BEFORE_COMMIT
from tests.faults.download_steps import fetch

ANSWER_SECONDS = 60
ALL_STEPS = [pytest.mark.soak, pytest.mark.timeout(600)]
NAMES = ("user", "device", "product", "version", "other product", "other version", "first", "second")
TELLING = ("manifest kept", "rows written", BEFORE_COMMIT, "committed", "announced", "relayed", "done")
"""Steps of the normal run; the statements between them only in the long one."""
RANDOM_MEMBERS = ["timestamp", "downloadItemId", "fileMetadataId"]
AFTER_COMMIT = frozenset({"committed", "acknowledged", "done"})


@dataclass(frozen=True)
class UseCase:
    """What comes before it, what it is, and the event that causes it."""

    before: Sequence[str]
    work: str
    event: Callable[[Mapping[str, str]], Message] | None = None


def version_published(names: Mapping[str, str]) -> Message:
    published = VersionPublished(
        product_id=names["product"],
        version_id=names["version"],
        version_name="1.0",
        platform=content.PLATFORM_LINUX,
    )
    published.release_date.FromJsonString("2030-01-01T00:00:00Z")
    return published


def game_removed(names: Mapping[str, str]) -> Message:
    return GameRemoved(user_id=names["user"], product_id=names["product"])


def version_withdrawn(names: Mapping[str, str]) -> Message:
    return VersionWithdrawn(product_id=names["product"], version_id=names["version"])


KNOWN = ("know versions", "know other versions")
ONE = (*KNOWN, "start")
TWO = (*ONE, "start another")
USE_CASES = {
    "publish a version": UseCase((), "hear", version_published),
    "start": UseCase(KNOWN, "start"),
    "start behind another": UseCase((*KNOWN, "start another"), "start"),
    "pause": UseCase(TWO, "pause"),
    "resume": UseCase((*ONE, "pause"), "resume"),
    "cancel": UseCase(TWO, "cancel"),
    "retry": UseCase((*ONE, "report failures"), "retry"),
    "report files in place": UseCase(TWO, "report all in place"),
    "report failures": UseCase(TWO, "report failures"),
    "end access": UseCase(TWO, "hear", game_removed),
    "withdraw a version": UseCase(KNOWN, "hear", version_withdrawn),
    "end what was withdrawn": UseCase((*TWO, "retire"), "sweep"),
    "let a silent slot lapse": UseCase((*TWO, "fall silent"), "sweep"),
    "change an installation": UseCase((*ONE, "report all in place"), "pin"),
    "report an uninstall": UseCase((*ONE, "report all in place"), "uninstall"),
}


class Programs:
    """The program that forks, and what it is told each time."""

    def __init__(self, process: "subprocess.Popen[str]", order: Mapping[str, str]) -> None:
        self.order = order
        self._process = process

    def run(self, names: Mapping[str, str], work: Sequence[str], step: str = "none") -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {**self.order, "id": str(uuid.uuid4()), "names": names, "work": work, "step": step}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        # A test that ran out of time may have left an answer that nobody read.
        lines = map(json.loads, iter(self._process.stdout.readline, ""))
        answer: dict[str, Any] = next(line for line in lines if line["id"] == order["id"])
        print(work, step, answer)
        assert answer["ended"] in {0, -signal.SIGKILL}, "it failed; its output says why"
        return answer


@pytest.fixture(scope="module")
def process() -> Iterator["subprocess.Popen[str]"]:
    words = [sys.executable, "-m", "tests.faults.download_steps"]
    program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield program
    assert program.stdin is not None
    program.stdin.close()
    assert program.wait(ANSWER_SECONDS) == 0
    assert program.stdout is not None
    program.stdout.close()


@pytest.fixture
async def programs(
    process: "subprocess.Popen[str]",
    new_database: Callable[[str], Awaitable[str]],
    valkey_url: str,
    tmp_path: Path,
) -> Programs:
    dsn, events_dsn = await new_database("download"), await new_database("events")
    await upgrade(dsn, "download_svc")
    order = {"dsn": dsn, "events_dsn": events_dsn, "redis": valkey_url, "objects": str(tmp_path / "objects")}
    return Programs(process, order)


def new_names() -> dict[str, str]:
    return {name: str(uuid.uuid4()) for name in NAMES}


async def tell(programs: Programs, message: Message, names: Mapping[str, str]) -> None:
    """Another service's event, on the bus."""
    made = new_event(message, key=names["user"])
    event = CloudEvent(
        id=str(made.id),
        source="platform.another-service",
        type=made.type,
        subject=made.subject,
        time=made.time,
        topic=made.topic,
        partition_key=made.partition_key,
        trace_parent=None,
        data=made.data,
    )
    async with open_event_log(programs.order["events_dsn"]) as log:
        await log.publish([event])


async def state(programs: Programs, names: Mapping[str, str]) -> Any:
    """All that the service holds of the user and the products, times and random ids left out."""
    user, products = uuid.UUID(names["user"]), [uuid.UUID(names["product"]), uuid.UUID(names["other product"])]
    statements = {
        "sessions": """SELECT to_jsonb(s) - '{created_at,updated_at,queue_rank}'::text[] FROM download_sessions s
            WHERE user_id = $1 ORDER BY created_at""",
        "items": """SELECT to_jsonb(i) - '{id,file_metadata_id,created_at,updated_at}'::text[] FROM download_items i
            WHERE user_id = $1 ORDER BY created_at, download_session_id, ordinal""",
        "installations": """SELECT to_jsonb(i) - '{id,created_at,updated_at}'::text[] FROM installations i
            WHERE user_id = $1""",
        "events": """SELECT jsonb_build_object('type', type, 'payload', payload - $2::text[])
            FROM outbox WHERE partition_key = $1::text ORDER BY position""",
    }
    found: dict[str, Any] = {}
    for name, statement in statements.items():
        values = (str(user), RANDOM_MEMBERS) if name == "events" else (user,)
        rows = await fetch(programs.order["dsn"], statement, *values)
        found[name] = [json.loads(row[0]) for row in rows]
    statement = """SELECT jsonb_build_object('version', version_id, 'state', state, 'files',
        (SELECT count(*) FROM file_metadata f WHERE f.version_id = v.version_id)) FROM product_versions v
        WHERE product_id = ANY ($1) ORDER BY created_at"""
    found["versions"] = [json.loads(row[0]) for row in await fetch(programs.order["dsn"], statement, products)]
    text = json.dumps(found)
    for name, value in names.items():
        text = text.replace(value, name)
    return json.loads(text)


@pytest.mark.parametrize("steps", ["telling", pytest.param("all", marks=ALL_STEPS)])
@pytest.mark.parametrize("name", USE_CASES)
async def test_the_service_dies_in(name: str, steps: str, programs: Programs) -> None:
    """Before the commit nothing has happened, after it everything; asked again it has happened once."""
    case = USE_CASES[name]

    async def prepared() -> tuple[dict[str, str], Any]:
        names = new_names()
        if case.before:
            programs.run(names, case.before)
        before = await state(programs, names)
        if case.event:
            await tell(programs, case.event(names), names)
        return names, before

    names, before = await prepared()
    passed = programs.run(names, [case.work])["passed"]
    after = await state(programs, names)
    assert after != before
    for step in dict.fromkeys(passed):
        if steps == "telling" and step not in TELLING:
            continue
        names, untouched = await prepared()
        assert programs.run(names, [case.work], step)["ended"] == -signal.SIGKILL, step
        happened = passed.index(step) > last_commit(passed) or step in AFTER_COMMIT
        assert await state(programs, names) == (after if happened else untouched), step
        programs.run(names, [case.work])
        assert await state(programs, names) == after, f"asked again after a death at {step}"
    programs.run(names, ["relay"])
    await assert_relayed(programs, times=1)


def last_commit(passed: Sequence[str]) -> int:
    """Where the transaction ended: just after its last row or event was written."""
    return max(place for place, step in enumerate(passed) if step in {BEFORE_COMMIT, "rows written"})


@pytest.mark.parametrize("step", ["about to relay", "relayed"])
async def test_the_service_dies_while_it_relays(step: str, programs: Programs) -> None:
    names = new_names()
    programs.run(names, [*TWO, "report all in place"])
    assert programs.run(names, ["relay"], step)["ended"] == -signal.SIGKILL
    programs.run(names, ["relay"])
    # At least once: only a death between the log and the mark repeats events, under their ids and in their order.
    await assert_relayed(programs, times=2 if step == "relayed" else 1)


@pytest.mark.parametrize("step", ["event read", "announced", "committed", "acknowledged"])
async def test_the_service_dies_while_it_announces(step: str, programs: Programs) -> None:
    names = new_names()
    stream = f"download_events:{{{names['user']}}}"
    async with open_redis_state(programs.order["redis"]) as hot:
        start = await hot.streams.position(stream)
        programs.run(names, [*TWO, "pause", "relay"])
        assert programs.run(names, ["announce"], step)["ended"] == -signal.SIGKILL
        programs.run(names, ["announce"])
        end = await hot.streams.position(stream)
        told = [move async for move in told_moves(hot.streams.read(stream, after=start), end)]
    committed = [(one["downloadSessionId"], one["newStatus"]) for one in await status_events(programs)]
    assert told == committed


async def told_moves(records: AsyncIterator[StreamRecord], end: str) -> AsyncIterator[tuple[str, str]]:
    """Moves in a user's stream, up to a position."""
    async with asyncio.timeout(ANSWER_SECONDS):
        async for record in records:
            event = downloads.WatchDownloadsResponse.FromString(record.payload)
            if event.HasField("status_changed"):
                moved = event.status_changed
                status = downloads.DownloadStatus.Name(moved.new_status).removeprefix("DOWNLOAD_STATUS_").lower()
                yield moved.download_session_id, status
            if record.id == end:
                return


async def status_events(programs: Programs) -> list[dict[str, Any]]:
    statement = "SELECT payload FROM outbox WHERE payload ? 'downloadSessionId' ORDER BY position"
    return [json.loads(row["payload"]) for row in await fetch(programs.order["dsn"], statement)]


async def assert_relayed(programs: Programs, *, times: int) -> None:
    """Every event is in the log so often, and each user's in their order."""
    written = await fetch(programs.order["dsn"], "SELECT id::text, partition_key FROM outbox ORDER BY position")
    logged = await fetch(programs.order["events_dsn"], "SELECT value FROM log ORDER BY id")
    known = {row["id"] for row in written}
    ids = [one for row in logged if (one := json.loads(row["value"])["id"]) in known]
    assert Counter(ids) == dict.fromkeys(known, times)
    for user in {row["partition_key"] for row in written}:
        of_user = [row["id"] for row in written if row["partition_key"] == user]
        assert list(dict.fromkeys(one for one in ids if one in set(of_user))) == of_user
