"""Events as the platform sends them: CloudEvents 1.0 in structured JSON mode, one per message of the proto that carries the `event`
option. Made through infrastructure (`new_event`), carried by chassis.bus.outbox and an event bus, read by chassis.bus.consumers.

Source: contract section 6, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from samovar.options.v1 import options_pb2

from chassis.cloudevents import event_json
from chassis.cloudevents.event_json import JsonValue
from chassis.cloudevents.moments import moment_text, parse_moment
from chassis.errors import DomainError, Kind

MAX_EVENT_BYTES = 900_000
"""Below Kafka's default message limit of 1 MB, with room for the attributes."""

DEFAULT_KEY_FIELD = "user_id"

_PROPAGATOR = TraceContextTextMapPropagator()

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event on the wire. `topic` is where it travels and no attribute of it; `time` is a moment
    (chassis.cloudevents.moments).
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime
    topic: str
    partition_key: str
    trace_parent: str | None
    data: Mapping[str, JsonValue]

    @property
    def key(self) -> str:
        """One for each event of all sources. The id alone is its source's own (CloudEvents 1.0, `id`)."""
        return f"{self.source} {self.id}"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that a transaction has recorded and that is not sent yet; its source is filled in by the relay."""

    id: UUID
    topic: str
    partition_key: str
    type: str
    subject: str | None
    time: datetime
    trace_parent: str | None
    data: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class EventOption:
    """The options of an event in the proto: its type, its topic, and the fields that are its key and subject."""

    type: str
    topic: str
    key_field: str
    subject_field: str


def event_option(descriptor: Any) -> EventOption:
    """The event option of a message.

    Any: the stubs know two classes of descriptors, the runtime one.

    Raises:
        ValueError: the message is not an event.
    """
    return _event_option(descriptor.full_name, descriptor)


@lru_cache(maxsize=1024)
def _event_option(full_name: str, descriptor: Descriptor) -> EventOption:
    # Any: types-protobuf does not know extensions of the generated upb options.
    extension = cast("Any", options_pb2).event
    options: Any = descriptor.GetOptions()
    if not options.HasExtension(extension):
        raise ValueError(f"{full_name} has no event option")
    option = options.Extensions[extension]
    return EventOption(
        type=option.type,
        topic=option.topic,
        key_field=option.key_field or DEFAULT_KEY_FIELD,
        subject_field=option.subject_field,
    )


def new_event(message: Message, *, key: str | None = None, now: datetime | None = None) -> NewEvent:
    """The event that the message is, with a new id and the trace of the current call.

    `key` overrides the partition key: for an event whose data does not name its user.

    Raises:
        ValueError: no event option, or no partition key: a mistake of the program.
    """
    option = event_option(message.DESCRIPTOR)
    if key is None:
        known = message.DESCRIPTOR.fields_by_name
        key = str(getattr(message, option.key_field)) if option.key_field in known else ""
    if not key:
        raise ValueError(f"{option.type} has no partition key")
    subject = str(getattr(message, option.subject_field)) if option.subject_field else ""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    time = now or datetime.now(UTC)
    return NewEvent(
        id=uuid7(time),
        topic=option.topic,
        partition_key=key,
        type=option.type,
        subject=subject or None,
        time=time,
        trace_parent=carrier.get("traceparent"),
        data=event_json.to_json(message),
    )


def decode(event: CloudEvent, message_type: type[M]) -> M:
    """The event's data as its message; members that the message does not know are ignored.

    Raises:
        DomainError: EVENT_INVALID when a member has a value of another type.
    """
    return event_json.from_json(event.data, message_type)


def to_wire(event: CloudEvent) -> bytes:
    """CloudEvents structured JSON."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": moment_text(event.time),
        "datacontenttype": "application/json",
        "dataschema": f"urn:samovar:event:{event.type}",
    }
    if event.partition_key:
        document["partitionkey"] = event.partition_key
    if event.subject is not None:
        document["subject"] = event.subject
    if event.trace_parent is not None:
        document["traceparent"] = event.trace_parent
    document["data"] = event.data
    return orjson.dumps(document)


def from_wire(value: bytes, *, topic: str) -> CloudEvent:
    """The event that came over the topic. Attributes that we do not know are ignored.

    Raises:
        DomainError: EVENT_INVALID when it is not a CloudEvent 1.0 with JSON data.
    """
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _invalid("not a JSON document") from error
    if not isinstance(document, dict):
        raise _invalid("not a JSON object")
    if document.get("specversion") != "1.0":
        raise _invalid("specversion is not 1.0")
    data = document.get("data", {})
    if not isinstance(data, dict):
        raise _invalid("data is not an object")
    return CloudEvent(
        id=_text(document, "id"),
        source=_text(document, "source"),
        type=_text(document, "type"),
        subject=_optional_text(document, "subject"),
        time=_time(document),
        topic=topic,
        partition_key=_optional_text(document, "partitionkey") or "",
        trace_parent=_optional_text(document, "traceparent"),
        data=data,
    )


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise _invalid(f"{name} is not a non-empty string")
    return value


def _optional_text(document: dict[str, Any], name: str) -> str | None:
    return None if document.get(name) is None else _text(document, name)


def _time(document: dict[str, Any]) -> datetime:
    """The `time` attribute; it is optional in CloudEvents, and an event without it happened when it arrived."""
    text = _optional_text(document, "time")
    if text is None:
        return datetime.now(UTC)
    try:
        return parse_moment(text)
    except ValueError as error:
        raise _invalid("time is not an RFC 3339 time") from error


def _invalid(description: str) -> DomainError:
    return DomainError(Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": description})


def uuid7(now: datetime | None = None) -> UUID:
    """A UUID of version 7 (RFC 9562 section 5.7): 48 bits of milliseconds, the rest random."""
    milliseconds = int((now or datetime.now(UTC)).timestamp() * 1000)
    random_bits = secrets.randbits(74)
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= (random_bits >> 62) << 64
    value |= 0b10 << 62
    value |= random_bits & ((1 << 62) - 1)
    return UUID(int=value)
