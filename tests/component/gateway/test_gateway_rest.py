"""REST through the gateway: documents, negotiation, errors, headers, limits. Contract: sections 1, 9, 11."""

import asyncio
import gc
import gzip
import json
import re
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
from aiohttp import hdrs

from chassis.errors import DomainError, Kind
from gateway.http.server import GatewayProtocol
from gateway.upstream.breaker import FAILURES_TO_OPEN
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    DOWNLOADS_PATH,
    ITEM,
    ITEM_PATH,
    ITEMS_PATH,
    ORIGIN,
    PRODUCT,
    SESSION,
    SMALL_LIMITS,
    WAIT_SECONDS,
    GatewayRig,
    gateway_rig,
    not_found,
)
from tests.component.rpc_rig import USER, public_jwk, service_token, user_token

JSON_API = "application/vnd.api+json"


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


def change(attributes=None, **members):
    return {"data": {"type": "libraryItemUpdate", "attributes": attributes or {}, **members}}


def start_download(**attributes):
    return {"data": {"type": "downloadRequest", "attributes": attributes}}


# --- documents ---


async def test_an_item_is_a_json_api_document_with_its_headers(rig: GatewayRig):
    answer = await rig.call("GET", ITEM_PATH)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == JSON_API
    assert answer.headers["Vary"].startswith("Accept, Accept-Language")
    assert answer.headers["Content-Language"] == "ru"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    data = answer.document["data"]
    assert (data["type"], data["id"], data["attributes"]["title"]) == ("libraryItem", ITEM, "Чайка")
    assert data["links"]["self"] == ITEM_PATH
    assert answer.document["links"]["self"] == ITEM_PATH
    fetched = await rig.call("GET", data["links"]["self"])
    assert fetched.document["data"] == data


async def test_head_says_what_get_would_without_the_body(rig: GatewayRig):
    got, head = await rig.call("GET", ITEM_PATH), await rig.call("HEAD", ITEM_PATH)
    assert head.status == 200
    assert head.document is None
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert (await rig.call("HEAD", ITEM_PATH, token=None)).status == 401


async def test_a_page_has_its_meta_and_links_that_keep_the_callers_query(rig: GatewayRig):
    answer = await rig.call("GET", f"{ITEMS_PATH}?search=a%20b&page=2&limit=10")
    assert answer.document["meta"] == {"total_items": 45, "current_page": 2, "per_page": 10, "total_pages": 5}
    base = f"{ITEMS_PATH}?search=a%20b&page="
    assert answer.document["links"] == {
        "self": f"{base}2&limit=10",
        "first": f"{base}1&limit=10",
        "prev": f"{base}1&limit=10",
        "next": f"{base}3&limit=10",
        "last": f"{base}5&limit=10",
    }
    assert rig.library.requests[-1].search == "a b"
    followed = await rig.call("GET", answer.document["links"]["next"])
    assert followed.document["meta"]["current_page"] == 3


async def test_pages_are_linked_in_the_callers_spelling(rig: GatewayRig):
    answer = await rig.call("GET", f"{ITEMS_PATH}?page%5Bsize%5D=10")
    links = answer.document["links"]
    assert links["next"] == f"{ITEMS_PATH}?page%5Bsize%5D=10&page%5Bnumber%5D=2"
    assert links["prev"] is None
    last = await rig.call("GET", links["last"])
    assert last.document["meta"]["current_page"] == 5
    assert last.document["links"]["next"] is None


async def test_a_created_resource_is_answered_with_its_location(rig: GatewayRig):
    answer = await rig.call("POST", DOWNLOADS_PATH, body=start_download(product_id=PRODUCT))
    assert answer.status == 202
    assert answer.headers["Location"] == answer.document["data"]["links"]["self"] == DOWNLOAD_PATH
    assert answer.headers["Cache-Control"] == "no-store"
    assert "links" not in answer.document


async def test_a_delete_is_answered_without_a_body(rig: GatewayRig):
    answer = await rig.call("DELETE", DOWNLOAD_PATH)
    assert (answer.status, answer.document) == (204, None)
    assert rig.download.requests[-1].download_id == SESSION


