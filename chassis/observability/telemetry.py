"""Traces and metrics of every program: OpenTelemetry set-up, W3C trace context on gRPC metadata, Prometheus counters of calls.

`configure` is called by chassis.runtime.program; the interceptors and channels use the rest. Contract: section 13.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import getrandbits
from typing import Any, Final

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import start_http_server

from chassis.observability.call_metrics import CallMetrics, CallSeries

TRACER_NAME = "samovar"
EXPORT_TIMEOUT_SECONDS = 3

SERVER_CALLS: Final = CallMetrics(
    ("rpc_server_calls", "rpc_server_duration_seconds"),
    ("RPCs answered", "Time to answer an RPC (for a stream: its life)"),
    ("method",),
    "code",
)
CLIENT_CALLS: Final = CallMetrics(
    ("rpc_client_calls", "rpc_client_duration_seconds"),
    ("RPCs made to other services", "Time until another service answered"),
    ("method",),
    "code",
)

SERVER_FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    },
)
"""Codes that make a server's span an error; the others are the caller's business."""

_propagator = TraceContextTextMapPropagator()
# Created before `configure`, it delegates to the tracer that is configured later; a new one for each span is expensive.
_tracer = trace.get_tracer(TRACER_NAME)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)


class _Recording:
    """The switch for recording spans: off only when it is certain that the process's spans are not exported."""

    is_off = False


def configure(name: str, *, otlp_endpoint: str) -> Callable[[], None]:
    """Sets the process's tracer up; the returned function flushes what is left, blocking for a few seconds at most."""
    provider = make_provider(name, otlp_endpoint=otlp_endpoint)
    trace.set_tracer_provider(provider)
    _Recording.is_off = not otlp_endpoint

    def stop() -> None:
        _Recording.is_off = False
        provider.shutdown()

    return stop


def make_provider(name: str, *, otlp_endpoint: str) -> TracerProvider:
    """A source of spans. Without an endpoint they are not recorded, but every call still has a trace id, which logs and errors
    carry.
    """
    sampler = ParentBased(ALWAYS_ON) if otlp_endpoint else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
    if otlp_endpoint:
        # Imported here because it loads a second gRPC stack that most runs never use.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        exporter = OTLPSpanExporter(otlp_endpoint, timeout=EXPORT_TIMEOUT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def start_span(name: str, parent: Context | None, kind: SpanKind, attributes: Mapping[str, str]) -> Span:
    """A span below the parent context's, or below the running one; it always has ids. One that nobody will see is its ids alone:
    the SDK would create the same, at ten times the cost.
    """
    if not _Recording.is_off:
        span = _tracer.start_span(name, context=parent, kind=kind, attributes=attributes)
        if span.get_span_context().is_valid:
            return span
    above = trace.get_current_span(parent).get_span_context()
    # Zero is no id.
    trace_id = above.trace_id if above.is_valid else getrandbits(128) | 1
    return NonRecordingSpan(SpanContext(trace_id, getrandbits(64) | 1, False, _NOT_SAMPLED, above.trace_state))


def extract(metadata: Mapping[str, str]) -> Context:
    """The caller's trace context, from a carrier with `traceparent`."""
    return _propagator.extract(metadata, context=Context())


def inject(context: Context | None = None) -> dict[str, str]:
    """`traceparent` (and `tracestate`) of the running span, for the next hop: gRPC metadata, HTTP headers, an event."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=context)
    return carrier


def carried(span: Span, *, new_id: bool = False) -> list[tuple[str, str]]:
    """Return as metadata what `inject` writes for the span; with `new_id`, for a span below it that is only an id."""
    trace_id, span_id, _, flags, state, is_valid = span.get_span_context()
    if not is_valid:
        return []
    if new_id:
        span_id = getrandbits(64) | 1
    pairs = [("traceparent", f"00-{trace_id:032x}-{span_id:016x}-{'01' if flags & 1 else '00'}")]
    if state:
        pairs.append(("tracestate", state.to_header()))
    return pairs


def trace_parent() -> str | None:
    """`traceparent` of the running span, or None outside of any."""
    return inject().get("traceparent")


def current_trace_id() -> str:
    """32 hex digits; empty outside of any span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


@dataclass(frozen=True, slots=True)
class RpcInstruments:
    """The instruments of one method on one side. Created once per method, because looking them up costs more than using them."""

    kind: SpanKind
    span_name: str
    attributes: Mapping[str, str]
    series: CallSeries

    def start(self, parent: Context | None) -> Span:
        """A span of one call, with the attributes that OpenTelemetry's RPC conventions ask for; None = under the running one."""
        return start_span(self.span_name, parent, self.kind, self.attributes)

    def start_outgoing(self) -> tuple[Span, list[tuple[str, str]]]:
        """A call's span under the running one, and the metadata for the other side. Where nobody sees spans, the running one is
        used instead, and only the other side receives another.
        """
        if _Recording.is_off:
            running = trace.get_current_span()
            if running.get_span_context().is_valid:
                return running, carried(running, new_id=True)
        span = self.start(None)
        return span, carried(span)

    def end(self, span: Span, code: grpc.StatusCode, seconds: float) -> None:
        if not _Recording.is_off:
            if span.is_recording():
                span.set_attribute("rpc.grpc.status_code", code.value[0])
                failed = code in SERVER_FAULTS if self.kind is SpanKind.SERVER else code is not grpc.StatusCode.OK
                if failed:
                    span.set_status(Status(StatusCode.ERROR, code.name))
            span.end()
        self.series.record(_NAMES[code], seconds)


SILENCE_SECONDS = 10.0
"""The longest that a connection to the metrics' port may be silent; each has a thread."""

_NAMES = {code: code.name for code in grpc.StatusCode}


@cache
def rpc_instruments(method: str, kind: SpanKind) -> RpcInstruments:
    """Return the instruments for `/package.Service/Method`, as server or as client."""
    path = method.lstrip("/")
    service, _, name = path.partition("/")
    calls = SERVER_CALLS if kind is SpanKind.SERVER else CLIENT_CALLS
    series = calls.of(method)
    for code in (grpc.StatusCode.OK, *SERVER_FAULTS):
        # Present from the start: an increase from nothing to one is not visible.
        series.outcomes.setdefault(code.name, 0)
    return RpcInstruments(
        kind=kind,
        span_name=path,
        attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        series=series,
    )


def serve_metrics(host: str, port: int, *, silence_seconds: float = SILENCE_SECONDS) -> Callable[[], None]:
    """Serves /metrics from threads of its own; the returned function ends it. A silent client is disconnected.

    Raises:
        OSError: the port is not available.
    """
    server, thread = start_http_server(port, addr=host)
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type(handler.__name__, (handler,), {"timeout": silence_seconds})

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
