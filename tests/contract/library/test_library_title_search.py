"""What every adapter of the LibraryReader promises of a search by title."""

import pytest

from library_svc.catalog.domain import Language
from library_svc.items.application import ItemSort
from tests.contract.library.shelf import Shelf

TITLES = [
    ("Ведьмак 3: Дикая Охота", "The Witcher 3: Wild Hunt"),
    ("Ёлочные игрушки", "Fir Tree Toys"),
    ("Counter-Strike 2", "Counter-Strike 2"),
    ("Assassin’s Creed® Мираж", "Assassin's Creed® Mirage"),
    ("Pokémon Über", None),
    ("Майнкрафт", "Minecraft"),
    ("東方Project", "Touhou Project"),
    ("100% Сок", "100% Orange Juice"),
    ("C++ Quest_!", "C++ Quest_!"),
    ("Объезд", "Detour"),
    ("Кризис", "Crysis"),
    ("Портал", "Portal"),
    ("Постал", "Postal"),
]
RU = [ru for ru, _ in TITLES]
WITCHER, FIR, STRIKE, CREED, POKEMON, CRAFT, TOUHOU, JUICE, QUEST, DETOUR, CRYSIS, PORTAL, POSTAL = RU


FOUND = {
    # In either language, blind to case, accents, ё, signs, spacing and what people leave out.
    "ведьмак": [WITCHER],
    "WITCHER": [WITCHER],
    "елочные": [FIR],
    "ЁЛОЧНЫЕ": [FIR],
    "pokemon uber": [POKEMON],
    "POKÉMON": [POKEMON],
    "counter strike": [STRIKE],
    "assassins creed": [CREED],
    "assassin's": [CREED],
    "обьезд": [DETOUR],
    "объезд": [DETOUR],
    "  ведьмак \t  3 ": [WITCHER],
    # By the beginnings of words, in any order, and by what is within longer ones.
    "вед": [WITCHER],
    "охота дик": [WITCHER],
    "ведьмак wild": [WITCHER],
    "крафт": [CRAFT],
    "craft": [CRAFT],
    # One typing error a word.
    "ведьмок": [WITCHER],
    "вдеьмак": [WITCHER],
    "веддьмак": [WITCHER],
    "бедьмак охото": [WITCHER],
    "withcer": [WITCHER],
    "witcer": [WITCHER],
    "wtch": [WITCHER],
    "крзис": [CRYSIS],
    "counterstrike": [STRIKE],
    "мойнкрофт": [],
    # Not when there is something without one: who looks for Portal is not shown Postal.
    "портал": [PORTAL],
    "постал": [POSTAL],
    "погтал": [PORTAL, POSTAL],
    "пострл": [POSTAL],
    "потал": [PORTAL, POSTAL],
    # A number is no misspelling of another, and every word counts.
    "ведьмак 4": [],
    "witcher 2077": [],
    "1000": [],
    # One or two letters are the beginning of a word.
    "в": [WITCHER],
    "о": [WITCHER, DETOUR, JUICE],
    "ох": [WITCHER],
    "3": [WITCHER],
    "ра": [],
    # Signs, and other alphabets, are what they are.
    "%": [JUICE],
    "100%": [JUICE],
    "_": [QUEST],
    "++": [QUEST],
    "c++": [QUEST, CREED, STRIKE, CRYSIS],
    "東方": [TOUHOU],
    "東方project": [TOUHOU],
    "project": [TOUHOU],
    "project 東方": [TOUHOU],
    "東方 project": [TOUHOU],
    "wild 東方": [],
    "東京": [],
    "\\": [],
    "*": [],
    # What looks like something else is text.
    "' OR 'a'='a": [],
    "'; DROP TABLE catalog_products; --": [],
    "%' OR search_key LIKE '%": [],
    "ведьмак%": [WITCHER],
    "портал_": [PORTAL],
    "(ведьмак|портал)": [],
    "x" * 200: [],
    "ведьмак " * 25: [WITCHER],
    "ы " * 100: [FIR],
    "😀": [],
    "нет такой": [],
}
"""What is typed, and what is found by it."""


