"""Structured logs: one JSON object per line on stdout, with trace, span, request and a hash of the user. Every module logs through
the standard library (`getLogger(__name__)`, facts in `extra`); chassis.program sets it up. Contract: section 13.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import IO, Any

import orjson
from opentelemetry import trace

from chassis.access import find_caller

USER_HASH_DIGITS = 16

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_QUIET = {"asyncio": logging.WARNING, "aiohttp.access": logging.WARNING, "grpc": logging.WARNING}


def hash_user(user_id: object) -> str:
    """How a user appears in logs: enough to follow one, not enough to name one."""
    return sha256(str(user_id).encode()).hexdigest()[:USER_HASH_DIGITS]


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Runs where the record is made, so that the running call's context is at hand."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **_context(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _context() -> Mapping[str, str]:
    found: dict[str, str] = {}
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        found["trace_id"] = trace.format_trace_id(span.trace_id)
        found["span_id"] = trace.format_span_id(span.span_id)
    caller = find_caller()
    if caller is not None:
        if caller.request_id:
            found["request_id"] = caller.request_id
        if caller.user_id is not None:
            found["user"] = hash_user(caller.user_id)
    return found


class _LineHandler(QueueHandler):
    """Renders at once and leaves the writing to a thread: a slow pipe must not stop the event loop."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        line = self.format(record)
        return logging.makeLogRecord({"msg": line, "levelno": record.levelno, "levelname": record.levelname})


def configure(name: str, level: str, *, stream: IO[str] | None = None) -> Callable[[], None]:
    """Sends every log of the process to `stream` (stdout) as JSON; the returned function writes what is left and stops."""
    queue: SimpleQueue[Any] = SimpleQueue()
    writer = logging.StreamHandler(stream or sys.stdout)
    writer.setFormatter(logging.Formatter("%(message)s"))
    listener = QueueListener(queue, writer)
    handler = _LineHandler(queue)
    handler.setFormatter(JsonFormatter(name))
    root = logging.getLogger()
    before, level_before = list(root.handlers), root.level
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger, at_least in _QUIET.items():
        logging.getLogger(logger).setLevel(max(at_least, root.level))
    logging.captureWarnings(capture=True)
    listener.start()

    def stop() -> None:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level_before)
        listener.stop()
        writer.flush()

    return stop
