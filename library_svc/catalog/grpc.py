"""The Catalog Service over gRPC (contract section 5, `catalog.v1.ProductService`)."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import grpc.aio
from catalog.v1.product_pb2 import Achievement as AchievementMessage
from catalog.v1.product_pb2 import GetProductsBatchRequest, ListAchievementsRequest
from catalog.v1.product_pb2 import Product as ProductMessage
from catalog.v1.product_pb2_grpc import ProductServiceStub

from chassis.errors.wire import from_rpc_error
from library_svc.achievements.domain import Definition
from library_svc.catalog.domain import Product
from library_svc.ids import AchievementId, ProductId


class GrpcCatalog:
    """Asks over the channel that it is given; the caller sets the deadline."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = ProductServiceStub(channel)

    async def get_products(self, product_ids: Sequence[ProductId], *, as_of: datetime) -> Sequence[Product]:
        request = GetProductsBatchRequest(product_ids=[str(product_id) for product_id in product_ids])
        try:
            response = await self._stub.GetProductsBatch(request)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return [_product(message, as_of) for message in response.products]

    async def list_achievements(self, product_id: ProductId) -> Sequence[Definition]:
        try:
            response = await self._stub.ListAchievements(ListAchievementsRequest(product_id=str(product_id)))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        return [_definition(product_id, place, message) for place, message in enumerate(response.achievements)]


def _definition(product_id: ProductId, ordinal: int, message: AchievementMessage) -> Definition:
    return Definition(
        product_id=product_id,
        id=AchievementId(UUID(message.achievement_meta_id)),
        ordinal=ordinal,
        total_progress_needed=max(message.total_progress_needed, 1),
        is_hidden=message.is_hidden,
        name_ru=message.names.ru or None,
        name_en=message.names.en or None,
        description_ru=message.descriptions.ru or None,
        description_en=message.descriptions.en or None,
        icon_url_unlocked=message.icon_url_unlocked or None,
    )


def _product(message: ProductMessage, as_of: datetime) -> Product:
    return Product(
        product_id=ProductId(UUID(message.product_id)),
        as_of=as_of,
        is_complete=True,
        title_ru=message.titles.ru or None,
        title_en=message.titles.en or None,
        cover_image_url=message.cover_image_url or None,
        product_type=message.product_type or None,
    )
