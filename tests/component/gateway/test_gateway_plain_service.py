"""An ordinary gRPC service: grpcio's own server without our chassis, no health service, plain statuses, a contract by the AIPs."""

import importlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from openapi_spec_validator import OpenAPIV31SpecValidator
from yarl import URL

from chassis.grpc_client.http2_connection import MESSAGE_LIMIT_BYTES
from codegen.generate import Job, generate
from gateway.main import build
from gateway.settings import GatewaySettings
from tests.component.rpc_rig import AUDIENCE, ISSUER, auth_server

PROTO = Path(__file__).parent / "plain"
PACKAGE = "acme_rest"
JSON_API = "application/vnd.api+json"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("acme")
    generate(Job(PROTO, folder, None, PACKAGE, "Acme"), folder)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.path.remove(str(folder))


class Library:
    """Keeps shelves and books in memory; `fails` makes every call end with that status."""

    def __init__(self, pb: Any) -> None:
        self._pb = pb
        self.shelves: dict[str, Any] = {}
        self.books: dict[str, Any] = {}
        self.requests: list[Any] = []
        self.fails: grpc.StatusCode | None = None

    async def _see(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.fails is not None:
            await context.abort(self.fails, "no such thing here")

    def make_shelf(self, name: str, theme: str) -> Any:
        return self._pb.Shelf(name=name, theme=theme)

    async def CreateShelf(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        shelf = self._pb.Shelf(name=f"shelves/{len(self.shelves) + 1}", theme=request.shelf.theme)
        self.shelves[shelf.name] = shelf
        return shelf

    async def GetShelf(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        if request.name not in self.shelves:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name} is not there")
        return self.shelves[request.name]

    async def ListShelves(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        size, start = request.page_size or 10, int(request.page_token or 0)
        names = sorted(self.shelves)
        following = str(start + size) if start + size < len(names) else ""
        return self._pb.ListShelvesResponse(
            shelves=[self.shelves[name] for name in names[start : start + size]],
            next_page_token=following,
            total_size=len(names),
        )

    async def DeleteShelf(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        self.shelves.pop(request.name, None)
        return Empty()

    async def MergeShelves(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        self.shelves.pop(request.other_shelf)
        return self.shelves[request.name]

    async def GetBook(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        if request.name not in self.books:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name} is not there")
        return self.books[request.name]

    async def ListBooks(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        found = [book for name, book in sorted(self.books.items()) if name.startswith(f"{request.parent}/")]
        return self._pb.ListBooksResponse(books=found, unreachable=["shelves/far"])

    async def CreateBook(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        book = self._pb.Book(name=f"{request.parent}/books/b{len(self.books)}", title=request.book.title)
        self.books[book.name] = book
        return book

    async def UpdateBook(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        book = self.books[request.book.name]
        request.update_mask.MergeMessage(request.book, book)
        return book

    async def WatchShelves(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._see(request, context)
        yield self._pb.ShelfEvent(made=self._pb.ShelfMade(name="shelves/1"))

    async def WatchShelf(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._see(request, context)
        yield self._pb.ShelfEvent(made=self._pb.ShelfMade(name=f"shelves/{request.shelf}"))

    async def SearchBooks(self, request: Any, context: Any) -> Any:
        await self._see(request, context)
        return self._pb.ListBooksResponse(books=[one for one in self.books.values() if request.query in one.title])


@dataclass
class Acme:
    url: str
    http: aiohttp.ClientSession
    library: Library
    sent: dict[str, str] = field(default_factory=lambda: {"Accept-Language": "en"})

    async def call(self, method: str, path: str, data: Any = None, **headers: str) -> tuple[int, Any, Any]:
        sent = self.sent | {name.replace("_", "-"): value for name, value in headers.items()}
        body = None
        if data is not None:
            body, sent["Content-Type"] = json.dumps({"data": data}), JSON_API
        async with self.http.request(method, URL(self.url + path, encoded=True), data=body, headers=sent) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else None, answer.headers

    async def shelve(self, theme: str) -> Any:
        status, document, _ = await self.call("POST", "/v1/shelves", {"type": "shelf", "attributes": {"theme": theme}})
        assert status == 200, document
        return document["data"]

    async def publish(self, shelf: Any, title: str) -> Any:
        status, document, _ = await self.call(
            "POST", f"{shelf['links']['self']}/books", {"type": "book", "attributes": {"title": title}}
        )
        assert status == 200, document
        return document["data"]


@pytest.fixture
async def acme(generated: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Acme]:
    pb = importlib.import_module("acme.library.v1.library_pb2")
    stubs = importlib.import_module("acme.library.v1.library_pb2_grpc")
    library = Library(pb)
    server = grpc.aio.server()
    stubs.add_LibraryServiceServicer_to_server(library, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop, None)
        auth = await stack.enter_async_context(auth_server())
        for name, value in {
            "AUTH_JWKS_URL": auth.jwks_url,
            "AUTH_ISSUER": ISSUER,
            "AUTH_AUDIENCE": AUDIENCE,
            "ROUTES_PACKAGE": PACKAGE,
            "ACME_LIBRARY_SERVICE_GRPC_ADDR": f"127.0.0.1:{port}",
            "GATEWAY_HTTP_PORT": "0",
            "DRAIN_SECONDS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        gateway = await stack.enter_async_context(build(GatewaySettings()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Acme(f"http://127.0.0.1:{gateway.port}", http, library)


async def test_a_server_without_a_health_service_is_ready_when_it_answers(acme: Acme) -> None:
    status, document, _ = await acme.call("GET", "/readyz")
    assert status == 200, document


async def test_resource_names_are_ids_and_addresses(acme: Acme) -> None:
    shelf = await acme.shelve("Poetry")
    assert (shelf["type"], shelf["id"], shelf["links"]["self"]) == ("shelf", "shelves/1", "/v1/shelves/1")
    assert shelf["attributes"] == {"theme": "Poetry"}
    status, document, _ = await acme.call("GET", shelf["links"]["self"])
    assert (status, document["data"]) == (200, shelf)
    book = await acme.publish(shelf, "Чайка")
    assert book["links"]["self"] == "/v1/shelves/1/books/b0"
    assert (await acme.call("GET", book["links"]["self"]))[1]["data"] == book
    # A slash in a segment stays what it was sent as: no other resource can be named by it.
    await acme.call("GET", "/v1/shelves/1%2Fbooks%2Fb0")
    assert acme.library.requests[-1].name == "shelves/1%2Fbooks%2Fb0"
    await acme.call("GET", "/v1/shelves/a%7Bb%7D")
    assert acme.library.requests[-1].name == "shelves/a{b}"
    for segment in ("%ff", "%2E%2E"):
        status, document, _ = await acme.call("GET", f"/v1/shelves/{segment}")
        assert (status, document["errors"][0]["source"]) == (400, {"parameter": "shelf"})


async def test_a_change_has_a_mask_and_agrees_with_its_address(acme: Acme) -> None:
    book = await acme.publish(await acme.shelve("Plays"), "Чайка")
    path = book["links"]["self"]
    tag = (await acme.call("GET", path))[2]["ETag"]
    change = {"type": "book", "id": book["id"], "attributes": {"read": True}}
    status, document, _ = await acme.call("PATCH", path, change, If_Match=tag)
    assert (status, document["data"]["attributes"]["read"], document["data"]["attributes"]["title"]) == (
        200,
        True,
        "Чайка",
    )
    assert list(acme.library.requests[-1].update_mask.paths) == ["read"]
    assert (await acme.call("PATCH", path, change, If_Match=tag))[0] == 412
    # The document's id and name are those of the address.
    assert (await acme.call("PATCH", path, {**change, "id": "shelves/1/books/other"}))[0] == 409
    status, document, _ = await acme.call("PATCH", path, {**change, "attributes": {"name": "shelves/2/books/b0"}})
    assert (status, document["errors"][0]["source"]) == (400, {"pointer": "/data/attributes/name"})


async def test_custom_verbs_have_addresses_of_their_own(acme: Acme) -> None:
    first, second = await acme.shelve("One"), await acme.shelve("Two")
    merge = {"type": "shelf", "attributes": {"other_shelf": second["id"]}}
    status, document, _ = await acme.call("POST", f"{first['links']['self']}:merge", merge)
    assert (status, document["data"]["id"]) == (200, first["id"])
    assert acme.library.requests[-1].name == first["id"]
    await acme.publish(first, "Чайка")
    await acme.publish(first, "Gulls")
    status, document, _ = await acme.call("GET", "/v1/books:search?query=Gu")
    assert (status, [one["attributes"]["title"] for one in document["data"]]) == (200, ["Gulls"])
    assert (await acme.call("DELETE", first["links"]["self"]))[:2] == (204, None)
    assert (await acme.call("POST", f"{first['links']['self']}:other", merge))[0] in {404, 405}


async def test_pages_are_walked_by_token_and_nothing_of_an_answer_is_lost(acme: Acme) -> None:
    shelves = [await acme.shelve(f"Theme {number}") for number in range(5)]
    seen: list[Any] = []
    link: str | None = "/v1/shelves?page[size]=2"
    while link:
        status, document, _ = await acme.call("GET", link)
        assert (status, document["meta"]["total_size"]) == (200, 5)
        seen += document["data"]
        link = document["links"]["next"]
        assert (link is None) == (document["meta"]["next_page_token"] == "")
        assert document["links"]["first"] == "/v1/shelves?page[size]=2"
    assert [one["id"] for one in seen] == [one["id"] for one in shelves]
    _, document, _ = await acme.call("GET", "/v1/shelves?page_size=4")
    assert document["links"]["next"] == "/v1/shelves?page_size=4&page_token=4"
    _, document, _ = await acme.call("GET", f"{shelves[0]['links']['self']}/books")
    assert document["meta"] == {"next_page_token": "", "unreachable": ["shelves/far"]}


@pytest.mark.parametrize(
    ("code", "status", "is_shown"),
    [
        ("INVALID_ARGUMENT", 400, True),
        ("NOT_FOUND", 404, True),
        ("PERMISSION_DENIED", 403, True),
        ("FAILED_PRECONDITION", 400, True),
        ("ALREADY_EXISTS", 409, True),
        ("RESOURCE_EXHAUSTED", 429, True),
        ("UNIMPLEMENTED", 501, False),
        ("INTERNAL", 500, False),
        ("UNKNOWN", 500, False),
    ],
)
async def test_plain_statuses_are_answered_by_their_meaning(acme: Acme, code: str, status: int, is_shown: bool) -> None:  # noqa: FBT001
    acme.library.fails = grpc.StatusCode[code]
    got, document, _ = await acme.call("GET", "/v1/shelves/1")
    (error,) = document["errors"]
    assert (got, error["status"]) == (status, str(status))
    assert (error["detail"] == "no such thing here") is is_shown
    assert is_shown or "no such thing" not in json.dumps(document)


async def test_an_answer_that_is_too_large_is_the_services_fault(acme: Acme) -> None:
    name = "shelves/large"
    acme.library.shelves[name] = acme.library.make_shelf(name, "t" * (MESSAGE_LIMIT_BYTES + 1))
    status, document, _ = await acme.call("GET", f"/v1/{name}")
    assert (status, [error["code"] for error in document["errors"]]) == (500, ["INTERNAL_ERROR"])


async def test_rules_are_kept_for_a_service_that_does_not_check_them(acme: Acme) -> None:
    status, document, _ = await acme.call("POST", "/v1/shelves", {"type": "shelf", "attributes": {"theme": "t" * 21}})
    assert (status, document["errors"][0]["source"]) == (400, {"pointer": "/data/attributes/theme"})
    status, document, _ = await acme.call("GET", "/v1/shelves?page_size=101")
    assert (status, document["errors"][0]["source"]) == (400, {"parameter": "page_size"})
    assert acme.library.requests == []


async def test_streams_keep_to_the_same(acme: Acme) -> None:
    """Rules, statuses and messages of an ordinary service's stream."""

    async def lines(query: str = "", path: str = "/v1/shelves:watch") -> tuple[int, list[Any]]:
        headers = acme.sent | {"Accept": "application/x-ndjson"}
        async with acme.http.get(f"{acme.url}{path}{query}", headers=headers) as answer:
            return answer.status, [json.loads(line) for line in (await answer.read()).splitlines() if line.strip()]

    status, events = await lines("?theme=Poetry")
    assert (status, [event["event_type"] for event in events]) == (200, ["shelf.made", "stream.end"])
    assert events[0]["payload"] == {"name": "shelves/1"}
    _, events = await lines(path="/v1/shelves/9:watch")
    assert events[0]["payload"] == {"name": "shelves/9"}
    status, (refused,) = await lines(f"?theme={'t' * 21}")
    assert (status, refused["errors"][0]["code"]) == (400, "VALIDATION_ERROR")
    acme.library.fails = grpc.StatusCode.NOT_FOUND
    _, events = await lines()
    assert [(event["event_type"], event["payload"]["code"], event["payload"]["detail"]) for event in events] == [
        ("stream.error", "NOT_FOUND", "no such thing here")
    ]


async def test_the_document_is_valid_and_has_what_is_served(acme: Acme) -> None:
    _, document, _ = await acme.call("GET", "/api/v1/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    assert {
        "/v1/shelves/{shelf}",
        "/v1/shelves/{shelf}:merge",
        "/v1/shelves/{shelf}/books/{book}",
        "/v1/books:search",
    } <= set(document["paths"])
    patch = document["paths"]["/v1/shelves/{shelf}/books/{book}"]["patch"]
    # Of a service that declares no errors any status may come.
    assert {"400", "401", "403", "404", "409", "412", "429", "500", "501", "503", "504"} <= set(patch["responses"])
    assert {"shelf", "book", "If-Match"} <= {one.get("name") for one in patch["parameters"]}
    listed = document["paths"]["/v1/shelves"]["get"]["responses"]["200"]["content"][JSON_API]
    schema = document["components"]["schemas"][listed["schema"]["$ref"].rpartition("/")[2]]
    assert {"next_page_token", "total_size"} <= set(schema["properties"]["meta"]["properties"])
    assert "next" in schema["properties"]["links"]["properties"]
