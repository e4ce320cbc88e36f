"""The work behind the commands about the library, with everything heavy imported: asks, changes, shows. Loaded by
launcher.cli.library_app when a command runs.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from depot.terminal import say
from launcher.api.library_api import ItemFilter, LibraryApi, Linking, open_library
from launcher.api.library_resources import AchievementEntry, GameSettings, WishEntry
from launcher.cli import library_display as display
from launcher.cli.display import write_json
from launcher.cli.naming import find_categories, find_item, find_product, find_wish, only
from launcher.cli.saves_commands import sync_around_play
from launcher.failures import ExitCode, LauncherError
from launcher.game.play import play
from launcher.settings import Account

ALL_STEPS = 2**31 - 1
"""More steps than any achievement has are all of its steps (contract): a secret does not tell how many it has."""
STDIN = "-"

_T = TypeVar("_T")


async def show_items(owner: Account, members: dict[str, Any], category: str | None, *, as_json: bool) -> None:
    """Shows the user's items that match an ItemFilter of these members."""
    wanted = ItemFilter(**members)
    empty = "the library is empty" if category is None and wanted == ItemFilter() else "nothing in the library fits"
    names: dict[UUID, str] = {}
    async with open_library(owner) as api:
        if category is not None:
            (chosen,) = find_categories(await api.categories(), [category])
            wanted = replace(wanted, category_id=chosen.id)
        entries = await api.items(wanted)
        if not as_json and any(entry.category_ids for entry in entries):
            names = {known.id: known.name for known in await api.categories()}
    if as_json:
        write_json([asdict(entry) for entry in entries])
        return
    display.show_items(entries, names, empty=empty)


async def change_item(owner: Account, game: str, changes: dict[str, Any], *, as_json: bool) -> None:
    """Changes what a user may change of an item."""
    async with open_library(owner) as api:
        item = await find_item(api, game)
        changed = await api.update_item(item.id, changes)
    display.show_one(changed, f"changed {changed.title or changed.product_id}", as_json=as_json)


async def show_categories(owner: Account, *, as_json: bool) -> None:
    """All categories, in their order."""
    async with open_library(owner) as api:
        categories = await api.categories()
    display.show_categories(categories, as_json=as_json)


async def create_category(owner: Account, name: str, order: int | None, *, as_json: bool) -> None:
    """Makes a category; without an order it comes last."""
    async with open_library(owner) as api:
        if order is None:
            order = max((known.display_order + 1 for known in await api.categories()), default=0)
        made = await api.create_category(name, order)
    display.show_one(made, f"created {made.name}", as_json=as_json)


async def rename_category(owner: Account, category: str, name: str, *, as_json: bool) -> None:
    """Calls a category something else."""
    async with open_library(owner) as api:
        (known,) = find_categories(await api.categories(), [category])
        renamed = await api.update_category(known.id, {"name": name})
    display.show_one(renamed, f"renamed {known.name} to {renamed.name}", as_json=as_json)


async def reorder_categories(owner: Account, categories: Sequence[str], *, as_json: bool) -> None:
    """Has these come first, in this order; the others follow in theirs."""
    async with open_library(owner) as api:
        known = await api.categories()
        for place, category in enumerate(_first(find_categories(known, categories), known)):
            if category.display_order != place:
                await api.update_category(category.id, {"display_order": place})
        ordered = await api.categories()
    display.show_categories(ordered, as_json=as_json)


async def delete_category(owner: Account, category: str, *, as_json: bool) -> None:
    """Removes a category; its items stay."""
    async with open_library(owner) as api:
        (known,) = find_categories(await api.categories(), [category])
        await api.delete_category(known.id)
    display.show_one(known, f"deleted {known.name}; its games stay in the library", as_json=as_json)


async def assign_categories(
    owner: Account, game: str, categories: Sequence[str], linking: str, *, as_json: bool
) -> None:
    """Puts a game into categories, takes it out of them, or out of all others: `linking` names a Linking."""
    async with open_library(owner) as api:
        item, known = await find_item(api, game), await api.categories()
        chosen = find_categories(known, categories)
        await api.link_categories(Linking[linking], item.id, [category.id for category in chosen])
        after = await find_item(api, str(item.id))
        names = [category.name for category in known if category.id in after.category_ids]
    where = f"is in {', '.join(names)}" if names else "is in no category"
    display.show_one(after, f"{after.title or after.product_id} {where}", as_json=as_json)


