"""Logs: one JSON object a line, with what ties it to a call and nothing that names a person."""

import io
import json
import logging
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import TracerProvider

from chassis import logs
from chassis.access import Caller, caller_scope

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
