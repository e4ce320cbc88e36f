"""The documents that the gateway publishes, and its real answers held against them."""

import gzip
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import brotli
import pytest
import zstandard

from chassis.errors import DomainError, Kind
from gateway.http.documentation import ASYNCAPI_PATH, DOCS_PATH, OPENAPI_PATH, VIEWER_ASSETS
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    DOWNLOADS_PATH,
    ITEM,
    ITEM_PATH,
    ITEMS_PATH,
    PRODUCT,
    Answer,
    GatewayRig,
    gateway_rig,
)
from tests.unit.codegen.documents import ASYNCAPI, OPENAPI, Document, faults, operations, read, resolved

CHUNK = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.fixture
async def rig():
    async with gateway_rig() as made:
        yield made


@pytest.fixture(scope="module")
def document() -> Document:
    return read(OPENAPI.read_text())


READERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "identity": bytes,
}


async def fetch(rig: GatewayRig, path: str, *, raw: bool = False, **headers: str) -> tuple[int, Any, bytes]:
    """`raw`: the body as it was sent, compressed or not."""
    sent = {k.replace("_", "-"): v for k, v in headers.items()}
    async with rig.http.get(rig.url + path, headers=sent, auto_decompress=not raw) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.mark.parametrize(("path", "file"), [(OPENAPI_PATH, OPENAPI), (ASYNCAPI_PATH, ASYNCAPI)])
