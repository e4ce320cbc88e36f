"""The library's events as the platform reads them: domain event → protobuf message → row of the outbox."""

from google.protobuf.message import Message
from library.v1.events_pb2 import GameAdded as GameAddedMessage
from library.v1.events_pb2 import GameRemoved as GameRemovedMessage
from library.v1.events_pb2 import GameSettingsUpdated as GameSettingsUpdatedMessage
from library.v1.events_pb2 import PlaytimeSessionEnded as PlaytimeSessionEndedMessage
from library.v1.events_pb2 import WishlistItemAdded as WishlistItemAddedMessage
from library.v1.events_pb2 import WishlistItemRemoved as WishlistItemRemovedMessage

from chassis.events import NewEvent, new_event
from library_svc.domain.events import LibraryEvent
from library_svc.domain.game_settings import GameSettingsUpdated
from library_svc.domain.items import GameAdded, GameRemoved
from library_svc.domain.playtime import PlaytimeSessionEnded
from library_svc.domain.wishlist import WishlistItemAdded, WishlistItemRemoved


def outgoing(event: LibraryEvent) -> NewEvent:
    """The event, ready for the outbox."""
    return new_event(_message(event))


def _message(event: LibraryEvent) -> Message:
    match event:
        case GameAdded():
            return GameAddedMessage(
                user_id=str(event.user_id),
                product_id=str(event.product_id),
                acquisition_type=f"ACQUISITION_TYPE_{event.acquisition_type.name}",
                added_at=event.added_at,
            )
        case GameRemoved():
            return GameRemovedMessage(
                user_id=str(event.user_id),
                product_id=str(event.product_id),
                reason=f"REMOVAL_REASON_{event.reason.name}",
                removed_at=event.removed_at,
            )
        case GameSettingsUpdated():
            return GameSettingsUpdatedMessage(
                user_id=str(event.user_id), product_id=str(event.product_id), updated_at=event.updated_at
            )
        case PlaytimeSessionEnded():
            return PlaytimeSessionEndedMessage(
                user_id=str(event.user_id),
                product_id=str(event.product_id),
                session_id=str(event.session_id),
                session_duration_seconds=event.session_duration_seconds,
                total_playtime_seconds=event.total_playtime_seconds,
                ended_at=event.ended_at,
            )
        case WishlistItemAdded():
            return WishlistItemAddedMessage(
                user_id=str(event.user_id),
                product_id=str(event.product_id),
                wishlist_item_id=str(event.wish_id),
                added_at=event.added_at,
            )
        case WishlistItemRemoved():
            return WishlistItemRemovedMessage(
                user_id=str(event.user_id),
                product_id=str(event.product_id),
                wishlist_item_id=str(event.wish_id),
                removed_at=event.removed_at,
            )
