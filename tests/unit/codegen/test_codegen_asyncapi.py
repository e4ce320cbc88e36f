"""The AsyncAPI document that the generator writes: every WebSocket and topic is in it, and what is sent there looks as it says."""

import importlib
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from rest.routes import STREAMS
from samovar.options.v1 import options_pb2

from chassis.cloudevents.events import CloudEvent, new_event, to_wire
from codegen.generate import PROTO, own_files
from gateway.contract import StreamRoute
from tests.unit.codegen.documents import ASYNCAPI, as_services_send, faults, read, resolved


def _event_types() -> Iterator[type[Message]]:
    """Every message of the contract that is an event."""
    for name in own_files(PROTO):
        importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
        for message in descriptor_pool.Default().FindFileByName(name).message_types_by_name.values():
            if message.GetOptions().HasExtension(options_pb2.event):
                yield GetMessageClass(message)


EVENTS = tuple(_event_types())


@pytest.fixture(scope="module")
def document() -> Any:
    return read(ASYNCAPI.read_text())


def _references(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_every_reference_leads_somewhere_and_has_nothing_beside_it(document: Any) -> None:
    """In draft 7, which AsyncAPI builds on, whatever stands beside a `$ref` is ignored."""
    references = list(_references(document))
    assert len(references) > 50
    for reference in references:
        assert set(reference) == {"$ref"}
        assert resolved(document, reference)


def test_schemas_are_valid_in_both_drafts(document: Any) -> None:
    schemas = [message["payload"] for message in document["components"]["messages"].values()]
    schemas += document["components"]["schemas"].values()
    for schema in schemas:
        Draft7Validator.check_schema(schema)
        Draft202012Validator.check_schema(schema)
    assert len(schemas) > 20


def test_every_stream_is_a_channel_with_its_events_and_its_ends(document: Any) -> None:
    by_address = {channel["address"]: channel for channel in document["channels"].values()}
    for stream in STREAMS:
        channel = by_address[stream.path]
        events = {
            field.GetOptions().Extensions[options_pb2.stream_event].type
            for field in stream.response_type.DESCRIPTOR.fields
            if field.GetOptions().HasExtension(options_pb2.stream_event)
        }
        assert channel["messages"].keys() == events | {"stream.end", "stream.error", "auth.token"}
        assert ("last_event_id" in channel["bindings"]["ws"]["query"]["properties"]) is stream.resumable


def test_the_platform_sends_its_own_events_and_receives_the_others(document: Any) -> None:
    actions = {name.rpartition(".")[0]: operation["action"] for name, operation in document["operations"].items()}
    assert actions["com.platform.library.events.v1"] == actions["com.platform.download.events.v1"] == "send"
    assert actions["com.platform.payment.events.v1"] == actions["com.platform.catalog.events.v1"] == "receive"


def test_examples_keep_their_schemas(document: Any) -> None:
    checked = 0
    for message in document["components"]["messages"].values():
        for example in message.get("examples", ()):
            assert faults(document, message["payload"], example["payload"]) == [], message["name"]
            checked += 1
    assert checked >= len(EVENTS)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.rpc)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_whatever_a_stream_sends_is_documented(document: Any, stream: StreamRoute, seed: int) -> None:
    group = stream.response_type.DESCRIPTOR.oneofs_by_name["payload"]
    member = group.fields[seed % len(group.fields)]
    message: Any = as_services_send(stream.response_type, seed)
    getattr(message, member.name).CopyFrom(as_services_send(GetMessageClass(member.message_type), seed))
    event = stream.encode(message)
    channel = next(one for one in document["channels"].values() if one["address"] == stream.path)
    payload = resolved(document, channel["messages"][event.event_type])["payload"]
    # An event without a time gets that of its passing on.
    assert (event.timestamp is not None) == message.HasField("occurred_at")
    timestamp = event.timestamp or "2026-01-02T03:04:05Z"
    envelope = {"event_type": event.event_type, "id": event.id, "timestamp": timestamp, "payload": event.payload}
    assert faults(document, payload, orjson.loads(orjson.dumps(envelope))) == []


@pytest.mark.parametrize("event_type", EVENTS, ids=lambda event_type: event_type.DESCRIPTOR.full_name)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_whatever_is_published_is_documented(document: Any, event_type: type[Message], seed: int) -> None:
    made = new_event(as_services_send(event_type, seed), key="key")
    event = CloudEvent(
        id=made.id,
        source="platform.test-service",
        type=made.type,
        subject=made.subject,
        time=made.time,
        topic=made.topic,
        partition_key=made.partition_key,
        trace_parent=made.trace_parent,
        data=made.data,
    )
    channel = document["channels"][made.topic]
    message = resolved(document, channel["messages"][made.type])
    assert faults(document, message["payload"], json.loads(to_wire(event))) == []
