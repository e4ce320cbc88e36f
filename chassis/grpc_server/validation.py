"""Shape and limits of messages, as buf.validate states them in the proto. One native validator per process (about 3 µs a
message); rules are compiled at boot, because the first use of a message type costs milliseconds. Called by the validation
interceptor, by event consumers, and by the gateway where it checks early.
"""

from collections.abc import Iterable

import protovalidate
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from chassis.errors import DomainError, FieldViolation, Kind

_validator = protovalidate.Validator()


def violations_of(message: Message) -> tuple[FieldViolation, ...]:
    """Every broken rule of the message, in the order of its fields."""
    found = _validator.collect_violations(message)
    return tuple(_read(violation) for violation in found) if found else ()


def validate(message: Message) -> None:
    """Passes a message that keeps all its rules.

    Raises:
        DomainError: INVALID_ARGUMENT, VALIDATION_ERROR with all violations at once.
    """
    found = _validator.collect_violations(message)
    if found:
        raise DomainError(
            Kind.INVALID_ARGUMENT,
            "VALIDATION_ERROR",
            violations=[_read(violation) for violation in found],
        )


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
