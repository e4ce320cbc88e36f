"""CategoryService: a user's own categories. Called by the gateway in the user's name."""

from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import categories_pb2 as pb
from library.v1.categories_pb2_grpc import CategoryServiceServicer
from samovar.types.v1.page_pb2 import PageInfo

from library_svc.callers import current_user
from library_svc.categories import application as categories
from library_svc.categories.application import CategoryReader
from library_svc.categories.domain import CategoryChanges, CategoryNotFound
from library_svc.ids import CategoryId
from library_svc.items.messages import DEFAULT_LIMIT, DEFAULT_PAGE, category_message
from library_svc.masks import masked
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["CategoryService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class CategoryServicer(CategoryServiceServicer):
    def __init__(self, begin: Begin, reader: CategoryReader) -> None:
        self._begin = begin
        self._reader = reader

    async def ListCategories(self, request: pb.ListCategoriesRequest, _context: Context) -> pb.ListCategoriesResponse:
        page, limit = request.page or DEFAULT_PAGE, request.limit or DEFAULT_LIMIT
        found = await self._reader.list_categories(current_user(), page=page, limit=limit)
        return pb.ListCategoriesResponse(
            categories=map(category_message, found.categories),
            page=PageInfo(total_items=found.total_items, current_page=page, per_page=limit),
        )

    async def GetCategory(self, request: pb.GetCategoryRequest, _context: Context) -> pb.GetCategoryResponse:
        category_id = CategoryId(UUID(request.category_id))
        category = await self._reader.get_category(current_user(), category_id)
        if category is None:
            raise CategoryNotFound(category_id)
        return pb.GetCategoryResponse(category=category_message(category))

    async def CreateCategory(self, request: pb.CreateCategoryRequest, _context: Context) -> pb.CreateCategoryResponse:
        category = await categories.create_category(
            self._begin, user_id=current_user(), name=request.name, display_order=request.display_order
        )
        return pb.CreateCategoryResponse(category=category_message(category))

    async def UpdateCategory(self, request: pb.UpdateCategoryRequest, _context: Context) -> pb.UpdateCategoryResponse:
        category = await categories.update_category(
            self._begin,
            user_id=current_user(),
            category_id=CategoryId(UUID(request.category_id)),
            changes=CategoryChanges(**masked(request.category, request.update_mask, at="category")),
        )
        return pb.UpdateCategoryResponse(category=category_message(category))

    async def DeleteCategory(self, request: pb.DeleteCategoryRequest, _context: Context) -> pb.DeleteCategoryResponse:
        category_id = CategoryId(UUID(request.category_id))
        await categories.delete_category(self._begin, user_id=current_user(), category_id=category_id)
        return pb.DeleteCategoryResponse()
