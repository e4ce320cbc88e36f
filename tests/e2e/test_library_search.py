"""Search in the library through the gateway, as any client sees it: contract section 2. What is found by what is in
tests/contract/library.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.e2e.clients import ITEMS, Api, Shop, assert_error

TITLES = ("Ёлочный Ведьмак 3", "Ведьмак 2", "Portal", "Postal")


@pytest.fixture
async def anna(shop: Shop, new_user: Callable[[], Awaitable[Api]]) -> Api:
    user = await new_user()
    products = [await shop.new_product(title) for title in TITLES]
    for product_id in products:
        await shop.buy(user.user_id, product_id)
    for product_id in products:
        await user.owns(product_id)
    return user


async def titles(api: Api, search: str, query: str = "") -> list[str]:
    answer = await api.get(f"{ITEMS}?search={quote(search)}&sort_by=name_asc{query}")
    assert answer.status == 200, answer.document
    return [item["attributes"]["title"] for item in answer.data]


async def test_titles_are_found_by_words_and_with_typing_errors(
    anna: Api, new_user: Callable[[], Awaitable[Api]]
) -> None:
    witchers = ["Ведьмак 2", "Ёлочный Ведьмак 3"]
    for search, found in {
        "ВЕДЬМАК": witchers,
        "вед": witchers,
        "ведьмок": witchers,
        "елочный": ["Ёлочный Ведьмак 3"],
        "3 ведьмак": ["Ёлочный Ведьмак 3"],
        "portal": ["Portal"],
        "potal": ["Portal", "Postal"],
        "p": ["Portal", "Postal"],
        "%": [],
        "' OR 1=1 --": [],
        "x" * 200: [],
    }.items():
        assert await titles(anna, search) == found, search

    paged = [await titles(anna, "ведьмок", f"&limit=1&page={page}") for page in (1, 2, 3)]
    assert paged == [witchers[:1], witchers[1:], []]
    second = await anna.get(f"{ITEMS}?search={quote('ведьмок')}&sort_by=name_asc&limit=1&page=2")
    assert second.document["meta"]["total_items"] == 2
    assert quote("ведьмок") in second.document["links"]["prev"]
    assert await titles(await new_user(), "ведьмак") == []


async def test_a_search_that_cannot_be_is_refused(anna: Api) -> None:
    for search in ("", "x" * 201, "a%00b"):
        answer = await anna.get(f"{ITEMS}?search={search}")
        assert_error(answer, 400, "VALIDATION_ERROR")
        assert answer.document["errors"][0]["source"] == {"parameter": "search"}
    assert_error(await anna.with_token(None).get(f"{ITEMS}?search=a"), 401, "UNAUTHENTICATED")