async def test_a_post_that_takes_no_body_needs_none_and_minds_none(rig: GatewayRig):
    assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause")).status == 200
    assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause", raw=b"{")).status == 200


async def test_a_patch_passes_on_exactly_the_members_present(rig: GatewayRig):
    answer = await rig.call("PATCH", ITEM_PATH, body=change({"is_hidden": True, "notes": None}, id=ITEM))
    assert answer.status == 200
    assert answer.document["data"]["attributes"]["is_hidden"] is True
    sent = rig.library.requests[-1]
    assert sorted(sent.update_mask.paths) == ["is_hidden", "notes"]
    assert not sent.item.HasField("notes")


async def test_the_resources_own_type_is_accepted_too(rig: GatewayRig):
    body = {"data": {"type": "libraryItem", "id": ITEM, "attributes": {"is_hidden": True}}}
    assert (await rig.call("PATCH", ITEM_PATH, body=body)).status == 200


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"data": {"type": "downloadSession", "attributes": {}}}, 409, "RESOURCE_TYPE_CONFLICT", "/data/type"),
        ({"data": {"attributes": {}}}, 400, "VALIDATION_ERROR", "/data"),
        ({"data": {"type": 7}}, 400, "VALIDATION_ERROR", "/data/type"),
        ({"data": {"type": "libraryItem", "id": SESSION}}, 409, "RESOURCE_TYPE_CONFLICT", "/data/id"),
        ({"data": {"type": "libraryItem", "id": 7}}, 400, "VALIDATION_ERROR", "/data/id"),
        ({"data": {"type": "libraryItem", "attributes": []}}, 400, "VALIDATION_ERROR", "/data/attributes"),
        ({"data": None}, 400, "VALIDATION_ERROR", "/data"),
        ({"meta": {}}, 400, "VALIDATION_ERROR", ""),
        ([], 400, "VALIDATION_ERROR", ""),
    ],
)
async def test_an_envelope_that_does_not_fit_is_refused_where_it_does_not(rig: GatewayRig, body, status, code, pointer):
    answer = await rig.call("PATCH", ITEM_PATH, body=body)
    assert (answer.status, answer.codes) == (status, [code])
    assert answer.sources == [{"pointer": pointer}]
    assert rig.library.requests == []


async def test_a_client_made_id_is_refused_on_a_create(rig: GatewayRig):
    body = {"data": {"type": "downloadRequest", "id": SESSION, "attributes": {"product_id": PRODUCT}}}
    answer = await rig.call("POST", DOWNLOADS_PATH, body=body)
    assert (answer.status, answer.codes) == (403, ["CLIENT_ID_NOT_SUPPORTED"])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b"\xff\xfe",
        b'{"data":{"type":"libraryItem","attributes":{"notes":NaN}}}',
        b'{"data":{"type":"libraryItem","type":"libraryItem"}}',
        b'{"a":1,"\\u0061":1}',
        b'"\\ud800"',
        b"[" * 5000,
    ],
)
async def test_what_is_not_strictly_json_is_malformed(rig: GatewayRig, raw):
    answer = await rig.call("PATCH", ITEM_PATH, raw=raw)
    assert (answer.status, answer.codes) == (400, ["MALFORMED_JSON"])


async def test_equal_names_in_different_objects_and_in_strings_are_no_duplicates(rig: GatewayRig):
    body = change({"notes": '"a": "a":'}, meta={"type": {"type": '\\"type":'}})
    assert (await rig.call("PATCH", ITEM_PATH, body=body)).status == 200


@pytest.mark.parametrize("raw", [b"no gzip at all", gzip.compress(b" " * 1024 * 1024)])
@pytest.mark.parametrize("token", ["", None], ids=["a user", "nobody"])
@pytest.mark.parametrize("path", [ITEM_PATH, "/api/v1/nothing"])
async def test_a_compressed_body_is_refused_before_anything_looks_at_it(rig: GatewayRig, raw, token, path):
    answer = await rig.call("PATCH", path, raw=raw, token=token, Content_Encoding="gzip")
    assert (answer.status, answer.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])
    assert answer.sources == [{"header": "Content-Encoding"}]
    assert answer.headers["Accept-Encoding"] == "identity"


# --- negotiation ---


async def test_plain_json_is_answered_in_kind(rig: GatewayRig):
    asked = await rig.call("GET", ITEM_PATH, Accept="application/json")
    assert asked.headers["Content-Type"].startswith("application/json")
    sent = await rig.call("PATCH", ITEM_PATH, body=change({"is_hidden": True}), Content_Type="application/json")
    assert sent.headers["Content-Type"].startswith("application/json")
    refused = await rig.call("PATCH", ITEM_PATH, raw=b"{", Content_Type="application/json; charset=utf-8")
    assert refused.status == 400
    assert refused.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("accept", ["text/html", f'{JSON_API};ext="a"', f"{JSON_API};q=0", f"{JSON_API};v=1, text/*"])
