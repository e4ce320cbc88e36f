"""Channels to other services: deadline, retries where the proto allows, round_robin over healthy replicas, keepalive, and the
metadata that every call carries (our service token, trace context, request id, language).

A channel stands in for grpc.aio.Channel: generated stubs and the gateway's routes work on it. Unary calls go over
chassis.grpc_client.rpc_unary, streams over grpcio's own channel. Calls raise grpc.aio.AioRpcError, which
chassis.errors.wire.from_rpc_error reads.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from logging import getLogger
from typing import Any, Self, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from chassis.auth.access import find_caller
from chassis.auth.calls import ACCEPT_LANGUAGE, REQUEST_ID, SERVICE_AUTHORIZATION, remaining_seconds
from chassis.auth.service_tokens import RETRY_SECONDS, ServiceTokenSource, is_service_token_refused
from chassis.auth.tls import Tls
from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from chassis.grpc_client.http2_connection import KEEPALIVE_SECONDS, KEEPALIVE_TIMEOUT_SECONDS, MESSAGE_LIMIT_BYTES
from chassis.grpc_client.rpc_call import UnaryCall
from chassis.grpc_client.rpc_connections import RECONNECT_MAX_SECONDS, RECONNECT_MIN_SECONDS, Connections
from chassis.grpc_client.rpc_unary import (
    BACKOFF_FACTOR,
    BACKOFF_MAX_SECONDS,
    BACKOFF_MIN_SECONDS,
    MAX_ATTEMPTS,
    THROTTLE_SHARE,
    THROTTLE_TOKENS,
    RetryThrottle,
    UnaryMethod,
)
from chassis.grpc_client.rpc_wire import Metadata
from chassis.observability import telemetry
from chassis.observability.telemetry import RpcInstruments, rpc_instruments

TIMEOUT_SECONDS = 5.0

# Looking a member up in its class, and hashing it, are calls of Python's; every call would make some of them.
_OK, _CANCELLED = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED
_RETRIABLE = frozenset({MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT})

_log = getLogger(__name__)


def open_channel(
    address: str,
    *,
    audience: str,
    service_tokens: ServiceTokenSource | None,
    services: Sequence[str],
    timeout_seconds: float = TIMEOUT_SECONDS,
    tls: Tls | None = None,
) -> grpc.aio.Channel:
    """A channel to the service named `audience`; close it, or use it as an async context manager.

    `services` are the full names that will be called: their idempotency levels set the retry policy. A unary call takes at
    most `timeout_seconds`, less if it says so, and never longer than the call it is made for; streams have no deadline of
    their own. A user's `authorization` goes along only where the caller passes it as metadata.

    Raises:
        ValueError: the address is invalid.
    """

    async def identity() -> Metadata:
        """Return the metadata for health requests: they give our services a place where strangers may find none."""
        if service_tokens is None:
            return ()
        token = service_tokens.cached(audience) or await service_tokens.token(audience)
        return ((SERVICE_AUTHORIZATION, f"Bearer {token}"),)

    connections = Connections(address, tls, identity)
    options = _options(services)
    if tls is None:
        raw = grpc.aio.insecure_channel(address, options=options)
    else:
        raw = grpc.aio.secure_channel(address, tls.channel_credentials(), options=options)
    channel = ServiceChannel(
        connections,
        raw,
        repeatable=repeatable_methods(services),
        audience=audience,
        tokens=service_tokens,
        timeout_seconds=timeout_seconds,
    )
    # It has a channel's whole interface; grpcio's class cannot be subclassed without a connection of its own.
    return cast("grpc.aio.Channel", channel)


def repeatable_methods(services: Sequence[str]) -> frozenset[str]:
    """`/package.Service/Method` of those that the proto calls idempotent or without side effects."""
    pool = descriptor_pool.Default()
    return frozenset(
        f"/{service}/{method.name}"
        for service in services
        for method in pool.FindServiceByName(service).methods
        if method.GetOptions().idempotency_level in _RETRIABLE
    )


def service_config(services: Sequence[str]) -> dict[str, Any]:
    """The gRPC service config (https://github.com/grpc/grpc/blob/master/doc/service_config.md) of streams: the same balancing
    and retries as rpc_connections and rpc_unary give to unary calls.
    """
    names = [
        dict(zip(("service", "method"), path[1:].split("/"), strict=True)) for path in repeatable_methods(services)
    ]
    retries = {
        "maxAttempts": MAX_ATTEMPTS,
        "initialBackoff": f"{BACKOFF_MIN_SECONDS}s",
        "maxBackoff": f"{BACKOFF_MAX_SECONDS}s",
        "backoffMultiplier": BACKOFF_FACTOR,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "retryThrottling": {"maxTokens": int(THROTTLE_TOKENS), "tokenRatio": THROTTLE_SHARE},
        **({"methodConfig": [{"name": names, "retryPolicy": retries}]} if names else {}),
    }


def _options(services: Sequence[str]) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(service_config(services))),
        # A service config from DNS must not change what the proto says.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_retries", 1),
        ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
        ("grpc.keepalive_time_ms", int(KEEPALIVE_SECONDS * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        ("grpc.initial_reconnect_backoff_ms", int(RECONNECT_MIN_SECONDS * 1000)),
        ("grpc.min_reconnect_backoff_ms", int(RECONNECT_MIN_SECONDS * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(RECONNECT_MAX_SECONDS * 1000)),
        ("grpc.enable_http_proxy", 0),
        # Channels of one process would otherwise share connections, and with them their fate.
        ("grpc.use_local_subchannel_pool", 1),
    ]


class ServiceChannel:
    """A channel whose calls carry our metadata and deadline. Made by `open_channel`.

    Client interceptors would do for streams too, at the price of a task per call; this costs two dictionary look-ups while the
    service token is at hand.
    """

    def __init__(
        self,
        connections: Connections,
        raw: grpc.aio.Channel,
        *,
        repeatable: frozenset[str],
        audience: str,
        tokens: ServiceTokenSource | None,
        timeout_seconds: float,
    ) -> None:
        self._connections = connections
        self._raw = raw
        self._repeatable = repeatable
        self._throttle = RetryThrottle()
        self._audience = audience
        self._tokens = tokens
        self._timeout_seconds = timeout_seconds

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        _registered_method: bool | None = False,  # noqa: FBT001, FBT002  generated stubs pass it
    ) -> Callable[..., Any]:
        """Its calls are `UnaryCall`s: begun when they are awaited, cancelled with what awaits them."""
        start = UnaryMethod(
            self._connections,
            method,
            request_serializer or bytes,
            response_deserializer or bytes,
            throttle=self._throttle,
            is_repeatable=method in self._repeatable,
        ).call
        instruments = rpc_instruments(method, SpanKind.CLIENT)

        def call(
            request: Any,
            *,
            timeout: float | None = None,
            metadata: Metadata | None = None,
            wait_for_ready: bool | None = None,
        ) -> UnaryCall:
            seconds = self._timeout_seconds if timeout is None else timeout
            remaining = remaining_seconds()
            if remaining is not None and remaining < seconds:
                seconds = remaining

            async def begin(seen_by: UnaryCall) -> Any:
                token = None
                if self._tokens is not None:
                    token = self._tokens.cached(self._audience) or await self._tokens.token(self._audience)
                span, trace_pairs = instruments.start_outgoing()
                started = time.perf_counter()
                code = _CANCELLED

                def attempt(token: str | None) -> Awaitable[Any]:
                    left = seconds - (time.perf_counter() - started)
                    carried = _carried(trace_pairs, metadata, token)
                    return start(request, left, carried, wait_for_ready=bool(wait_for_ready), seen_by=seen_by)

                try:
                    try:
                        answer = await attempt(token)
                    except grpc.aio.AioRpcError as failure:
                        answer = await attempt(await self._another_token(failure, token))
                    code = _OK
                except grpc.aio.AioRpcError as failure:
                    code = failure.code()
                    if self._tokens is not None and _is_token_refused(failure):
                        raise _no_token() from failure
                    raise
                finally:
                    _ended(code, instruments, span, started)
                return answer

            return UnaryCall(begin, seconds)

        return call

    async def _another_token(self, failure: grpc.aio.AioRpcError, refused: str | None) -> str:
        """A token for the second and last try of a call that was refused for its service token, so that nothing of it was done.

        Raises:
            grpc.aio.AioRpcError: the failure, when it is another one.
            DomainError: UNAVAILABLE, when there is no other token.
        """
        if self._tokens is None or refused is None or not _is_token_refused(failure):
            raise failure
        return await self._tokens.replace(self._audience, refused)

    def unary_stream(self, method: str, *args: Any, **options: Any) -> Callable[..., Any]:
        start = self._raw.unary_stream(method, *args, **options)
        instruments = rpc_instruments(method, SpanKind.CLIENT)

        def call(request: Any, *, timeout: float | None = None, metadata: Metadata | None = None, **rest: Any) -> Any:
            return self._stream(start, instruments, request, timeout, metadata, rest)

        return call

    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        """Passed on as it is: no method of the platform streams requests."""
        return self._raw.stream_unary(method, *args, **options)

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """Passed on as it is: only reflection streams requests."""
        return self._raw.stream_stream(method, *args, **options)

    async def close(self, grace: float | None = None) -> None:
        """Unary calls that run end at once, streams within `grace`."""
        try:
            await self._connections.close()
        finally:
            await self._raw.close(grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002  grpcio's signature
        """Return the state of the connections for unary calls."""
        if try_to_connect:
            self._connections.connect()
        return self._connections.state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        while self._connections.state is last_observed_state:
            await self._connections.change()

    async def channel_ready(self) -> None:
        await self._connections.wait(wait_for_ready=True)

    def _stream(
        self,
        start: Any,
        instruments: RpcInstruments,
        request: Any,
        timeout: float | None,
        metadata: Metadata | None,
        rest: dict[str, Any],
    ) -> Any:
        def begin(token: str | None) -> Any:
            span, trace_pairs = instruments.start_outgoing()
            started = time.perf_counter()
            carried = _Pairs(_carried(trace_pairs, metadata, token))
            call = start(request, timeout=_deadline(timeout), metadata=carried, **rest)
            call.add_done_callback(lambda done: _ended(_code_of(done), instruments, span, started))
            return call

        if self._tokens is None:
            return begin(None)
        return _TokenStream(self._tokens, self._audience, begin)


def _deadline(seconds: float | None) -> float | None:
    """Return the seconds that a call beginning now may take: never more than are left to the call for which it is made."""
    remaining = remaining_seconds()
    if remaining is None:
        return seconds
    return remaining if seconds is None else min(seconds, remaining)


class _Pairs(grpc.aio.Metadata):
    """Metadata that is only sent: grpcio's own first builds a dictionary of lists."""

    def __init__(self, pairs: Sequence[tuple[str, str | bytes]]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str | bytes]]:
        return iter(self._pairs)


