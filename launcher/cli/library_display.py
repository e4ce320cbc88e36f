"""Displays the library on a terminal: tables for people, lines for logs, JSON for scripts. Used by
launcher.cli.library_commands.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from rich.table import Column, Table
from rich.text import Text

from depot.console import PlainConsole
from depot.terminal import plain, say, say_json
from launcher.api.library_resources import AchievementEntry, CategoryEntry, GameSettings, LibraryEntry, WishEntry
from launcher.cli.display import write_json

UUID_WIDTH = 36
PIPE_COLUMNS = 200
UNKNOWN = "—"


def show_items(entries: Sequence[LibraryEntry], categories: Mapping[UUID, str], *, empty: str) -> None:
    """A row per game; `categories` are the names of the user's, by id, in the user's order."""
    table = Table("Title", _id_column("Product"), "Status", "Got by", "Played", "Rating", "Categories")
    for entry in entries:
        marks = f"{'★ ' if entry.is_favorite else ''}{entry.title or UNKNOWN}{' (hidden)' if entry.is_hidden else ''}"
        names = [name for category_id, name in categories.items() if category_id in entry.category_ids]
        rating = f"{entry.user_rating} of 5" if entry.user_rating else ""
        _add_row(
            table,
            *(marks, str(entry.product_id), entry.installation_status, entry.acquisition_type),
            *(f"{entry.total_playtime_seconds / 3600:.1f} h", rating, ", ".join(names)),
        )
    _print(table if entries else empty)


def show_categories(categories: Sequence[CategoryEntry], *, as_json: bool) -> None:
    """A row per category."""
    if as_json:
        write_json([asdict(category) for category in categories])
        return
    table = Table("Category", _id_column("Id"), "Place")
    for category in categories:
        _add_row(table, category.name, str(category.id), str(category.display_order))
    _print(table if categories else "there are no categories")


def show_achievements(title: str, achievements: Sequence[AchievementEntry]) -> None:
    """A row per achievement; a secret shows its id alone, by which it can be named."""
    table = Table("Achievement", "What to do", "Progress", "Unlocked", "Rarity", _id_column("Id"))
    for one in achievements:
        name = one.name or "(secret)"
        progress = f"{one.current} of {one.total}" if one.total is not None else ""
        unlocked = one.unlocked_at or "" if one.is_unlocked else ""
        _add_row(table, name, one.description or "", progress, unlocked, f"{one.rarity_percentage:.1f} %", str(one.id))
    _print(table if achievements else f"{title} has no achievements")
    if achievements:
        got = sum(one.is_unlocked for one in achievements)
        say(f"{got} of {len(achievements)} unlocked")


def show_wishes(wishes: Sequence[WishEntry], *, as_json: bool) -> None:
    """A row per wish."""
    if as_json:
        write_json([asdict(wish) for wish in wishes])
        return
    table = Table("Title", _id_column("Product"), "Priority", "Added", "Notes")
    for wish in wishes:
        priority = str(wish.priority) if wish.priority else ""
        _add_row(table, wish.title or UNKNOWN, str(wish.product_id), priority, wish.added_at, wish.notes or "")
    _print(table if wishes else "the wishlist is empty")


def show_settings(settings: GameSettings, *, as_json: bool) -> None:
    """One JSON object with all that is known; or the payload alone, so that it can go into a file, and the version on stderr."""
    if as_json:
        write_json(asdict(settings))
        return
    say_json(settings.settings_payload, indent=2)
    say(f"version {settings.version}, changed {settings.last_updated_at}", err=True)


def show_one(value: Any, text: str, *, as_json: bool) -> None:
    """Shows the result of a command: the resource as JSON, or a line."""
    if as_json:
        write_json(asdict(value))
        return
    say(text)


def span(seconds: int) -> str:
    """A duration in words: 42 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, id_column: int, empty: str) -> None:
    """A table of rows, of which one column is never cut; `empty` where there are none."""
    table = Table(*(_id_column(name) if number == id_column else name for number, name in enumerate(columns)))
    for row in rows:
        _add_row(table, *row)
    _print(table if rows else empty)


def _id_column(name: str) -> Column:
    return Column(name, no_wrap=True, min_width=UUID_WIDTH)


def _add_row(table: Table, *cells: str) -> None:
    """As they are: a title may have brackets, which Rich would take for its own."""
    table.add_row(*(Text(plain(cell)) for cell in cells))


def _print(shown: Table | str) -> None:
    # A pipe has no width to keep to: whoever reads it wants whole titles.
    console = PlainConsole(width=None if sys.stdout.isatty() else PIPE_COLUMNS)
    console.print(plain(shown) if isinstance(shown, str) else shown, markup=False)
