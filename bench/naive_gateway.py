"""The gateway that one writes in an afternoon: aiohttp, grpcio, protobuf's json_format, and nothing around them. The yardstick of
`bench.gateway`; it runs on uvloop as ours does, so that the ratio tells of the gateways alone.

`python -m bench.naive_gateway PORT SERVICE_ADDRESS`.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import uvloop
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from library.v1 import categories_pb2, categories_pb2_grpc, items_pb2, items_pb2_grpc


def _answer(message: Message) -> web.Response:
    text = json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    )
    return web.Response(text=text, content_type="application/json")


def _metadata(request: web.Request) -> tuple[tuple[str, str], ...]:
    return (("authorization", request.headers["Authorization"]),)


class Naive:
    """The handlers; their stubs are made on the running loop."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._items: Any = None
        self._categories: Any = None

    async def connect(self, _: web.Application) -> Any:
        async with grpc.aio.insecure_channel(self._address) as channel:
            self._items = items_pb2_grpc.LibraryServiceStub(channel)
            self._categories = categories_pb2_grpc.CategoryServiceStub(channel)
            yield

    async def get_category(self, request: web.Request) -> web.Response:
        message = categories_pb2.GetCategoryRequest(category_id=request.match_info["category_id"])
        return _answer(await self._categories.GetCategory(message, metadata=_metadata(request)))

    async def create_category(self, request: web.Request) -> web.Response:
        message = json_format.Parse(await request.read(), categories_pb2.CreateCategoryRequest())
        return _answer(await self._categories.CreateCategory(message, metadata=_metadata(request)))

    async def list_items(self, request: web.Request) -> web.Response:
        message = json_format.ParseDict(dict(request.query), items_pb2.ListItemsRequest())
        return _answer(await self._items.ListItems(message, metadata=_metadata(request)))

    async def update_item(self, request: web.Request) -> web.Response:
        message = items_pb2.UpdateItemRequest(library_item_id=request.match_info["library_item_id"])
        json_format.Parse(await request.read(), message.item)
        message.update_mask.FromJsonString(request.query["update_mask"])
        return _answer(await self._items.UpdateItem(message, metadata=_metadata(request)))


def make_app(address: str) -> web.Application:
    naive = Naive(address)
    app = web.Application()
    app.cleanup_ctx.append(naive.connect)
    routes: list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
        ("GET", "/api/v1/library/categories/{category_id}", naive.get_category),
        ("POST", "/api/v1/library/categories", naive.create_category),
        ("GET", "/api/v1/library/items", naive.list_items),
        ("PATCH", "/api/v1/library/items/{library_item_id}", naive.update_item),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
    return app


def main() -> None:
    port, address = int(sys.argv[1]), sys.argv[2]
    web.run_app(
        make_app(address), host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main()
