"""LibraryQueryService: what other services ask about a user's library. Pure reads, so they go straight to the reader."""

from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import query_pb2 as pb
from library.v1.query_pb2_grpc import LibraryQueryServiceServicer

from library_svc.application.ports import LibraryReader
from library_svc.domain.ids import ProductId, UserId
from library_svc.presentation import messages

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["LibraryQueryService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class LibraryQueryServicer(LibraryQueryServiceServicer):
    def __init__(self, reader: LibraryReader) -> None:
        self._reader = reader

    async def GetLibraryItems(
        self, request: pb.GetLibraryItemsRequest, _context: Context
    ) -> pb.GetLibraryItemsResponse:
        product_ids = [ProductId(UUID(text)) for text in request.product_ids_filter]
        owned = await self._reader.owned_items(UserId(UUID(request.user_id)), product_ids)
        return pb.GetLibraryItemsResponse(items=map(messages.owned_item_message, owned))

    async def CheckGameAccess(
        self, request: pb.CheckGameAccessRequest, _context: Context
    ) -> pb.CheckGameAccessResponse:
        user_id, product_id = UserId(UUID(request.user_id)), ProductId(UUID(request.product_id))
        since = await self._reader.access_since(user_id, product_id)
        return pb.CheckGameAccessResponse(has_access=since is not None, acquisition_date=since)