def _carried(trace_pairs: list[tuple[str, str]], metadata: Metadata | None, token: str | None) -> Metadata:
    """The caller's metadata, and ours where the caller did not set it."""
    carried: list[tuple[str, str | bytes]] = [*trace_pairs, *(metadata or ())]
    if token is not None:
        carried.append((SERVICE_AUTHORIZATION, f"Bearer {token}"))
    caller = find_caller()
    if caller is not None:
        given = {key for key, _ in carried}
        if REQUEST_ID not in given:
            carried.append((REQUEST_ID, caller.request_id))
        if ACCEPT_LANGUAGE not in given:
            carried.append((ACCEPT_LANGUAGE, caller.language))
    return carried


def _ended(code: grpc.StatusCode, instruments: RpcInstruments, span: Span, started: float) -> None:
    instruments.end(span, code, time.perf_counter() - started)
    if code is not _OK and code in telemetry.SERVER_FAULTS:
        _log.warning(
            "call failed",
            extra={
                "method": instruments.span_name,
                "code": code.name,
                "trace_id": trace.format_trace_id(span.get_span_context().trace_id),
            },
        )


def _code_of(call: Any) -> grpc.StatusCode:
    # A call that is done knows its code without waiting; grpcio's public accessor is a coroutine all the same.
    coroutine = call.code()
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("grpc.StatusCode", done.value)
    finally:
        coroutine.close()
    return grpc.StatusCode.UNKNOWN


