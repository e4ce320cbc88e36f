"""The commands about what one owns and does: library, categories, play, achievements, wishlist, settings. Parses and calls; the
work is launcher.cli.library_commands, imported when there is some. Mounted by launcher.cli.main.
"""

import importlib
from enum import StrEnum
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import typer

from launcher.cli import app as cli
from launcher.cli.terminal import AsJson, ListsByDefault, ending, run
from launcher.failures import EXIT_CODES_HELP, ExitCode, LauncherError
from launcher.settings import Account, Environment, account

MAX_RATING = 5
MAX_ORDER = 1_000_000
"""The maximum display order of categories, and priority of wishes (contract)."""

Owned = Annotated[str, typer.Argument(help="Id or title of a game in your library.", metavar="GAME")]
Category = Annotated[str, typer.Argument(help="Name or id of a category.", metavar="CATEGORY")]
Wished = Annotated[str, typer.Argument(help="Id or title of a game on your wishlist.", metavar="GAME")]
Json = Annotated[str, typer.Argument(help="A JSON object: written out, a file, or - for stdin.", metavar="JSON|FILE|-")]
IfMatch = Annotated[
    str | None, typer.Option(help="The version to change, as `settings get` told; * = whichever is there.")
]


def _group(name: str, text: str, *, default: str = "") -> typer.Typer:
    help_text = f"{text} Without a command: list{default}."
    return typer.Typer(name=name, cls=ListsByDefault, help=help_text, epilog=EXIT_CODES_HELP)


library_app = _group("library", "What you own.")
categories_app = _group("categories", "What you sort your library into.")
achievements_app = _group("achievements", "What you have achieved in a game.", default=" GAME")
wishlist_app = _group("wishlist", "What you wish for.")
settings_app = typer.Typer(
    name="settings", help="What games keep for you in the cloud.", epilog=EXIT_CODES_HELP, no_args_is_help=True
)

library_app.command("list")(cli.library)


class AchievementSort(StrEnum):
    """Orders of a game's achievements."""

    DEFAULT = "default"
    RARITY_ASC = "rarity_asc"
    UNLOCKED_AT_DESC = "unlocked_at_desc"


