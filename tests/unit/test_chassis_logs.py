"""Logs: one JSON object a line, with what ties it to a call and nothing that names a person."""

import io
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider

from chassis.auth.access import Caller, caller_scope
from chassis.observability import logs

USER = UUID("6f1c4b1e-8f0a-4b7e-9d63-2f6a3f3b9a11")


@pytest.fixture
def written():
    stream = io.StringIO()
    stop = logs.configure("library-service", "INFO", stream=stream)

    stopped = False

    def read() -> list[dict]:
        nonlocal stopped
        if not stopped:
            stopped = True
            stop()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield read
    read()


def test_a_line_carries_service_level_message_and_facts(written):
    logging.getLogger("x.y").info("item %s", "added", extra={"product_id": "p", "size_bytes": 3})
    (line,) = written()
    assert (line["service"], line["level"], line["logger"], line["message"]) == (
        "library-service",
        "INFO",
        "x.y",
        "item added",
    )
    assert (line["product_id"], line["size_bytes"]) == ("p", 3)
    assert line["time"].endswith("+00:00")


def test_a_line_is_tied_to_its_call_and_hides_the_user(written):
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("t").start_as_current_span("s") as span, caller_scope(Caller(USER, request_id="r1")):
        logging.getLogger("x").warning("hello")
    (line,) = written()
    context = span.get_span_context()
    assert line["trace_id"] == f"{context.trace_id:032x}"
    assert line["span_id"] == f"{context.span_id:016x}"
    assert line["request_id"] == "r1"
    assert line["user"] == logs.hash_user(USER)
    assert str(USER) not in json.dumps(line)


def test_an_exception_is_one_line_with_its_trace(written):
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = written()
    assert "Traceback" in line["exception"]
    assert "broken\nin two" in line["exception"]


def test_what_is_below_the_level_is_not_written(written):
    logging.getLogger("x").debug("quiet")
    logging.getLogger("x").error("loud")
    assert [line["message"] for line in written()] == ["loud"]


def test_a_fact_that_json_does_not_know_is_written_as_text(written):
    logging.getLogger("x").info("odd", extra={"path": UUID(int=1), "things": {1: object}})
    (line,) = written()
    assert line["path"] == str(UUID(int=1))
    assert line["things"]["1"].startswith("<class")


@pytest.fixture
def write(monkeypatch):
    """`write_line` where ours is the only handler, as in a program; pytest adds its own when a test begins."""

    def straight(message: str, facts: Callable[[], Mapping[str, Any]]) -> None:
        root = logging.getLogger()
        with monkeypatch.context() as patch:
            patch.setattr(
                root, "handlers", [one for one in root.handlers if isinstance(one.formatter, logs.JsonFormatter)]
            )
            logs.write_line(logging.getLogger("x.y"), message, facts)

    return straight


def test_a_line_written_straight_reads_like_one_that_was_logged(written, write):
    facts = {"trace_id": "t", "request_id": "r1", "size_bytes": 3}
    write("request", lambda: facts)
    logs.write_line(logging.getLogger("x.y"), "request", lambda: facts)
    logging.getLogger("x.y").info("request", extra=facts)
    straight, beside_other_handlers, logged = ({**line, "time": ""} for line in written())
    assert straight == beside_other_handlers == logged


def test_a_line_that_cannot_be_made_keeps_no_other_from_being_written(written, write):
    write("odd", lambda: {"size_bytes": 1j})
    write("broken", lambda: {"size_bytes": int("three")})
    write("good", lambda: {"size_bytes": 3})
    odd, broken, good = written()
    assert odd["size_bytes"] == "1j"
    assert (broken["level"], "three" in broken["message"]) == ("ERROR", True)
    assert good["size_bytes"] == 3


def test_lines_of_many_threads_are_all_written_in_their_order(written):
    def write(name: str) -> None:
        for number in range(300):
            logging.getLogger(name).info("line", extra={"number": number})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, "abcd"))
    lines = written()
    for name in "abcd":
        assert [line["number"] for line in lines if line["logger"] == name] == list(range(300))


def test_an_error_is_written_without_being_waited_for(monkeypatch):
    monkeypatch.setattr(logs, "COLLECT_SECONDS", 3600.0)
    stream = Noticing()
    stop = logs.configure("x", "INFO", stream=stream)
    try:
        logging.getLogger("x").error("loud")
        assert stream.flushed.wait(10)
        assert "loud" in stream.getvalue()
    finally:
        stop()


class Noticing(io.StringIO):
    """Says when something was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = threading.Event()

    def flush(self) -> None:
        super().flush()
        self.flushed.set()


def test_a_library_that_repeats_itself_is_heard_once_in_a_while_and_its_repeats_are_counted(written):
    now = 100.0
    handler = logging.getLogger().handlers[0]
    handler.filters[:] = [logs.Repeats(lambda: now)]
    for _ in range(500):
        logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", 1)
        logging.getLogger("chassis.x").error("one of ours")
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", 2)
    now += logs.REPEAT_SECONDS
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", 1)
    lines = [(line["message"], line.get("repeats")) for line in written() if line["logger"] == "aiokafka.client"]
    assert lines == [
        ("Unable connect to node with id 1", None),
        ("Unable connect to node with id 2", None),
        ("Unable connect to node with id 1", 499),
    ]
    assert sum(line["message"] == "one of ours" for line in written()) == 500


def test_the_messages_that_are_watched_for_repeats_have_a_limit(monkeypatch):
    monkeypatch.setattr("chassis.observability.logs.REPEATS_REMEMBERED", 3)
    repeats = logs.Repeats(lambda: 1.0)
    for number in range(10):
        assert repeats.filter(logging.makeLogRecord({"name": "aiokafka", "msg": f"message {number}"}))
    assert len(repeats._since) <= 3


def test_a_user_is_hashed_under_a_secret(monkeypatch):
    """Who knows ids, but not the key, cannot find their lines."""
    monkeypatch.setattr(logs._HashKey, "value", b"another")
    logs.use_hash_key("one")
    first = logs.hash_user(USER)
    logs.use_hash_key("")
    assert logs.hash_user(USER) == first
    logs.use_hash_key("two")
    assert logs.hash_user(USER) != first
    assert len(first) == logs.USER_HASH_DIGITS


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("somebody", ""),
        (None, ""),
    ],
)
def test_of_an_address_only_the_network_is_shown(address, shown):
    assert logs.cut_address(address) == shown
