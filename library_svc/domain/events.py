"""Everything that the library tells the platform; each event is defined with its noun."""

from library_svc.domain.achievements import AchievementUnlocked
from library_svc.domain.categories import CategoryChanged
from library_svc.domain.game_settings import GameSettingsUpdated
from library_svc.domain.items import GameAdded, GameRemoved, ItemUpdated
from library_svc.domain.playtime import PlaytimeSessionEnded
from library_svc.domain.sales import WishlistItemOnSale
from library_svc.domain.wishlist import WishlistItemAdded, WishlistItemRemoved, WishlistItemUpdated

LibraryEvent = (
    AchievementUnlocked
    | CategoryChanged
    | GameAdded
    | GameRemoved
    | GameSettingsUpdated
    | ItemUpdated
    | PlaytimeSessionEnded
    | WishlistItemAdded
    | WishlistItemOnSale
    | WishlistItemRemoved
    | WishlistItemUpdated
)