@library_app.command("set")
def library_set(
    game: Owned,
    rating: Annotated[int | None, typer.Option(help="1 to 5; 0 = none.", min=0, max=MAX_RATING)] = None,
    notes: Annotated[str | None, typer.Option(help='Your own words; "" = none.')] = None,
    *,
    favorite: Annotated[bool | None, typer.Option("--favorite/--no-favorite", help="Mark it, or no more.")] = None,
    hidden: Annotated[
        bool | None, typer.Option("--hide/--unhide", help="Leave it out of the list, or no more.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Mark, hide, rate a game, or take a note about it."""
    changes: dict[str, Any] = {}
    changes |= {} if favorite is None else {"is_favorite": favorite}
    changes |= {} if hidden is None else {"is_hidden": hidden}
    changes |= {} if rating is None else {"user_rating": rating or None}
    changes |= {} if notes is None else {"notes": notes or None}
    with ending(as_json=as_json):
        if not changes:
            raise LauncherError("INVALID_ARGUMENT", "say what to change: see --help", ExitCode.USAGE)
        run(_commands().change_item(_owner(), game, changes, as_json=as_json))


@categories_app.command("list")
def categories_list(*, as_json: AsJson = False) -> None:
    """Show your categories, in their order."""
    with ending(as_json=as_json):
        run(_commands().show_categories(_owner(), as_json=as_json))


@categories_app.command("create")
def categories_create(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    order: Annotated[
        int | None, typer.Option(help="Its place, lowest first; default: last.", min=0, max=MAX_ORDER)
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make a category."""
    with ending(as_json=as_json):
        run(_commands().create_category(_owner(), name, order, as_json=as_json))


@categories_app.command("rename")
def categories_rename(
    category: Category, name: Annotated[str, typer.Argument(help="The new name.")], *, as_json: AsJson = False
) -> None:
    """Call a category something else."""
    with ending(as_json=as_json):
        run(_commands().rename_category(_owner(), category, name, as_json=as_json))


@categories_app.command("reorder")
def categories_reorder(
    categories: Annotated[list[str], typer.Argument(help="Names or ids, the first first.", metavar="CATEGORY…")],
    *,
    as_json: AsJson = False,
) -> None:
    """Have these come first, in this order; the others follow."""
    with ending(as_json=as_json):
        run(_commands().reorder_categories(_owner(), categories, as_json=as_json))


@categories_app.command("delete")
def categories_delete(category: Category, *, as_json: AsJson = False) -> None:
    """Remove a category; its games stay in the library."""
    with ending(as_json=as_json):
        run(_commands().delete_category(_owner(), category, as_json=as_json))


@categories_app.command("assign")
def categories_assign(
    game: Owned,
    categories: Annotated[list[str], typer.Argument(help="Names or ids.", metavar="CATEGORY…")],
    *,
    only: Annotated[bool, typer.Option("--only", help="Take the game out of all others.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the game out of these instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a game into categories, or take it out."""
    with ending(as_json=as_json):
        if only and remove:
            raise LauncherError("INVALID_ARGUMENT", "--only and --remove exclude each other", ExitCode.USAGE)
        linking = "REPLACE" if only else "REMOVE" if remove else "ADD"
        run(_commands().assign_categories(_owner(), game, categories, linking, as_json=as_json))


def play(
    game: Owned,
    seconds: Annotated[float | None, typer.Option("--for", help="Seconds; default: until Ctrl-C.", min=0)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Play a simulated game: the time counts, heartbeats tell that it still runs. Ctrl-C ends it."""
    with ending(as_json=as_json):
        run(_commands().play_game(_owner(), game, seconds, as_json=as_json))


@achievements_app.command("list")
def achievements_list(
    game: Owned,
    sort: Annotated[AchievementSort, typer.Option(help="Order.")] = AchievementSort.DEFAULT,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a game's achievements and how far you are; secrets stay secret until you have them."""
    with ending(as_json=as_json):
        run(_commands().show_achievements(_owner(), game, sort.value, as_json=as_json))


Achievement = Annotated[str, typer.Argument(help="Name of an achievement, or its id.", metavar="ACHIEVEMENT")]


@achievements_app.command("unlock")
def achievements_unlock(game: Owned, achievement: Achievement, *, as_json: AsJson = False) -> None:
    """Do all steps of an achievement, as a game that you have played may."""
    with ending(as_json=as_json):
        run(_commands().unlock(_owner(), game, achievement, as_json=as_json))


@achievements_app.command("progress")
def achievements_progress(
    game: Owned,
    achievement: Achievement,
    to: Annotated[int | None, typer.Option(help="Steps done in all.", min=0)] = None,
    by: Annotated[int | None, typer.Option(help="Steps done since the last time.", min=1)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Get further with an achievement: to a number of steps, or by some."""
    with ending(as_json=as_json):
        if (to is None) == (by is None):
            raise LauncherError("INVALID_ARGUMENT", "give either --to or --by", ExitCode.USAGE)
        step = {"current_progress": to} if by is None else {"increment": by}
        run(_commands().advance(_owner(), game, achievement, step, as_json=as_json))


@wishlist_app.command("list")
def wishlist_list(*, as_json: AsJson = False) -> None:
    """Show your wishlist, the highest priority first."""
    with ending(as_json=as_json):
        run(_commands().show_wishes(_owner(), as_json=as_json))


@wishlist_app.command("add")
def wishlist_add(
    product: Annotated[UUID, typer.Argument(help="Id of a product in the catalogue.", metavar="PRODUCT")],
    priority: Annotated[int, typer.Option(help="The highest first; 0 = not ranked.", min=0, max=MAX_ORDER)] = 0,
    notes: Annotated[str | None, typer.Option(help="Your own words.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Wish for a product; it leaves the list when you come by it."""
    with ending(as_json=as_json):
        run(_commands().add_wish(_owner(), product, priority, notes, as_json=as_json))


@wishlist_app.command("remove")
def wishlist_remove(game: Wished, *, as_json: AsJson = False) -> None:
    """Wish for a product no more."""
    with ending(as_json=as_json):
        run(_commands().remove_wish(_owner(), game, as_json=as_json))


@wishlist_app.command("order")
def wishlist_order(
    games: Annotated[list[str], typer.Argument(help="Ids or titles, the first first.", metavar="GAME…")],
    *,
    as_json: AsJson = False,
) -> None:
    """Have these come first, in this order; the others follow."""
    with ending(as_json=as_json):
        run(_commands().order_wishes(_owner(), games, as_json=as_json))


@wishlist_app.command("note")
def wishlist_note(
    game: Wished,
    notes: Annotated[str, typer.Argument(help='Your own words; "" = none.', metavar="TEXT")],
    *,
    as_json: AsJson = False,
) -> None:
    """Take a note about a wish."""
    with ending(as_json=as_json):
        run(_commands().note_wish(_owner(), game, notes, as_json=as_json))


@settings_app.command("get")
def settings_get(game: Owned, *, as_json: AsJson = False) -> None:
    """Show a game's settings as JSON; the version, which a change has to name, goes to stderr."""
    with ending(as_json=as_json):
        run(_commands().get_settings(_owner(), game, as_json=as_json))


@settings_app.command("put")
def settings_put(game: Owned, source: Json, if_match: IfMatch = None, *, as_json: AsJson = False) -> None:
    """Keep whole settings: the first ones, or in place of the version that --if-match names."""
    with ending(as_json=as_json):
        run(_commands().put_settings(_owner(), game, source, if_match, as_json=as_json))


@settings_app.command("patch")
def settings_patch(game: Owned, source: Json, if_match: IfMatch = None, *, as_json: AsJson = False) -> None:
    """Change what a JSON merge patch names (null removes) of the version that --if-match names; default: of the newest."""
    with ending(as_json=as_json):
        run(_commands().patch_settings(_owner(), game, source, if_match, as_json=as_json))


def _owner() -> Account:
    return account(Environment.read())


def _commands() -> ModuleType:
    """The work behind the commands, imported when there is some: `--help` must not wait for it."""
    return importlib.import_module("launcher.cli.library_commands")