async def test_only_unacceptable_types_are_406(rig: GatewayRig, accept):
    answer = await rig.call("GET", ITEM_PATH, Accept=accept)
    assert (answer.status, answer.codes) == (406, ["NOT_ACCEPTABLE"])
    assert answer.headers["Content-Type"] == JSON_API


@pytest.mark.parametrize(
    "content_type",
    ["text/xml", f"{JSON_API}; charset=utf-8", f'{JSON_API}; ext="x"', "application/json; charset=cp1251"],
)
async def test_a_body_in_another_type_is_415(rig: GatewayRig, content_type):
    answer = await rig.call("PATCH", ITEM_PATH, body=change(), Content_Type=content_type)
    assert (answer.status, answer.codes) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


async def test_errors_speak_russian_unless_english_is_preferred(rig: GatewayRig):
    russian = (await rig.call("GET", "/api/v1/nothing")).errors[0]
    english = await rig.call("GET", "/api/v1/nothing", Accept_Language="en-GB,en;q=0.9,ru;q=0.5")
    assert russian["title"] == "Адрес не найден"
    assert english.errors[0]["title"] == "Route not found"
    assert english.headers["Content-Language"] == "en"
    await rig.call("GET", ITEM_PATH, Accept_Language="de,en;q=0.7")
    assert rig.library.callers[-1].language == "en"


# --- who ---


async def test_the_users_own_token_reaches_the_service_and_x_user_id_counts_for_nothing(rig: GatewayRig):
    await rig.call("GET", ITEM_PATH, X_User_Id="99999999-9999-4999-8999-999999999999")
    assert rig.library.callers[-1].user_id == UUID(USER)
    assert rig.library.metadata[-1]["authorization"] == f"Bearer {rig.token}"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (lambda: None, 401, "UNAUTHENTICATED"),
        (lambda: "rubbish", 401, "UNAUTHENTICATED"),
        (lambda: user_token(kid="stranger"), 401, "UNAUTHENTICATED"),
        (lambda: user_token(ttl_seconds=-5), 401, "TOKEN_EXPIRED"),
        (lambda: user_token(aud="other"), 401, "UNAUTHENTICATED"),
        (lambda: user_token(roles=["guest"]), 403, "PERMISSION_DENIED"),
        (lambda: service_token("library-service", audience="library-service"), 401, "UNAUTHENTICATED"),
        (lambda: service_token("library-service", audience="samovar"), 401, "UNAUTHENTICATED"),
        (lambda: user_token() + "\u00e9", 401, "UNAUTHENTICATED"),
    ],
)
async def test_whoever_is_no_user_is_refused(rig: GatewayRig, token, status, code):
    answer = await rig.call("GET", ITEM_PATH, token=token())
    assert (answer.status, answer.codes) == (status, [code])
    assert rig.library.requests == []
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_another_scheme_is_no_token(rig: GatewayRig):
    answer = await rig.call("GET", ITEM_PATH, token=None, Authorization="Basic dTpw")
    assert answer.status == 401


# --- errors ---


async def test_a_services_error_becomes_the_contracts(rig: GatewayRig):
    rig.library.error = not_found()
    answer = await rig.call("GET", ITEM_PATH)
    assert answer.status == 404
    (error,) = answer.errors
    assert error["code"] == "LIBRARY_ITEM_NOT_FOUND"
    assert error["status"] == "404"
    assert UUID(error["id"])
    assert error["detail"]
    assert re.fullmatch(r"[0-9a-f]{32}", answer.document["meta"]["trace_id"])


async def test_members_of_an_error_are_told_in_its_meta(rig: GatewayRig):
    rig.library.error = DomainError(
        Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION", details={"status": "completed"}
    )
    (error,) = (await rig.call("GET", ITEM_PATH, Accept_Language="en")).errors
    assert error["meta"] == {"status": "completed"}
    assert "'completed'" in error["detail"]