async def play_game(owner: Account, game: str, seconds: float | None, *, as_json: bool) -> None:
    """Plays a simulated game and says what was counted."""
    platform = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    async with open_library(owner) as api:
        product_id, title = await find_product(api, game)

        def tell(text: str) -> None:
            say(f"samovar: {text}", err=True)

        await sync_around_play(owner, product_id, tell)
        played = await play(api, product_id, device_id=owner.device_id, platform=platform, seconds=seconds, tell=tell)
        await sync_around_play(owner, product_id, tell)
    beats = "1 heartbeat" if played.heartbeats == 1 else f"{played.heartbeats} heartbeats"
    counted = f"{display.span(played.seconds)} counted ({beats}), {display.span(played.total_seconds)} in all"
    display.show_one(played, f"played {title}: {played.status}, {counted}", as_json=as_json)


async def show_achievements(owner: Account, game: str, sort_by: str, *, as_json: bool) -> None:
    """Every achievement of a game, secrets as such."""
    async with open_library(owner) as api:
        product_id, title = await find_product(api, game)
        achievements = await api.achievements(product_id, sort_by=sort_by)
    if as_json:
        write_json([asdict(achievement) for achievement in achievements])
        return
    display.show_achievements(title, achievements)


async def advance(owner: Account, game: str, achievement: str, step: dict[str, int], *, as_json: bool) -> None:
    """Gets further with an achievement."""
    async with open_library(owner) as api:
        product_id, _ = await find_product(api, game)
        known = _find_achievement(await api.achievements(product_id), achievement)
        after = await api.advance(product_id, known.id, step)
    progress = f": {after.current} of {after.total}" if after.total else ""
    text = f"unlocked {after.name}" if after.is_unlocked else f"{after.name or 'a secret'}{progress}"
    display.show_one(after, text, as_json=as_json)


async def unlock(owner: Account, game: str, achievement: str, *, as_json: bool) -> None:
    """Does all steps of an achievement."""
    await advance(owner, game, achievement, {"current_progress": ALL_STEPS}, as_json=as_json)


async def show_wishes(owner: Account, *, as_json: bool) -> None:
    """The whole wishlist, in its order."""
    async with open_library(owner) as api:
        wishes = await api.wishes()
    display.show_wishes(wishes, as_json=as_json)


async def add_wish(owner: Account, product_id: UUID, priority: int, notes: str | None, *, as_json: bool) -> None:
    """Wishes for a product."""
    attributes = {"product_id": str(product_id), "priority": priority} | ({"notes": notes} if notes else {})
    async with open_library(owner) as api:
        wish = await api.add_wish(attributes)
    display.show_one(wish, f"added {_called(wish)} to the wishlist", as_json=as_json)


async def remove_wish(owner: Account, game: str, *, as_json: bool) -> None:
    """Takes a product off the wishlist."""
    async with open_library(owner) as api:
        wish = find_wish(await api.wishes(), game)
        await api.remove_wish(wish.id)
    display.show_one(wish, f"removed {_called(wish)} from the wishlist", as_json=as_json)


async def order_wishes(owner: Account, games: Sequence[str], *, as_json: bool) -> None:
    """Has these come first, in this order; the others follow in theirs."""
    async with open_library(owner) as api:
        known = await api.wishes()
        ordered = _first([find_wish(known, game) for game in games], known)
        for priority, wish in zip(range(len(ordered), 0, -1), ordered, strict=True):
            if wish.priority != priority:
                await api.update_wish(wish.id, {"priority": priority})
        wishes = await api.wishes()
    display.show_wishes(wishes, as_json=as_json)


async def note_wish(owner: Account, game: str, notes: str, *, as_json: bool) -> None:
    """Keeps a word about a wish; an empty one clears."""
    async with open_library(owner) as api:
        wish = find_wish(await api.wishes(), game)
        noted = await api.update_wish(wish.id, {"notes": notes or None})
    display.show_one(noted, f"noted {_called(noted)}" if notes else f"cleared {_called(noted)}", as_json=as_json)


