"""Traces and metrics of every program: OpenTelemetry set-up, W3C trace context on gRPC metadata, Prometheus counters of calls.

`configure` is called by chassis.program; the interceptors and channels use the rest. Contract: section 13.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import getrandbits
from typing import Final

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram, start_http_server

TRACER_NAME = "samovar"
EXPORT_TIMEOUT_SECONDS = 3

DURATION_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)

SERVER_CALLS: Final = Counter("rpc_server_calls", "RPCs answered", ("method", "code"))
SERVER_SECONDS: Final = Histogram(
    "rpc_server_duration_seconds",
    "Time to answer an RPC (for a stream: its life)",
    ("method",),
    buckets=DURATION_BUCKETS_SECONDS,
)
CLIENT_CALLS: Final = Counter("rpc_client_calls", "RPCs made to other services", ("method", "code"))
CLIENT_SECONDS: Final = Histogram(
    "rpc_client_duration_seconds",
    "Time until another service answered",
    ("method",),
    buckets=DURATION_BUCKETS_SECONDS,
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
# Asked for before `configure`, it stands for whatever tracer is configured later; asking anew for each span is dear.
_tracer = trace.get_tracer(TRACER_NAME)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)


class _Recording:
    """Whether anybody gets to see the process's spans. As long as nobody said that nobody does, somebody may."""

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
    the SDK would make the same of it, at ten times the price.
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


def carried(span: Span) -> list[tuple[str, str]]:
    """What `inject` puts into a carrier for the span, as metadata."""
    context = span.get_span_context()
    if not context.is_valid:
        return []
    flags = int(context.trace_flags)
    pairs = [("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}")]
    if context.trace_state:
        pairs.append(("tracestate", context.trace_state.to_header()))
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
    """What is measured of one method on one side. Made once per method, because looking its parts up costs more than using them."""

    kind: SpanKind
    span_name: str
    attributes: Mapping[str, str]
    seconds: Histogram
    calls: Mapping[grpc.StatusCode, Counter]

    def start(self, parent: Context | None) -> Span:
        """A span of one call, with the attributes that OpenTelemetry's RPC conventions ask for; None = under the running one."""
        return start_span(self.span_name, parent, self.kind, self.attributes)

    def end(self, span: Span, code: grpc.StatusCode, seconds: float) -> None:
        if span.is_recording():
            span.set_attribute("rpc.grpc.status_code", code.value[0])
            failed = code in SERVER_FAULTS if self.kind is SpanKind.SERVER else code is not grpc.StatusCode.OK
            if failed:
                span.set_status(Status(StatusCode.ERROR, code.name))
        span.end()
        self.calls[code].inc()
        self.seconds.observe(seconds)


class _CallsByCode(dict[grpc.StatusCode, Counter]):
    """Counters of one method, each made when its code is first seen: those that never happen are no series."""

    def __init__(self, counter: Counter, method: str) -> None:
        super().__init__()
        self._counter = counter
        self._method = method

    def __missing__(self, code: grpc.StatusCode) -> Counter:
        found = self[code] = self._counter.labels(self._method, code.name)
        return found


@cache
def rpc_instruments(method: str, kind: SpanKind) -> RpcInstruments:
    """For `/package.Service/Method`, as server or as client."""
    path = method.lstrip("/")
    service, _, name = path.partition("/")
    calls, seconds = (SERVER_CALLS, SERVER_SECONDS) if kind is SpanKind.SERVER else (CLIENT_CALLS, CLIENT_SECONDS)
    return RpcInstruments(
        kind=kind,
        span_name=path,
        attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": name},
        seconds=seconds.labels(method),
        calls=_CallsByCode(calls, method),
    )


def serve_metrics(host: str, port: int) -> Callable[[], None]:
    """Serves /metrics from a thread of its own; the returned function ends it.

    Raises:
        OSError: the port cannot be had.
    """
    server, thread = start_http_server(port, addr=host)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
