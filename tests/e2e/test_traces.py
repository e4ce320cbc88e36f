"""One trace from a client's request over the gateway and the Library to the consumer of the event, as an OTLP collector gets it."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.clients import Api, Shop
from tests.e2e.running import Platform, start_platform, stop_platform

SECONDS = 90.0
WISHES = "/api/v1/library/wishlist/items"
ADDED = "process com.platform.library.wishlist.item.added.v1"


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    spans: list[tuple[str, Any]] = field(default_factory=list)
    """Service and span, as they come."""

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            (service,) = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
            self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def find(self, service: str, kind: int, name: Callable[[str], bool], trace_id: bytes | None = None) -> Any | None:
        for whose, span in list(self.spans):
            if whose == service and span.kind == kind and name(span.name) and trace_id in {None, span.trace_id}:
                return span
        return None


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Collector]]:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    options = [
        word for one in ("gateway", "library") for word in ("--set", f"{one}.OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}")
    ]
    running = start_platform(tmp_path_factory.mktemp("traced") / "home", "--raw-logs", *options)
    yield running, collector
    left = stop_platform(running)
    server.stop(0).wait()
    assert left == []


async def test_a_wish_is_one_trace_from_the_request_to_the_consumer(collected: tuple[Platform, Collector]):
    platform, collector = collected
    product_id = await Shop(platform.private).new_product()
    async with aiohttp.ClientSession() as http:
        api = Api(platform.ready["gateway_url"], platform.user("anna")["token"], http)
        body = {"data": {"type": "wishlistItemCreation", "attributes": {"product_id": product_id}}}
        assert (await api.call("POST", WISHES, body=body)).status == 201

    async def until(service: str, kind: int, name: Callable[[str], bool], trace_id: bytes | None = None) -> Any:
        async with asyncio.timeout(SECONDS):
            while (found := collector.find(service, kind, name, trace_id)) is None:
                await asyncio.sleep(0.1)
        return found

    request = await until("gateway", Span.SPAN_KIND_SERVER, lambda name: name == f"POST {WISHES}")
    trace = request.trace_id
    asked = await until("gateway", Span.SPAN_KIND_CLIENT, lambda name: "WishlistService" in name, trace)
    served = await until("library-service", Span.SPAN_KIND_SERVER, lambda name: "WishlistService" in name, trace)
    consumed = await until("library-service", Span.SPAN_KIND_CONSUMER, lambda name: name == ADDED, trace)
    assert asked.parent_span_id == request.span_id
    assert served.parent_span_id == asked.span_id
    assert consumed.parent_span_id == served.span_id
    assert served.start_time_unix_nano <= consumed.start_time_unix_nano
    told = {one.key for one in served.attributes}
    assert {"rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"} <= told
    everything = [one.value.string_value for _, span in collector.spans for one in span.attributes]
    token = platform.user("anna")["token"]
    assert not any(token in text or api.user_id in text for text in everything), "a token or a person in a span"
