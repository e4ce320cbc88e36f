"""Categories through the gateway, as any client sees them: contract section 2."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.clients import ITEMS, Answer, Api, Shop, assert_error

CATEGORIES = "/api/v1/library/categories"


async def make(api: Api, **attributes: Any) -> dict[str, Any]:
    attributes.setdefault("name", uuid.uuid4().hex)
    made = await api.post(CATEGORIES, "userCategory", **attributes)
    assert made.status == 201, made.document
    return made.data


async def patch(api: Api, path: str, kind: str, **attributes: Any) -> Answer:
    return await api.call("PATCH", path, body={"data": {"type": kind, "attributes": attributes}})


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def boris(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
async def item(shop: Shop, anna: Api) -> dict[str, Any]:
    """An item of anna's."""
    product_id = await shop.new_product()
    await shop.buy(anna.user_id, product_id)
    return await anna.owns(product_id)


async def test_a_category_is_made_shown_renamed_listed_and_removed(anna: Api) -> None:
    name = f"Ролевые {uuid.uuid4().hex}"
    made = await anna.post(CATEGORIES, "userCategory", name=name, display_order=3)
    assert made.status == 201
    path = f"{CATEGORIES}/{made.data['id']}"
    assert made.headers["Location"] == made.data["links"]["self"] == path
    assert made.data["attributes"] == {"name": name, "display_order": 3}

    renamed = await patch(anna, path, "userCategory", name=f"{name}!")
    assert (renamed.status, renamed.data["attributes"]) == (200, {"name": f"{name}!", "display_order": 3})
    assert (await anna.get(path)).data == renamed.data
    listed = await anna.get(f"{CATEGORIES}?limit=100")
    assert renamed.data in listed.data
    assert listed.document["meta"]["total_items"] == len(listed.data)
    places = [category["attributes"]["display_order"] for category in listed.data]
    assert places == sorted(places)

    removed = await anna.call("DELETE", path)
    assert (removed.status, removed.document) == (204, None)
    assert_error(await anna.get(path), 404, "CATEGORY_NOT_FOUND")
    assert_error(await anna.call("DELETE", path), 404, "CATEGORY_NOT_FOUND")
    assert_error(await patch(anna, path, "userCategory", name="x"), 404, "CATEGORY_NOT_FOUND")


async def test_an_item_is_in_several_categories_and_found_by_each(anna: Api, item: dict[str, Any]) -> None:
    first, second = (await make(anna))["id"], (await make(anna))["id"]
    path = f"{ITEMS}/{item['id']}"

    changed = await patch(anna, path, "libraryItemUpdate", category_ids=[first, second])
    assert changed.status == 200, changed.document
    assert changed.data["attributes"]["category_ids"] == sorted([first, second])
    related = changed.data["relationships"]["categories"]["data"]
    assert related == [{"type": "userCategory", "id": each} for each in sorted([first, second])]
    found = await anna.get(f"{ITEMS}?category_id={second}")
    assert [each["id"] for each in found.data] == [item["id"]]
    assert found.document["meta"]["total_items"] == 1

    await anna.call("DELETE", f"{CATEGORIES}/{second}")
    assert (await anna.get(path)).data["attributes"]["category_ids"] == [first]
    assert (await anna.get(f"{ITEMS}?category_id={second}")).data == []
    for nothing in ([], None):
        assert (await patch(anna, path, "libraryItem", category_ids=[first])).status == 200
        cleared = await patch(anna, path, "libraryItem", category_ids=nothing)
        assert cleared.data["attributes"]["category_ids"] == []


async def test_an_unknown_category_is_404_and_nothing_changes(anna: Api, boris: Api, item: dict[str, Any]) -> None:
    mine, theirs = (await make(anna))["id"], (await make(boris))["id"]
    path = f"{ITEMS}/{item['id']}"

    for other in (theirs, str(uuid.uuid4())):
        refused = await patch(anna, path, "libraryItem", category_ids=[mine, other], notes="lost")
        assert_error(refused, 404, "CATEGORY_NOT_FOUND")
    shown = (await anna.get(path)).data["attributes"]
    assert (shown["category_ids"], shown["notes"]) == ([], None)


async def test_a_name_is_a_users_own_once(anna: Api, boris: Api) -> None:
    name = uuid.uuid4().hex
    await make(anna, name=name)
    other = await make(anna)

    assert_error(await anna.post(CATEGORIES, "userCategory", name=f" {name} "), 409, "CATEGORY_ALREADY_EXISTS")
    path = f"{CATEGORIES}/{other['id']}"
    assert_error(await patch(anna, path, "userCategory", name=name), 409, "CATEGORY_ALREADY_EXISTS")
    assert (await make(boris, name=name))["attributes"]["name"] == name


async def test_of_twenty_that_make_one_name_at_once_one_succeeds(anna: Api) -> None:
    name = uuid.uuid4().hex

    answers = await asyncio.gather(*(anna.post(CATEGORIES, "userCategory", name=name) for _ in range(20)))

    assert sorted(answer.status for answer in answers) == [201] + [409] * 19


