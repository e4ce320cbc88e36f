"""The steps around every call of a servicer, in this order: telemetry, errors, access, validation.

One grpc.aio interceptor runs the four as steps around the handler, because four nested ones would cost more than the servicers.
It also parses requests and renders responses itself, so that bytes are parsed only for callers who may call, and nothing
that fails on the way reveals details to the caller. Installed by chassis.grpc_server.server.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from logging import getLogger
from random import getrandbits
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry import trace
from opentelemetry.context import attach
from opentelemetry.trace import Span, SpanKind

from chassis.auth.access import GATEWAY, AccessRule, Caller, access_of, check_access, is_exempt, set_caller
from chassis.auth.calls import (
    ACCEPT_LANGUAGE,
    AUTHORIZATION,
    CLIENT_IP,
    REQUEST_ID,
    SERVICE_AUTHORIZATION,
    running_deadline,
)
from chassis.auth.changes import Change, resource_of, running_change, set_change
from chassis.auth.service_tokens import service_token_refused
from chassis.auth.tokens import Credential, TokenVerifier, bearer, unauthenticated
from chassis.concurrency.background import failure_of
from chassis.concurrency.places import Places
from chassis.errors import DomainError, Kind
from chassis.errors.wire import STATUS_DETAILS_KEY, from_rpc_error, to_rpc_status
from chassis.grpc_server.health import RequestReader
from chassis.grpc_server.validation import validate
from chassis.observability import telemetry
from chassis.observability.telemetry import RpcInstruments, rpc_instruments
from chassis.quota.rate_limits import RateLimiter

REQUEST_ID_LIMIT = 128
CLIENT_IP_LIMIT = 64
CALLS_PER_USER = 32
STREAMS_PER_USER = 20
"""The most streams at once of one user who calls this process directly, as game clients do. The gateway has its own limits
for the streams that it passes on.
"""
PEERS_REMEMBERED = 4_096
"""Connections whose address need not be read again for each call."""

_log = getLogger(__name__)


_arrival: ContextVar["_Arrival"] = ContextVar("samovar_arrival")

_CODES: Mapping[Any, grpc.StatusCode] = {
    **{code: code for code in grpc.StatusCode},
    **{code.value[0]: code for code in grpc.StatusCode},
}
"""The codes by number and by member: a servicer's context returns its code in the form in which it was set."""

_REFUSALS = frozenset(
    {Kind.PERMISSION_DENIED, Kind.NOT_FOUND, Kind.ALREADY_EXISTS, Kind.FAILED_PRECONDITION, Kind.ABORTED}
)
"""Kinds of failed changes that the audit log records: the change was possible, and was refused."""

RecordRefusal = Callable[[Change, str], Awaitable[None]]
"""Writes of a refused change into the audit log, with the reason."""

Handler = Any
"""A grpc.RpcMethodHandler; grpcio does not type its members."""


@dataclass(slots=True)
class _Arrival:
    """The facts known of a call before its message is read. gRPC runs interceptors and handler of a call in one task."""

    metadata: Mapping[str, str]
    service: Credential | None = None
    user: Credential | None = None
    refusal: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Method:
    """One method's handlers: the one that serves, and the one that refuses before a message is read."""

    original: Handler
    rule: AccessRule
    serving: Handler
    refusing: Handler
    is_stream: bool


@dataclass(slots=True)
class _Call:
    """One running call, for telemetry."""

    instruments: RpcInstruments
    metadata: Mapping[str, str]
    span: Span
    started: float
    code: grpc.StatusCode = grpc.StatusCode.OK
    credential: Credential | None = None
    """The credential that admits the caller; None for methods open to all, and for a caller identified by a certificate."""

    @property
    def method(self) -> str:
        return self.instruments.span_name

    def end(self) -> None:
        self.instruments.end(self.span, self.code, time.perf_counter() - self.started)


