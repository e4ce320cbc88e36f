"""Transcoders of library/v1/events.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from library.v1 import events_pb2 as pb

from gateway.contract import JsonValue
from gateway.transcoding import EnumTexts, timestamp_text

REMOVAL_REASON_TEXTS = EnumTexts({0: None, 1: "refund", 2: "family_revoked", 3: "admin"})

CATEGORY_CHANGE_TEXTS = EnumTexts({0: None, 1: "created", 2: "updated", 3: "deleted"})

SAVEGAME_SYNC_STATUS_TEXTS = EnumTexts({
    0: None,
    1: "sync_started",
    2: "sync_completed",
    3: "sync_failed",
    4: "conflict",
})


def game_removed_object(message: pb.GameRemoved) -> JsonValue:
    has = message.HasField
    return {
        "user_id": message.user_id,
        "product_id": message.product_id,
        "reason": REMOVAL_REASON_TEXTS[message.reason],
        "removed_at": timestamp_text(message.removed_at) if has("removed_at") else None,
    }


def game_settings_updated_object(message: pb.GameSettingsUpdated) -> JsonValue:
    has = message.HasField
    return {
        "user_id": message.user_id,
        "product_id": message.product_id,
        "updated_at": timestamp_text(message.updated_at) if has("updated_at") else None,
    }


def wishlist_item_on_sale_object(message: pb.WishlistItemOnSale) -> JsonValue:
    has = message.HasField
    return {
        "user_id": message.user_id,
        "product_id": message.product_id,
        "discount_percent": message.discount_percent,
        "sale_id": message.sale_id,
        "ends_at": timestamp_text(message.ends_at) if has("ends_at") else None,
    }


def playtime_session_ended_object(message: pb.PlaytimeSessionEnded) -> JsonValue:
    has = message.HasField
    return {
        "user_id": message.user_id,
        "product_id": message.product_id,
        "session_id": message.session_id,
        "session_duration_seconds": message.session_duration_seconds,
        "total_playtime_seconds": message.total_playtime_seconds,
        "ended_at": timestamp_text(message.ended_at) if has("ended_at") else None,
    }


def category_changed_object(message: pb.CategoryChanged) -> JsonValue:
    return {
        "user_id": message.user_id,
        "category_id": message.category_id,
        "change": CATEGORY_CHANGE_TEXTS[message.change],
    }


def savegame_sync_status_changed_object(message: pb.SavegameSyncStatusChanged) -> JsonValue:
    has = message.HasField
    return {
        "user_id": message.user_id,
        "product_id": message.product_id,
        "savegame_id": message.savegame_id,
        "slot_name": message.slot_name,
        "status": SAVEGAME_SYNC_STATUS_TEXTS[message.status],
        "last_synced_at": timestamp_text(message.last_synced_at) if has("last_synced_at") else None,
        "error_message": message.error_message if has("error_message") else None,
    }
