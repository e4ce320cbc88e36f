"""What users' clients are told as it happens: which events reach the feed, as what, and how they look when somebody looks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message_factory import GetMessageClass
from library.v1 import events_pb2
from library.v1 import updates_pb2 as pb
from samovar.options.v1.options_pb2 import event as event_option

from chassis.cloudevents.events import CloudEvent, decode
from library_svc.achievements.domain import AchievementUnlocked, Definition
from library_svc.catalog.domain import Language
from library_svc.categories import application as categories
from library_svc.categories.domain import CategoryChange, CategoryChanged, CategoryChanges
from library_svc.events import LibraryEvent
from library_svc.feed.presentation import UpdateView, live_subscriptions
from library_svc.feed.redis import RedisLibraryFeed
from library_svc.ids import (
    AchievementId,
    CategoryId,
    DeviceId,
    EventId,
    ItemId,
    ProductId,
    UserId,
    VersionId,
    WishlistItemId,
)
from library_svc.installations import application as installations
from library_svc.installations.domain import Installation
from library_svc.items import application as items
from library_svc.items.domain import AcquisitionType, GameAdded, Item, ItemChanges, ItemUpdated
from library_svc.outgoing import outgoing
from library_svc.wishlist import application as wishlist
from library_svc.wishlist.domain import (
    WishlistItem,
    WishlistItemAdded,
    WishlistItemChanges,
    WishlistItemRemoved,
    WishlistItemUpdated,
)
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveStreams

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER, GAME = UserId(uuid4()), ProductId(uuid4())


class Street:
    """The library in memory, and somebody who listens to what is told of it."""

    def __init__(self) -> None:
        self.library = MemoryLibrary(MemoryProducts())
        self.begin = self.library.begin
        self.streams = MemoryLiveStreams()
        self.feed = RedisLibraryFeed(self.streams)
        self.view = UpdateView(self.library, self.library)
        self.handlers = {each.message_type: each.handler for each in live_subscriptions(self.feed)}

    async def tell(self, event: LibraryEvent, event_id: str | None = None) -> None:
        """Has an event come back from the bus."""
        made = outgoing(event)
        message_type = getattr(events_pb2, type(event).__name__)
        heard = CloudEvent(
            event_id or str(made.id), "-", made.type, made.subject, NOON, made.topic, str(USER), None, made.data
        )
        await self.handlers[message_type](decode(heard, message_type), heard)

    async def told(self, count: int, language: Language = Language.RU) -> list[pb.WatchLibraryUpdatesResponse | None]:
        """The first records, as they are shown."""
        records = await self.feed.watch(USER, await self._start())
        found = [await anext(records) for _ in range(count)]
        updates = [pb.WatchLibraryUpdatesResponse.FromString(record.update) for record in found]
        return [await self.view.complete(update, USER, language) for update in updates]

    async def _start(self) -> str:
        epoch = (await self.streams.position(f"library_events:{{{USER}}}")).split("-")[0]
        return f"{epoch}-0-0"

    async def item(self, **attributes: Any) -> Item:
        item = Item(ItemId(uuid4()), USER, GAME, NOON, AcquisitionType.PURCHASE, **attributes)
        async with self.begin() as tx:
            await tx.items.add(item)
            await tx.commit()
        return item


@pytest.fixture
def street() -> Street:
    return Street()


def test_every_event_of_the_librarys_own_topic_is_told_to_its_user():
    """A new event belongs into the oneof of WatchLibraryUpdatesResponse, or, told otherwise, among `_TOLD_AS`."""
    own = {
        GetMessageClass(message)
        for message in events_pb2.DESCRIPTOR.message_types_by_name.values()
        if message.GetOptions().HasExtension(event_option)
    }
    told = [each.message_type for each in live_subscriptions(RedisLibraryFeed(MemoryLiveStreams()))]
    assert set(told) == own
    assert len(told) == len(own)


async def test_an_event_of_the_oneof_is_told_as_it_is(street: Street):
    category_id = CategoryId(uuid4())
    await street.tell(CategoryChanged(USER, category_id, CategoryChange.DELETED))
    [update] = await street.told(1)
    assert update.category_updated == events_pb2.CategoryChanged(
        user_id=str(USER), category_id=str(category_id), change=events_pb2.CATEGORY_CHANGE_DELETED
    )
    assert update.occurred_at.ToDatetime(tzinfo=UTC) == NOON


async def test_an_event_that_comes_again_is_in_the_feed_once(street: Street):
    for event_id in ("one", "two", "one", "two"):
        await street.tell(CategoryChanged(USER, CategoryId(uuid4()), CategoryChange.CREATED), event_id)
    await street.tell(WishlistItemAdded(USER, GAME, WishlistItemId(uuid4()), NOON))
    kinds = [update.WhichOneof("payload") for update in await street.told(3)]
    assert kinds == ["category_updated", "category_updated", "wishlist_updated"]


async def test_wishes_are_told_as_one_kind_of_event(street: Street):
    wish_id = WishlistItemId(uuid4())
    await street.tell(WishlistItemAdded(USER, GAME, wish_id, NOON))
    await street.tell(WishlistItemUpdated(USER, GAME, wish_id))
    await street.tell(WishlistItemRemoved(USER, GAME, wish_id, NOON))
    updates = [update.wishlist_updated for update in await street.told(3)]
    assert {(update.wishlist_item_id, update.product_id) for update in updates} == {(str(wish_id), str(GAME))}
    assert [update.change for update in updates] == [
        pb.WISHLIST_CHANGE_ADDED,
        pb.WISHLIST_CHANGE_UPDATED,
        pb.WISHLIST_CHANGE_REMOVED,
    ]


async def test_a_changed_item_is_shown_with_the_values_that_it_has_now(street: Street):
    category = await categories.create_category(street.begin, user_id=USER, name="A", display_order=0)
    version_id = VersionId(uuid4())
    item = await street.item(is_favorite=True, installed_version_id=version_id)
    await items.add_to_categories(street.begin, user_id=USER, item_id=item.id, category_ids=frozenset({category.id}))
    names = (
        "category_ids",
        "installation_status",
        "installed_version_id",
        "is_favorite",
        "notes",
        "of_another_release",
    )
    await street.tell(ItemUpdated(USER, GAME, item.id, names))
    [update] = await street.told(1)
    assert (update.item_updated.library_item_id, update.item_updated.product_id) == (str(item.id), str(GAME))
    changes: Mapping[str, Any] = update.item_updated.changes
    assert list(changes["category_ids"]) == [str(category.id)]
    assert {name: changes[name] for name in names[1:]} == {
        "installation_status": "not_installed",
        "installed_version_id": str(version_id),
        "is_favorite": True,
        "notes": None,
        "of_another_release": None,
    }


async def test_what_is_gone_is_not_shown(street: Street):
    await street.tell(GameAdded(USER, GAME, AcquisitionType.GIFT, NOON))
    await street.tell(ItemUpdated(USER, GAME, ItemId(uuid4()), ("notes",)))
    assert await street.told(2) == [None, None]
    item = await street.item()
    [added, _] = await street.told(2)
    assert added.item_added.library_item_id == str(item.id)


async def test_an_achievement_has_its_name_in_the_listeners_language_or_none(street: Street):
    known, unknown = AchievementId(uuid4()), AchievementId(uuid4())
    definition = Definition(GAME, known, 1, name_ru="Мастер", name_en="Master")
    await street.library.definitions.replace(GAME, [definition], as_of=NOON)
    for achievement_id in (known, unknown):
        await street.tell(AchievementUnlocked(USER, GAME, achievement_id, NOON))
    for language, name in ((Language.RU, "Мастер"), (Language.EN, "Master")):
        first, second = [update.achievement_unlocked for update in await street.told(2, language)]
        assert (first.achievement_id, first.achievement_name) == (str(known), name)
        assert not second.HasField("achievement_name")


async def test_a_change_of_an_item_is_told_once_and_a_change_of_nothing_never(street: Street):
    item = await street.item()
    category = await categories.create_category(street.begin, user_id=USER, name="A", display_order=0)
    whose = {"user_id": USER, "item_id": item.id}
    both = ItemChanges(notes="mine", category_ids=frozenset({category.id}))
    for _ in range(2):
        await items.update_item(street.begin, changes=both, **whose)
        await items.add_to_categories(street.begin, category_ids=frozenset({category.id}), **whose)
    for _ in range(2):
        await items.take_from_categories(street.begin, category_ids=frozenset({category.id}), **whose)
    assert [event for event in street.library.events if isinstance(event, ItemUpdated)] == [
        ItemUpdated(USER, GAME, item.id, ("category_ids", "notes")),
        ItemUpdated(USER, GAME, item.id, ("category_ids",)),
    ]


async def test_an_installation_is_told_when_it_shows_on_the_item(street: Street):
    item = await street.item()
    news = Installation(DeviceId(uuid4()), VersionId(uuid4()), is_installed=True, changed_at=NOON)
    for event_id in ("first", "again"):
        await installations.follow(
            street.begin, event_id=EventId("test", event_id), user_id=USER, product_id=GAME, news=news
        )
    told = ItemUpdated(USER, GAME, item.id, ("installation_status", "installed_version_id"))
    assert street.library.events == (told,)


async def test_changes_of_categories_and_wishes_are_told_and_changes_of_nothing_are_not(street: Street):
    category = await categories.create_category(street.begin, user_id=USER, name="A", display_order=0)
    whose = {"user_id": USER, "category_id": category.id}
    for _ in range(2):
        await categories.update_category(street.begin, changes=CategoryChanges(name="B"), **whose)
    await categories.delete_category(street.begin, **whose)
    async with street.begin() as tx:
        wish = WishlistItem(WishlistItemId(uuid4()), USER, GAME, NOON)
        await tx.wishlist.add(wish)
        await tx.commit()
    for _ in range(2):
        await wishlist.update_wish(street.begin, user_id=USER, wish_id=wish.id, changes=WishlistItemChanges(priority=5))
    assert street.library.events == (
        CategoryChanged(USER, category.id, CategoryChange.CREATED),
        CategoryChanged(USER, category.id, CategoryChange.UPDATED),
        CategoryChanged(USER, category.id, CategoryChange.DELETED),
        WishlistItemUpdated(USER, GAME, wish.id),
    )


async def test_a_sale_notice_is_told_whoever_makes_it(street: Street):
    """The event alone is enough, as it lies on the bus."""
    data = {"userId": str(USER), "productId": str(GAME), "discountPercent": 75, "saleId": "winter"}
    message_type = events_pb2.WishlistItemOnSale
    heard = CloudEvent("sale", "-", "-", None, NOON, "-", str(USER), None, data)
    await street.handlers[message_type](decode(heard, message_type), heard)
    [update] = await street.told(1)
    sale = update.wishlist_sale
    assert (sale.product_id, sale.discount_percent, sale.sale_id) == (str(GAME), 75, "winter")
