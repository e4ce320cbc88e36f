"""The endings of a stream: close codes (RFC 6455, section 7.4, and the platform's own from 4000 up) and the last event's text."""

from chassis.errors import DomainError, Kind
from gateway.contract import JsonValue
from gateway.problems.errors import of_error
from gateway.request.context import RequestContext

END_EVENT = "stream.end"
ERROR_EVENT = "stream.error"

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_UNSUPPORTED_DATA = 1003
CLOSE_INVALID_DATA = 1007
CLOSE_INTERNAL = 1011
CLOSE_TRY_AGAIN = 1013
CLOSE_UNAUTHENTICATED = 4401
CLOSE_SLOW_READER = 4408

CLOSE_CODES = {
    Kind.UNAUTHENTICATED: CLOSE_UNAUTHENTICATED,
    Kind.PERMISSION_DENIED: 4403,
    Kind.INVALID_ARGUMENT: 4400,
    Kind.NOT_FOUND: 4404,
    Kind.RESOURCE_EXHAUSTED: 4429,
    Kind.UNAVAILABLE: CLOSE_TRY_AGAIN,
    Kind.DEADLINE_EXCEEDED: CLOSE_TRY_AGAIN,
}


class StreamClose(Exception):
    """The session ends: with a close code and a last event in words, or, `code` None, because the client is gone."""

    def __init__(self, code: int | None, event_type: str = END_EVENT, payload: JsonValue = None) -> None:
        super().__init__(f"{code} {event_type}")
        self.code = code
        self.event_type = event_type
        self.payload = payload


def ending_of(error: DomainError, context: RequestContext) -> StreamClose:
    """Return the end of a stream that an error causes: with the same code and texts as over REST."""
    first = of_error(error, context.language)[0]
    payload: dict[str, JsonValue] = {
        "code": first.code,
        "title": first.title,
        "detail": first.detail,
        "status": str(first.status),
        "trace_id": context.trace_id,
    }
    if error.retry_after_seconds is not None:
        payload["retry_after_seconds"] = error.retry_after_seconds
    return StreamClose(CLOSE_CODES.get(error.kind, CLOSE_INTERNAL), ERROR_EVENT, payload)


def slow_reader(context: RequestContext) -> StreamClose:
    """The client did not read what it may not miss."""
    ending = ending_of(DomainError(Kind.RESOURCE_EXHAUSTED, "SLOW_READER"), context)
    return StreamClose(CLOSE_SLOW_READER, ending.event_type, ending.payload)


def normal_close(code: int, reason: str) -> StreamClose:
    """A normal end, which is not an error."""
    return StreamClose(code, END_EVENT, {"reason": reason})
