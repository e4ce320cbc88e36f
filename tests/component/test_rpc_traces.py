"""Traces leave over OTLP, against a real collector's door."""

import asyncio

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from chassis.observability.telemetry import make_provider


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.names: list[str] = []
        self.services: list[str] = []

    async def Export(self, request, context):
        for resource in request.resource_spans:
            attributes = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
            self.services.append(attributes["service.name"])
            self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


async def test_spans_reach_the_collector_before_the_program_ends(monkeypatch):
    monkeypatch.setattr("chassis.observability.telemetry.EXPORT_TIMEOUT_SECONDS", 60)
    collector = Collector()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        provider = make_provider("library-service", otlp_endpoint=f"http://127.0.0.1:{port}")
        with provider.get_tracer("t").start_as_current_span("GET /items"):
            pass
        await asyncio.to_thread(provider.shutdown)
    finally:
        await server.stop(0)
    assert collector.names == ["GET /items"]
    assert collector.services == ["library-service"]
