"""The change that the running call asks for, as the audit log records it. Set by the interceptor for methods that are counted as
writes, written by the transaction that makes the change (chassis.postgres.database), or by the interceptor when it is refused.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from chassis.auth.access import Caller

DONE: Final = "done"
RESOURCE_LIMIT: Final = 200
"""Characters of the ids that a request names."""


@dataclass(slots=True)
class Change:
    """An action and its caller. `is_recorded`: the audit log has it, so a call leaves one row, however many its transactions."""

    action: str
    caller: Caller
    resource: str = ""
    is_recorded: bool = False

    def row(self, outcome: str) -> Mapping[str, Any]:
        """The columns of its row."""
        caller = self.caller
        by_service = caller.user_id is None and caller.service is not None
        kind = "service" if by_service else "admin" if "admin" in caller.roles else "user"
        return {
            "actor": caller.service if by_service else str(caller.user_id) if caller.user_id else None,
            "actor_kind": kind,
            "address": caller.client_ip,
            "action": self.action,
            "resource": self.resource,
            "outcome": outcome,
            "request_id": caller.request_id,
            "user_id": caller.user_id,
        }


_running: ContextVar[Change | None] = ContextVar("samovar_change", default=None)


def running_change() -> Change | None:
    """Return the change that the running call makes; None outside of calls, and in calls that only read."""
    return _running.get()


def set_change(change: Change | None) -> None:
    """Set the change of the running call. For the interceptor and for tests: every call runs in a context of its own."""
    _running.set(change)


def resource_of(request: Message) -> str:
    """The ids that the request names, in the order of its fields."""
    named = [
        f"{field.name}={value}"
        for field, value in request.ListFields()
        if isinstance(value, str) and (field.name == "id" or field.name.endswith("_id")) and field.name != "user_id"
    ]
    return " ".join(named)[:RESOURCE_LIMIT]
