"""Traces and metrics of every program: OpenTelemetry set-up, W3C trace context on gRPC metadata, Prometheus counters of calls.

`configure` is called by chassis.program; the interceptors and channels use the rest. Contract: section 13.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Histogram, start_http_server

TRACER_NAME = "samovar"

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

_propagator = TraceContextTextMapPropagator()


def configure(name: str, *, otlp_endpoint: str) -> Callable[[], None]:
    """Sets the process's tracer up; the returned function flushes what is left, blocking for a few seconds at most.

    Without an endpoint spans are not recorded, but every call still has a trace id, which logs and errors carry.
    """
    sampler = ParentBased(ALWAYS_ON) if otlp_endpoint else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
    if otlp_endpoint:
        # Imported here because it loads a second gRPC stack that most runs never use.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(otlp_endpoint)))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def tracer() -> Tracer:
    return trace.get_tracer(TRACER_NAME)


def extract(metadata: Mapping[str, str]) -> Context:
    """The caller's trace context, from a carrier with `traceparent`."""
    return _propagator.extract(metadata, context=Context())


def inject(context: Context | None = None) -> dict[str, str]:
    """`traceparent` (and `tracestate`) of the running span, for the next hop: gRPC metadata, HTTP headers, an event."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context=context)
    return carrier


def trace_parent() -> str | None:
    """`traceparent` of the running span, or None outside of any."""
    return inject().get("traceparent")


def current_trace_id() -> str:
    """32 hex digits; empty outside of any span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def start_rpc_span(method: str, kind: SpanKind, *, parent: Context | None) -> Span:
    """A span of one RPC, with the attributes that OpenTelemetry's RPC conventions ask for."""
    service, _, name = method.lstrip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    return tracer().start_span(method.lstrip("/"), context=parent, kind=kind, attributes=attributes)


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


def end_rpc_span(span: Span, code: grpc.StatusCode, *, faults: Iterable[grpc.StatusCode] | None = None) -> None:
    """Ends a span. `faults` are the codes that count as its failure; None = every code but OK."""
    if span.is_recording():
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        failed = code is not grpc.StatusCode.OK if faults is None else code in faults
        if failed:
            span.set_status(Status(StatusCode.ERROR, code.name))
    span.end()


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
