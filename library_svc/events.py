"""Everything that the library publishes to the platform; each event is defined with its noun."""

from library_svc.achievements.domain import AchievementUnlocked
from library_svc.categories.domain import CategoryChanged
from library_svc.game_settings.domain import GameSettingsUpdated
from library_svc.items.domain import GameAdded, GameRemoved, ItemUpdated
from library_svc.playtime.domain import PlaytimeSessionEnded
from library_svc.sales.domain import WishlistItemOnSale
from library_svc.saves.domain import SavegameSyncStatusChanged, SavegameUploaded
from library_svc.wishlist.domain import WishlistItemAdded, WishlistItemRemoved, WishlistItemUpdated

LibraryEvent = (
    AchievementUnlocked
    | CategoryChanged
    | GameAdded
    | GameRemoved
    | GameSettingsUpdated
    | ItemUpdated
    | PlaytimeSessionEnded
    | SavegameSyncStatusChanged
    | SavegameUploaded
    | WishlistItemAdded
    | WishlistItemOnSale
    | WishlistItemRemoved
    | WishlistItemUpdated
)
