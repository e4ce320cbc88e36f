"""The Library Service as its callers see it: over gRPC, and over the events that it hears and tells."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from catalog.v1.events_pb2 import PriceUpdated, ProductUpdated
from catalog.v1.product_pb2 import LocalizedText
from download.v1.events_pb2 import DownloadSessionStatusChanged, GameInstalled, GameUninstalled
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import items_pb2 as pb
from library.v1.categories_pb2 import CreateCategoryRequest
from library.v1.query_pb2 import CheckGameAccessRequest, GetLibraryItemsRequest
from prometheus_client import REGISTRY

from chassis.cloudevents.events import new_event
from tests.component.library.library_rig import Rig, library_rig, own_items, purchase, refund, statements, until, user
from tests.component.rpc_rig import as_service

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIBRARY_TOPIC = "com.platform.library.events.v1"
PAYMENT_TOPIC = "com.platform.payment.events.v1"


@pytest.fixture
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


@pytest.fixture
def user_id() -> UUID:
    return uuid4()


async def test_what_is_bought_is_listed_shown_and_changed(rig: Rig, user_id: UUID):
    chess, tea = uuid4(), uuid4()
    rig.catalog.titles = {chess: ("Шахматы", "Chess"), tea: ("Чай", "Tea")}
    await rig.buy(user_id, chess, tea)

    page = await rig.items.ListItems(
        pb.ListItemsRequest(sort_by=pb.ITEM_SORT_NAME_ASC, limit=1, page=2), metadata=user(user_id)
    )
    assert [item.title for item in page.items] == ["Шахматы"]
    assert (page.page.total_items, page.page.current_page, page.page.per_page) == (2, 2, 1)
    assert page.items[0].cover_image_url == f"https://covers.test/{chess}"
    assert page.items[0].acquisition_type == pb.ACQUISITION_TYPE_PURCHASE

    item_id = page.items[0].id
    changed = await rig.items.UpdateItem(
        pb.UpdateItemRequest(
            library_item_id=item_id,
            item=pb.LibraryItemChanges(is_favorite=True, user_rating=5, notes="Хорошая партия"),
            update_mask=FieldMask(paths=["is_favorite", "user_rating", "notes"]),
        ),
        metadata=user(user_id, language="en"),
    )
    assert (changed.item.title, changed.item.user_rating, changed.item.notes) == ("Chess", 5, "Хорошая партия")

    cleared = await rig.items.UpdateItem(
        pb.UpdateItemRequest(
            library_item_id=item_id, item=pb.LibraryItemChanges(), update_mask=FieldMask(paths=["user_rating", "notes"])
        ),
        metadata=user(user_id),
    )
    shown = (await rig.items.GetItem(pb.GetItemRequest(library_item_id=item_id), metadata=user(user_id))).item
    assert shown == cleared.item
    assert shown.is_favorite
    assert not shown.HasField("user_rating")
    assert not shown.HasField("notes")


async def test_a_page_is_one_statement(rig: Rig, user_id: UUID):
    products = [uuid4() for _ in range(30)]
    rig.catalog.titles = {product: (f"Игра {number}", f"Game {number}") for number, product in enumerate(products)}
    await rig.buy(user_id, *products)
    await own_items(rig, user_id, search="игра")

    with statements() as seen:
        for sort in pb.ItemSort.values():
            assert len(await own_items(rig, user_id, sort_by=sort, search="игра", limit=25)) == 25
    assert len(seen) == len(pb.ItemSort.values())
    with statements() as seen:
        await own_items(rig, user_id)
    assert len(seen) == 1


async def test_a_page_is_one_statement_whatever_it_includes_and_however_it_is_filtered(rig: Rig, user_id: UUID):
    products = [uuid4() for _ in range(3)]
    rig.catalog.titles = dict.fromkeys(products, ("Игра", "Game"))
    await rig.buy(user_id, *products)
    item = (await own_items(rig, user_id))[0]
    mine = user(user_id)
    created = await rig.categories.CreateCategory(CreateCategoryRequest(name="Полка"), metadata=mine)
    await rig.items.AddItemCategories(
        pb.AddItemCategoriesRequest(library_item_id=item.id, category_ids=[created.category.id]), metadata=mine
    )
    change = pb.LibraryItemChanges(is_favorite=True)
    mask = FieldMask(paths=["is_favorite"])
    await rig.items.UpdateItem(
        pb.UpdateItemRequest(library_item_id=item.id, item=change, update_mask=mask), metadata=mine
    )
    filters = {
        3: [{}, {"include_hidden": True}, {"status": pb.INSTALLATION_STATUS_NOT_INSTALLED}, {"search": "игра"}],
        1: [{"is_favorite": True}, {"category_id": created.category.id}],
        0: [{"status": pb.INSTALLATION_STATUS_ERROR}],
    }
    for count, each in [(count, each) for count, some in filters.items() for each in some]:
        for sort in pb.ItemSort.values():
            request = pb.ListItemsRequest(sort_by=sort, include=["categories", "product"], **each)
            with statements() as seen:
                page = await rig.items.ListItems(request, metadata=mine)
            assert len(seen) == 1, each
            assert len(page.items) == len(page.included_products) == count
            assert len(page.included_categories) == (1 if count else 0)


async def test_a_page_that_misses_titles_asks_catalog_once_as_itself(rig: Rig, user_id: UUID):
    products = [uuid4() for _ in range(30)]
    rig.catalog.titles = dict.fromkeys(products, ("Игра", "Game"))
    await rig.buy(user_id, *products)

    first, again = await own_items(rig, user_id), await own_items(rig, user_id)

    assert {item.title for item in [*first, *again]} == {"Игра"}
    assert [len(call) for call in rig.catalog.calls] == [20]
    assert rig.catalog.credentials[0].startswith("Bearer ")


@pytest.mark.parametrize("trouble", ["away", "slow"])
async def test_without_catalog_the_items_answer_without_titles(
    rig: Rig, user_id: UUID, trouble: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("library_svc.catalog.application.FILL_DEADLINE_SECONDS", 1.0)
    await rig.buy(user_id, uuid4())
    if trouble == "away":
        await rig.stop_catalog()
    else:
        rig.catalog.delay_seconds = 60.0

    started = asyncio.get_running_loop().time()
    item = (await own_items(rig, user_id))[0]
    shown = (await rig.items.GetItem(pb.GetItemRequest(library_item_id=item.id), metadata=user(user_id))).item

    assert not item.HasField("title")
    assert not item.HasField("cover_image_url")
    assert shown == item
    assert asyncio.get_running_loop().time() - started < 30.0, "they wait for Catalog"


async def test_titles_follow_catalogs_events(rig: Rig, user_id: UUID):
    product = uuid4()
    rig.catalog.titles = {product: ("Старое", "Old")}
    await rig.buy(user_id, product)
    assert (await own_items(rig, user_id))[0].title == "Старое"

    await rig.publish(ProductUpdated(product_id=str(product), titles=LocalizedText(ru="Новое", en="New")))

    async def is_new() -> bool:
        return bool(await own_items(rig, user_id, language="en", search="new"))

    await until(is_new)
    assert (await own_items(rig, user_id, language="en"))[0].title == "New"


async def test_a_purchase_told_twenty_times_is_one_item_and_one_event(rig: Rig, user_id: UUID):
    product, order = uuid4(), str(uuid4())
    message = purchase(user_id, product, order_id=order)

    await rig.publish(message, copies=10)
    await asyncio.gather(*(rig.publish(message) for _ in range(10)))
    last = uuid4()
    await rig.buy(user_id, last)

    async def both_told() -> bool:
        return str(last) in [event.subject for event, _ in await rig.told(LIBRARY_TOPIC)]

    await until(both_told)
    told = [event for event, _ in await rig.told(LIBRARY_TOPIC)]
    assert [event.subject for event in told] == [str(product), str(last)]
    assert {event.type for event in told} == {"com.platform.library.game.added.v1"}
    assert {event.source for event in told} == {"platform.library-service"}
    assert {event.partition_key for event in told} == {str(user_id)}
    assert len(await own_items(rig, user_id)) == 2


async def test_a_refund_ends_access_and_is_told(rig: Rig, user_id: UUID):
    product = uuid4()
    order_id = await rig.buy(user_id, product)
    request = CheckGameAccessRequest(user_id=str(user_id), product_id=str(product))
    granted = await rig.query.CheckGameAccess(request, metadata=as_service("download-service"))
    assert granted.has_access
    assert granted.HasField("acquisition_date")

    await rig.publish(refund(user_id, product, order_id=order_id))

    async def is_told() -> bool:
        return len(await rig.told(LIBRARY_TOPIC)) == 2

    await until(is_told)
    removed = (await rig.told(LIBRARY_TOPIC))[1][0]
    assert removed.type == "com.platform.library.game.removed.v1"
    assert removed.data["reason"] == "refund"
    ended = await rig.query.CheckGameAccess(request, metadata=as_service("download-service"))
    assert not ended.has_access
    assert not ended.HasField("acquisition_date")
    assert list(await own_items(rig, user_id)) == []


async def test_the_installation_status_follows_download(rig: Rig, user_id: UUID):
    product, version, device = (str(uuid4()) for _ in range(3))
    await rig.buy(user_id, UUID(product))
    common = {"user_id": str(user_id), "product_id": product, "version_id": version}

    async def shows(status: "pb.InstallationStatus") -> None:
        async def holds() -> bool:
            return [item.installation_status for item in await own_items(rig, user_id)] == [status]

        await until(holds)

    session = {**common, "download_session_id": str(uuid4())}
    await rig.publish(DownloadSessionStatusChanged(**session, new_status="DOWNLOAD_STATUS_QUEUED", timestamp=NOON))
    await shows(pb.INSTALLATION_STATUS_INSTALLING)
    later = NOON + timedelta(minutes=1)
    await rig.publish(
        GameInstalled(**common, device_id=device, remaining_installations=1, timestamp=later),
        DownloadSessionStatusChanged(**session, new_status="DOWNLOAD_STATUS_COMPLETED", timestamp=later),
        DownloadSessionStatusChanged(**session, new_status="DOWNLOAD_STATUS_DOWNLOADING", timestamp=NOON),
    )
    await shows(pb.INSTALLATION_STATUS_INSTALLED)
    item = (await own_items(rig, user_id, status=pb.INSTALLATION_STATUS_INSTALLED))[0]
    assert item.installed_version_id == version
    await rig.publish(
        GameUninstalled(**common, device_id=device, remaining_installations=0, timestamp=later + timedelta(minutes=1))
    )
    await shows(pb.INSTALLATION_STATUS_NOT_INSTALLED)


async def test_other_services_ask_what_a_user_owns(rig: Rig, user_id: UUID):
    first, second = uuid4(), uuid4()
    await rig.buy(user_id, first)
    await rig.buy(user_id, second)
    metadata = as_service("download-service")

    everything = await rig.query.GetLibraryItems(GetLibraryItemsRequest(user_id=str(user_id)), metadata=metadata)
    picked = await rig.query.GetLibraryItems(
        GetLibraryItemsRequest(user_id=str(user_id), product_ids_filter=[str(first), str(uuid4())]), metadata=metadata
    )

    assert [item.product_id for item in everything.items] == [str(second), str(first)]
    assert [item.product_id for item in picked.items] == [str(first)]


async def test_an_event_that_cannot_be_handled_is_a_dead_letter_and_holds_nothing_up(rig: Rig, user_id: UUID):
    await rig.publish(purchase(user_id, uuid4(), order_id=""))
    await rig.buy(user_id, uuid4())

    letters = await rig.told(f"{PAYMENT_TOPIC}.dlq")
    assert len(letters) == 1
    assert "EVENT_INVALID" in letters[0][1]
    assert len(await own_items(rig, user_id)) == 1


ENDS_OF_TIME = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+03:00",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31t23:59:59-05:00",
)


async def test_times_at_the_ends_stop_nobody(rig: Rig, user_id: UUID):
    """Unset and never, as the systems of others write them: in every place of an event that has a time."""
    orders = [purchase(user_id, uuid4(), order_id=str(uuid4())) for _ in ENDS_OF_TIME]
    products = [UUID(order.items[0].product_id) for order in orders]
    for order, product_id, text in zip(orders, products, ENDS_OF_TIME, strict=True):
        installed = GameInstalled(user_id=str(user_id), product_id=str(product_id), version_id=str(uuid4()))
        price = PriceUpdated(product_id=str(product_id), discount_percent=10, sale_id="spring")
        await rig.publish_dated(order, "purchaseTimestamp", text)
        await rig.publish_dated(installed, "timestamp", text)
        await rig.publish_dated(price, "endsAt", text)
    await rig.buy(user_id, bystander := uuid4())
    await until(rig.has_settled)
    items = await own_items(rig, user_id)
    assert {UUID(item.product_id) for item in items} == {*products, bystander}
    for item in items:
        request = pb.UpdateItemRequest(
            library_item_id=item.id,
            item=pb.LibraryItemChanges(is_favorite=True),
            update_mask=FieldMask(paths=["is_favorite"]),
        )
        assert (await rig.items.UpdateItem(request, metadata=user(user_id))).item.is_favorite
    connection = await asyncpg.connect(rig.postgres_dsn)
    try:
        still_telling = "SELECT count(*) FROM wishlist_sales WHERE status = 'telling'"
        await until(lambda: _is_none(connection, still_telling))
    finally:
        await connection.close()
    for topic in {new_event(message, key="-").topic for message in (orders[0], installed, price)}:
        assert await rig.told(f"{topic}.dlq") == []


async def _is_none(connection: asyncpg.Connection, query: str, *values: object) -> bool:
    return await connection.fetchval(query, *values) == 0


async def test_jobs_that_fail_again_and_again_end_nothing(rig: Rig, user_id: UUID):
    """The tables of some jobs are not what the code knows: nothing that a job expects."""

    def failures(job: str) -> float:
        return REGISTRY.get_sample_value("job_failures_total", {"job": job}) or 0.0

    before = failures("sale notices")
    connection = await asyncpg.connect(rig.postgres_dsn)
    try:
        await connection.execute("ALTER TABLE wishlist_sales RENAME COLUMN status TO state")
        await until(lambda: _is_over(failures("sale notices"), before + 1))
        await rig.buy(user_id, uuid4())
        assert len(await own_items(rig, user_id)) == 1
        await connection.execute("ALTER TABLE wishlist_sales RENAME COLUMN state TO status")
        wished, price = uuid4(), PriceUpdated(discount_percent=10, sale_id="spring")
        price.product_id = str(wished)
        await rig.publish_dated(price, "endsAt", "9999-12-31T23:59:59Z")
        told = "SELECT count(*) - 1 FROM wishlist_sales WHERE status = 'told' AND product_id = $1"
        await until(lambda: _is_none(connection, told, wished))
    finally:
        await connection.close()


async def _is_over(found: float, limit: float) -> bool:
    return found > limit