class ServerPipeline(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic at run time
    """The steps around every handler of one server. `service` is this program's name: ErrorInfo's domain. `asks_for_certificates`:
    peers show certificates, with names in them; looking for names that cannot be there costs as much as a token.
    """

    def __init__(
        self,
        *,
        service: str,
        verifier: TokenVerifier | None,
        service_verifier: TokenVerifier | None,
        asks_for_certificates: bool,
        reader: RequestReader,
        rate_limiter: RateLimiter | None,
        record_refusal: RecordRefusal | None = None,
    ) -> None:
        self._service = service
        self._record_refusal = record_refusal
        self._asks_for_certificates = asks_for_certificates
        self._verifier = verifier
        self._service_verifier = service_verifier
        self._streams: dict[asyncio.Task[Any], DomainError | None] = {}
        """The tasks of running streams, each with the error that it was cancelled for, if it was."""
        self._draining = False
        self._methods: dict[str, _Method] = {}
        self._reader = reader
        self._rate_limiter = rate_limiter
        self._calls = Places(CALLS_PER_USER)
        self._user_streams = Places(STREAMS_PER_USER)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        name: str = handler_call_details.method
        if handler is None or is_exempt(name):
            return handler
        method = self._methods.get(name)
        if method is None or method.original is not handler:
            method = self._methods[name] = self._wrap(name, handler)
        arrival = _Arrival(_text_metadata(handler_call_details.invocation_metadata))
        _arrival.set(arrival)
        try:
            await self._identify_tokens(method.rule, arrival)
            await self._admit_unread(method, arrival)
        except Exception as error:  # noqa: BLE001  reported and logged like an error of a servicer
            arrival.refusal = error
            return method.refusing
        return method.serving

    def end_streams(self) -> None:
        """Ends every stream with UNAVAILABLE, and every new one at once, for the drain; the client continues elsewhere."""
        self._draining = True
        for task in self._streams:
            self._end_stream(task, _elsewhere())

    def _end_stream(self, task: asyncio.Task[Any], error: DomainError) -> None:
        if self._streams[task] is None:
            self._streams[task] = error
            task.cancel()

    def _wrap(self, name: str, handler: Handler) -> _Method:
        instruments = rpc_instruments(name, SpanKind.SERVER)
        rule = access_of(name)
        refusing = self._refusing(instruments, handler)
        is_stream = handler.response_streaming
        if handler.request_streaming:
            # No method of the platform streams requests; one that did would have to be guarded message by message first.
            serving = refusing
        elif rule.public:
            serve = self._stream(instruments, rule, handler) if is_stream else self._unary(instruments, rule, handler)
            serving = self._reading(serve, is_stream=is_stream)
        elif is_stream:
            serving = grpc.unary_stream_rpc_method_handler(self._stream(instruments, rule, handler))
        else:
            serving = grpc.unary_unary_rpc_method_handler(self._unary(instruments, rule, handler))
        return _Method(handler, rule, serving, refusing, is_stream)

    def _refusing(self, instruments: RpcInstruments, handler: Handler) -> Handler:
        """A handler that refuses. To gRPC it is one of streamed requests, because of others it reads the message first."""

        async def refuse(_requests: Any, context: Any) -> None:
            call = self._begin(instruments, context)
            try:
                refusal = _arrival.get().refusal or DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED")
                await self._fail(call, context, refusal)
            finally:
                call.end()

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(refuse)
        return grpc.stream_unary_rpc_method_handler(refuse)

    def _reading(self, serve: Callable[[bytes, Any], Any], *, is_stream: bool) -> Handler:
        """Return a handler of a method open to all: callers are unknown, so little is read at once for each peer."""

        async def read(requests: Any, context: Any) -> bytes:
            try:
                raw: bytes = await self._reader.read(requests, context, is_known=False)
            except DomainError:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests at once")
            except TimeoutError:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the request did not come")
            except StopAsyncIteration:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request is missing")
            return raw

        async def answer(requests: Any, context: Any) -> Any:
            return await serve(await read(requests, context), context)

        async def stream(requests: Any, context: Any) -> AsyncIterator[bytes]:
            async with aclosing(serve(await read(requests, context), context)) as messages:
                async for message in messages:
                    yield message

        if is_stream:
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.stream_unary_rpc_method_handler(answer)

    def _unary(
        self, instruments: RpcInstruments, rule: AccessRule, handler: Handler
    ) -> Callable[[bytes, Any], Awaitable[bytes]]:
        behaviour = handler.unary_unary
        parse, render = handler.request_deserializer, handler.response_serializer

        async def unary(raw: bytes, context: Any) -> bytes:
            call = self._begin(instruments, context)
            try:
                request = await self._admit(call, rule, raw, parse, context)
                answer: bytes = render(await behaviour(request, context))
            except BaseException as error:
                await self._fail(call, context, error)
                raise
            else:
                return answer
            finally:
                call.end()

        return unary

    def _stream(
        self, instruments: RpcInstruments, rule: AccessRule, handler: Handler
    ) -> Callable[[bytes, Any], AsyncIterator[bytes]]:
        behaviour = handler.unary_stream
        parse, render = handler.request_deserializer, handler.response_serializer

        async def stream(raw: bytes, context: Any) -> AsyncIterator[bytes]:
            call = self._begin(instruments, context)
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  gRPC runs every handler in a task
            end = partial(self._end_stream, task)
            self._streams[task] = None
            try:
                request = await self._admit(call, rule, raw, parse, context)
                if self._draining:
                    raise _elsewhere()
                watched = nullcontext() if call.credential is None else call.credential.watched(end)
                # Closed here, in this task and at once: a stream that nobody reads any more must not wait for the collector.
                with watched:
                    async with aclosing(behaviour(request, context)) as messages:
                        async for message in messages:
                            yield render(message)
            except GeneratorExit:
                # Nobody took the last message, or we cancelled while gRPC waited for that: then nothing was said of it yet.
                call.code = grpc.StatusCode.CANCELLED
                reason = self._streams[task]
                if reason is not None and not context.cancelled():
                    with suppress(grpc.aio.AbortError):
                        await self._abort(call, context, reason)
                raise
            except asyncio.CancelledError:
                reason = self._streams[task]
                if reason is None or context.cancelled():
                    call.code = grpc.StatusCode.CANCELLED
                    raise
                # We cancelled the call ourselves: the client is still connected and receives the reason.
                task.uncancel()
                await self._fail(call, context, reason)
                raise
            except BaseException as error:
                await self._fail(call, context, error)
                raise
            finally:
                del self._streams[task]
                call.end()

        return stream

    def _begin(self, instruments: RpcInstruments, context: Any) -> _Call:
        """Telemetry: the span, as a child of the caller's, is the current one for the rest of the call."""
        metadata = _arrival.get().metadata
        span = instruments.start(telemetry.extract(metadata))
        attach(trace.set_span_in_context(span))
        remaining = context.time_remaining()
        running_deadline.set(None if remaining is None else time.monotonic() + remaining)
        return _Call(instruments, metadata, span, time.perf_counter())

    async def _admit(
        self,
        call: _Call,
        rule: AccessRule,
        raw: bytes,
        parse: Callable[[bytes], Message],
        context: Any,
    ) -> Message:
        """Access, then validation."""
        caller, call.credential = self._identify(rule, call.metadata, context)
        set_caller(caller)
        change = (
            Change(call.method, caller) if self._record_refusal is not None and rule.rate_class == "write" else None
        )
        set_change(change)
        check_access(rule, caller)
        try:
            request = parse(raw)
        except DecodeError as error:
            details = {"description": "the message cannot be parsed"}
            raise DomainError(Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details=details) from error
        validate(request)
        if change is not None:
            change.resource = resource_of(request)
        return request

    async def identify_service(self, context: Any) -> str | None:
        """The verified name of the service that makes a call, also one that is exempt from access; None for everybody else."""
        arrival = _Arrival(_text_metadata(context.invocation_metadata()))
        try:
            await self._identify_service(arrival)
        except DomainError:
            return None
        return self._service_name(AccessRule(), arrival, context)

    async def _admit_unread(self, method: _Method, arrival: _Arrival) -> None:
        """Check a call before its message is read: no message is read for a caller who may not call or has used up the rate limit.

        Raises:
            DomainError: as of check_access; RATE_LIMIT_EXCEEDED.
        """
        service = arrival.service.claims.service if arrival.service is not None else None
        user = arrival.user.claims if arrival.user is not None else None
        if not self._asks_for_certificates:
            known = Caller(user_id=user.user_id, roles=user.roles) if user is not None else Caller()
            check_access(method.rule, known._replace(service=service))
        if user is None or service == GATEWAY or self._asks_for_certificates:
            # Where certificates are required, users come through our own services.
            return
        if self._rate_limiter is not None and self._service_verifier is not None:
            # Without names of services the gateway looks like a game client, and has counted already.
            assert user.user_id is not None  # noqa: S101  _identify_tokens saw to it
            standing = await self._rate_limiter.take(user.user_id, method.rule.rate_class)
            if standing is not None:
                standing.require()
        places = self._user_streams if method.is_stream else self._calls
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  gRPC runs every call in a task
        places.take(user.user_id)
        # With the task, whatever ends it: a call may end before there is a message, and then no handler runs.
        task.add_done_callback(lambda _: places.free(user.user_id))

    def _identify(
        self, rule: AccessRule, metadata: Mapping[str, str], context: Any
    ) -> tuple[Caller, Credential | None]:
        arrival = _arrival.get()
        service = self._service_name(rule, arrival, context)
        from_gateway = service == GATEWAY
        claims = arrival.user.claims if arrival.user is not None else None
        language = "en" if metadata.get(ACCEPT_LANGUAGE, "").lower().startswith("en") else "ru"
        caller = Caller(
            user_id=claims.user_id if claims else None,
            roles=claims.roles if claims else frozenset(),
            permissions=claims.permissions if claims else frozenset(),
            service=service,
            client_ip=(_client_ip(metadata) if from_gateway else None) or peer_ip(context.peer()),
            request_id=(_request_id(metadata) if from_gateway else None) or f"{getrandbits(128):032x}",
            language=language,
        )
        # The user's, where there is one: a service's own lives for minutes and says only who passes the call on.
        return caller, arrival.user or arrival.service

    async def _identify_tokens(self, rule: AccessRule, arrival: _Arrival) -> None:
        """Raises: DomainError for a token that is not good."""
        await self._identify_service(arrival)
        value = arrival.metadata.get(AUTHORIZATION)
        if value is None or rule.public:
            # What is open to all stays open to those whose token has just expired.
            return
        if self._verifier is None:
            raise unauthenticated()
        arrival.user = await self._verifier.accept(bearer(value))
        if arrival.user.claims.user_id is None:
            raise unauthenticated()

    async def _identify_service(self, arrival: _Arrival) -> None:
        value = arrival.metadata.get(SERVICE_AUTHORIZATION)
        if self._service_verifier is None or value is None:
            return
        try:
            arrival.service = await self._service_verifier.accept(bearer(value))
        except DomainError as error:
            if error.kind is Kind.UNAUTHENTICATED:
                raise service_token_refused(error.reason) from error
            raise
        if arrival.service.claims.service is None:
            raise service_token_refused()

    def _service_name(self, rule: AccessRule, arrival: _Arrival, context: Any) -> str | None:
        if arrival.service is not None:
            return arrival.service.claims.service
        if not self._asks_for_certificates:
            return None
        names = certificate_names(context.auth_context())
        # A certificate may carry several names; the one that opens this method is the one that counts.
        return next((name for name in names if name == GATEWAY or name in rule.services), names[0] if names else None)

    async def _fail(self, call: _Call, context: Any, error: BaseException) -> None:
        """Errors: reports a failure to the caller. Returns only for those that must go on as they are."""
        if isinstance(error, grpc.aio.AbortError):
            call.code = _CODES.get(context.code(), grpc.StatusCode.UNKNOWN)
            return
        if isinstance(error, asyncio.CancelledError):
            call.code = grpc.StatusCode.CANCELLED
            return
        if isinstance(error, grpc.aio.AioRpcError):
            downstream = from_rpc_error(error)
            if downstream.kind in {Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED}:
                error = downstream
        if isinstance(error, DomainError):
            if error.kind is Kind.INTERNAL:
                _log.error("internal error", extra={"method": call.method, "reason": error.reason}, exc_info=error)
                error.details.setdefault("trace_id", telemetry.current_trace_id())
            await self._tell_of_refusal(error)
            await self._abort(call, context, error)
        if not isinstance(error, Exception):
            return
        _log.error("unhandled exception", extra={"method": call.method}, exc_info=error)
        call.span.record_exception(error)
        details = {"trace_id": telemetry.current_trace_id()}
        await self._abort(call, context, DomainError(Kind.INTERNAL, "INTERNAL_ERROR", details=details))

    async def _tell_of_refusal(self, error: DomainError) -> None:
        """Records a refused change in the audit log. If that is impossible, the call is refused as well."""
        change = running_change()
        if change is None or change.is_recorded or error.kind not in _REFUSALS or self._record_refusal is None:
            return
        failure = await failure_of(partial(self._record_refusal, change, error.reason))
        if failure is not None:
            _log.warning("refusal is not in the audit log", extra={"method": change.action, "error": repr(failure)})

    async def _abort(self, call: _Call, context: Any, error: DomainError) -> None:
        status = to_rpc_status(error, domain=self._service)
        call.code = grpc.StatusCode[error.kind.value]
        trailers = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
        await context.abort(call.code, status.message, trailing_metadata=trailers)


def _elsewhere() -> DomainError:
    return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=0)


