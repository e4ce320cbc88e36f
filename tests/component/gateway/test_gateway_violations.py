"""What the transcoder cannot read and what buf.validate forbids is told in one answer, each thing once and where it is."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.component.gateway.gateway_rig import (
    DOWNLOADS_PATH,
    ITEM_PATH,
    ITEMS_PATH,
    PRODUCT,
    GatewayRig,
    gateway_rig,
)


@pytest.fixture
async def rig() -> AsyncIterator[GatewayRig]:
    async with gateway_rig() as made:
        yield made


def _wrong(answer: Any) -> Mapping[str, str]:
    """Rules by place; a place that comes twice would be lost, so their number is asserted too."""
    found = {next(iter(error["source"].values())): error["meta"]["rule"] for error in answer.errors}
    assert len(found) == len(answer.errors), answer.errors
    return found


def _download(**attributes: Any) -> Any:
    return {"data": {"type": "downloadRequest", "attributes": attributes}}


async def test_bad_types_unknown_members_and_broken_rules_come_together(rig: GatewayRig) -> None:
    body = _download(product_id="no uuid", priority="high", colour="red", client_free_space_bytes=-1)
    answer = await rig.call("POST", DOWNLOADS_PATH, body=body)
    assert answer.status == 400
    assert {error["code"] for error in answer.errors} == {"VALIDATION_ERROR"}
    at = "/data/attributes/"
    assert _wrong(answer) == {
        f"{at}priority": "type.integer",
        f"{at}colour": "attribute.unknown",
        f"{at}product_id": "string.uuid",
        f"{at}client_free_space_bytes": "int64.gte",
    }
    assert rig.download.requests == []


async def test_a_stand_in_for_what_could_not_be_read_is_not_complained_about(rig: GatewayRig) -> None:
    answer = await rig.call("POST", DOWNLOADS_PATH, body=_download(product_id=5))
    assert _wrong(answer) == {"/data/attributes/product_id": "type.string"}


async def test_a_missing_member_is_named_beside_where_it_should_be(rig: GatewayRig) -> None:
    answer = await rig.call("POST", DOWNLOADS_PATH, body=_download(priority="high"))
    by_place = {error["source"]["pointer"]: error for error in answer.errors}
    assert by_place.keys() == {"/data/attributes", "/data/attributes/priority"}
    assert by_place["/data/attributes"]["meta"]["member"] == "/data/attributes/product_id"


async def test_query_and_path_are_told_together_in_the_callers_spelling(rig: GatewayRig) -> None:
    answer = await rig.call("GET", f"{ITEMS_PATH}?page[size]=1000&page[number]=one&colour=red")
    assert answer.status == 400
    assert _wrong(answer) == {
        "page[size]": "int32.gte_lte",
        "page[number]": "type.integer",
        "colour": "parameter.unknown",
    }
    plain = await rig.call("GET", f"{ITEMS_PATH}?limit=1000&page=one")
    assert _wrong(plain) == {"limit": "int32.gte_lte", "page": "type.integer"}


async def test_a_services_own_violation_is_told_in_the_callers_spelling_too(rig: GatewayRig) -> None:
    answer = await rig.call("GET", f"{ITEMS_PATH}?page[size]=1000")
    assert _wrong(answer) == {"page[size]": "int32.gte_lte"}


async def test_path_and_body_are_told_together(rig: GatewayRig) -> None:
    body = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 9, "is_hidden": "yes"}}}
    answer = await rig.call("PATCH", f"{ITEMS_PATH}/none", body=body)
    assert _wrong(answer) == {
        "/data/attributes/is_hidden": "type.bool",
        "/data/attributes/user_rating": "int32.gte_lte",
        "library_item_id": "string.uuid",
    }


async def test_only_so_much_is_told_of_a_hostile_body(rig: GatewayRig) -> None:
    ids = ["no uuid", *(f"no uuid {number}" for number in range(2000))]
    body = {"data": {"type": "libraryItemUpdate", "attributes": {"category_ids": ids, "is_hidden": "yes"}}}
    answer = await rig.call("PATCH", ITEM_PATH, body=body)
    assert answer.status == 400
    assert 2 <= len(answer.errors) <= 100


async def test_they_are_described_in_both_languages(rig: GatewayRig) -> None:
    body = _download(product_id=PRODUCT, priority="high", client_free_space_bytes=-1)
    russian = await rig.call("POST", DOWNLOADS_PATH, body=body)
    english = await rig.call("POST", DOWNLOADS_PATH, body=body, Accept_Language="en")
    assert len(russian.errors) == len(english.errors) == 2
    assert {error["title"] for error in english.errors} == {"Validation failed"}
    for error in russian.errors:
        assert "значение должно быть" in error["detail"]
