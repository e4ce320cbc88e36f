"""A JSON:API client that is not ours (jsonapi-requests) against the running gateway: it lists, includes, pages, creates, patches,
deletes and works with relationships, knowing nothing but the specification.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonapi_requests  # type: ignore[import-untyped]  # has no types
import pytest
import requests
from jsonapi_requests import orm

from tests.e2e.clients import Api, Shop

LIBRARY = "/api/v1/library/"


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass
class Client:
    """The client's two layers: endpoints, and models that map types to classes."""

    api: Any
    category: Any
    item: Any
    product: Any
    wish: Any


def _client(api: Api) -> Client:
    made = jsonapi_requests.orm.OrmApi.config(
        {
            "API_ROOT": api.url + LIBRARY,
            "AUTH": _Bearer(api.token),
            "APPEND_SLASH": False,
            "TIMEOUT": 20,
        }
    )

    class Category(orm.ApiModel):  # type: ignore[misc]  # the client has no types
        class Meta:
            type = "userCategory"
            path = "categories"
            api = made

        name = orm.AttributeField("name")
        display_order = orm.AttributeField("display_order")

    class Product(orm.ApiModel):  # type: ignore[misc]
        class Meta:
            type = "product"
            api = made

        title = orm.AttributeField("title")

    class Item(orm.ApiModel):  # type: ignore[misc]
        class Meta:
            type = "libraryItem"
            path = "items"
            api = made

        title = orm.AttributeField("title")
        is_favorite = orm.AttributeField("is_favorite")
        categories = orm.RelationField("categories")
        product = orm.RelationField("product")

    class Wish(orm.ApiModel):  # type: ignore[misc]
        class Meta:
            type = "wishlistItem"
            path = "wishlist/items"
            api = made

        notes = orm.AttributeField("notes")
        priority = orm.AttributeField("priority")
        product = orm.RelationField("product")

    return Client(made, Category, Item, Product, Wish)


@pytest.fixture
async def anna(new_user: Callable[[], Awaitable[Api]]) -> Api:
    return await new_user()


@pytest.fixture
def client(anna: Api) -> Client:
    return _client(anna)


async def test_categories_are_made_read_changed_and_deleted(client: Client) -> None:
    def work() -> None:
        category = client.category()
        category.name, category.display_order = "Ролевые", 3
        category.save()
        assert uuid.UUID(category.id)

        again = client.category.from_id(category.id)
        assert (again.name, again.display_order) == ("Ролевые", 3)
        again.name = "RPG"
        again.save()
        assert client.category.from_id(category.id).name == "RPG"
        assert client.category.exists(category.id)
        assert [each.name for each in client.category.get_list()] == ["RPG"]

        again.delete()
        assert not client.category.exists(category.id)
        assert client.category.get_list() == []

    await asyncio.to_thread(work)


async def test_pages_are_walked_by_their_links(client: Client) -> None:
    def walk() -> Iterator[Any]:
        page = client.api.endpoint("categories").get(params={"page[size]": 2}).content
        while True:
            yield page
            if page.links["next"] is None:
                return
            page = client.api.endpoint(page.links["next"]).get().content

    def work() -> None:
        for number in range(5):
            category = client.category()
            category.name, category.display_order = f"c{number}", number
            category.save()
        pages = list(walk())
        assert [[one.attributes["name"] for one in page.data] for page in pages] == [["c0", "c1"], ["c2", "c3"], ["c4"]]
        assert [page.meta["current_page"] for page in pages] == [1, 2, 3]
        back = client.api.endpoint(pages[-1].links["prev"]).get().content
        assert [one.id for one in back.data] == [one.id for one in pages[1].data]

    await asyncio.to_thread(work)


