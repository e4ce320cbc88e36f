"""Unary calls over HTTP/2: deadline, retries of what may be repeated, errors as grpcio raises them.

It stands in for grpcio's client, whose calls cost a quarter of a millisecond of CPU each, most of it for waking threads
(docs/performance-gateway.md). Created by chassis.grpc_client.rpc_client for each method.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

import grpc

from chassis.grpc_client.http2_connection import MESSAGE_LIMIT_BYTES, Connection
from chassis.grpc_client.http2_exchange import Failed, Failure, Stream
from chassis.grpc_client.rpc_call import UnaryCall
from chassis.grpc_client.rpc_connections import Connections, Unreachable
from chassis.grpc_client.rpc_wire import (
    Metadata,
    Outcome,
    initial_metadata_of,
    metadata_fields,
    outcome_of_exchange,
    read_message,
    request_body,
    request_head,
    timeout_field,
)

MAX_ATTEMPTS: Final = 4
"""The most attempts of a call that may be repeated, including the first."""
BACKOFF_MIN_SECONDS: Final = 0.05
BACKOFF_MAX_SECONDS: Final = 0.5
BACKOFF_FACTOR: Final = 3.0
BACKOFF_JITTER: Final = 0.2
THROTTLE_TOKENS: Final = 100.0
"""A failure costs one, a success brings a tenth back, and below half nothing is repeated: when most calls fail, repeating them
would only add to the load (https://github.com/grpc/proposal/blob/master/A6-client-retries.md)."""
THROTTLE_SHARE: Final = 0.1
UNTOUCHED_MAX: Final = 3
"""The number of times that a request no server has processed is sent elsewhere before this counts as a failure."""

_Code = grpc.StatusCode
_OK, _UNAVAILABLE = _Code.OK, _Code.UNAVAILABLE
_CLOSED = Outcome(_Code.CANCELLED, Failed.CLOSED.value)
_LATE = Outcome(_Code.DEADLINE_EXCEEDED, Failed.TOO_LATE.value)


class RetryThrottle:
    """The throttle of one channel."""

    def __init__(self) -> None:
        self._tokens = THROTTLE_TOKENS

    @property
    def allows(self) -> bool:
        return self._tokens > THROTTLE_TOKENS / 2

    def failed(self) -> None:
        self._tokens = max(0.0, self._tokens - 1)

    def went_well(self) -> None:
        if self._tokens < THROTTLE_TOKENS:
            self._tokens = min(THROTTLE_TOKENS, self._tokens + THROTTLE_SHARE)


class UnaryMethod:
    """One method of one channel. `is_repeatable` as its idempotency level in the proto says."""

    def __init__(
        self,
        connections: Connections,
        method: str,
        serialize: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
        *,
        throttle: RetryThrottle,
        is_repeatable: bool,
    ) -> None:
        self._connections = connections
        self._serialize = serialize
        self._parse = parse
        self._throttle = throttle
        self._max_attempts = MAX_ATTEMPTS if is_repeatable else 1
        self._head = request_head(method, connections.authority, is_tls=connections.is_tls)

    async def call(
        self,
        request: Any,
        seconds: float,
        metadata: Metadata,
        *,
        wait_for_ready: bool,
        seen_by: UnaryCall | None = None,
    ) -> Any:
        """The answer, within `seconds`; `seen_by` gets the exchange that it came in.

        Raises:
            grpc.aio.AioRpcError: the server refused, or could not be asked.
            ValueError: metadata that cannot be sent.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        head = self._head + metadata_fields(metadata)
        message = self._serialize(request)
        if len(message) > MESSAGE_LIMIT_BYTES:
            raise _error(Outcome(_Code.RESOURCE_EXHAUSTED, "the request is too large"))
        body = request_body(message)
        attempt = 1
        untouched = 0
        while True:
            outcome, exchange, is_untouched = await self._attempt(
                loop, deadline, head, body, wait_for_ready=wait_for_ready
            )
            if exchange is not None and outcome.code is _OK:
                self._throttle.went_well()
                if seen_by is not None:
                    seen_by.exchange = exchange
                return self._read(exchange)
            untouched += is_untouched
            if is_untouched and untouched <= UNTOUCHED_MAX:
                continue
            attempt += 1
            if not await self._pause(loop, deadline, outcome, exchange, attempt):
                raise _error(outcome, exchange)

    async def _attempt(
        self, loop: asyncio.AbstractEventLoop, deadline: float, head: bytes, body: bytes, *, wait_for_ready: bool
    ) -> tuple[Outcome, Stream | None, bool]:
        """Return the outcome, the exchange, and whether the server reported that it has not processed the request."""
        connection = self._connections.pick()
        if connection is None:
            try:
                async with asyncio.timeout_at(deadline):
                    connection = await self._connections.wait(wait_for_ready=wait_for_ready)
            except TimeoutError:
                return _LATE, None, False
            except Unreachable as error:
                return Outcome(_UNAVAILABLE, str(error)), None, False
            except grpc.aio.UsageError:
                return _CLOSED, None, False
        left = deadline - loop.time()
        if left <= 0:
            return _LATE, None, False
        exchange = connection.exchange(head + timeout_field(left), body)
        failure = await _ended(loop, connection, exchange, deadline)
        if failure is not None and failure.why is Failed.RESET and loop.time() >= deadline:
            # The server has the same deadline, and may be the first to notice.
            return _LATE, exchange, False
        return outcome_of_exchange(exchange, failure), exchange, failure is not None and failure.is_untouched

    async def _pause(
        self,
        loop: asyncio.AbstractEventLoop,
        deadline: float,
        outcome: Outcome,
        exchange: Stream | None,
        attempt: int,
    ) -> bool:
        """Waits until a failed call is to be made the `attempt`th time; False where it is not."""
        if outcome.code is not _UNAVAILABLE:
            return False
        self._throttle.failed()
        # Who has begun to answer has done the work.
        has_begun = exchange is not None and exchange.headers is not None
        if attempt > self._max_attempts or has_begun or not self._throttle.allows:
            return False
        seconds = min(BACKOFF_MAX_SECONDS, BACKOFF_MIN_SECONDS * BACKOFF_FACTOR ** (attempt - 2))
        seconds *= random.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)
        if loop.time() + seconds >= deadline:
            return False
        await asyncio.sleep(seconds)
        return True

    def _read(self, exchange: Stream) -> Any:
        try:
            return self._parse(read_message(exchange))
        except Exception as error:
            raise _error(Outcome(_Code.INTERNAL, f"the answer cannot be read: {error}"), exchange) from error


async def _ended(
    loop: asyncio.AbstractEventLoop, connection: Connection, exchange: Stream, deadline: float
) -> Failure | None:
    alarm = loop.call_at(deadline, connection.cancel, exchange, Failed.TOO_LATE)
    try:
        return await exchange.ended
    except asyncio.CancelledError:
        connection.cancel(exchange)
        raise
    finally:
        alarm.cancel()


def _error(outcome: Outcome, exchange: Stream | None = None) -> grpc.aio.AioRpcError:
    initial = () if exchange is None else initial_metadata_of(exchange)
    return grpc.aio.AioRpcError(
        outcome.code,
        grpc.aio.Metadata(*initial),
        grpc.aio.Metadata(*outcome.metadata),
        details=outcome.details,
        debug_error_string=None,
    )