class _TokenStream:
    """A stream that may have to wait for its service token, and is begun once more with another one when that is refused."""

    def __init__(self, tokens: ServiceTokenSource, audience: str, begin: Callable[[str], Any]) -> None:
        self._tokens = tokens
        self._audience = audience
        self._begin = begin
        self._call: Any = None
        self._token = ""
        self._is_renewed = False
        self._is_cancelled = False
        token = tokens.cached(audience)
        if token is not None:
            self._start(token)

    def _start(self, token: str) -> None:
        self._token = token
        self._call = self._begin(token)
        if self._is_cancelled:
            self._call.cancel()

    async def _started(self) -> Any:
        if self._call is None:
            self._start(await self._tokens.token(self._audience))
        return self._call

    async def _renewed(self, failure: grpc.aio.AioRpcError) -> Any:
        """The stream with another token.

        Raises:
            grpc.aio.AioRpcError: the failure, when it is another one.
            DomainError: UNAVAILABLE when there is no other token, or it was refused, too.
        """
        if not _is_token_refused(failure):
            raise failure
        if self._is_renewed:
            raise _no_token() from failure
        token = await self._tokens.replace(self._audience, self._token)
        self._is_renewed = True
        self._start(token)
        return self._call

    async def initial_metadata(self) -> grpc.aio.Metadata:
        call = await self._started()
        metadata: grpc.aio.Metadata = await call.initial_metadata()
        return metadata

    def cancel(self) -> bool:
        self._is_cancelled = True
        return bool(self._call.cancel()) if self._call is not None else True

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._run()

    async def _run(self) -> AsyncIterator[Any]:
        call = await self._started()
        try:
            while True:
                try:
                    async for message in call:
                        yield message
                except grpc.aio.AioRpcError as failure:
                    call = await self._renewed(failure)
                else:
                    return
        finally:
            call.cancel()


def _is_token_refused(failure: grpc.aio.AioRpcError) -> bool:
    return failure.code() is grpc.StatusCode.UNAUTHENTICATED and is_service_token_refused(from_rpc_error(failure))


def _no_token() -> DomainError:
    return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_SECONDS)
