"""Structured logs: one JSON object per line on stdout, with trace, span, request and a hash of the user. Every module logs through
the standard library (`getLogger(__name__)`, facts in `extra`); chassis.runtime.program sets it up. Contract: section 13.
"""

import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from secrets import token_bytes
from typing import IO, Any, NamedTuple
from uuid import UUID

import orjson
from opentelemetry import trace

from chassis.auth.access import find_caller

USER_HASH_DIGITS = 16
NETWORK_BITS = {4: 24, 6: 48}
"""The bits of an address that a log keeps, by IP version: the network, which many clients share."""
USERS_REMEMBERED = 10_000

COLLECT_SECONDS = 0.05
"""Lines of so long are written at once. A writer that wakes for every line would take the interpreter from the event loop each
time, which costs more than the line.
"""

REPEAT_SECONDS = 10.0
"""The least time between two equal messages of a library that repeats itself."""

REPEATS_REMEMBERED = 1_000

_REPETITIVE = ("aiokafka",)
"""Libraries that log each of many attempts a second while their server is unavailable."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_QUIET = {"asyncio": logging.WARNING, "aiohttp.access": logging.WARNING, "grpc": logging.WARNING}


class _HashKey:
    """The secret under which users are hashed: without it a user's lines cannot be found by trying ids."""

    value = token_bytes(32)


def use_hash_key(key: str) -> None:
    """Hashes users under this secret from now on; the programs of a platform share one. Empty: the process keeps its own, and its
    hashes are of no use to others.
    """
    if key:
        _HashKey.value = blake2b(key.encode(), digest_size=32).digest()
        hash_user.cache_clear()


@lru_cache(USERS_REMEMBERED)
def hash_user(user_id: UUID) -> str:
    """Return the form in which a user appears in logs: enough to follow one user, not enough to identify them."""
    return blake2b(user_id.bytes, key=_HashKey.value, digest_size=USER_HASH_DIGITS // 2).hexdigest()


def cut_address(address: str | None) -> str:
    """Return the form in which a client's address appears in logs: its network. An invalid address is not shown."""
    try:
        known = ip_address(address or "")
    except ValueError:
        return ""
    if known.version == 6 and known.ipv4_mapped:
        known = known.ipv4_mapped
    return str(ip_network((known, NETWORK_BITS[known.version]), strict=False))


@lru_cache(2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time_text(created: float) -> str:
    seconds = int(created)
    return f"{_second(seconds)}.{int((created - seconds) * 1000):03}+00:00"


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON. Runs where the record is created, so that the running call's context is available."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time_text(record.created),
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
        return _dump(line)


def _dump(line: Mapping[str, Any]) -> str:
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


class Repeats(logging.Filter):
    """Lets the same message of a library that repeats itself through once in REPEAT_SECONDS; the next one that passes says in
    `repeats` how many did not. Used by threads as they come: a line too many does no harm.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}
        self._held_back: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_REPETITIVE):
            return True
        key, now = (record.name, record.getMessage()), self._clock()
        if now - self._since.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            self._held_back[key] += 1
            return False
        if len(self._since) >= REPEATS_REMEMBERED:
            self._since.clear()
            self._held_back.clear()
        self._since[key] = now
        held_back = self._held_back.pop(key, 0)
        if held_back:
            record.repeats = held_back
        return True


class _Line(NamedTuple):
    """A line of `write_line`, until it is written."""

    created: float
    service: str
    logger: str
    message: str
    facts: Callable[[], Mapping[str, Any]]

    def render(self) -> str:
        line = {
            "time": _time_text(self.created),
            "level": "INFO",
            "service": self.service,
            "logger": self.logger,
            "message": self.message,
            **self.facts(),
        }
        return _dump(line)


def _rendered(line: Callable[[], str]) -> str:
    """Return the line, or a replacement when it cannot be formatted: the others must be written all the same."""
    try:
        return line()
    except (TypeError, ValueError) as error:
        return _dump({"time": _time_text(time.time()), "level": "ERROR", "logger": __name__, "message": repr(error)})


class _Writer:
    """Writes lines from a thread of its own, a collection at a time: a slow pipe must not stop the event loop."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: deque[str | Callable[[], str]] = deque()
        self._filled = threading.Event()
        self._urgent = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def put(self, line: str | Callable[[], str], *, urgent: bool) -> None:
        """Adds a line, or what makes one, from any thread. An urgent one is not held back: the process may be about to end."""
        self._lines.append(line)
        if urgent:
            self._urgent.set()
        if not self._filled.is_set():
            self._filled.set()

    def stop(self) -> None:
        """Writes what is left."""
        self._stopping = True
        self._urgent.set()
        self._filled.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._filled.wait()
            self._urgent.wait(COLLECT_SECONDS)
            # In this order: a line that comes in between sets the events again.
            self._urgent.clear()
            self._filled.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        waiting = [self._lines.popleft() for _ in range(len(self._lines))]
        if not waiting:
            return
        lines = [line if isinstance(line, str) else _rendered(line) for line in waiting]
        # When the output is closed there is nowhere left to report it.
        with suppress(OSError, ValueError):
            self._stream.write("\n".join((*lines, "")))
            self._stream.flush()


class _LineHandler(logging.Handler):
    """Renders at once, while the running call's context is at hand, and leaves the writing to the writer."""

    def __init__(self, writer: _Writer, service: str) -> None:
        super().__init__()
        self.writer = writer
        self.service = service
        self.setFormatter(JsonFormatter(service))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except (TypeError, ValueError):
            self.handleError(record)
            return
        self.writer.put(line, urgent=record.levelno >= logging.ERROR)


def write_line(logger: logging.Logger, message: str, facts: Callable[[], Mapping[str, Any]]) -> None:
    """The same as `logger.info(message, extra=facts())` at a fifth of its cost to the caller, for the one line of every request:
    the writer's thread asks for the facts and renders them, many lines after each other. They must have what ties the line to its
    call (trace_id, span_id, request_id, user), for the context is not asked; texts and numbers only.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    handlers = logging.getLogger().handlers
    if len(handlers) != 1 or not isinstance(handlers[0], _LineHandler) or logger.handlers:
        logger.info(message, extra=dict(facts()))
        return
    handlers[0].writer.put(_Line(time.time(), handlers[0].service, logger.name, message, facts).render, urgent=False)


def configure(name: str, level: str, *, stream: IO[str] | None = None) -> Callable[[], None]:
    """Sends every log of the process to `stream` (stdout) as JSON; the returned function writes what is left and stops."""
    writer = _Writer(stream or sys.stdout)
    handler = _LineHandler(writer, name)
    handler.addFilter(Repeats())
    root = logging.getLogger()
    before, level_before = list(root.handlers), root.level
    root.handlers[:] = [handler]
    root.setLevel(level)
    for logger, at_least in _QUIET.items():
        logging.getLogger(logger).setLevel(max(at_least, root.level))
    logging.captureWarnings(capture=True)

    def stop() -> None:
        logging.captureWarnings(capture=False)
        root.handlers[:] = before
        root.setLevel(level_before)
        writer.stop()

    return stop
