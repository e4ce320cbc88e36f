"""The library's events as the platform reads them: domain event → protobuf message → row of the outbox.

An event's message has its name and its attributes; ids become text, closed sets the enum's values.
"""

import re
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

from google.protobuf.message import Message
from library.v1 import events_pb2

from chassis.cloudevents.events import NewEvent, new_event
from library_svc.events import LibraryEvent

_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def outgoing(event: LibraryEvent) -> NewEvent:
    """The event, ready for the outbox."""
    message_type: type[Message] = getattr(events_pb2, type(event).__name__)
    return new_event(message_type(**{field.name: _value(getattr(event, field.name)) for field in fields(event)}))


_Value: TypeAlias = UUID | StrEnum | datetime | int | str


def _value(value: _Value | tuple[_Value, ...]) -> str | datetime | int | list[Any]:
    match value:
        case tuple():
            return list(map(_value, value))
        case UUID():
            return str(value)
        case StrEnum():
            return f"{_WORD.sub('_', type(value).__name__).upper()}_{value.name}"
        case _:
            return value
