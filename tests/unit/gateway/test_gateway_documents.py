"""Documents whose data is a list of resource objects: what is read, and what is wrong where."""

from dataclasses import replace
from typing import Any

import pytest
from rest.routes import ROUTES

from gateway.contract import Route
from gateway.jsonapi.documents import read_resources
from gateway.problems.errors import Refused
from gateway.problems.pointers import Source, locate

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