async def test_of_twenty_who_write_at_once_nothing_is_lost_and_one_gets_the_name(anna: Api) -> None:
    made = await asyncio.gather(*(make(anna) for _ in range(20)))
    paths = [f"{CATEGORIES}/{each['id']}" for each in made]
    assert {each["id"] for each in (await anna.get(f"{CATEGORIES}?limit=100")).data} == {each["id"] for each in made}

    name = uuid.uuid4().hex
    renamed = await asyncio.gather(*(patch(anna, path, "userCategory", name=name) for path in paths))
    assert sorted(answer.status for answer in renamed) == [200] + [409] * 19
    listed = (await anna.get(f"{CATEGORIES}?limit=100")).data
    assert [each["attributes"]["name"] for each in listed].count(name) == 1

    # Ten write the one attribute of one category, ten the other.
    changes: list[dict[str, Any]] = [{"display_order": number} for number in range(1, 11)]
    changes += [{"name": f"{name} {number}"} for number in range(10)]
    changed = await asyncio.gather(*(patch(anna, paths[0], "userCategory", **change) for change in changes))
    assert {answer.status for answer in changed} == {200}
    kept = (await anna.get(paths[0])).data["attributes"]
    assert (kept["display_order"] in range(1, 11), kept["name"].startswith(f"{name} ")) == (True, True)

    removed = await asyncio.gather(*(anna.call("DELETE", path) for path in [paths[0]] * 20))
    assert sorted(answer.status for answer in removed) == [204] + [404] * 19
    assert (await anna.get(CATEGORIES)).document["meta"]["total_items"] == 19


async def test_another_users_category_is_404_and_is_not_listed(anna: Api, boris: Api) -> None:
    category = await make(anna)
    path = f"{CATEGORIES}/{category['id']}"

    assert_error(await boris.get(path), 404, "CATEGORY_NOT_FOUND")
    assert_error(await patch(boris, path, "userCategory", name="mine"), 404, "CATEGORY_NOT_FOUND")
    assert_error(await boris.call("DELETE", path), 404, "CATEGORY_NOT_FOUND")
    assert category not in (await boris.get(f"{CATEGORIES}?limit=100")).data
    assert (await anna.get(path)).data == category


async def test_bad_input_is_400_and_a_document_that_does_not_fit_is_refused(anna: Api, item: dict[str, Any]) -> None:
    for attributes in ({}, {"name": ""}, {"name": "\u00a0 \t"}, {"name": "x" * 101}, {"name": "a\0b"}, {"name": 7}):
        assert_error(await anna.post(CATEGORIES, "userCategory", **attributes), 400, "VALIDATION_ERROR")
    both = await anna.post(CATEGORIES, "userCategory", name="", display_order=-1)
    pointers = {error["source"]["pointer"] for error in both.document["errors"]}
    assert pointers == {"/data/attributes/name", "/data/attributes/display_order"}
    made = await anna.post(CATEGORIES, "userCategory", name="Имя")
    renaming = {"data": {"type": "userCategory", "id": made.data["id"], "attributes": {"name": "\u200b\ufeff"}}}
    for unseen in (
        await anna.post(CATEGORIES, "userCategory", name="\u200b\ufeff"),
        await anna.call("PATCH", f"{CATEGORIES}/{made.data['id']}", body=renaming),
    ):
        assert_error(unseen, 400, "VALIDATION_ERROR")
        assert unseen.document["errors"][0]["source"] == {"pointer": "/data/attributes/name"}
    assert_error(await anna.get(f"{CATEGORIES}/not-a-uuid"), 400, "VALIDATION_ERROR")
    assert_error(await anna.get(f"{CATEGORIES}?limit=101"), 400, "VALIDATION_ERROR")
    assert_error(await anna.get(f"{ITEMS}?category_id=not-a-uuid"), 400, "VALIDATION_ERROR")
    assert_error(await anna.post(CATEGORIES, "libraryItem", name="x"), 409, "RESOURCE_TYPE_CONFLICT")
    own_id = {"data": {"type": "userCategory", "id": str(uuid.uuid4()), "attributes": {"name": "x"}}}
    assert_error(await anna.call("POST", CATEGORIES, body=own_id), 403, "CLIENT_ID_NOT_SUPPORTED")
    assert_error(await anna.with_token(None).get(CATEGORIES), 401, "UNAUTHENTICATED")
    path = f"{CATEGORIES}/{(await make(anna))['id']}"
    assert_error(await patch(anna, path, "userCategory", name=None), 400, "INVALID_ARGUMENT")
    wrong = await patch(anna, f"{ITEMS}/{item['id']}", "libraryItem", category_ids=["not-a-uuid"])
    assert_error(wrong, 400, "VALIDATION_ERROR")
    assert wrong.document["errors"][0]["source"]["pointer"] == "/data/attributes/category_ids/0"


