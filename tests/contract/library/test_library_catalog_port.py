"""What every adapter of the Catalog port promises."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest
from catalog.v1 import product_pb2, product_pb2_grpc

from chassis.errors import DomainError, Kind
from chassis.grpc_client.rpc_client import open_channel
from library_svc.catalog.application import Catalog
from library_svc.catalog.domain import Product
from library_svc.catalog.grpc import GrpcCatalog
from library_svc.ids import ProductId
from tests.fakes.library.store import MemoryCatalog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHOLE = Product(ProductId(uuid4()), NOON, True, "Чай", "Tea", "https://c/1", "game")
BARE = Product(ProductId(uuid4()), NOON, is_complete=True)


class ProductServicer(product_pb2_grpc.ProductServiceServicer):
    """Catalog's side of the wire."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = {str(product.product_id): product for product in products}

    async def GetProductsBatch(self, request: Any, _context: Any) -> Any:
        known = [self._products[text] for text in request.product_ids if text in self._products]
        return product_pb2.GetProductsBatchResponse(
            products=[
                product_pb2.Product(
                    product_id=str(product.product_id),
                    titles=product_pb2.LocalizedText(ru=product.title_ru or "", en=product.title_en or ""),
                    cover_image_url=product.cover_image_url or "",
                    product_type=product.product_type or "",
                )
                for product in known
            ]
        )


@dataclass(frozen=True, slots=True)
class Given:
    """A Catalog that knows WHOLE and BARE, and how to take it away."""

    catalog: Catalog
    take_away: Callable[[], Awaitable[None]]


@pytest.fixture(params=["memory", "grpc"])
async def given(request) -> AsyncIterator[Given]:
    if request.param == "memory":
        memory = MemoryCatalog([WHOLE, BARE])

        async def take_away() -> None:
            memory.is_away = True

        yield Given(memory, take_away)
        return

    server = grpc.aio.server()
    product_pb2_grpc.add_ProductServiceServicer_to_server(ProductServicer([WHOLE, BARE]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with open_channel(
        f"127.0.0.1:{port}",
        audience="catalog-service",
        service_tokens=None,
        services=("catalog.v1.ProductService",),
        timeout_seconds=2.0,
    ) as channel:
        yield Given(GrpcCatalog(channel), lambda: server.stop(None))
    await server.stop(None)


async def test_those_that_exist_are_told_whole(given: Given):
    products = await given.catalog.get_products([WHOLE.product_id, ProductId(uuid4()), BARE.product_id], as_of=NOON)

    assert sorted(products, key=lambda product: product.product_id) == sorted(
        [WHOLE, BARE], key=lambda product: product.product_id
    )


async def test_nothing_known_is_an_empty_answer(given: Given):
    assert list(await given.catalog.get_products([ProductId(uuid4())], as_of=NOON)) == []


async def test_a_catalog_that_is_away_is_unavailable(given: Given):
    await given.take_away()

    with pytest.raises(DomainError) as refused:
        await given.catalog.get_products([WHOLE.product_id], as_of=NOON)

    assert refused.value.kind is Kind.UNAVAILABLE
