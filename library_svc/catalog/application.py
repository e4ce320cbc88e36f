"""Keeps the read model of Catalog's products whole: fills what a page missed. Called by the use cases that show items."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from chassis.errors import DomainError
from library_svc.achievements.domain import Definition
from library_svc.catalog.domain import Product, Products
from library_svc.ids import EventId, ProductId
from library_svc.transaction import Begin

CATALOG_BATCH_LIMIT = 500
"""Products that Catalog returns in one call; a page completes at most so many of a user's unknown ones."""


class Catalog(Protocol):
    """The Catalog Service."""

    async def get_products(self, product_ids: Sequence[ProductId], *, as_of: datetime) -> Sequence[Product]:
        """Return those of the products that exist, in one call of at most CATALOG_BATCH_LIMIT.

        Raises:
            DomainError: Catalog cannot be asked, or refuses.
        """

    async def list_achievements(self, product_id: ProductId) -> Sequence[Definition]:
        """The achievements of a product.

        Raises:
            DomainError: NOT_FOUND, there is no such product; otherwise Catalog cannot be asked, or refuses.
        """


FILL_DEADLINE_SECONDS = 1.0
"""Seconds for which a page waits for Catalog before it is shown without the titles."""

AWAY_SECONDS = 5.0
"""Seconds for which Catalog is not called after it failed, so that only one page in that time waits for it without success."""

UNKNOWN_SECONDS = 60.0
"""Seconds for which a product that Catalog does not know is not asked for again."""

UNKNOWN_PRODUCTS_LIMIT = 10_000
"""Products remembered as unknown to Catalog."""

logger = logging.getLogger(__name__)


async def record_change(begin: Begin, *, event_id: EventId, product: Product) -> None:
    """Merges what an event says of a product into the read model, in one transaction; the same event again changes nothing.

    Merging is idempotent, but the time of an event from the future is when it was received: it must not be received again later.
    """
    async with begin() as tx:
        if await tx.first_time(event_id):
            await tx.products.save([product])
            await tx.commit()


class ProductFiller:
    """Asks Catalog for products that the read model lacks, in one call for a whole page."""

    def __init__(self, catalog: Catalog, products: Products, *, now: Callable[[], datetime]) -> None:
        self._catalog = catalog
        self._products = products
        self._now = now
        self._away_until = datetime.min.replace(tzinfo=UTC)
        self._unknown_until: dict[ProductId, datetime] = {}

    async def fill(self, product_ids: Sequence[ProductId]) -> bool:
        """Return True when the read model knows more than before.

        Never raises for Catalog's sake: without Catalog the items are shown without titles.
        """
        now = self._now()
        wanted = [product_id for product_id in product_ids if not self._is_unknown(product_id, now)]
        wanted = wanted[:CATALOG_BATCH_LIMIT]
        if not wanted or now < self._away_until:
            return False
        products = await self._ask(wanted, now)
        if products is None:
            return False
        self._remember_unknown(set(wanted) - {product.product_id for product in products}, now)
        return bool(products)

    async def exists(self, product_id: ProductId) -> bool | None:
        """Return True when Catalog knows the product; None if Catalog is unavailable.

        An earlier negative answer is not reused: the product may be new.
        """
        now = self._now()
        products = None if now < self._away_until else await self._ask([product_id], now)
        return None if products is None else bool(products)

    async def _ask(self, product_ids: Sequence[ProductId], now: datetime) -> Sequence[Product] | None:
        """Save and return those of the products that exist; None: Catalog failed."""
        try:
            async with asyncio.timeout(FILL_DEADLINE_SECONDS):
                products = await self._catalog.get_products(product_ids, as_of=now)
        except (DomainError, TimeoutError) as error:
            self._away_until = now + timedelta(seconds=AWAY_SECONDS)
            logger.warning("catalog cannot be asked", extra={"error": repr(error)})
            return None
        if products:
            await self._products.save(products)
        return products

    def _is_unknown(self, product_id: ProductId, now: datetime) -> bool:
        return now < self._unknown_until.get(product_id, now)

    def _remember_unknown(self, product_ids: set[ProductId], now: datetime) -> None:
        if len(self._unknown_until) + len(product_ids) > UNKNOWN_PRODUCTS_LIMIT:
            self._unknown_until.clear()
        self._unknown_until.update(dict.fromkeys(product_ids, now + timedelta(seconds=UNKNOWN_SECONDS)))
