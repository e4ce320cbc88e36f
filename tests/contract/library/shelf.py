"""A user's library that a test fills and looks at, over any adapter of the LibraryReader. Used by the suites of that port."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from library_svc.catalog.domain import Language, Product
from library_svc.ids import ItemId, ProductId, UserId
from library_svc.items.application import ItemQuery
from library_svc.items.domain import AcquisitionType, Item

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Shelf:
    """A user's library, filled by a test."""

    def __init__(self, adapters) -> None:
        self.adapters = adapters
        self.user_id = UserId(uuid4())

    async def put(self, ru: str | None = None, en: str | None = None, **attributes: object) -> Item:
        """An item of a product with these titles; without titles the product is not known."""
        item = Item(ItemId(uuid4()), self.user_id, ProductId(uuid4()), NOON, AcquisitionType.PURCHASE)
        item = replace(item, **attributes)
        async with self.adapters.begin() as tx:
            await tx.items.add(item)
            await tx.commit()
        if ru or en:
            await self.adapters.products.save(
                [
                    Product(
                        item.product_id, NOON, is_complete=True, title_ru=ru, title_en=en, cover_image_url="https://c/1"
                    )
                ]
            )
        return item

    async def page(self, language: Language = Language.RU, **query: object):
        return await self.adapters.reader.list_items(ItemQuery(self.user_id, language, **query))

    async def ids(self, **query: object) -> Sequence[ItemId]:
        return [shown.item.id for shown in (await self.page(**query)).items]

    async def titles(self, language: Language = Language.RU, **query: object) -> Sequence[str | None]:
        page = await self.page(language, **query)
        return [shown.product.title(language) if shown.product else None for shown in page.items]
