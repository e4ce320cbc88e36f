"""The fields that an update request sets: those that its mask names. Called by the mappers of update requests."""

from collections.abc import Set as AbstractSet
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from chassis.errors import DomainError, FieldViolation, Kind


def masked(changes: Message, mask: FieldMask, *, at: str, clearable: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """Values by the names in the mask; None for one that is named and cleared. A list is cleared to an empty one.

    `changes` is the field `at` of the request; `clearable` are those of its fields that may be named without a value.

    Raises:
        DomainError: INVALID_ARGUMENT, with every path that is unknown or needs a value.
    """
    values: dict[str, Any] = {}
    violations = []
    for path in dict.fromkeys(mask.paths):
        field = changes.DESCRIPTOR.fields_by_name.get(path)
        if field is None:
            violations.append(FieldViolation("update_mask", f"unknown path {path!r}", "update_mask.unknown_path"))
        elif field.is_repeated:
            values[path] = list(getattr(changes, path))
        elif changes.HasField(path):
            values[path] = getattr(changes, path)
        elif path in clearable:
            values[path] = None
        else:
            violations.append(FieldViolation(f"{at}.{path}", "cannot be cleared", "update_mask.not_clearable"))
    if violations:
        description = ", ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise DomainError(
            Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description}, violations=violations
        )
    return values
