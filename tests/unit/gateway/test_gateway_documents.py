"""Documents whose data is a list of resource objects: what is read, and what is wrong where."""

from dataclasses import replace
from typing import Any

import pytest
from rest.routes import ROUTES

from gateway.contract import Linkage, Problem, Route
from gateway.jsonapi.documents import parse_json, read_attributes, read_linkage, read_resources
from gateway.problems.errors import Refused
from gateway.problems.pointers import Source, locate
from gateway.transcoding import MAX_PROBLEMS, MAX_VALUES, array, entries, members_of

PLACES = {"products": "/data/#"}


def a_route() -> Route:
    route = next(route for route in ROUTES if route.has_body)
    return replace(route, takes_list=True, request_types=("installedProduct",))


def one(**members: Any) -> dict[str, Any]:
    return {"type": "installedProduct", "id": "a", **members}


def wrong(document: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(Refused) as refusal:
        read_resources(document, a_route())
    return [(problem.code, problem.pointer) for problem in refusal.value.problems]


def test_ids_and_attributes_are_read_in_order() -> None:
    document = {"data": [one(attributes={"n": 1}), one(id="b")]}
    assert read_resources(document, a_route()) == [("a", {"n": 1}), ("b", {})]
    assert read_resources({"data": []}, a_route()) == []


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        ({}, ""),
        ({"data": {}}, "/data"),
        ({"data": [1]}, "/data/0"),
        ({"data": [{"id": "a"}]}, "/data/0"),
        ({"data": [one(type=3)]}, "/data/0/type"),
        ({"data": [one(), {"type": "installedProduct"}]}, "/data/1"),
        ({"data": [one(id=7)]}, "/data/0/id"),
        ({"data": [one(attributes=[])]}, "/data/0/attributes"),
        ({"data": [one(attributes={"id": "b"})]}, "/data/0/attributes/id"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(document: Any, pointer: str) -> None:
    assert wrong(document) == [("VALIDATION_ERROR", pointer)]


def test_everything_wrong_is_told_at_once_and_another_type_is_a_conflict() -> None:
    document = {"data": [one(type="game"), one(id=None), one()]}
    assert wrong(document) == [("RESOURCE_TYPE_CONFLICT", "/data/0/type"), ("VALIDATION_ERROR", "/data/1/id")]


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("products", "/data"),
        ("products[2]", "/data/2"),
        ("products[2].id", "/data/2/id"),
        ("products[2].current_version_id", "/data/2/attributes/current_version_id"),
    ],
)
def test_a_services_violation_leads_back_into_the_list(field: str, pointer: str) -> None:
    assert locate(field, PLACES) == Source("pointer", pointer)


# --- however much is wrong ---

MANY = 50_000
CATEGORIES = Linkage("category_ids", "userCategory", is_many=True)
WRONG = [0, {}, {"type": 3, "id": 3}, {"type": "game", "id": None}]


class CountedList(list[Any]):
    """A list that counts how many of its items are looked at."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.looked_at = 0

    def __iter__(self) -> Any:
        for one in super().__iter__():
            self.looked_at += 1
            yield one


@pytest.mark.parametrize("item", WRONG)
def test_as_much_of_a_list_is_looked_at_as_is_told(item: Any) -> None:
    data = CountedList([item] * MANY)
    assert len(wrong({"data": data})) == MAX_PROBLEMS
    assert data.looked_at <= MAX_PROBLEMS + 1


@pytest.mark.parametrize("item", WRONG)
def test_as_much_of_linkage_is_looked_at_as_is_told(item: Any) -> None:
    data = CountedList([item] * MANY)
    with pytest.raises(Refused) as refusal:
        read_linkage({"data": data}, CATEGORIES)
    assert len(refusal.value.problems) == MAX_PROBLEMS
    assert data.looked_at <= MAX_PROBLEMS + 1


def test_unknown_relationships_and_members_are_told_up_to_the_limit() -> None:
    names = {f"n{number}": None for number in range(MANY)}
    with pytest.raises(Refused) as refusal:
        read_attributes({"data": {"type": "installedProduct", "relationships": names}}, a_route(), {})
    assert len(refusal.value.problems) == MAX_PROBLEMS
    problems: list[Problem] = []
    members_of(names, frozenset(), "/data/attributes", problems)
    assert len(problems) == MAX_PROBLEMS


@pytest.mark.parametrize("count", [1_001, MANY])
def test_items_are_counted_before_they_are_looked_at(count: int) -> None:
    said = ("must contain no more than 1000 item(s)", "repeated.max_items")
    data = CountedList([one()] * count)
    with pytest.raises(Refused) as refusal:
        read_resources({"data": data}, replace(a_route(), most_items=1_000))
    with pytest.raises(Refused) as other:
        read_linkage({"data": data}, replace(CATEGORIES, most=1_000))
    problems: list[Problem] = []
    assert array(data[:], "/data/attributes", "ids", problems, 1_000) == ()
    found = (*refusal.value.problems, *other.value.problems, *problems)
    assert [problem.pointer for problem in found] == ["/data", "/data", "/data/attributes/ids"]
    assert all(((problem.details or {})["description"], (problem.details or {})["rule"]) == said for problem in found)
    assert data.looked_at == 0


def test_entries_are_counted_before_they_are_looked_at() -> None:
    problems: list[Problem] = []
    few = {"a": 1, "b": 2}
    assert entries(few, "/data/attributes", "prices", problems, 2) == few
    assert entries({**few, "c": 3}, "/data/attributes", "prices", problems, 2) == {}
    assert [problem.pointer for problem in problems] == ["/data/attributes/prices"]


def test_as_many_items_as_are_allowed_are_read() -> None:
    assert len(read_resources({"data": [one()] * 1_000}, replace(a_route(), most_items=1_000))) == 1_000


@pytest.mark.parametrize("unit", [b"0,", b"{},", b"[],", b'"",', b"[[[0]]],"])
def test_values_are_counted_before_a_body_is_read(unit: bytes) -> None:
    most = (MAX_VALUES - 1) // sum(unit.count(one) for one in (b",", b"[", b"{"))
    assert len(parse_json(b"[" + unit * (most - 1) + b"0]")) == most
    for body in (b"[" + unit * MAX_VALUES + b"0]", b"[" + unit * MAX_VALUES):
        # The second is no JSON, which nobody finds out.
        with pytest.raises(Refused) as refusal:
            parse_json(body)
        assert [problem.code for problem in refusal.value.problems] == ["PAYLOAD_TOO_LARGE"]