async def test_related_resources_are_included_and_need_no_request(client: Client, anna: Api, shop: Shop) -> None:
    titles = ("Чайка", "Гроза")
    for title in titles:
        product_id = await shop.new_product(title)
        await shop.buy(anna.user_id, product_id)
        await anna.owns(product_id)

    def work() -> None:
        shelf = client.category()
        shelf.name = "Пьесы"
        shelf.save()
        for item in client.item.get_list():
            changed = client.item()
            changed.id = item.id
            changed.is_favorite = True
            changed.categories = [shelf]
            changed.save()
            assert changed.is_favorite

        query = {"include": "categories,product", "sort": "title", "filter[is_favorite]": "true"}
        items = client.item.get_list(params=query)
        assert [item.product.title for item in items] == ["Гроза", "Чайка"]
        assert all(not item.product.is_stub for item in items)
        for item in items:
            assert [category.name for category in item.categories] == ["Пьесы"]
        one = client.api.endpoint(f"items/{items[0].id}").get(params={"include": "product"}).content
        assert [(each.type, each.attributes["title"]) for each in one.included] == [("product", "Гроза")]
        less = client.api.endpoint("items").get(params={"fields[libraryItem]": "title", "include": "product"}).content
        assert all(list(each.attributes) == ["title"] and not each.relationships for each in less.data)
        assert len(less.included) == 2

    await asyncio.to_thread(work)


async def test_a_resource_is_made_by_its_relationship(client: Client, shop: Shop) -> None:
    product_id = await shop.new_product("Вишнёвый сад")

    def work() -> None:
        wish = client.wish()
        wish.notes = "к лету"
        wish.product = client.product.from_id(product_id)
        wish.save()

        found = client.wish.get_list(params={"include": "product"})
        assert [(each.notes, each.product.title) for each in found] == [("к лету", "Вишнёвый сад")]
        assert found[0].product.id == product_id
        found[0].delete()
        assert client.wish.get_list() == []

    await asyncio.to_thread(work)


async def test_a_relationship_is_worked_at_its_own_address(client: Client, anna: Api, shop: Shop) -> None:
    product_id = await shop.new_product()
    await shop.buy(anna.user_id, product_id)
    item_id = (await anna.owns(product_id))["id"]

    def work() -> None:
        shelves = []
        for name in "ab":
            shelf = client.category()
            shelf.name = name
            shelf.save()
            shelves.append(shelf)
        item = client.api.endpoint(f"items/{item_id}").get().content.data
        itself = client.api.endpoint(item.relationships["categories"].links["self"])
        related = client.api.endpoint(item.relationships["categories"].links["related"])

        def change(method: str, *linked: Any) -> None:
            sent = {"data": [one.as_identifier().as_data() for one in linked]}
            assert itself.requests.request(itself.path, method, json=sent).status_code == 204

        change("POST", shelves[0])
        change("POST", *shelves)
        assert {one.id for one in itself.get().content.data} == {shelf.id for shelf in shelves}
        assert sorted(one.attributes["name"] for one in related.get().content.data) == ["a", "b"]
        change("DELETE", shelves[0])
        assert [one.id for one in itself.get().content.data] == [shelves[1].id]
        change("PATCH", shelves[0])
        assert [one.id for one in related.get().content.data] == [shelves[0].id]
        change("PATCH")
        assert list(itself.get().content.data) == []

    await asyncio.to_thread(work)


async def test_errors_reach_the_client_as_error_objects(client: Client) -> None:
    def work() -> None:
        with pytest.raises(jsonapi_requests.request_factory.ApiClientError) as refused:
            client.api.endpoint("items").get(
                params={"include": "publisher", "fields[libraryItem]": "x", "sort": "size"}
            )
        assert refused.value.status_code == 400
        errors = json.loads(refused.value.content)["errors"]
        assert {one["source"]["parameter"] for one in errors} == {"include", "fields[libraryItem]", "sort"}
        category = client.category()
        category.name = ""
        with pytest.raises(jsonapi_requests.request_factory.ApiClientError) as refused:
            category.save()
        errors = json.loads(refused.value.content)["errors"]
        assert [one["source"]["pointer"] for one in errors] == ["/data/attributes/name"]

    await asyncio.to_thread(work)
