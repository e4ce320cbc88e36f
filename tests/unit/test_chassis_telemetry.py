"""Traces: ids without an exporter, the W3C context in and out, and calls measured once per method."""

import socket

import grpc
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from chassis.observability import telemetry
from sandbox.devstack.free_port import free_port

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_without_an_exporter_a_span_has_ids_and_costs_no_record():
    tracer = telemetry.make_provider("x", otlp_endpoint="").get_tracer("t")
    with tracer.start_as_current_span("a") as span:
        assert not span.is_recording()
        assert len(telemetry.current_trace_id()) == 32
        assert telemetry.current_trace_id() in (telemetry.trace_parent() or "")
    assert telemetry.current_trace_id() == ""
    assert telemetry.trace_parent() is None


def test_a_callers_trace_goes_on():
    tracer = telemetry.make_provider("x", otlp_endpoint="").get_tracer("t")
    span = tracer.start_span("a", context=telemetry.extract({"traceparent": PARENT}))
    assert trace.format_trace_id(span.get_span_context().trace_id) == PARENT[3:35]


def test_a_trace_parent_that_is_none_starts_a_new_trace():
    tracer = telemetry.make_provider("x", otlp_endpoint="").get_tracer("t")
    for value in ("", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        span = tracer.start_span("a", context=telemetry.extract({"traceparent": value}))
        assert span.get_span_context().is_valid


def test_a_method_is_measured_by_instruments_made_once():
    first = telemetry.rpc_instruments("/a.v1.B/C", SpanKind.CLIENT)
    assert telemetry.rpc_instruments("/a.v1.B/C", SpanKind.CLIENT) is first
    assert first.span_name == "a.v1.B/C"
    assert first.attributes == {"rpc.system": "grpc", "rpc.service": "a.v1.B", "rpc.method": "C"}
    before = first.series.outcomes.get("OK", 0)
    first.end(first.start(None), grpc.StatusCode.OK, 0.004)
    assert first.series.outcomes["OK"] == before + 1


def test_where_nobody_sees_spans_ids_go_on_all_the_same(monkeypatch):
    monkeypatch.setattr(telemetry._Recording, "is_off", True)
    parent = telemetry.extract({"traceparent": PARENT, "tracestate": "a=b"})
    span = telemetry.start_span("a", parent, SpanKind.SERVER, {})
    with trace.use_span(span):
        _, pairs = telemetry.rpc_instruments("/a.v1.B/D", SpanKind.CLIENT).start_outgoing()
    carried = dict(pairs)
    version, trace_id, span_id, flags = carried["traceparent"].split("-")
    assert (version, trace_id, flags, carried["tracestate"]) == ("00", PARENT[3:35], "00", "a=b")
    assert len(span_id) == 16
    assert int(span_id, 16) not in {0, int(PARENT[36:52], 16), span.get_span_context().span_id}


def test_a_span_is_carried_as_the_propagator_would_carry_it():
    tracer = telemetry.make_provider("x", otlp_endpoint="").get_tracer("t")
    span = tracer.start_span("a", context=telemetry.extract({"traceparent": PARENT, "tracestate": "a=b"}))
    assert dict(telemetry.carried(span)) == telemetry.inject(trace.set_span_in_context(span))


def test_who_says_nothing_to_the_metrics_is_let_go_and_others_are_answered():
    port = free_port()
    stop = telemetry.serve_metrics("127.0.0.1", port, silence_seconds=0.1)
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as silent,
            socket.create_connection(("127.0.0.1", port), timeout=30) as halfway,
        ):
            halfway.sendall(b"GET /metrics HT")
            assert silent.recv(1) == b""
            assert halfway.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port), timeout=30) as asking:
            asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert asking.recv(12) == b"HTTP/1.0 200"
    finally:
        stop()
