"""Transcoders of library/v1/updates.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import updates_pb2 as pb
from rest.library.v1 import events as library_v1_events, items as library_v1_items

from gateway.contract import JsonValue, Problem, Query, StreamedEvent
from gateway.transcoding import UNKNOWN_EVENT, EnumTexts, Parameters, struct_json, timestamp_text

WISHLIST_CHANGE_TEXTS = EnumTexts({0: None, 1: "added", 2: "updated", 3: "removed"})


def library_item_added_object(message: pb.LibraryItemAdded) -> JsonValue:
    has = message.HasField
    return {
        "library_item_id": message.library_item_id,
        "product_id": message.product_id,
        "acquisition_type": library_v1_items.ACQUISITION_TYPE_TEXTS[message.acquisition_type],
        "added_at": timestamp_text(message.added_at) if has("added_at") else None,
    }


def library_item_updated_object(message: pb.LibraryItemUpdated) -> JsonValue:
    has = message.HasField
    return {
        "library_item_id": message.library_item_id,
        "product_id": message.product_id,
        "changes": struct_json(message.changes) if has("changes") else None,
    }


def achievement_unlocked_update_object(message: pb.AchievementUnlockedUpdate) -> JsonValue:
    has = message.HasField
    return {
        "product_id": message.product_id,
        "achievement_id": message.achievement_id,
        "achievement_name": message.achievement_name if has("achievement_name") else None,
        "unlocked_at": timestamp_text(message.unlocked_at) if has("unlocked_at") else None,
    }


def wishlist_updated_object(message: pb.WishlistUpdated) -> JsonValue:
    return {
        "wishlist_item_id": message.wishlist_item_id,
        "product_id": message.product_id,
        "change": WISHLIST_CHANGE_TEXTS[message.change],
    }


def resync_required_object(message: pb.ResyncRequired) -> JsonValue:
    return {
        "reason": message.reason,
    }


def request_watch_library_updates(
    _path: Mapping[str, str],
    query: Query,
    last_event_id: str | None,
    problems: list[Problem],
) -> pb.WatchLibraryUpdatesRequest:
    message = pb.WatchLibraryUpdatesRequest()
    if query:
        Parameters(query, problems)
    if last_event_id is not None:
        message.last_event_id = last_event_id
    return message


def event_watch_library_updates(message: pb.WatchLibraryUpdatesResponse) -> StreamedEvent:
    """One event of /api/v1/ws/library-updates."""
    time = timestamp_text(message.occurred_at) if message.HasField("occurred_at") else None
    match message.WhichOneof("payload"):
        case "item_added":
            return StreamedEvent(
                "library.item.added",
                message.event_id,
                time,
                library_item_added_object(message.item_added),
                None,
            )
        case "item_removed":
            return StreamedEvent(
                "library.item.removed",
                message.event_id,
                time,
                library_v1_events.game_removed_object(message.item_removed),
                None,
            )
        case "item_updated":
            return StreamedEvent(
                "library.item.updated",
                message.event_id,
                time,
                library_item_updated_object(message.item_updated),
                None,
            )
        case "playtime_updated":
            return StreamedEvent(
                "playtime.updated",
                message.event_id,
                time,
                library_v1_events.playtime_session_ended_object(message.playtime_updated),
                None,
            )
        case "achievement_unlocked":
            return StreamedEvent(
                "achievement.unlocked",
                message.event_id,
                time,
                achievement_unlocked_update_object(message.achievement_unlocked),
                None,
            )
        case "wishlist_updated":
            return StreamedEvent(
                "wishlist.updated",
                message.event_id,
                time,
                wishlist_updated_object(message.wishlist_updated),
                None,
            )
        case "wishlist_sale":
            return StreamedEvent(
                "wishlist.sale",
                message.event_id,
                time,
                library_v1_events.wishlist_item_on_sale_object(message.wishlist_sale),
                None,
            )
        case "game_settings_updated":
            return StreamedEvent(
                "game_settings.updated",
                message.event_id,
                time,
                library_v1_events.game_settings_updated_object(message.game_settings_updated),
                None,
            )
        case "category_updated":
            return StreamedEvent(
                "category.updated",
                message.event_id,
                time,
                library_v1_events.category_changed_object(message.category_updated),
                None,
            )
        case "savegame_sync_status":
            return StreamedEvent(
                "savegame.sync.status",
                message.event_id,
                time,
                library_v1_events.savegame_sync_status_changed_object(message.savegame_sync_status),
                None,
            )
        case "resync_required":
            return StreamedEvent(
                "resync_required",
                message.event_id,
                time,
                resync_required_object(message.resync_required),
                None,
            )
        case _:
            return StreamedEvent(UNKNOWN_EVENT, message.event_id, time, None, None)