async def test_the_generated_documents_are_public_and_kept_by_their_tag(rig: GatewayRig, path: str, file: Any) -> None:
    status, headers, content = await fetch(rig, path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert content == file.read_bytes()
    assert headers["Cache-Control"].startswith("public")
    again, same, nothing = await fetch(rig, path, If_None_Match=headers["ETag"])
    assert (again, nothing, same["ETag"]) == (304, b"", headers["ETag"])
    assert (await fetch(rig, path, If_None_Match='"another"'))[0] == 200


async def test_documents_are_compressed_and_each_coding_has_its_own_tag(rig: GatewayRig) -> None:
    seen = {}
    for coding in ("gzip", "br", "zstd", "identity"):
        _, first, content = await fetch(rig, OPENAPI_PATH, raw=True, Accept_Encoding=coding)
        _, second, again = await fetch(rig, OPENAPI_PATH, raw=True, Accept_Encoding=coding)
        assert first.get("Content-Encoding", "identity") == coding
        assert content == again
        assert READERS[coding](content) == OPENAPI.read_bytes()
        assert first["ETag"] == second["ETag"]
        assert "Accept-Encoding" in first["Vary"]
        status, _, nothing = await fetch(rig, OPENAPI_PATH, Accept_Encoding=coding, If_None_Match=first["ETag"])
        assert (status, nothing) == (304, b"")
        seen[first["ETag"]] = coding
    assert len(seen) == 4


async def test_the_page_brings_everything_from_its_own_origin(rig: GatewayRig) -> None:
    status, headers, content = await fetch(rig, DOCS_PATH)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    page = content.decode()
    names = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {name.removeprefix("docs/") for name in names} == {*VIEWER_ASSETS, "start.js"}
    assert "<script>" not in page
    for name in names:
        answered, _, asset = await fetch(rig, f"/api/v1/{name}")
        assert (answered, len(asset) > 100) == (200, True)


async def test_other_answers_keep_the_strictest_policy(rig: GatewayRig) -> None:
    _, headers, _ = await fetch(rig, OPENAPI_PATH)
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def check(document: Document, template: str, method: str, answer: Answer) -> None:
    """The answer is one that the document has: its status, headers, media type and every member."""
    operation = document["paths"][template][method.lower()]
    assert str(answer.status) in operation["responses"], answer.document
    response = resolved(document, operation["responses"][str(answer.status)])
    for name, header in response["headers"].items():
        if resolved(document, header).get("required"):
            assert name in answer.headers
    told = {"ETag", "Location", "Retry-After", "Idempotency-Replayed", "Content-Language", "X-Request-ID"}
    assert told & set(answer.headers) <= response["headers"].keys() | {"Content-Language"}
    if "content" not in response:
        assert answer.document is None
        return
    schema = response["content"][answer.headers["Content-Type"]]["schema"]
    if answer.status < 400:
        assert faults(document, schema, answer.document) == []
        return
    assert faults(document, {"$ref": "#/components/schemas/errors"}, loose(answer.document)) == []
    codes = schema["allOf"][1]["properties"]["errors"]["items"]["properties"]["code"]["enum"]
    assert set(answer.codes) <= set(codes)


def loose(errors: Any) -> Any:
    """Errors without `meta`, whose members are as many as there are codes."""
    without = [{name: value for name, value in error.items() if name != "meta"} for error in errors["errors"]]
    return {**errors, "errors": without}


def body(kind: str, **attributes: Any) -> Any:
    return {"data": {"type": kind, "attributes": attributes}}


ITEM_TEMPLATE = f"{ITEMS_PATH}/{{library_item_id}}"
DOWNLOAD_TEMPLATE = f"{DOWNLOADS_PATH}/{{download_id}}"
LINKS = body("linkRequest", ids=[CHUNK])
CALLS = [
    ("GET", ITEMS_PATH, ITEMS_PATH, None, {}),
    ("GET", f"{ITEMS_PATH}?page%5Bnumber%5D=2&status=installed", ITEMS_PATH, None, {}),
    ("GET", f"{ITEMS_PATH}?page=0&limit=1000&sort_by=colour&what=1", ITEMS_PATH, None, {}),
    ("GET", ITEMS_PATH, ITEMS_PATH, None, {"token": None}),
    ("GET", ITEMS_PATH, ITEMS_PATH, None, {"Accept": "text/html"}),
    ("GET", ITEM_PATH, ITEM_TEMPLATE, None, {}),
    ("GET", f"{ITEMS_PATH}/x", ITEM_TEMPLATE, None, {"Accept_Language": "en"}),
    ("GET", ITEM_PATH, ITEM_TEMPLATE, None, {"If_None_Match": "*", "X_Request_Timeout": "2.5", "X_Request_ID": "mine"}),
    ("GET", ITEM_PATH, ITEM_TEMPLATE, None, {"X_Request_Timeout": "soon"}),
    ("POST", DOWNLOADS_PATH, DOWNLOADS_PATH, body("downloadRequest", product_id=PRODUCT), {"Idempotency_Key": "one"}),
    ("PATCH", ITEM_PATH, ITEM_TEMPLATE, body("libraryItemUpdate", is_hidden=True), {"Accept": "application/json"}),
    ("PATCH", ITEM_PATH, ITEM_TEMPLATE, body("libraryItemUpdate", user_rating=9, colour="red"), {}),
    ("PATCH", ITEM_PATH, ITEM_TEMPLATE, body("what"), {}),
    ("PATCH", ITEM_PATH, ITEM_TEMPLATE, body("libraryItem"), {"Content_Type": "text/plain"}),
    ("POST", DOWNLOADS_PATH, DOWNLOADS_PATH, body("downloadRequest", product_id=PRODUCT), {}),
    ("POST", DOWNLOADS_PATH, DOWNLOADS_PATH, body("downloadRequest"), {}),
    ("POST", DOWNLOADS_PATH, DOWNLOADS_PATH, {"data": {"type": "downloadRequest", "id": ITEM}}, {}),
    ("POST", DOWNLOADS_PATH, DOWNLOADS_PATH, {"data": {"type": "what", "id": 7}}, {}),
    ("POST", f"{DOWNLOAD_PATH}/pause", f"{DOWNLOAD_TEMPLATE}/pause", None, {}),
    ("POST", f"{DOWNLOAD_PATH}/links", f"{DOWNLOAD_TEMPLATE}/links", LINKS, {}),
    ("DELETE", DOWNLOAD_PATH, DOWNLOAD_TEMPLATE, None, {}),
]


@pytest.mark.parametrize(("method", "path", "template", "sent", "options"), CALLS)
async def test_answers_are_what_the_document_says(
    rig: GatewayRig, document: Document, method: str, path: str, template: str, sent: Any, options: dict[str, Any]
) -> None:
    """The services of the rig answer with next to nothing; that enums are never unset is the real ones' promise."""
    answer = await rig.call(method, path, body=sent, **options)
    if answer.status < 400 and answer.document is not None:
        data = answer.document["data"]
        for one in data if isinstance(data, list) else [data]:
            specify(one["attributes"])
    check(document, template, method, answer)


def specify(attributes: dict[str, Any]) -> None:
    """Puts values where the rig's services leave enums unset."""
    unset = {"status": "queued", "installation_status": "installed", "acquisition_type": "gift", "platform": "linux"}
    for name, value in unset.items():
        if name in attributes:
            attributes[name] = attributes[name] or value


@pytest.mark.parametrize(
    "error",
    [
        DomainError(Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND"),
        DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=3),
        RuntimeError("never shown"),
    ],
    ids=str,
)
async def test_errors_of_services_are_documented_too(rig: GatewayRig, document: Document, error: Exception) -> None:
    rig.library.error = error
    check(document, ITEM_TEMPLATE, "GET", await rig.call("GET", ITEM_PATH))


async def test_every_operation_that_needs_a_token_says_so_and_means_it(rig: GatewayRig, document: Document) -> None:
    for method, template, operation in operations(document):
        path = re.sub(r"\{\w+\}", str(UUID(int=7)), template)
        answer = await rig.call(method, path, token=None, body={"data": {}})
        assert (answer.status == 401) is bool(operation["security"])
        check(document, template, method, answer)


def test_the_documents_name_no_host_of_ours() -> None:
    for file in (OPENAPI, ASYNCAPI):
        hosts = set(re.findall(r"https?://([^/\"\\)`]+)", file.read_text()))
        assert hosts <= {"jsonapi.org", "cdn.example.org"}
        assert json.loads(file.read_text())["info"]["title"]
