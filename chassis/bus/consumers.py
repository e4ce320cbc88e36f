"""Reads a group's events from the bus and gives each to its handler: decode, one use case, commit. Run by a service's main.

Whatever a record holds, it ends as handled or as a dead letter. A failure that another try can cure is tried again, with a delay
that grows to a bound, and holds up only its own partition, and that not for ever: a record that fails for an hour while others are
handled is the record's fault. Every other failure makes it a dead letter at once. Handlers must be idempotent (chassis.bus.inbox).
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, product
from logging import getLogger
from typing import Any

from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge

from chassis.bus.event_bus import BusRecord, EventBus, EventReader, Partition
from chassis.cloudevents.events import CloudEvent, decode, event_option, from_wire
from chassis.concurrency.background import failure_of
from chassis.errors import DomainError, Kind
from chassis.observability.telemetry import start_span
from chassis.postgres.database import is_retryable

BATCH_RECORDS = 50
POLL_SECONDS = 1.0
"""The longest delay of a record whose notification was lost."""

LAG_INTERVAL_SECONDS = 15.0
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 10.0
PATIENCE_SECONDS = 3_600.0
"""The time for which a record is tried again before it is given up, provided that others of the group are handled."""
PROGRESS_SECONDS = 60.0
"""The time for which a record handled by the group proves that everything the handlers need is available."""

_log = getLogger(__name__)
_propagator = TraceContextTextMapPropagator()

_handled = Counter("consumer_events", "Events read from the bus, by what became of them.", ["group", "type", "outcome"])

OUTCOMES = ("handled", "dead_letter", "lost")
_lag = Gauge("consumer_lag_events", "Records of its topics that the group has not dealt with yet.", ["group"])

Handler = Callable[[Any, CloudEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Messages of this type go to this handler. Topic and event type are the message's event option."""

    message_type: type[Message]
    handler: Handler


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The delays between tries: doubled each time, up to the last delay, with a random part."""

    first_delay_seconds: float = FIRST_DELAY_SECONDS
    last_delay_seconds: float = LAST_DELAY_SECONDS
    patience_seconds: float = PATIENCE_SECONDS

    def delay_seconds(self, attempt: int) -> float:
        """The wait after the given number of failed tries."""
        ceiling: float = min(self.first_delay_seconds * 2 ** min(attempt - 1, 30), self.last_delay_seconds)
        return ceiling * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class _Route:
    topic: str
    subscription: Subscription


class Consumer:
    """A member of the group. `group` is also the name that its handlers give to the inbox."""

    def __init__(
        self,
        bus: EventBus,
        group: str,
        subscriptions: Sequence[Subscription],
        *,
        retry: RetryPolicy | None = None,
        batch_records: int = BATCH_RECORDS,
    ) -> None:
        self._bus = bus
        self._group = group
        self._retry = retry or RetryPolicy()
        self._batch_records = batch_records
        self._routes: Mapping[str, _Route] = _routes(subscriptions)
        self._topics = sorted({route.topic for route in self._routes.values()})
        self._busy: set[Partition] = set()
        self._handled_at = -math.inf
        for event_type, outcome in product(self._routes, OUTCOMES):
            _handled.labels(group, event_type, outcome)

    async def run(self) -> None:
        """Consumes until it is cancelled; waits out the loss of the bus."""
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            # The consumer outlives every failure of the bus.
            error = await failure_of(self._consume)
            if error is not None:
                if asyncio.get_running_loop().time() - started > self._retry.last_delay_seconds:
                    failures = 0
                failures += 1
                _log.warning("consumer interrupted", extra={"group": self._group, "error": _describe(error)})
            await asyncio.sleep(self._retry.delay_seconds(failures))

    async def _consume(self) -> None:
        self._busy.clear()
        async with self._bus.subscribe(self._group, self._topics) as reader, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_lag(), name=f"{self._group} lag")
            while True:
                held = frozenset(self._busy)
                records = await reader.poll(held=held, max_records=self._batch_records, wait_seconds=POLL_SECONDS)
                for source, batch in groupby(records, key=lambda record: record.source):
                    self._busy.add(source)
                    tasks.create_task(
                        self._work(reader, source, list(batch)), name=f"{self._group} {source.topic}/{source.number}"
                    )

    async def _work(self, reader: EventReader, source: Partition, batch: Sequence[BusRecord]) -> None:
        """Deals with a partition's batch in order, while other partitions go on beside it."""
        for record in batch:
            await self._deal_with(record)
        if (error := await failure_of(partial(reader.commit, batch[-1]))) is not None:
            raise error
        self._busy.discard(source)
        reader.wake()

    async def _report_lag(self) -> None:
        while True:
            # No reader ends over a figure: while the bus does not say, the last that it said stands.
            with suppress(Exception):
                lag = await self._bus.lag(self._group, self._topics)
                if lag is not None:
                    _lag.labels(self._group).set(lag)
            await asyncio.sleep(LAG_INTERVAL_SECONDS)

    async def _deal_with(self, record: BusRecord) -> None:
        """Handles the record or makes it a dead letter, whatever it holds; waits out what is unavailable."""
        error = await self._try(record, partial(self._handle, record), self._retry.patience_seconds)
        if error is None:
            return
        refused = await self._try(record, partial(self._give_up, record, error))
        if refused is not None:
            # The bus does not take it as it is. Its place, where it still lies, says enough.
            bare = replace(record, value=b"", headers={})
            refused = await self._try(record, partial(self._give_up, bare, error))
        if refused is not None:
            _log.error("dead letter is lost", exc_info=refused, extra=self._place_of(record))
            _handled.labels(self._group, self._type_of(record), "lost").inc()

    async def _try(
        self, record: BusRecord, step: Callable[[], Awaitable[None]], patience_seconds: float = math.inf
    ) -> Exception | None:
        """Runs the step until it succeeds; returns the error that no other try will cure, or that others do not have."""
        loop = asyncio.get_running_loop()
        started, attempt = loop.time(), 0
        while True:
            error = await failure_of(step)
            if error is None or not is_retryable(error):
                return error
            now = loop.time()
            if now - started > patience_seconds and now - self._handled_at < PROGRESS_SECONDS:
                return error
            attempt += 1
            delay_seconds = self._retry.delay_seconds(attempt)
            facts = {"attempt": attempt, "delay_seconds": round(delay_seconds, 3), "error": _describe(error)}
            _log.warning("event will be tried again", extra={**self._place_of(record), **facts})
            await asyncio.sleep(delay_seconds)

    def _place_of(self, record: BusRecord) -> Mapping[str, Any]:
        return {
            "group": self._group,
            "topic": record.topic,
            "partition": record.partition,
            "position": record.position,
        }

    async def _handle(self, record: BusRecord) -> None:
        event = from_wire(record.value, topic=record.topic)
        route = self._routes.get(event.type)
        if route is None:
            return
        if route.topic != record.topic:
            description = f"{event.type} belongs on {route.topic}"
            raise DomainError(Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": description})
        message = decode(event, route.subscription.message_type)
        context = _propagator.extract({"traceparent": event.trace_parent}) if event.trace_parent else None
        attributes = {"messaging.destination.name": record.topic, "messaging.message.id": event.id}
        span = start_span(f"process {event.type}", context, SpanKind.CONSUMER, attributes)
        with trace.use_span(span, end_on_exit=True):
            await route.subscription.handler(message, event)
        self._handled_at = asyncio.get_running_loop().time()
        _handled.labels(self._group, event.type, "handled").inc()

    async def _give_up(self, record: BusRecord, error: Exception) -> None:
        reason = error.reason if isinstance(error, DomainError) else "INTERNAL_ERROR"
        # The text of an unknown exception may hold anything; the log has it, the letter names only its type.
        description = error.details.get("description", "") if isinstance(error, DomainError) else type(error).__name__
        _log.error(
            "event is a dead letter",
            exc_info=None if isinstance(error, DomainError) else error,
            extra={**self._place_of(record), "reason": reason, "description": description},
        )
        await self._bus.dead_letter(record, group=self._group, reason=reason, description=description)
        _handled.labels(self._group, self._type_of(record), "dead_letter").inc()

    def _type_of(self, record: BusRecord) -> str:
        """The event's type for metrics, which must not grow with what others send."""
        try:
            event_type = from_wire(record.value, topic=record.topic).type
        except Exception:  # noqa: BLE001 - a figure must not stop the loop that is dealing with a bad record
            return "unreadable"
        return event_type if event_type in self._routes else "other"


def _routes(subscriptions: Sequence[Subscription]) -> dict[str, _Route]:
    routes: dict[str, _Route] = {}
    for subscription in subscriptions:
        option = event_option(subscription.message_type.DESCRIPTOR)
        if option.type in routes:
            raise ValueError(f"{option.type} has two handlers")
        routes[option.type] = _Route(option.topic, subscription)
    return routes


def _describe(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_describe(inner) for inner in error.exceptions)
    cause = f" ({error.__cause__!r})" if error.__cause__ is not None else ""
    return f"{error!r}{cause}"