NAMES = [
    ("S.T.A.L.K.E.R. 2: Сердце Чернобыля", "S.T.A.L.K.E.R. 2: Heart of Chornobyl"),
    ("F.E.A.R. 3", "F.E.A.R. 3"),
    ("3½ Years", "3½ Years"),
    ("Ratchet & Clank", "Ratchet & Clank"),
    ("Final Fantasy VII", "Final Fantasy VII"),
    ("Final Fantasy 8", "Final Fantasy 8"),
    ("Warhammer 40,000: Dawn of War", "Warhammer 40,000: Dawn of War"),
    ("Чайник", "Чайник"),
    (WITCHER, "The Witcher 3: Wild Hunt"),
]
STALKER, FEAR, YEARS, RATCHET, FF7, FF8, WARHAMMER, KETTLE, _ = (ru for ru, _ in NAMES)
FOUND_BY_NAME = {
    "stalker": [STALKER],
    "сталкер": [STALKER],
    "сталкер 2": [STALKER],
    "s.t.a.l.k.e.r.": [STALKER],
    "s t a l k e r": [STALKER],
    "стлакер": [STALKER],
    "fear": [FEAR],
    "fear 3": [FEAR],
    "years": [YEARS],
    "3 1/2 years": [YEARS],
    "ratchet and clank": [RATCHET],
    "ratchet & clank": [RATCHET],
    "ratchet и clank": [RATCHET],
    "clank ratchet": [RATCHET],
    "final fantasy 7": [FF7],
    "final fantasy vii": [FF7],
    "final fantasy VIII": [FF8],
    "final fantasy 8": [FF8],
    "final fantasy ix": [],
    "warhammer 40000": [WARHAMMER],
    "warhammer 40,000": [WARHAMMER],
    "warhammer 40 000": [WARHAMMER],
    "warhammer 40k": [WARHAMMER],
    "chaynik": [KETTLE],
    "витчер": [WITCHER],
    "cnfkrth": [STALKER],
    "ыефдлук": [STALKER],
}
"""What is typed as people write names and not as the title does, and what is found by it."""


@pytest.fixture
async def shelf(adapters) -> Shelf:
    shelf = Shelf(adapters)
    for ru, en in TITLES:
        await shelf.put(ru, en)
    await shelf.put()
    return shelf


async def found(shelf: Shelf, search: str) -> set[str]:
    page = await shelf.page(search=search, limit=100)
    titles = [shown.product.title_ru for shown in page.items]
    assert page.total_items == len(titles) == len(set(titles))
    return set(titles)


async def test_what_is_typed_is_found(shelf: Shelf):
    """All in one test: filling a shelf takes longer than looking."""
    assert {search: await found(shelf, search) for search in FOUND} == {
        search: set(titles) for search, titles in FOUND.items()
    }


async def test_titles_are_found_as_people_write_names(adapters):
    shelf = Shelf(adapters)
    for ru, en in NAMES:
        await shelf.put(ru, en)

    assert {search: await found(shelf, search) for search in FOUND_BY_NAME} == {
        search: set(titles) for search, titles in FOUND_BY_NAME.items()
    }


async def test_names_are_in_natural_order(adapters):
    shelf = Shelf(adapters)
    ordered = ["Игра", "Игра 1", "Игра 2", "Игра\u200b 9", "Игра 10", "Игра 010 б", "Игра ２0", "Игра 100", "Игрок"]
    for title in reversed(ordered):
        await shelf.put(title)

    pages = [await shelf.titles(sort=ItemSort.NAME_ASC, limit=4, page=page) for page in (1, 2, 3, 4)]
    assert pages == [ordered[:4], ordered[4:8], ordered[8:], []]
    assert await shelf.titles(sort=ItemSort.NAME_DESC) == ordered[::-1]


async def test_a_search_of_nothing_but_space_finds_all_that_has_a_title(shelf: Shelf):
    assert await found(shelf, "  ") == set(RU)


async def test_what_is_filtered_out_is_not_found_and_does_not_hide_what_is_misspelt(shelf: Shelf):
    hidden = await shelf.put("Ведьмок", is_hidden=True)

    assert await found(shelf, "ведьмок") == {WITCHER}
    assert await shelf.ids(search="ведьмок", include_hidden=True) == [hidden.id]


async def test_another_users_titles_are_not_found(shelf: Shelf):
    assert await Shelf(shelf.adapters).ids(search="ведьмак") == []


@pytest.mark.parametrize("search", ["игра", "ирга"])
async def test_what_is_found_is_in_order_and_paged_without_gap_or_repetition(adapters, search: str):
    shelf = Shelf(adapters)
    for number in (3, 1, 2, 5, 4):
        await shelf.put(f"Игра {number}", f"Game {6 - number}", total_playtime_seconds=number)
    await shelf.put("Нечто")

    ordered = [f"Игра {number}" for number in range(1, 6)]
    pages = [await shelf.titles(search=search, sort=ItemSort.NAME_ASC, limit=2, page=page) for page in (1, 2, 3, 4)]
    assert pages == [ordered[:2], ordered[2:4], ordered[4:], []]
    assert await shelf.titles(search=search, sort=ItemSort.NAME_DESC) == ordered[::-1]
    assert await shelf.titles(search=search, sort=ItemSort.PLAYTIME_DESC) == ordered[::-1]
    in_english = await shelf.titles(Language.EN, search=search, sort=ItemSort.NAME_ASC)
    assert in_english == [f"Game {number}" for number in range(1, 6)]
    beyond = await shelf.page(search=search, page=9)
    assert (list(beyond.items), beyond.total_items) == ([], 5)
