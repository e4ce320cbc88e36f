"""WishlistService: the user's wishlist. Called by the gateway in the user's name."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import wishlist_pb2 as pb
from library.v1.wishlist_pb2_grpc import WishlistServiceServicer
from samovar.types.v1.page_pb2 import PageInfo

from chassis.cloudevents.moments import to_timestamp
from library_svc.callers import current_language, current_user
from library_svc.catalog.application import ProductFiller
from library_svc.catalog.domain import Language
from library_svc.ids import ProductId, UserId, WishlistItemId
from library_svc.items.messages import DEFAULT_LIMIT, DEFAULT_PAGE, product_messages
from library_svc.masks import masked
from library_svc.transaction import Begin
from library_svc.wishlist import application as wishlist
from library_svc.wishlist.application import WishlistItemView, WishlistReader
from library_svc.wishlist.domain import WishlistItemChanges

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["WishlistService"].full_name

CLEARABLE: Final = frozenset({"notes"})
"""Attributes of a wishlist item that may be named in the mask without a value."""

Context = grpc.aio.ServicerContext[Any, Any]


class WishlistServicer(WishlistServiceServicer):
    def __init__(
        self, begin: Begin, reader: WishlistReader, filler: ProductFiller, *, now: Callable[[], datetime]
    ) -> None:
        self._begin = begin
        self._reader = reader
        self._filler = filler
        self._now = now

    async def ListWishlistItems(
        self, request: pb.ListWishlistItemsRequest, _context: Context
    ) -> pb.ListWishlistItemsResponse:
        page, limit, language = request.page or DEFAULT_PAGE, request.limit or DEFAULT_LIMIT, current_language()
        found = await wishlist.list_wishes(self._reader, self._filler, user_id=current_user(), page=page, limit=limit)
        return pb.ListWishlistItemsResponse(
            items=[wish_message(shown, language) for shown in found.wishes],
            page=PageInfo(total_items=found.total_items, current_page=page, per_page=limit),
            included_products=product_messages((shown.product for shown in found.wishes), language, request.include),
        )

    async def GetWishlistItem(
        self, request: pb.GetWishlistItemRequest, _context: Context
    ) -> pb.GetWishlistItemResponse:
        wish_id = WishlistItemId(UUID(request.wishlist_item_id))
        language = current_language()
        shown = await wishlist.get_wish(self._reader, self._filler, user_id=current_user(), wish_id=wish_id)
        return pb.GetWishlistItemResponse(
            item=wish_message(shown, language),
            included_products=product_messages([shown.product], language, request.include),
        )

    async def AddWishlistItem(
        self, request: pb.AddWishlistItemRequest, _context: Context
    ) -> pb.AddWishlistItemResponse:
        user_id = current_user()
        wish = await wishlist.add_wish(
            self._begin,
            self._filler,
            user_id=user_id,
            product_id=ProductId(UUID(request.product_id)),
            priority=request.priority,
            notes=request.notes if request.HasField("notes") else None,
            now=self._now(),
        )
        return pb.AddWishlistItemResponse(item=await self._shown(user_id, wish.id))

    async def UpdateWishlistItem(
        self, request: pb.UpdateWishlistItemRequest, _context: Context
    ) -> pb.UpdateWishlistItemResponse:
        user_id, wish_id = current_user(), WishlistItemId(UUID(request.wishlist_item_id))
        changes = WishlistItemChanges(**masked(request.item, request.update_mask, at="item", clearable=CLEARABLE))
        await wishlist.update_wish(self._begin, user_id=user_id, wish_id=wish_id, changes=changes)
        return pb.UpdateWishlistItemResponse(item=await self._shown(user_id, wish_id))

    async def RemoveWishlistItem(
        self, request: pb.RemoveWishlistItemRequest, _context: Context
    ) -> pb.RemoveWishlistItemResponse:
        wish_id = WishlistItemId(UUID(request.wishlist_item_id))
        await wishlist.remove_wish(self._begin, user_id=current_user(), wish_id=wish_id, now=self._now())
        return pb.RemoveWishlistItemResponse()

    async def _shown(self, user_id: UserId, wish_id: WishlistItemId) -> pb.WishlistItem:
        shown = await wishlist.get_wish(self._reader, self._filler, user_id=user_id, wish_id=wish_id)
        return wish_message(shown, current_language())


def wish_message(shown: WishlistItemView, language: Language) -> pb.WishlistItem:
    """Return the wishlist item as its user sees it."""
    wish, product = shown.wish, shown.product
    return pb.WishlistItem(
        id=str(wish.id),
        product_id=str(wish.product_id),
        title=product.title(language) if product else None,
        cover_image_url=product.cover_image_url if product else None,
        added_at=to_timestamp(wish.added_at),
        priority=wish.priority,
        notes=wish.notes,
    )