async def test_all_broken_rules_come_at_once_with_their_places(rig: GatewayRig):
    body = start_download(product_id="x", priority=11, device_id="y")
    answer = await rig.call("POST", DOWNLOADS_PATH, body=body)
    assert answer.status == 400
    assert set(answer.codes) == {"VALIDATION_ERROR"}
    pointers = {source["pointer"] for source in answer.sources}
    assert pointers == {f"/data/attributes/{name}" for name in ("product_id", "priority", "device_id")}
    assert {error["meta"]["rule"] for error in answer.errors} == {"string.uuid", "int32.gte_lte"}
    assert any("от 0 до 10" in error["detail"] for error in answer.errors)


async def test_a_missing_member_is_told_at_its_parent(rig: GatewayRig):
    answer = await rig.call("POST", DOWNLOADS_PATH, body=start_download())
    assert answer.sources == [{"pointer": "/data/attributes"}]
    assert answer.errors[0]["meta"]["member"] == "/data/attributes/product_id"
    answer = await rig.call("POST", DOWNLOADS_PATH, body={"data": {"type": "downloadRequest"}})
    assert answer.sources == [{"pointer": "/data"}]


async def test_an_element_of_a_list_is_pointed_at_by_its_index(rig: GatewayRig):
    body = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64, "zz"]}}}
    answer = await rig.call("POST", f"{DOWNLOAD_PATH}/links", body=body)
    assert answer.sources == [{"pointer": "/data/attributes/ids/1"}]


async def test_bad_values_of_query_and_path_are_told_by_the_parameters_name(rig: GatewayRig):
    assert (await rig.call("GET", f"{ITEMS_PATH}?limit=101")).sources == [{"parameter": "limit"}]
    answer = await rig.call("GET", f"{ITEMS_PATH}?colour=red&limit=x")
    assert set(answer.codes) == {"INVALID_QUERY_PARAMETER"}
    assert [source["parameter"] for source in answer.sources] == ["colour", "limit"]
    path = await rig.call("GET", f"{ITEMS_PATH}/not-a-uuid")
    assert (path.status, path.codes, path.sources) == (
        400,
        ["VALIDATION_ERROR"],
        [{"parameter": "library_item_id"}],
    )


@pytest.mark.parametrize("query", ["search=%ff", "&".join(f"a{n}=1" for n in range(101))])
async def test_a_query_that_cannot_be_read_is_refused(rig: GatewayRig, query):
    answer = await rig.call("GET", f"{ITEMS_PATH}?{query}")
    assert (answer.status, answer.codes) == (400, ["INVALID_QUERY_PARAMETER"])


async def test_an_empty_change_is_refused_once(rig: GatewayRig):
    answer = await rig.call("PATCH", ITEM_PATH, body=change())
    assert answer.status in {200, 400}
    if answer.status == 400:
        assert answer.sources == [{"pointer": "/data/attributes"}]


async def test_retry_after_says_when_in_whole_seconds(rig: GatewayRig):
    rig.library.error = DomainError(Kind.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED", retry_after_seconds=2.1)
    answer = await rig.call("PATCH", ITEM_PATH, body=change({"is_hidden": True}))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "3")


async def test_a_mistake_in_a_service_tells_nothing_but_a_number_to_ask_for(rig: GatewayRig):
    rig.library.error = RuntimeError("secret detail")
    answer = await rig.call("GET", ITEM_PATH)
    assert (answer.status, answer.codes) == (500, ["INTERNAL_ERROR"])
    assert "secret" not in str(answer.document)
    assert "Traceback" not in str(answer.document)
    trace_id = answer.document["meta"]["trace_id"]
    assert any(line.get("trace_id") == trace_id and "exception" in line for line in rig.log)


async def test_a_service_that_is_away_is_503_with_retry_after(rig: GatewayRig):
    await rig.stop_library()
    answer = await rig.call("GET", ITEM_PATH)
    assert (answer.status, answer.codes) == (503, ["SERVICE_UNAVAILABLE"])
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause")).status == 200


async def test_a_service_that_does_not_answer_is_504():
    async with gateway_rig(deadline_seconds=0.2) as rig:
        rig.library.hangs = asyncio.Event()
        answer = await rig.call("GET", ITEM_PATH)
        assert (answer.status, answer.codes) == (504, ["DEADLINE_EXCEEDED"])


# --- addresses, limits, headers ---


