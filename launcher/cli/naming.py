"""Finds what people name on the command line: a game, a category, a wish by its id or by its name. Used by the commands."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from launcher.api.library_api import ItemFilter, LibraryApi
from launcher.api.library_resources import CategoryEntry, LibraryEntry, WishEntry
from launcher.failures import ExitCode, LauncherError
from launcher.process import typed

_T = TypeVar("_T")


async def find_product(api: LibraryApi, wanted: str) -> tuple[UUID, str]:
    """Find a product by id, owned or not, or by a title in the library. Return its id and its display name.

    Raises:
        LauncherError: the title fits nothing, or several games.
    """
    with suppress(ValueError):
        return UUID(wanted), wanted
    wanted = typed(wanted)
    entry = _owned(await api.items(ItemFilter(search=wanted, include_hidden=True)), wanted)
    return entry.product_id, entry.title or wanted


async def find_item(api: LibraryApi, wanted: str) -> LibraryEntry:
    """By its own id, the product's, or a title.

    Raises:
        LauncherError: it fits nothing in the library, or several games.
    """
    wanted = typed(wanted)
    search = None if _uuid_of(wanted) else wanted
    return _owned(await api.items(ItemFilter(search=search, include_hidden=True)), wanted)


def find_categories(known: Sequence[CategoryEntry], wanted: Iterable[str]) -> Sequence[CategoryEntry]:
    """Return the categories with these ids or names, in this order.

    Raises:
        LauncherError: one fits nothing.
    """
    return [
        only(
            name,
            [category for category in known if _uuid_of(name) or category.name.casefold() == name.casefold()],
            ids=lambda category: (category.id,),
            called=lambda category: category.name,
            missing=("CATEGORY_NOT_FOUND", f"you have no category {name!r}"),
        )
        for name in map(typed, wanted)
    ]


def find_wish(wishes: Sequence[WishEntry], wanted: str) -> WishEntry:
    """By its own id, the product's, or a title.

    Raises:
        LauncherError: it fits nothing on the wishlist, or several games.
    """
    wanted = typed(wanted)
    part = wanted.casefold()
    return only(
        wanted,
        [wish for wish in wishes if _uuid_of(wanted) or part in (wish.title or "").casefold()],
        ids=lambda wish: (wish.id, wish.product_id),
        called=lambda wish: wish.title,
        missing=("GAME_NOT_FOUND_IN_WISHLIST", f"nothing on your wishlist is called {wanted!r}"),
    )


def only(
    wanted: str,
    candidates: Sequence[_T],
    *,
    ids: Callable[[_T], tuple[UUID, ...]],
    called: Callable[[_T], str | None],
    missing: tuple[str, str],
) -> _T:
    """Return the search result with this id; else the one with exactly this name, ignoring case; else the only one.

    Raises:
        LauncherError: `missing`, a code and a text, or it fits several.
    """
    if identifier := _uuid_of(wanted):
        fitting = [one for one in candidates if identifier in ids(one)]
    else:
        exact = [one for one in candidates if (called(one) or "").casefold() == wanted.casefold()]
        fitting = exact or list(candidates)
    if not fitting:
        raise LauncherError(*missing, ExitCode.DENIED)
    if len(fitting) > 1:
        told = "; ".join(f"{called(one)} ({ids(one)[-1]})" for one in fitting)
        message = f"several are called like {wanted!r}: {told}"
        raise LauncherError("INVALID_ARGUMENT", message, ExitCode.USAGE)
    return fitting[0]


def _owned(entries: Sequence[LibraryEntry], wanted: str) -> LibraryEntry:
    return only(
        wanted,
        entries,
        ids=lambda entry: (entry.id, entry.product_id),
        called=lambda entry: entry.title,
        missing=("LIBRARY_ITEM_NOT_FOUND", f"no game in your library is called {wanted!r}"),
    )


def _uuid_of(text: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(text)
    return None
