"""Entity tags and content codings through the gateway. Contract: section 1; RFC 9110."""

import pytest

from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    ITEM,
    ITEM_PATH,
    ITEMS_PATH,
    ORIGIN,
    GatewayRig,
    gateway_rig,
    not_found,
)


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


# --- entity tags ---


async def test_a_read_has_a_strong_tag_that_changes_with_what_it_says(rig: GatewayRig):
    first, again = await rig.call("GET", ITEMS_PATH), await rig.call("GET", ITEMS_PATH)
    assert first.headers["ETag"] == again.headers["ETag"]
    assert first.headers["ETag"].startswith('"')
    rig.library.total_items += 1
    assert (await rig.call("GET", ITEMS_PATH)).headers["ETag"] != first.headers["ETag"]


async def test_other_media_types_and_languages_are_other_representations(rig: GatewayRig):
    answers = [
        await rig.call("GET", ITEM_PATH),
        await rig.call("GET", ITEM_PATH, Accept="application/json"),
        await rig.call("GET", ITEM_PATH, Accept_Language="en"),
    ]
    assert len({answer.headers["ETag"] for answer in answers}) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', 'W/"a,b" , {}', "*"])
async def test_what_the_client_has_is_not_sent_again(rig: GatewayRig, method, form):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    answer = await rig.call(method, ITEM_PATH, If_None_Match=form.format(tag), X_Request_ID="mine")
    assert (answer.status, answer.document) == (304, None)
    assert answer.headers["ETag"] == tag
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"].startswith("Accept, Accept-Language")
    assert answer.headers["X-Request-ID"] == "mine"
    assert "Content-Type" not in answer.headers


async def test_a_304_may_be_read_by_a_configured_origin(rig: GatewayRig):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    answer = await rig.call("GET", ITEM_PATH, If_None_Match=tag, Origin=ORIGIN)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (304, ORIGIN)
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("value", ['"other"', "nonsense", "", 'W/"', "**"])
async def test_what_the_client_does_not_have_is_sent(rig: GatewayRig, value):
    assert (await rig.call("GET", ITEM_PATH, If_None_Match=value)).status == 200


async def test_nobody_gets_a_304_without_a_token(rig: GatewayRig):
    tag = (await rig.call("GET", ITEM_PATH)).headers["ETag"]
    assert (await rig.call("GET", ITEM_PATH, token=None, If_None_Match=tag)).status == 401
    assert (await rig.call("GET", ITEM_PATH, token=None, If_None_Match="*")).status == 401


async def test_errors_writes_and_signed_urls_have_no_tag(rig: GatewayRig):
    body = {"data": {"type": "libraryItem", "id": ITEM, "attributes": {"is_hidden": True}}}
    assert "ETag" not in (await rig.call("PATCH", ITEM_PATH, body=body)).headers
    links = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64]}}}
    assert "ETag" not in (await rig.call("POST", f"{DOWNLOAD_PATH}/links", body=links)).headers
    manifest = await rig.call("GET", f"{DOWNLOAD_PATH}/manifest", If_None_Match="*")
    assert manifest.status == 200
    assert "ETag" not in manifest.headers
    rig.library.error = not_found()
    missing = await rig.call("GET", ITEM_PATH, If_None_Match="*")
    assert missing.status == 404
    assert "ETag" not in missing.headers