async def get_settings(owner: Account, game: str, *, as_json: bool) -> None:
    """A game's settings in the cloud, and the version to name when they are changed."""
    async with open_library(owner) as api:
        product_id, _ = await find_product(api, game)
        settings = await api.settings(product_id)
    display.show_settings(settings, as_json=as_json)


async def put_settings(owner: Account, game: str, source: str, if_match: str | None, *, as_json: bool) -> None:
    """Puts whole settings, the first ones or in place of a version that is named."""
    payload = _read_object(source)
    async with open_library(owner) as api:
        product_id, _ = await find_product(api, game)
        try:
            settings = await api.put_settings(product_id, payload, _entity_tag(if_match))
        except LauncherError as refusal:
            raise await _explained(api, product_id, refusal) from None
    _show_kept(settings, as_json=as_json)


async def patch_settings(owner: Account, game: str, source: str, if_match: str | None, *, as_json: bool) -> None:
    """Merges a patch into the version that is named, or into the one that is there: a merge touches only what it names."""
    patch = _read_object(source)
    async with open_library(owner) as api:
        product_id, _ = await find_product(api, game)
        tag = _entity_tag(if_match) or (await api.settings(product_id)).etag
        try:
            settings = await api.patch_settings(product_id, patch, tag)
        except LauncherError as refusal:
            raise await _explained(api, product_id, refusal) from None
    _show_kept(settings, as_json=as_json)


def _show_kept(settings: GameSettings, *, as_json: bool) -> None:
    if as_json:
        display.show_settings(settings, as_json=True)
        return
    say(f"kept as version {settings.version}")


async def _explained(api: LibraryApi, product_id: UUID, refusal: LauncherError) -> LauncherError:
    """A conflict with what is there now, and the way out of it; any other refusal as it is."""
    if refusal.exit_code is not ExitCode.CONFLICT:
        return refusal
    try:
        now = await api.settings(product_id)
    except LauncherError as missing:
        if missing.code != "GAME_SETTINGS_NOT_FOUND":
            return refusal
        return LauncherError(
            refusal.code,
            f"{refusal.message.rstrip('.')}; there are no settings yet: leave --if-match out",
            refusal.exit_code,
        )
    way_out = (
        f"nothing was changed: version {now.version} of {now.last_updated_at} is there now: look at it with "
        f"`samovar settings get {product_id}`, then name it with --if-match {now.version}"
    )
    return LauncherError(refusal.code, f"{refusal.message.rstrip('.')}; {way_out}", refusal.exit_code)


def _entity_tag(if_match: str | None) -> str | None:
    """As HTTP wants it: a version is its number or its tag, `*` is any."""
    if if_match is None or if_match == "*" or if_match.endswith('"'):
        return if_match
    return f'"{if_match}"'


def _read_object(source: str) -> dict[str, Any]:
    """A JSON object: written out, in a file, or on stdin.

    Raises:
        LauncherError: there is none.
    """
    try:
        if source == STDIN:
            text = sys.stdin.read()
        else:
            text = source if source.lstrip().startswith("{") else Path(source).read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise LauncherError(
            "INVALID_ARGUMENT", f"no JSON can be read from {source!r}: {error}", ExitCode.USAGE
        ) from None
    if not isinstance(value, dict):
        raise LauncherError("INVALID_ARGUMENT", f"{source!r} is not a JSON object", ExitCode.USAGE)
    return value


def _find_achievement(achievements: Sequence[AchievementEntry], wanted: str) -> AchievementEntry:
    part = wanted.casefold()
    return only(
        wanted,
        [one for one in achievements if part in (one.name or "").casefold() or part == str(one.id)],
        ids=lambda one: (one.id,),
        called=lambda one: one.name,
        missing=("ACHIEVEMENT_NOT_FOUND", f"the game has no achievement {wanted!r}; a secret is named by its id"),
    )


def _first(first: Sequence[_T], known: Sequence[_T]) -> Sequence[_T]:
    """These first, each once; then what else is known."""
    return list(dict.fromkeys((*first, *known)))


def _called(wish: WishEntry) -> str:
    return wish.title or str(wish.product_id)
