"""The one error model: what a rule, a port or a use case raises. Mapped to gRPC in chassis.errors.wire, to JSON:API in the
gateway. The only module of the chassis that domain and application may import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of a failure; each has one gRPC code of the same name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


RETRYABLE_KINDS = frozenset({Kind.ABORTED, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})


def is_unavailable(error: BaseException) -> bool:
    """Return True when something needed is unavailable now, so that the failure is not the fault of the request."""
    return isinstance(error, DomainError) and error.kind in RETRYABLE_KINDS


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule: the field's path as protobuf spells it (`item.user_rating`, `items[3].item_id`), the rule's id, a text."""

    field: str
    description: str
    rule: str = ""


class DomainError(Exception):
    """A failure that has a name outside.

    Attributes:
        kind: what sort it is.
        reason: the error code, a name of samovar.errors.v1.ErrorReason without its prefix.
        details: members for the error's texts and `meta`; safe to show to the caller.
        violations: all broken rules of the request at once.
        retry_after_seconds: when trying again makes sense, if that is known.
        message: what a foreign service said, for the caller in place of the reason's text; "" = nothing that may be shown.
    """

    def __init__(
        self,
        kind: Kind,
        reason: str,
        *,
        details: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after_seconds: float | None = None,
        message: str = "",
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.details = dict(details or {})
        self.violations = tuple(violations)
        self.retry_after_seconds = retry_after_seconds
        self.message = message

    def __str__(self) -> str:
        members = ", ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.reason} ({members})" if members else self.reason
