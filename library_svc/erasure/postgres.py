"""The tables of the library that an erasure clears: a feature adds its own here, one per line, children before parents."""

from typing import Final

from chassis.erasure.plan import ErasedTable, KeptTable

ERASED: Final = (
    ErasedTable("user_library_item_to_categories"),
    ErasedTable("user_game_categories"),
    ErasedTable("user_library_items"),
    ErasedTable("entitlements"),
    # A key that was activated stays activated, or the next one to find it has the game.
    ErasedTable("activated_keys", is_kept_for_nobody=True),
    ErasedTable("item_downloads"),
    ErasedTable("item_installations"),
    ErasedTable("item_verifications"),
    ErasedTable("playtime_sessions"),
    ErasedTable("user_achievements"),
    ErasedTable("wishlist_items"),
    ErasedTable("game_specific_settings"),
    ErasedTable("savegame_versions"),
    ErasedTable("savegame_metadata"),
    ErasedTable("savegame_discarded_objects"),
)
KEPT: Final = (KeptTable("erasures", "says that the user was erased, and refuses what comes late"),)
