"""LibraryUpdateService: a user's library as it changes, and the consumers that feed it with our own events. Called by the gateway
in the user's name. Contract section 4.

An event becomes a member of WatchLibraryUpdatesResponse: the one whose message it is, or the one that `_TOLD_AS` makes of it. What
is in the feed names things; `UpdateView` adds what they are like when somebody looks, in that user's language.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from library.v1 import events_pb2 as events
from library.v1 import updates_pb2 as pb
from library.v1.updates_pb2_grpc import LibraryUpdateServiceServicer
from samovar.options.v1 import options_pb2

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from library_svc.achievements.application import AchievementReader, AchievementSort
from library_svc.callers import current_language, current_user
from library_svc.catalog.domain import Language
from library_svc.feed.application import FeedBreak, FeedRecord, LibraryFeed
from library_svc.ids import AchievementId, ItemId, ProductId, UserId
from library_svc.items.application import ItemView, LibraryReader

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["LibraryUpdateService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]

# Any: the stubs know two classes of descriptors, the runtime one, and no extensions of the generated options.
_PAYLOAD: Final[Any] = pb.WatchLibraryUpdatesResponse.DESCRIPTOR.oneofs_by_name["payload"]
_EVENT_OPTION: Final[Any] = options_pb2.event

_MEMBERS: Final[Mapping[type[Message], str]] = {
    GetMessageClass(field.message_type): field.name for field in _PAYLOAD.fields
}
_EVENTS: Final = [member for member in _MEMBERS if member.DESCRIPTOR.GetOptions().HasExtension(_EVENT_OPTION)]
"""Members that are events themselves."""


def _item_added(event: events.GameAdded) -> Message:
    return pb.LibraryItemAdded(
        product_id=event.product_id, acquisition_type=event.acquisition_type, added_at=event.added_at
    )


def _item_updated(event: events.ItemUpdated) -> Message:
    updated = pb.LibraryItemUpdated(library_item_id=event.library_item_id, product_id=event.product_id)
    updated.changes.update(dict.fromkeys(event.changed_attributes))
    return updated


def _achievement_unlocked(event: events.AchievementUnlocked) -> Message:
    return pb.AchievementUnlockedUpdate(
        product_id=event.product_id, achievement_id=event.achievement_meta_id, unlocked_at=event.unlocked_at
    )


def _wish(change: pb.WishlistChange) -> Callable[[Any], Message]:
    return lambda event: pb.WishlistUpdated(
        wishlist_item_id=event.wishlist_item_id, product_id=event.product_id, change=change
    )


def _save_uploaded(event: events.SavegameUploaded) -> Message:
    return events.SavegameSyncStatusChanged(
        user_id=event.user_id,
        product_id=event.product_id,
        savegame_id=event.savegame_id,
        slot_name=event.slot_name,
        status=events.SAVEGAME_SYNC_STATUS_SYNC_COMPLETED,
        last_synced_at=event.server_timestamp,
    )


_TOLD_AS: Final[Mapping[type[Message], Callable[[Any], Message]]] = {
    events.GameAdded: _item_added,
    events.ItemUpdated: _item_updated,
    events.AchievementUnlocked: _achievement_unlocked,
    events.SavegameUploaded: _save_uploaded,
    events.WishlistItemAdded: _wish(pb.WISHLIST_CHANGE_ADDED),
    events.WishlistItemUpdated: _wish(pb.WISHLIST_CHANGE_UPDATED),
    events.WishlistItemRemoved: _wish(pb.WISHLIST_CHANGE_REMOVED),
}
"""Events that users receive in another form than the platform."""


def live_subscriptions(feed: LibraryFeed) -> Sequence[Subscription]:
    """Our own events, on their way to the users' feeds."""

    async def tell(message: Any, event: CloudEvent) -> None:
        shape = _TOLD_AS.get(type(message))
        told = shape(message) if shape else message
        update = pb.WatchLibraryUpdatesResponse(occurred_at=event.time)
        getattr(update, _MEMBERS[type(told)]).CopyFrom(told)
        await feed.append(UserId(UUID(message.user_id)), update.SerializeToString(), event_id=event.key)

    return [Subscription(message_type, tell) for message_type in (*_EVENTS, *_TOLD_AS)]


class UpdateView:
    """Says of what is named in a feed what it is like now."""

    def __init__(self, reader: LibraryReader, achievements: AchievementReader) -> None:
        self._reader = reader
        self._achievements = achievements

    async def complete(
        self, update: pb.WatchLibraryUpdatesResponse, user_id: UserId, language: Language
    ) -> pb.WatchLibraryUpdatesResponse | None:
        """The complete update; None: its subject no longer exists, as a later update will say."""
        match update.WhichOneof("payload"):
            case "item_added":
                owned = await self._reader.owned_items(user_id, [ProductId(UUID(update.item_added.product_id))])
                if not owned:
                    return None
                update.item_added.library_item_id = str(owned[0].id)
            case "item_updated":
                shown = await self._reader.get_item(user_id, ItemId(UUID(update.item_updated.library_item_id)))
                if shown is None:
                    return None
                changes = update.item_updated.changes
                changes.update({name: _value(shown, name) for name in list(changes)})
            case "achievement_unlocked":
                await self._name(update.achievement_unlocked, user_id, language)
        return update

    async def _name(self, unlocked: pb.AchievementUnlockedUpdate, user_id: UserId, language: Language) -> None:
        product_id = ProductId(UUID(unlocked.product_id))
        found = await self._achievements.list_achievements(user_id, product_id, AchievementSort.DEFAULT)
        shown = found.of(AchievementId(UUID(unlocked.achievement_id)))
        if shown is not None and (name := shown.definition.name(language)) is not None:
            unlocked.achievement_name = name


def _value(shown: ItemView, name: str) -> Any:
    """An attribute of the item as JSON; one that another release knows of is null."""
    value = shown.category_ids if name == "category_ids" else getattr(shown.item, name, None)
    match value:
        case Enum():
            return value.value
        case UUID():
            return str(value)
        case list() | tuple():
            return list(map(str, value))
        case _:
            return value


class LibraryUpdateServicer(LibraryUpdateServiceServicer):
    def __init__(self, feed: LibraryFeed, view: UpdateView, *, now: Callable[[], datetime]) -> None:
        self._feed = feed
        self._view = view
        self._now = now

    async def WatchLibraryUpdates(
        self, request: pb.WatchLibraryUpdatesRequest, context: Context
    ) -> AsyncIterator[pb.WatchLibraryUpdatesResponse]:
        user_id, language = current_user(), current_language()
        async with aclosing(await self._feed.watch(user_id, request.last_event_id or None)) as records:
            # Tells the caller, before there is any event, that from here on it misses none.
            await context.send_initial_metadata(())
            async for record in records:
                update = await self._view.complete(self._update(record), user_id, language)
                if update is not None:
                    yield update

    def _update(self, record: FeedRecord | FeedBreak) -> pb.WatchLibraryUpdatesResponse:
        if isinstance(record, FeedBreak):
            lost = pb.ResyncRequired(reason=record.reason)
            return pb.WatchLibraryUpdatesResponse(event_id=record.id, occurred_at=self._now(), resync_required=lost)
        update = pb.WatchLibraryUpdatesResponse.FromString(record.update)
        update.event_id = record.id
        return update