async def link(api: Api, method: str, item_id: str, *category_ids: str, kind: str = "userCategory") -> Answer:
    data = [{"type": kind, "id": category_id} for category_id in category_ids]
    return await api.call(method, f"{ITEMS}/{item_id}/relationships/categories", body={"data": data})


async def test_an_items_categories_are_a_relationship_with_an_address(anna: Api, item: dict[str, Any]) -> None:
    first, second = await make(anna), await make(anna)
    links = item["relationships"]["categories"]["links"]
    assert links["self"] == f"{ITEMS}/{item['id']}/relationships/categories"

    async def linked() -> list[str]:
        shown = await anna.get(links["self"])
        assert shown.document["links"] == links
        return [each["id"] for each in shown.data]

    for method, given, expected in (
        ("POST", [first, second], [first, second]),
        ("POST", [first], [first, second]),
        ("DELETE", [first], [second]),
        ("DELETE", [first], [second]),
        ("PATCH", [first], [first]),
        ("POST", [], [first]),
    ):
        assert (await link(anna, method, item["id"], *(each["id"] for each in given))).status == 204
        assert await linked() == sorted(each["id"] for each in expected)
    assert (await anna.get(links["related"])).data == [first]
    assert (await link(anna, "PATCH", item["id"])).status == 204
    assert await linked() == []
    assert (await anna.get(links["related"])).data == []


async def test_twenty_that_add_to_an_items_categories_at_once_lose_nothing(anna: Api, item: dict[str, Any]) -> None:
    made = [(await make(anna))["id"] for _ in range(20)]

    answers = await asyncio.gather(*(link(anna, "POST", item["id"], each) for each in made))

    assert [answer.status for answer in answers] == [204] * 20
    assert (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]["category_ids"] == sorted(made)


async def test_ten_that_add_and_ten_that_remove_at_once_have_each_their_way(anna: Api, item: dict[str, Any]) -> None:
    made = [each["id"] for each in await asyncio.gather(*(make(anna) for _ in range(20)))]
    assert (await link(anna, "PATCH", item["id"], *made[:10])).status == 204

    answers = await asyncio.gather(
        *(link(anna, "DELETE", item["id"], each) for each in made[:10]),
        *(link(anna, "POST", item["id"], each) for each in made[10:]),
    )

    assert [answer.status for answer in answers] == [204] * 20
    assert (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]["category_ids"] == sorted(made[10:])


async def test_linkage_that_cannot_be_is_refused_and_changes_nothing(
    anna: Api, boris: Api, item: dict[str, Any]
) -> None:
    mine, theirs = (await make(anna))["id"], (await make(boris))["id"]
    assert (await link(anna, "POST", item["id"], mine)).status == 204

    for method in ("POST", "PATCH"):
        assert_error(await link(anna, method, item["id"], theirs), 404, "CATEGORY_NOT_FOUND")
        assert_error(await link(anna, method, item["id"], mine, str(uuid.uuid4())), 404, "CATEGORY_NOT_FOUND")
    for method in ("POST", "PATCH", "DELETE"):
        assert_error(await link(boris, method, item["id"], theirs), 404, "LIBRARY_ITEM_NOT_FOUND")
        assert_error(await link(anna, method, item["id"], mine, kind="product"), 409, "RESOURCE_TYPE_CONFLICT")
        wrong = await link(anna, method, item["id"], mine, "not-a-uuid")
        assert_error(wrong, 400, "VALIDATION_ERROR")
        assert wrong.document["errors"][0]["source"] == {"pointer": "/data/1/id"}
    for path in (f"{ITEMS}/{item['id']}/categories", f"{ITEMS}/{item['id']}/relationships/categories"):
        assert_error(await boris.get(path), 404, "LIBRARY_ITEM_NOT_FOUND")
        assert_error(await anna.with_token(None).get(path), 401, "UNAUTHENTICATED")
    assert (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]["category_ids"] == [mine]


async def test_items_include_their_categories_and_products(anna: Api, item: dict[str, Any]) -> None:
    category = await make(anna)
    await link(anna, "POST", item["id"], category["id"])

    page = await anna.get(f"{ITEMS}?include=categories,product&page[size]=5&sort=-added_at")
    assert category in page.document["included"]
    product = next(each for each in page.document["included"] if each["type"] == "product")
    assert product["id"] == item["attributes"]["product_id"]
    assert product["attributes"]["title"] == item["attributes"]["title"]
    assert "include=categories,product" in page.document["links"]["first"]
    one = await anna.get(f"{ITEMS}/{item['id']}?include=product&fields[libraryItem]=is_hidden,product")
    assert [each["type"] for each in one.document["included"]] == ["product"]
    assert one.data["attributes"] == {"is_hidden": False}
    assert "included" not in (await anna.get(ITEMS)).document
    refused = await anna.get(f"{ITEMS}?include=owner&fields[libraryItem]=price&filter[colour]=red&sort=price")
    assert_error(refused, 400, "INVALID_QUERY_PARAMETER")
    named = {error["source"]["parameter"] for error in refused.document["errors"]}
    assert named == {"include", "fields[libraryItem]", "filter[colour]", "sort"}
