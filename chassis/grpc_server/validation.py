"""Shape and limits of messages, as buf.validate states them in the proto. One native validator per process (about 3 µs a
message); rules are compiled at boot, because the first use of a message type costs milliseconds. Called by the validation
interceptor, by event consumers, and by the gateway where it checks early.

The work is bounded whatever a message holds: one that keeps its rules is checked once; of one that breaks them, counts are read
before items are, and no more violations are created than can be read.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import protovalidate
from buf.validate import validate_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from chassis.errors import DomainError, FieldViolation, Kind

MAX_VIOLATIONS = 100
"""The most violations reported for one message; the client finds further ones in the next answer."""
MAX_ELEMENTS = 2_000
"""Items and map entries of one message that are all looked at once one is wrong; of a message with more, the first violation is
found. Each may break several rules, and a violation costs kilobytes until it is read.
"""

_validator = protovalidate.Validator()


def violations_of(message: Message) -> tuple[FieldViolation, ...]:
    """The broken rules of the message in the order of its fields, up to MAX_VIOLATIONS. Where there are more items than allowed,
    only that is reported.
    """
    first = _validator.collect_violations(message, fail_fast=True)
    if not first:
        return ()
    counts = _Counts()
    counts.read(message, "")
    if counts.excess:
        return tuple(counts.excess)
    found = first if counts.elements > MAX_ELEMENTS else _validator.collect_violations(message)
    return tuple(_read(violation) for violation in islice(found, MAX_VIOLATIONS))


def validate(message: Message) -> None:
    """Passes a message that keeps all its rules.

    Raises:
        DomainError: INVALID_ARGUMENT, VALIDATION_ERROR with what violations_of finds.
    """
    found = violations_of(message)
    if found:
        raise DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=found)


class _Counts:
    """Items and entries of a message and of all within it: how many there are, and where there are more than allowed."""

    def __init__(self) -> None:
        self.elements = 0
        self.excess: list[FieldViolation] = []

    def read(self, message: Message, at: str) -> None:
        """Add a message that stands at the path `at`. Looks no further once it is known that not everything will be."""
        for field, value in message.ListFields():
            path = f"{at}.{field.name}" if at else field.name
            if not field.is_repeated:
                if field.message_type is not None:
                    self.read(value, path)
                continue
            excess = _excess(field, len(value))
            if excess is not None:
                self.excess.append(FieldViolation(path, *excess))
            else:
                self.elements += len(value)
                for place, within in _messages(field, value):
                    if self.elements > MAX_ELEMENTS or len(self.excess) >= MAX_VIOLATIONS:
                        return
                    self.read(within, f"{path}[{place}]")


def _messages(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Message]]:
    """The messages in a list or map, with their subscripts."""
    if field.message_type is None:
        return
    if not field.message_type.GetOptions().map_entry:
        yield from ((str(index), one) for index, one in enumerate(value))
    elif field.message_type.fields_by_name["value"].message_type is not None:
        yield from ((f'"{key}"' if isinstance(key, str) else str(key), value[key]) for key in value)


def _excess(field: FieldDescriptor, count: int) -> tuple[str, str] | None:
    """Text and id of the rule that so many items or entries break."""
    rules = _rules(field)
    if rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return None
    if rules.repeated.HasField("max_items") and count > rules.repeated.max_items:
        return f"must contain no more than {rules.repeated.max_items} item(s)", "repeated.max_items"
    if rules.map.HasField("max_pairs") and count > rules.map.max_pairs:
        return f"map must be at most {rules.map.max_pairs} entries", "map.max_pairs"
    return None


@cache
def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    # The generated stubs say less of an extension than its type.
    extension: Any = validate_pb2.field
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[extension]
    return rules


def compile_rules(services: Iterable[str]) -> None:
    """Compiles the rules of every request of the named services (full names).

    Raises:
        protovalidate.CompilationError: a rule in the proto is wrong; better now than at the first call.
    """
    pool = descriptor_pool.Default()
    for name in services:
        for method in pool.FindServiceByName(name).methods:
            _validator.collect_violations(message_factory.GetMessageClass(method.input_type)())


def _read(violation: protovalidate.Violation) -> FieldViolation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field is not None else ():
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None:
            path += f'["{subscript.value}"]' if isinstance(subscript.value, str) else f"[{subscript.value}]"
    return FieldViolation(path, proto.message or proto.rule_id, proto.rule_id)
