"""What a noun of users costs outside its room (docs/adding-an-rpc.md, "Adding an entity"): the files that import from it."""

import pytest

from tests.meta.test_architecture import imports, modules

ROOMS = ["wishlist", "game_settings", "saves"]
"""Rooms that other features have little to do with; items and entitlements are what the others stand on."""
WIRING = {"transaction", "postgres", "events", "main", "outgoing", "consumers"}
FILES_AT_MOST = 6


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_named_in_few_files_of_its_service(room: str) -> None:
    inside = f"library_svc.{room}."
    outside = {
        module.removeprefix("library_svc.")
        for module in modules()
        if module.startswith("library_svc.") and not module.startswith(inside)
        if any(name.startswith(inside) for name in imports(module))
    }
    wired = outside & WIRING
    assert {"transaction", "postgres", "events", "main"} <= wired
    assert len(outside) <= FILES_AT_MOST, sorted(outside)