async def test_addresses_and_methods_that_do_not_exist_are_told_apart(rig: GatewayRig):
    unknown = await rig.call("GET", "/api/v1/nothing")
    assert (unknown.status, unknown.codes) == (404, ["ROUTE_NOT_FOUND"])
    refused = await rig.call("PUT", ITEM_PATH)
    assert (refused.status, refused.codes) == (405, ["METHOD_NOT_ALLOWED"])
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS, PATCH"
    assert (await rig.call("GET", f"{ITEMS_PATH}/{ITEM}/")).codes == ["ROUTE_NOT_FOUND"]


async def test_bodies_urls_and_headers_have_limits(rig: GatewayRig):
    big = await rig.call("PATCH", ITEM_PATH, raw=b" " * (65 * 1024))
    assert (big.status, big.codes) == (413, ["PAYLOAD_TOO_LARGE"])
    for size in (9_000, 70_000):
        long = await rig.call("GET", f"{ITEMS_PATH}?search={'a' * size}")
        assert (long.status, long.codes) == (414, ["URI_TOO_LONG"])
        heavy = await rig.call("GET", ITEM_PATH, X_Weight="a" * (size * 2))
        assert (heavy.status, heavy.codes) == (431, ["HEADERS_TOO_LARGE"])
    many = await rig.call("GET", ITEM_PATH, **{f"X-H{number}": "1" for number in range(150)})
    assert (many.status, many.codes) == (431, ["HEADERS_TOO_LARGE"])


@pytest.mark.parametrize("name", ["Accept", "Accept-Language", "Accept-Encoding", "Content-Type", "X-Forwarded-For"])
@pytest.mark.parametrize("value", ['"",' * 5_000, "a," * 1_025, '"' * 15_000])
async def test_a_header_that_is_taken_apart_has_a_limit_of_its_own(rig: GatewayRig, name, value):
    allowed = await rig.call("GET", ITEM_PATH, **{name: value[:2048]})
    assert allowed.status in {200, 406}
    refused = await rig.call("GET", ITEM_PATH, **{name: value})
    assert (refused.status, refused.codes) == (431, ["HEADERS_TOO_LARGE"])
    assert refused.sources == [{"header": name}]


async def test_who_closes_its_half_after_two_requests_gets_two_answers(rig: GatewayRig):
    head = f" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {rig.token}\r\n\r\n"
    answer = await raw_exchange(rig, f"GET {ITEM_PATH}{head}GET {ITEM_PATH}{head}".encode(), ends=True)
    assert answer.count(b"HTTP/1.1 200 OK") == 2


async def test_a_body_that_does_not_come_ends_in_408():
    async with gateway_rig(limits=replace(SMALL_LIMITS, body_seconds=0.2)) as rig:
        answer = await raw_exchange(
            rig,
            f"PATCH {ITEM_PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {rig.token}\r\n\r\n{{".encode(),
        )
        assert answer.split(b" ")[1] == b"408"
        assert b'"code":"REQUEST_TIMEOUT"' in answer
        assert rig.library.requests == []


