"""Names of the metadata that calls carry, and what is left of the running call's time."""

import time
from contextvars import ContextVar

AUTHORIZATION = "authorization"
SERVICE_AUTHORIZATION = "x-service-authorization"
REQUEST_ID = "x-request-id"
CLIENT_IP = "x-client-ip"
ACCEPT_LANGUAGE = "accept-language"


running_deadline: ContextVar[float | None] = ContextVar("samovar_deadline", default=None)


def remaining_seconds() -> float | None:
    """Return the time left to the running call, never below zero; None without a deadline or outside of a call."""
    deadline = running_deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())