def _text_metadata(pairs: Any) -> dict[str, str]:
    return {key: value for key, value in pairs or () if isinstance(value, str)}


def _request_id(metadata: Mapping[str, str]) -> str | None:
    value = metadata.get(REQUEST_ID, "")
    return value if 0 < len(value) <= REQUEST_ID_LIMIT and value.isascii() and value.isprintable() else None


def _client_ip(metadata: Mapping[str, str]) -> str | None:
    return _address(metadata.get(CLIENT_IP, ""))


@lru_cache(PEERS_REMEMBERED)
def peer_ip(peer: str) -> str | None:
    """The address in a gRPC peer (`ipv4:127.0.0.1:50321`, `ipv6:%5B::1%5D:50321`); None for a Unix socket."""
    scheme, _, rest = peer.partition(":")
    if scheme not in {"ipv4", "ipv6"}:
        return None
    return _address(unquote(rest).rpartition(":")[0].strip("[]"))


@lru_cache(PEERS_REMEMBERED)
def _address(text: str) -> str | None:
    """The IP address that the text is, as PostgreSQL's `inet` and the logs take it: without the zone of a link-local one."""
    if not 0 < len(text) <= CLIENT_IP_LIMIT:
        return None
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def certificate_names(auth_context: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in the peer's verified client certificate: common name, then alternative names."""
    values = [*auth_context.get("x509_common_name", ()), *auth_context.get("x509_subject_alternative_name", ())]
    return tuple(dict.fromkeys(value.decode(errors="replace") for value in values if value))