async def test_what_is_not_http_is_answered_in_the_platforms_words_and_not_logged(rig: GatewayRig):
    answer = await raw_exchange(rig, b"GET /x HTTP/1.1\r\nHost: a\r\nAuthorization Bearer hush-hush\r\n\r\n")
    assert answer.split(b" ")[1] == b"400"
    assert b'"code":"INVALID_ARGUMENT"' in answer
    assert b"hush-hush" not in answer
    assert "hush-hush" not in str(rig.log)


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /x HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ],
    ids=["no HTTP", "no such address"],
)
async def test_what_is_refused_is_let_go_at_once(rig: GatewayRig, request_head):
    """With all that came after it: kept until the collector comes, megabytes of it would add up."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with suppress(ConnectionError):  # it may be closed before all is sent
                await raw_exchange(rig, request_head + b" " * 300_000)
        async with asyncio.timeout(WAIT_SECONDS):
            while any(isinstance(one, GatewayProtocol) for one in gc.get_objects()):
                await asyncio.sleep(0.05)
    finally:
        gc.enable()


async def raw_exchange(rig: GatewayRig, request: bytes, *, ends: bool = False) -> bytes:
    host, port = rig.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    if ends:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("target", [f"{ITEMS_PATH}/\xff\xfe", f"{ITEMS_PATH}?search=\xff", "/\xff", "*", "http://[/"])
async def test_bytes_that_no_url_has_are_refused_and_logged_harmlessly(rig: GatewayRig, target):
    token = rig.token.encode()
    line = b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\n"
    answer = await raw_exchange(
        rig, line + b"Host: a\r\nConnection: close\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    )
    assert answer.split(b" ")[1] in {b"400", b"404"}
    assert b'"errors":[' in answer
    assert rig.token not in str(rig.log)


async def test_a_client_may_wait_for_leave_to_send_its_body(rig: GatewayRig):
    body = b'{"data":{"type":"libraryItem","attributes":{"is_hidden":true}}}'
    for expectation in (b"100-continue", b"something-else"):
        answer = await raw_exchange(
            rig,
            b"PATCH " + ITEM_PATH.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: " + str(len(body)).encode() + b"\r\n"
            b"Expect: " + expectation + b"\r\nAuthorization: Bearer " + rig.token.encode() + b"\r\n\r\n" + body,
        )
        assert answer.startswith(b"HTTP/1.1 100 Continue") == (expectation == b"100-continue")
        assert b"HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize("expected", [b"something-else", b"\xed\xa0\x80"], ids=["text", "no text"])
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", b"400 Bad Request", "INVALID_ARGUMENT"),
        ("PUT", ITEMS_PATH, b"405 Method Not Allowed", "METHOD_NOT_ALLOWED"),
    ],
)
async def test_an_expectation_where_nothing_serves_it_is_refused_in_our_words(
    rig: GatewayRig, method: str, path: str, status: bytes, code: str, expected: bytes
):
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".encode()
    answer = await raw_exchange(rig, head + b"Expect: " + expected + b"\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"X-Content-Type-Options: nosniff" in head
    assert expected not in body
    assert json.loads(body)["errors"][0]["code"] == code


async def test_every_answer_carries_security_headers_and_a_request_id(rig: GatewayRig):
    for answer in (
        await rig.call("GET", ITEM_PATH, X_Request_ID="my-id.1"),
        await rig.call("GET", "/api/v1/nothing", X_Request_ID="my-id.1"),
    ):
        assert answer.headers["X-Request-ID"] == "my-id.1"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Server"] == "samovar"
    assert rig.library.callers[-1].request_id == "my-id.1"
    assert rig.library.callers[-1].service == "gateway"
    odd = await rig.call("GET", ITEM_PATH, X_Request_ID="a" * 200)
    assert UUID(odd.headers["X-Request-ID"])


async def test_the_clients_address_is_read_through_trusted_proxies_only(rig: GatewayRig):
    await rig.call("GET", ITEM_PATH, X_Forwarded_For="6.6.6.6, 203.0.113.9, 127.0.0.2")
    assert rig.library.callers[-1].client_ip == "203.0.113.9"


async def test_the_clients_trace_goes_through_to_the_service(rig: GatewayRig):
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    answer = await rig.call("GET", ITEM_PATH, traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    assert answer.status == 200
    assert trace_id in rig.library.metadata[-1]["traceparent"]
    assert rig.access_lines()[-1]["trace_id"] == trace_id


async def test_configured_origins_may_call_and_others_may_not(rig: GatewayRig):
    preflight = {hdrs.ACCESS_CONTROL_REQUEST_METHOD: "PATCH"}
    allowed = await rig.call("OPTIONS", ITEM_PATH, token=None, Origin=ORIGIN, **preflight)
    assert allowed.status == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in allowed.headers["Access-Control-Allow-Headers"]
    assert allowed.headers["Access-Control-Max-Age"] == "86400"
    foreign = await rig.call("OPTIONS", ITEM_PATH, token=None, Origin="https://evil.example", **preflight)
    assert "Access-Control-Allow-Origin" not in foreign.headers
    answer = await rig.call("GET", ITEM_PATH, Origin=ORIGIN)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]
    assert (await rig.call("OPTIONS", "/api/v1/nothing", token=None)).status == 404


async def test_the_access_log_tells_what_happened_and_no_secret(rig: GatewayRig):
    await rig.call("GET", f"{ITEMS_PATH}?limit=5&token={rig.token}&%74oken={rig.token}&access_token=x1y2z3")
    (line,) = rig.access_lines()
    assert (line["method"], line["route"], line["status"]) == ("GET", ITEMS_PATH, 400)
    assert line["query"] == "limit=5&token=***&%74oken=***&access_token=***"
    assert line["duration_ms"] > 0
    assert len(line["user"]) == 16
    text = str(rig.log)
    assert rig.token not in text
    assert USER not in text
    assert "x1y2z3" not in text


async def test_probes_tell_life_from_readiness(rig: GatewayRig):
    assert (await rig.call("GET", "/healthz", token=None)).status == 200
    ready = await rig.call("GET", "/readyz", token=None)
    assert (ready.status, ready.document["checks"]) == (200, {"library-service": "ok"})
    await rig.stop_library()
    unready = await rig.call("GET", "/readyz", token=None)
    assert unready.status == 503
    assert unready.document["checks"]["library-service"] == "DomainError"
    assert (await rig.call("GET", "/healthz", token=None)).status == 200
    assert rig.access_lines() == []


# --- the breaker ---


async def _open_the_breaker(rig: GatewayRig) -> None:
    """All at once: one after the other they may take longer than the window in which failures are counted."""
    answers = await asyncio.gather(*(rig.call("GET", ITEM_PATH) for _ in range(FAILURES_TO_OPEN)))
    assert {answer.status for answer in answers} == {503}


async def test_a_backend_that_mostly_fails_is_refused_at_once_and_others_are_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "gateway.upstream.breaker.OPEN_MIN_SECONDS", 4.0
    )  # longer than anything holds up the refused call
    async with gateway_rig() as rig:
        rig.library.error = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        await _open_the_breaker(rig)
        called = len(rig.library.requests)
        rig.library.error = None
        refused = await rig.call("GET", ITEM_PATH)
        assert (refused.status, refused.codes) == (503, ["SERVICE_UNAVAILABLE"])
        assert int(refused.headers["Retry-After"]) >= 1
        assert len(rig.library.requests) == called
        assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause")).status == 200
        async with asyncio.timeout(WAIT_SECONDS):
            while (await rig.call("GET", ITEM_PATH)).status != 200:
                await asyncio.sleep(0.1)


async def test_a_backend_that_answers_the_readiness_check_is_tried_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.upstream.breaker.OPEN_MIN_SECONDS", 3600.0)
    async with gateway_rig() as rig:
        rig.library.error = DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
        await _open_the_breaker(rig)
        rig.library.error = None
        assert (await rig.call("GET", ITEM_PATH)).status == 503
        assert (await rig.call("GET", "/readyz", token=None)).status == 200
        assert (await rig.call("GET", ITEM_PATH)).status == 200


async def test_a_backend_that_can_be_reached_again_is_tried_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.upstream.breaker.OPEN_MIN_SECONDS", 3600.0)
    async with gateway_rig() as rig:
        await rig.stop_library()
        await _open_the_breaker(rig)
        refused = await rig.call("GET", ITEM_PATH)
        assert int(refused.headers["Retry-After"]) > 3000
        await rig.start_library()
        async with asyncio.timeout(WAIT_SECONDS):
            while (await rig.call("GET", ITEM_PATH)).status != 200:
                await asyncio.sleep(0.05)


async def test_clients_that_give_too_little_time_do_not_open_the_breaker(rig: GatewayRig):
    rig.library.hangs = asyncio.Event()
    answers = [rig.call("GET", ITEM_PATH, X_Request_Timeout="0.05") for _ in range(FAILURES_TO_OPEN * 2)]
    assert {answer.status for answer in await asyncio.gather(*answers)} == {504}
    rig.library.hangs = None
    assert (await rig.call("GET", ITEM_PATH)).status == 200


async def test_a_user_is_not_refused_for_the_token_of_the_gateway(quick_keys):
    """The key of the gateway's own token is removed: a new token is asked for, and while that is no better the service is
    unavailable. The user's token is good all the time.
    """
    async with gateway_rig() as rig:
        assert (await rig.call("GET", ITEM_PATH)).status == 200
        rig.auth.rotate(signs_with="k2")
        rig.token = user_token(kid="k2")

        async def answer() -> int:
            return (await rig.call("GET", ITEM_PATH)).status

        async with asyncio.timeout(WAIT_SECONDS):
            while rig.keys.holds("k1"):
                await asyncio.sleep(0.01)
        assert await answer() == 200
        rig.auth.keys = [public_jwk("k3")]
        rig.token = user_token(kid="k3")
        async with asyncio.timeout(WAIT_SECONDS):
            while rig.keys.holds("k2"):
                await asyncio.sleep(0.01)
        refused = await rig.call("GET", ITEM_PATH)
        assert (refused.status, refused.codes) == (503, ["SERVICE_UNAVAILABLE"])
