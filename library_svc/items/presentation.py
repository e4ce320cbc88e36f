"""LibraryService: what a user sees and changes in their own library. Called by the gateway in the user's name."""

from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import items_pb2 as pb
from library.v1.items_pb2_grpc import LibraryServiceServicer

from library_svc.callers import current_language, current_user
from library_svc.catalog.application import ProductFiller
from library_svc.ids import ItemId
from library_svc.items import application as items
from library_svc.items import messages
from library_svc.items.application import LibraryReader
from library_svc.items.domain import ItemChanges
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["LibraryService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class LibraryServicer(LibraryServiceServicer):
    def __init__(self, begin: Begin, reader: LibraryReader, filler: ProductFiller) -> None:
        self._begin = begin
        self._reader = reader
        self._filler = filler

    async def ListItems(self, request: pb.ListItemsRequest, _context: Context) -> pb.ListItemsResponse:
        query = messages.item_query(request, current_user(), current_language())
        page = await items.list_items(self._reader, self._filler, query)
        return messages.page_message(page, query, request.include)

    async def GetItem(self, request: pb.GetItemRequest, _context: Context) -> pb.GetItemResponse:
        item_id = ItemId(UUID(request.library_item_id))
        language = current_language()
        shown = await items.get_item(
            self._reader,
            self._filler,
            user_id=current_user(),
            item_id=item_id,
            include_categories=messages.CATEGORIES in request.include,
        )
        return pb.GetItemResponse(
            item=messages.item_message(shown, language),
            included_categories=messages.category_messages([shown]),
            included_products=messages.product_messages([shown.product], language, request.include),
        )

    async def UpdateItem(self, request: pb.UpdateItemRequest, _context: Context) -> pb.UpdateItemResponse:
        user_id, item_id = current_user(), ItemId(UUID(request.library_item_id))
        changes = messages.item_changes(request)
        await items.update_item(self._begin, user_id=user_id, item_id=item_id, changes=changes)
        shown = await items.get_item(self._reader, self._filler, user_id=user_id, item_id=item_id)
        return pb.UpdateItemResponse(item=messages.item_message(shown, current_language()))

    async def ListItemCategories(
        self, request: pb.ListItemCategoriesRequest, _context: Context
    ) -> pb.ListItemCategoriesResponse:
        item_id = ItemId(UUID(request.library_item_id))
        shown = await items.show_categories(self._reader, user_id=current_user(), item_id=item_id)
        return pb.ListItemCategoriesResponse(categories=messages.category_messages([shown]))

    async def GetItemCategoryLinkage(
        self, request: pb.GetItemCategoryLinkageRequest, _context: Context
    ) -> pb.GetItemCategoryLinkageResponse:
        item_id = ItemId(UUID(request.library_item_id))
        shown = await items.show_categories(self._reader, user_id=current_user(), item_id=item_id)
        return pb.GetItemCategoryLinkageResponse(item=messages.item_message(shown, current_language()))

    async def AddItemCategories(
        self, request: pb.AddItemCategoriesRequest, _context: Context
    ) -> pb.AddItemCategoriesResponse:
        await items.add_to_categories(
            self._begin,
            user_id=current_user(),
            item_id=ItemId(UUID(request.library_item_id)),
            category_ids=messages.category_ids(request.category_ids),
        )
        return pb.AddItemCategoriesResponse()

    async def ReplaceItemCategories(
        self, request: pb.ReplaceItemCategoriesRequest, _context: Context
    ) -> pb.ReplaceItemCategoriesResponse:
        await items.update_item(
            self._begin,
            user_id=current_user(),
            item_id=ItemId(UUID(request.library_item_id)),
            changes=ItemChanges(category_ids=messages.category_ids(request.category_ids)),
        )
        return pb.ReplaceItemCategoriesResponse()

    async def RemoveItemCategories(
        self, request: pb.RemoveItemCategoriesRequest, _context: Context
    ) -> pb.RemoveItemCategoriesResponse:
        await items.take_from_categories(
            self._begin,
            user_id=current_user(),
            item_id=ItemId(UUID(request.library_item_id)),
            category_ids=messages.category_ids(request.category_ids),
        )
        return pb.RemoveItemCategoriesResponse()
