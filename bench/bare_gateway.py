"""Our generated routes with nothing around them: aiohttp, the generated transcoders, our channel without service tokens. What the
full gateway costs more than this is what its middleware costs: tokens, limits, traces, log, metrics, tags, deadlines, refusals.

`python -m bench.bare_gateway PORT SERVICE_ADDRESS [WORKERS]`: several workers show what sharing the machine costs by itself.
"""

import multiprocessing
import sys
from typing import Any

import grpc
import orjson
import uvloop
from aiohttp import web
from rest.routes import ROUTES

from chassis.grpc_client.rpc_client import open_channel
from gateway.contract import JsonValue, Problem, Route
from gateway.jsonapi.documents import answer_document, parse_json, read_attributes
from gateway.jsonapi.pages import parse_query
from gateway.request.negotiation import JSON_API

QUERY_PARAMETERS = 100


class Bare:
    """One route; its call is made on the running loop."""

    def __init__(self, route: Route, channels: dict[str, grpc.aio.Channel]) -> None:
        self._route = route
        self._channels = channels
        self._call: Any = None

    async def handle(self, request: web.Request) -> web.Response:
        route = self._route
        if self._call is None:
            self._call = self._channels["library"].unary_unary(
                route.rpc,
                request_serializer=route.request_type.SerializeToString,
                response_deserializer=route.response_type.FromString,
            )
        path = dict(request.match_info)
        raw_query = request.rel_url.raw_query_string
        attributes: JsonValue = None
        if route.has_body:
            attributes = read_attributes(parse_json(await request.read()), route, path)
        problems: list[Problem] = []
        message = route.decode(path, parse_query(raw_query, limit=QUERY_PARAMETERS), attributes, problems)
        metadata = (("authorization", request.headers["Authorization"]),)
        encoded = route.encode(await self._call(message, metadata=metadata))
        is_read = request.method == "GET"
        answer = answer_document(encoded, path=request.rel_url.raw_path, raw_query=raw_query, is_read=is_read)
        return web.Response(status=route.success_status, body=orjson.dumps(answer), content_type=JSON_API)


def make_app(address: str) -> web.Application:
    channels: dict[str, grpc.aio.Channel] = {}

    async def connect(_: web.Application) -> Any:
        async with open_channel(address, audience="library-service", service_tokens=None, services=()) as channel:
            channels["library"] = channel
            yield

    app = web.Application()
    app.cleanup_ctx.append(connect)
    for route in sorted(ROUTES, key=lambda each: each.path.count("{")):
        if not route.takes_list:
            app.router.add_route(route.method, route.path, Bare(route, channels).handle)
    return app


def serve(port: int, address: str, *, reuse_port: bool) -> None:
    web.run_app(
        make_app(address),
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
        reuse_port=reuse_port or None,
    )


def main() -> None:
    port, address, workers = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
    context = multiprocessing.get_context("spawn")
    for _ in range(workers - 1):
        # A daemon ends with this process.
        context.Process(target=serve, args=(port, address), kwargs={"reuse_port": True}, daemon=True).start()
    serve(port, address, reuse_port=workers > 1)


if __name__ == "__main__":
    main()
