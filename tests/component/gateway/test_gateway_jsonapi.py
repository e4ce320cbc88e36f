"""JSON:API 1.1 over the example contract: a real gRPC server, the generated routes, the gateway's own application. What the
services of the platform do not need of it is shown here.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import grpc
import pytest
from grpc_status import rpc_status
from samovar.types.v1 import page_pb2
from yarl import URL

from chassis.errors import DomainError, FieldViolation, Kind
from chassis.errors.wire import to_rpc_status
from chassis.grpc_server.readiness import Readiness
from gateway.app import AppParts, make_app
from gateway.http.ops import Probes
from gateway.http.server import serve_http
from gateway.request.limits import Limits
from gateway.upstream.backends import open_backends
from tests.unit.codegen import contract_compiler
from tests.unit.codegen.contract_compiler import EXAMPLE, EXAMPLE_FILES, Example

BOOKS = "/api/v1/books"
PEOPLE = {"ann": "acme", "bob": "acme", "cid": "zenit"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    sources = contract_compiler.generate(
        EXAMPLE, EXAMPLE_FILES, tmp_path_factory.mktemp("image"), "package=example_rest"
    )
    with contract_compiler.imported(sources, tmp_path_factory.mktemp("example")) as made:
        yield made


class Shelf:
    """The services of the example: a few books by two people of one company. Keeps what it was asked."""

    def __init__(self, pb: Any) -> None:
        self.pb = pb
        self.calls: list[tuple[str, Any]] = []
        self.error: DomainError | None = None
        self.books = {
            "b1": pb.Book(id="b1", title="One", author_id="ann", tag_ids=["t1", "t2"], sequel_id="b2"),
            "b2": pb.Book(id="b2", title="Two", author_id="bob", tag_ids=["t2"], sequel_id="b9"),
            "b3": pb.Book(id="b3", title="Three", author_id="ann"),
            "b4": pb.Book(id="b4", title="Four", author_id="cid"),
            "b5": pb.Book(id="b5", title="Nobody's"),
        }

    def asked(self, name: str) -> list[Any]:
        return [request for called, request in self.calls if called == name]

    def answer(self, name: str, request: Any) -> Any:
        self.calls.append((name, request))
        if self.error is not None:
            raise self.error
        return getattr(self, name)(request)

    def ListBooks(self, request: Any) -> Any:
        tags = ("t1", "t2", "t-unrelated", "t1") if "tags" in request.include else ()
        return self.pb.ListBooksResponse(
            books=self.books.values(),
            page=page_pb2.PageInfo(total_items=7, current_page=request.page or 1, per_page=request.limit or 5),
            included_tags=[self.pb.Tag(id=tag, label=tag.upper()) for tag in tags],
        )

    def GetBook(self, request: Any) -> Any:
        response = self.pb.GetBookResponse(book=self.books[request.book_id])
        if "author" in request.paths:
            response.included_author.CopyFrom(self._person(response.book.author_id))
        return response

    def BatchGetBooks(self, request: Any) -> Any:
        known = {**self.books, "b9": self.pb.Book(id="b9", title="Nine")}
        return self.pb.BatchGetBooksResponse(books=[known[one] for one in request.ids])

    def CreateBook(self, request: Any) -> Any:
        book = self.pb.Book(id="new", title=request.title, author_id=request.author_id, tag_ids=request.tag_ids)
        return self.pb.BookResponse(book=book)

    def UpdateBook(self, request: Any) -> Any:
        return self.pb.BookResponse(book=self.books[request.book_id])

    GetBookAuthor = SetBookAuthor = GetBookTags = AddBookTags = UpdateBook

    def SetBookTags(self, _request: Any) -> Any:
        return self.pb.NoResponse()

    RemoveBookTags = SetBookTags

    def ShowBookAuthor(self, request: Any) -> Any:
        return self.pb.PersonResponse(person=self._person(self.books[request.book_id].author_id))

    def ListTags(self, request: Any) -> Any:
        place = int(request.after or request.before or "0")
        tags = [self.pb.Tag(id=f"t{place}", label="L")]
        prev = str(place - 1) if place else ""
        cursors = page_pb2.CursorInfo(next="" if place == 2 else str(place + 1), prev=prev, per_page=1)
        return self.pb.ListTagsResponse(tags=tags, cursors=cursors)

    def BatchGetPeople(self, request: Any) -> Any:
        return self.pb.BatchGetPeopleResponse(people=[self._person(one) for one in reversed(request.person_ids)])

    def BatchGetCompanies(self, request: Any) -> Any:
        found = [self.pb.Company(id=one, name=one.title()) for one in request.company_ids if one != "zenit"]
        return self.pb.BatchGetCompaniesResponse(companies=found)

    def _person(self, person_id: str) -> Any:
        return self.pb.Person(id=person_id, name=person_id.title(), company_id=PEOPLE[person_id])


def _handler(shelf: Shelf, method: Any, pb: Any) -> Any:
    async def answer(request: Any, context: Any) -> Any:
        try:
            return shelf.answer(method.name, request)
        except DomainError as error:
            await context.abort_with_status(_status(error))

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=getattr(pb, method.input_type.name).FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )


def _status(error: DomainError) -> Any:
    return rpc_status.to_status(to_rpc_status(error, domain="example-service"))


@dataclass
class Rig:
    url: str
    http: aiohttp.ClientSession
    shelf: Shelf

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> "Answer":
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/vnd.api+json")
        payload = None if body is None else json.dumps(body).encode()
        async with self.http.request(
            method, URL(self.url + path, encoded=True), data=payload, headers=sent
        ) as response:
            content = await response.read()
            return Answer(response.status, response.headers, json.loads(content) if content else None)

    async def get(self, path: str, **headers: str) -> "Answer":
        return await self.call("GET", path, **headers)


@dataclass
class Answer:
    status: int
    headers: Any
    document: Any

    @property
    def errors(self) -> list[tuple[str, Any]]:
        return [(error["code"], error.get("source")) for error in self.document["errors"]]

    @property
    def included(self) -> list[tuple[str, str]]:
        return [(one["type"], one["id"]) for one in self.document["included"]]


@pytest.fixture
async def rig(example: Example) -> AsyncIterator[Rig]:
    pb = example.books_pb2
    shelf = Shelf(pb)
    routes = [route for route in example.routes.ROUTES if "Book" in route.rpc or "Person" in route.rpc]
    async with AsyncExitStack() as stack:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        for service in pb.DESCRIPTOR.services_by_name.values():
            handlers = {method.name: _handler(shelf, method, pb) for method in service.methods}
            server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        backends = await stack.enter_async_context(
            open_backends(
                {"example": f"127.0.0.1:{port}"},
                [rpc for route in routes for rpc in route.rpcs],
                service_tokens=None,
                deadline_seconds=5.0,
                start_deadline_seconds=20.0,
            )
        )
        # Every route is public: nobody's token is looked at.
        parts = AppParts(routes, (), backends, None, Probes(Readiness()))  # type: ignore[arg-type]
        http_port = await stack.enter_async_context(
            serve_http(make_app(parts), host="127.0.0.1", port=0, drain_seconds=0.5, limits=Limits())
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Rig(f"http://127.0.0.1:{http_port}", http, shelf)
        await asyncio.sleep(0)


async def test_every_document_says_the_version(rig: Rig) -> None:
    assert (await rig.get(BOOKS)).document["jsonapi"] == {"version": "1.1"}
    assert "included" not in (await rig.get(BOOKS)).document


async def test_related_resources_come_in_batches_never_one_by_one(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=author")
    assert answer.status == 200
    assert sorted(answer.included) == [("person", "ann"), ("person", "bob"), ("person", "cid")]
    # Three people, each asked for once, and two go in one call by the rule of the ids.
    asked = sorted(sorted(request.person_ids) for request in rig.shelf.asked("BatchGetPeople"))
    assert [len(ids) for ids in asked] in ([2, 1], [1, 2])
    assert sorted(one for ids in asked for one in ids) == ["ann", "bob", "cid"]


async def test_a_path_includes_what_lies_on_it_and_is_linked_through(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=author.company")
    kinds = {kind for kind, _ in answer.included}
    assert kinds == {"person", "company"}
    # One call for the companies of all; one company that cannot be had is left out.
    assert [sorted(request.company_ids) for request in rig.shelf.asked("BatchGetCompanies")] == [["acme", "zenit"]]
    assert ("company", "zenit") not in answer.included
    linked = {
        (one["type"], one["id"])
        for resource in [*answer.document["data"], *answer.document["included"]]
        for relationship in resource.get("relationships", {}).values()
        for one in _identifiers(relationship["data"])
    }
    assert set(answer.included) <= linked


def _identifiers(data: Any) -> Iterable[Any]:
    return data if isinstance(data, list) else [data] if data else []


async def test_the_service_includes_by_itself_what_it_is_told_and_no_call_is_made(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=tags")
    assert list(rig.shelf.asked("ListBooks")[0].include) == ["tags"]
    assert [name for name, _ in rig.shelf.calls] == ["ListBooks"]
    # Each once, and nothing that nothing links to.
    assert sorted(answer.included) == [("tag", "t1"), ("tag", "t2")]
    assert list((await _plain(rig)).include) == []


async def _plain(rig: Rig) -> Any:
    await rig.get(BOOKS)
    return rig.shelf.asked("ListBooks")[-1]


async def test_primary_data_is_not_included_again(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=sequel,tags")
    assert ("book", "b9") in answer.included
    assert ("book", "b2") not in answer.included
    assert [list(request.ids) for request in rig.shelf.asked("BatchGetBooks")] == [["b9"]]
    keys = [(one["type"], one["id"]) for one in [*answer.document["data"], *answer.document["included"]]]
    assert len(keys) == len(set(keys))


async def test_an_empty_include_includes_nothing(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=")
    assert answer.document["included"] == []


async def test_one_resource_can_have_included_ones_too(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}/b1?include=author")
    assert answer.included == [("person", "ann")]


async def test_everything_wrong_with_a_query_is_told_at_once(rig: Rig) -> None:
    query = "include=publisher&fields[book]=title,colour&fields[ship]=name&sort=-size&filter[year]=1&page[cursor]=x"
    answer = await rig.get(f"{BOOKS}?{query}")
    assert answer.status == 400
    assert sorted(answer.errors, key=lambda one: str(one[1])) == [
        ("INVALID_QUERY_PARAMETER", {"parameter": name})
        for name in ("fields[book]", "fields[ship]", "filter[year]", "include", "page[cursor]", "sort")
    ]
    assert rig.shelf.calls == []


async def test_include_is_refused_where_nothing_can_be_included(rig: Rig) -> None:
    answer = await rig.get("/api/v1/tags?include=books")
    assert (answer.status, answer.errors) == (400, [("INVALID_QUERY_PARAMETER", {"parameter": "include"})])


async def test_a_parameter_of_jsonapi_comes_once(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=tags&include=author&fields[book]=title&fields[book]=tags")
    assert sorted(str(source) for _, source in answer.errors) == [
        "{'parameter': 'fields[book]'}",
        "{'parameter': 'include'}",
    ]


async def test_a_fieldset_is_exact_and_only_for_its_type(rig: Rig) -> None:
    answer = await rig.get(f"{BOOKS}?include=author&fields[book]=title,author&fields[person]=")
    for book in answer.document["data"]:
        assert list(book["attributes"]) == ["title"]
        assert list(book["relationships"]) == ["author"]
        assert book["links"]["self"] == f"{BOOKS}/{book['id']}"
    for person in answer.document["included"]:
        assert person.keys() == {"type", "id"}
    whole = (await rig.get(f"{BOOKS}?include=author&fields[person]=name")).document
    assert whole["data"] == (await rig.get(BOOKS)).document["data"]
    assert all(one["attributes"].keys() == {"name"} and "relationships" not in one for one in whole["included"])


async def test_a_fieldset_without_the_relationship_still_includes(rig: Rig) -> None:
    """Full linkage has this one exception (section 7.1.1)."""
    answer = await rig.get(f"{BOOKS}?include=author&fields[book]=title")
    assert len(answer.included) == 3


async def test_an_order_has_jsonapis_names(rig: Rig) -> None:
    for query, value in (("sort=title", 1), ("sort=-title", 2), ("sort_by=random", 3)):
        assert (await rig.get(f"{BOOKS}?{query}")).status == 200
        assert rig.shelf.asked("ListBooks")[-1].sort_by == value
    assert (await rig.get("/api/v1/tags?sort=-use,label")).status == 200
    assert list(rig.shelf.asked("ListTags")[-1].sort) == [2, 1]


@pytest.mark.parametrize("query", ["sort=title,-title", "sort=random", "sort=", "sort=title&sort_by=random"])
async def test_an_order_that_is_not_supported_is_refused(rig: Rig, query: str) -> None:
    answer = await rig.get(f"{BOOKS}?{query}")
    assert (answer.status, answer.errors) == (400, [("INVALID_QUERY_PARAMETER", {"parameter": "sort"})])


async def test_filters_have_two_spellings_that_do_not_mix(rig: Rig) -> None:
    await rig.get(f"{BOOKS}?filter[title]=One&filter[tags]=t1,t2")
    await rig.get(f"{BOOKS}?title=One&tag_ids=t1&tag_ids=t2")
    theirs, ours = rig.shelf.asked("ListBooks")
    assert theirs == ours
    mixed = await rig.get(f"{BOOKS}?filter[title]=One&title=One&filter[tags]=t1")
    assert mixed.errors == [("INVALID_QUERY_PARAMETER", {"parameter": "filter[title]"})]


async def test_links_of_a_page_keep_the_other_parameters(rig: Rig) -> None:
    query = "include=tags&fields[book]=title&sort=-title&filter[title]=One&page[number]=2&page[size]=1"
    links = (await rig.get(f"{BOOKS}?{query}")).document["links"]
    assert links["self"] == f"{BOOKS}?{query}"
    for name, number in (("first", 1), ("prev", 1), ("next", 3), ("last", 7)):
        assert links[name] == f"{BOOKS}?{query.replace('page[number]=2', f'page[number]={number}')}"
        assert (await rig.get(links[name])).status == 200


@pytest.mark.parametrize(("after", "size"), [("after", "limit"), ("page[after]", "page[size]")])
async def test_a_collection_is_walked_by_cursors_in_either_spelling(rig: Rig, after: str, size: str) -> None:
    seen, link = [], f"/api/v1/tags?{size}=1&sort=label"
    while link is not None:
        page = (await rig.get(link)).document
        seen += [one["id"] for one in page["data"]]
        assert page["meta"] == {"per_page": 1}
        last, link = page, page["links"]["next"]
        assert link is None or f"{after}=" in link
        assert link is None or "sort=label" in link
    assert seen == ["t0", "t1", "t2"]
    assert last["links"]["first"] == f"/api/v1/tags?{size}=1&sort=label"
    back = (await rig.get(last["links"]["prev"])).document
    assert rig.shelf.asked("ListTags")[-1].before == "1"
    assert back["data"][0]["id"] == "t1"


async def test_cursors_of_two_spellings_do_not_mix(rig: Rig) -> None:
    answer = await rig.get("/api/v1/tags?after=1&page[size]=3")
    assert answer.errors == [("INVALID_QUERY_PARAMETER", {"parameter": "page[size]"})]


async def test_a_relationship_links_to_itself_and_to_what_it_relates_to(rig: Rig) -> None:
    book = (await rig.get(f"{BOOKS}/b1")).document["data"]
    for name, count in (("tags", 2), ("author", 1)):
        relationship = book["relationships"][name]
        itself = (await rig.get(relationship["links"]["self"])).document
        assert itself["data"] == relationship["data"]
        assert itself["links"] == relationship["links"]
        assert itself.keys() == {"jsonapi", "data", "links"}
        related = (await rig.get(relationship["links"]["related"])).document["data"]
        assert len(related if isinstance(related, list) else [related]) in {count, 1}
    assert (await rig.get(f"{BOOKS}/b5/relationships/author")).document["data"] is None
    assert (await rig.get(f"{BOOKS}/b5/relationships/tags")).document["data"] == []


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_relationship_that_there_is_not_is_404(rig: Rig, method: str) -> None:
    answer = await rig.call(
        method, f"{BOOKS}/b1/relationships/publisher", {"data": None} if method == "PATCH" else None
    )
    assert (answer.status, answer.errors[0][0]) == (404, "ROUTE_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "rpc"), [("POST", "AddBookTags"), ("PATCH", "SetBookTags"), ("DELETE", "RemoveBookTags")]
)
async def test_a_to_many_relationship_is_added_to_replaced_and_removed_from(rig: Rig, method: str, rpc: str) -> None:
    data = [{"type": "tag", "id": "t7"}, {"type": "tag", "id": "t8"}]
    answer = await rig.call(method, f"{BOOKS}/b1/relationships/tags", {"data": data})
    assert answer.status == (200 if method == "POST" else 204)
    request = rig.shelf.asked(rpc)[0]
    assert (request.book_id, list(request.tag_ids)) == ("b1", ["t7", "t8"])
    if method == "POST":
        assert answer.document["data"] == [{"type": "tag", "id": "t1"}, {"type": "tag", "id": "t2"}]


async def test_a_to_one_relationship_is_set_and_cleared(rig: Rig) -> None:
    path = f"{BOOKS}/b1/relationships/author"
    assert (await rig.call("PATCH", path, {"data": {"type": "person", "id": "bob"}})).status == 200
    assert (await rig.call("PATCH", path, {"data": None})).status == 200
    first, second = rig.shelf.asked("SetBookAuthor")
    assert (first.author_id, second.HasField("author_id")) == ("bob", False)
    assert (await rig.call("POST", path, {"data": None})).status == 405


@pytest.mark.parametrize(
    ("path", "body", "status", "source"),
    [
        ("tags", {}, 400, {"pointer": ""}),
        ("tags", {"data": None}, 400, {"pointer": "/data"}),
        ("tags", {"data": {"type": "tag", "id": "t"}}, 400, {"pointer": "/data"}),
        ("tags", {"data": ["t"]}, 400, {"pointer": "/data/0"}),
        ("tags", {"data": [{"type": "tag"}]}, 400, {"pointer": "/data/0"}),
        ("tags", {"data": [{"type": "tag", "id": 1}]}, 400, {"pointer": "/data/0/id"}),
        ("tags", {"data": [{"id": "t"}]}, 400, {"pointer": "/data/0"}),
        ("tags", {"data": [{"type": "person", "id": "t"}]}, 409, {"pointer": "/data/0/type"}),
        ("author", {"data": []}, 400, {"pointer": "/data"}),
        ("author", {"data": {"type": "tag", "id": "t"}}, 409, {"pointer": "/data/type"}),
        ("author", [], 400, {"pointer": ""}),
    ],
)
async def test_linkage_that_does_not_fit_is_refused(rig: Rig, path: str, body: Any, status: int, source: Any) -> None:
    answer = await rig.call("PATCH", f"{BOOKS}/b1/relationships/{path}", body)
    assert (answer.status, [where for _, where in answer.errors]) == (status, [source])
    assert rig.shelf.calls == []


async def test_a_resource_is_made_with_relationships(rig: Rig) -> None:
    relationships = {
        "author": {"data": {"type": "person", "id": "ann"}},
        "tags": {"data": [{"type": "tag", "id": "t1"}]},
    }
    data = {"type": "book", "attributes": {"title": "New"}, "relationships": relationships}
    answer = await rig.call("POST", BOOKS, {"data": data})
    assert (answer.status, answer.headers["Location"]) == (201, f"{BOOKS}/new")
    request = rig.shelf.asked("CreateBook")[0]
    assert (request.title, request.author_id, list(request.tag_ids)) == ("New", "ann", ["t1"])
    assert answer.document["data"]["relationships"]["tags"]["data"] == relationships["tags"]["data"]


async def test_members_that_begin_with_at_are_ignored_wherever_they_stand(rig: Rig) -> None:
    data = {"type": "book", "@a": 1, "attributes": {"title": "New", "@b": 2}, "relationships": {"@c": 3}}
    assert (await rig.call("POST", BOOKS, {"data": data, "@d": 4, "unknown": 5})).status == 201
    assert rig.shelf.asked("CreateBook")[0].title == "New"


async def test_a_resource_is_changed_by_its_relationships(rig: Rig) -> None:
    relationships = {"author": {"data": None}, "tags": {"data": []}}
    data = {"type": "book", "id": "b1", "relationships": relationships}
    assert (await rig.call("PATCH", f"{BOOKS}/b1", {"data": data})).status == 200
    request = rig.shelf.asked("UpdateBook")[0]
    assert sorted(request.update_mask.paths) == ["author_id", "tag_ids"]
    assert not request.book.HasField("author_id")


@pytest.mark.parametrize(
    ("relationships", "status", "code", "pointer"),
    [
        ({"sequel": {"data": None}}, 403, "RELATIONSHIP_NOT_WRITABLE", "/data/relationships/sequel"),
        ({"publisher": {"data": None}}, 400, "VALIDATION_ERROR", "/data/relationships/publisher"),
        ({"tags": {}}, 400, "VALIDATION_ERROR", "/data/relationships/tags"),
        ({"tags": {"data": None}}, 400, "VALIDATION_ERROR", "/data/relationships/tags/data"),
        ({"tags": {"data": [7]}}, 400, "VALIDATION_ERROR", "/data/relationships/tags/data/0"),
        (
            {"author": {"data": {"type": "tag", "id": "x"}}},
            409,
            "RESOURCE_TYPE_CONFLICT",
            "/data/relationships/author/data/type",
        ),
        ({"author": {"data": {"type": "person", "id": "bob"}}}, 400, "VALIDATION_ERROR", "/data/relationships/author"),
        ([], 400, "VALIDATION_ERROR", "/data/relationships"),
    ],
)
async def test_relationships_that_do_not_fit_are_refused(
    rig: Rig, relationships: Any, status: int, code: str, pointer: str
) -> None:
    attributes = {"author_id": "ann"} if code == "VALIDATION_ERROR" else {}
    data = {"type": "book", "attributes": attributes, "relationships": relationships}
    answer = await rig.call("POST", BOOKS, {"data": data})
    assert (answer.status, answer.errors) == (status, [(code, {"pointer": pointer})])
    assert rig.shelf.calls == []


@pytest.mark.parametrize(
    ("call", "field_path", "source"),
    [
        (("GET", f"{BOOKS}?page[size]=1"), "limit", {"parameter": "page[size]"}),
        (("GET", f"{BOOKS}?limit=1"), "limit", {"parameter": "limit"}),
        (("GET", f"{BOOKS}?filter[tags]=1"), "tag_ids[0]", {"parameter": "filter[tags]"}),
        (("GET", f"{BOOKS}?sort=title"), "sort_by", {"parameter": "sort"}),
        (("GET", f"{BOOKS}?include=tags"), "include[0]", {"parameter": "include"}),
        (
            (
                "POST",
                f"{BOOKS}/b1/relationships/tags",
                {"data": [{"type": "tag", "id": "t"}, {"type": "tag", "id": "u"}]},
            ),
            "tag_ids[1]",
            {"pointer": "/data/1/id"},
        ),
        (
            ("PATCH", f"{BOOKS}/b1/relationships/author", {"data": {"type": "person", "id": "x"}}),
            "author_id",
            {"pointer": "/data/id"},
        ),
        (
            (
                "POST",
                BOOKS,
                {"data": {"type": "book", "relationships": {"tags": {"data": [{"type": "tag", "id": "t"}]}}}},
            ),
            "tag_ids[0]",
            {"pointer": "/data/relationships/tags/data/0/id"},
        ),
        (
            (
                "PATCH",
                f"{BOOKS}/b1",
                {"data": {"type": "book", "relationships": {"author": {"data": {"type": "person", "id": "x"}}}}},
            ),
            "book.author_id",
            {"pointer": "/data/relationships/author/data/id"},
        ),
    ],
)
async def test_a_services_violation_points_at_what_the_client_wrote(
    rig: Rig, call: tuple[Any, ...], field_path: str, source: Any
) -> None:
    violations = [FieldViolation(field_path, "must be better", "rule")]
    rig.shelf.error = DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=violations)
    answer = await rig.call(*call)
    assert (answer.status, answer.errors) == (400, [("VALIDATION_ERROR", source)])


@pytest.mark.parametrize("method", ["BatchGetCompanies", "BatchGetPeople"])
async def test_a_service_that_cannot_give_what_is_to_be_included_fails_the_request(rig: Rig, method: str) -> None:
    """One call that fails, and two at once."""

    def away(_request: Any) -> Any:
        raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    setattr(rig.shelf, method, away)
    answer = await rig.get(f"{BOOKS}?include=author.company")
    assert (answer.status, answer.errors[0][0]) == (503, "SERVICE_UNAVAILABLE")
    assert "data" not in answer.document


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/vnd.api+json", 200),
        ('application/vnd.api+json; profile="https://example.org/p"', 200),
        ('application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"', 415),
        ("application/vnd.api+json; charset=utf-8", 415),
        ("text/plain", 415),
    ],
)
async def test_documents_are_taken_in_the_media_type_with_its_two_parameters(
    rig: Rig, content_type: str, status: int
) -> None:
    body = {"data": {"type": "book", "id": "b1"}}
    answer = await rig.call("PATCH", f"{BOOKS}/b1", body, Content_Type=content_type)
    assert answer.status == status


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/vnd.api+json", 200),
        ('application/vnd.api+json; profile="https://example.org/p"', 200),
        ('application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"', 406),
        ('application/vnd.api+json; ext="https://x.org/y", application/vnd.api+json', 200),
        ("application/vnd.api+json; version=1", 406),
    ],
)
async def test_what_is_accepted_is_answered_or_refused(rig: Rig, accept: str, status: int) -> None:
    answer = await rig.get(BOOKS, Accept=accept)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/vnd.api+json"
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize("encode", [str, lambda name: quote(name, safe="")])
async def test_brackets_may_be_percent_encoded(rig: Rig, encode: Callable[[str], str]) -> None:
    answer = await rig.get(
        f"{BOOKS}?{encode('fields[book]')}=title&{encode('page[number]')}=2&{encode('page[size]')}=1"
    )
    assert answer.status == 200
    assert all(book["attributes"].keys() == {"title"} for book in answer.document["data"])


async def test_a_client_id_is_403_and_another_type_or_id_is_409(rig: Rig) -> None:
    made = await rig.call("POST", BOOKS, {"data": {"type": "book", "id": "mine", "attributes": {"title": "x"}}})
    assert (made.status, made.errors) == (403, [("CLIENT_ID_NOT_SUPPORTED", {"pointer": "/data/id"})])
    other = await rig.call("POST", BOOKS, {"data": {"type": "tag"}})
    assert (other.status, other.errors) == (409, [("RESOURCE_TYPE_CONFLICT", {"pointer": "/data/type"})])
    patched = await rig.call("PATCH", f"{BOOKS}/b1", {"data": {"type": "book", "id": "b2"}})
    assert (patched.status, patched.errors) == (409, [("RESOURCE_TYPE_CONFLICT", {"pointer": "/data/id"})])
