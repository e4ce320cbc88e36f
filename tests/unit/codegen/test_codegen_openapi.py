"""The OpenAPI document that the generator writes: valid by its standard, true to the proto, its examples true to its schemas."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from buf.validate import validate_pb2
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from rest.routes import ROUTES
from samovar.types.v1 import page_pb2

from chassis.errors.reasons import REASONS
from codegen.read.constraints import is_required, keywords
from codegen.read.model import Field, Kind, Location
from gateway.contract import Problem, Route
from gateway.jsonapi.documents import answer_document, read_attributes, read_linkage, read_resources
from tests.unit.codegen.contract_compiler import Example
from tests.unit.codegen.documents import (
    OPENAPI,
    as_services_send,
    faults,
    operations,
    parameters,
    read,
    resolved,
    validator,
)


@pytest.fixture(scope="module")
def real() -> Any:
    return read(OPENAPI.read_text())


@pytest.fixture(scope="module")
def made(example_sources: Mapping[str, str]) -> Any:
    """The document of the example contract."""
    return read(example_sources["example_rest/openapi.json"])


def test_the_documents_are_valid_openapi(real: Any, made: Any) -> None:
    for document in (real, made):
        assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_is_an_operation_and_nothing_else_is(real: Any) -> None:
    documented = {(verb, path) for verb, path, _ in operations(real)}
    assert documented == {(route.method, route.path) for route in ROUTES}
    names = [operation["operationId"] for _, _, operation in operations(real)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ({"increment": 1}, True),
        ({"increment": 1, "current_progress": None}, True),
        ({"increment": 1, "current_progress": 2}, False),
        ({"increment": None}, False),
        ({}, False),
    ],
)
def test_of_a_oneof_that_is_required_one_member_is_there(real: Any, given: Any, *, is_taken: bool) -> None:
    """As the services see it: null is not there."""
    schema = real["components"]["schemas"]["library.v1.AchievementProgress.input"]
    assert validator(real, schema).is_valid(given) is is_taken


def test_every_operation_says_who_may_call_it(real: Any) -> None:
    rules = {(route.method, route.path): route.access for route in ROUTES}
    for verb, path, operation in operations(real):
        access = rules[verb, path]
        assert operation["security"] == ([] if access.public else [{"bearer": [role]} for role in access.roles])


def test_examples_keep_their_schemas(real: Any, made: Any) -> None:
    checked = 0
    for document in (real, made):
        for verb, path, operation in operations(document):
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in (media for body in bodies for media in body.get("content", {}).values()):
                if "example" in content:
                    errors = list(validator(document, content["schema"]).iter_errors(content["example"]))
                    assert errors == [], (verb, path)
                    checked += 1
    assert checked > 40


def test_examples_of_errors_keep_their_schemas(real: Any) -> None:
    for response in real["components"]["responses"].values():
        for content in response["content"].values():
            for code in content["examples"]:
                value = real["components"]["examples"][code]["value"]
                assert list(validator(real, content["schema"]).iter_errors(value)) == []


def test_an_operation_lists_the_errors_of_its_own(real: Any) -> None:
    start = real["paths"]["/api/v1/download-client/downloads"]["post"]
    assert {"403", "404", "409", "429", "507"} <= start["responses"].keys()
    refused = real["components"]["responses"][start["responses"]["403"]["$ref"].rpartition("/")[2]]
    assert "PRODUCT_ACCESS_DENIED" in refused["description"]
    listed = real["paths"]["/api/v1/library/items"]["get"]["responses"]
    assert {"409", "413", "415"}.isdisjoint(listed)


def test_every_code_of_the_document_is_in_the_registry(real: Any) -> None:
    codes = set(real["components"]["examples"])
    assert codes <= REASONS.keys()
    assert {"VALIDATION_ERROR", "DOWNLOAD_QUEUE_FULL", "LIBRARY_ITEM_NOT_FOUND"} <= codes


def test_members_of_answers_are_all_there_and_null_only_where_the_proto_says_optional(real: Any) -> None:
    attributes = real["components"]["schemas"]["libraryItem"]["properties"]["attributes"]
    assert attributes["required"] == list(attributes["properties"])
    assert attributes["properties"]["title"]["type"] == ["string", "null"]
    assert attributes["properties"]["is_hidden"]["type"] == "boolean"
    assert attributes["properties"]["added_at"]["format"] == "date-time"
    assert attributes["properties"]["total_playtime_seconds"] == {
        "description": "Time played, over all devices.",
        "type": "integer",
        "format": "int64",
    }


def test_members_of_requests_carry_the_rules_of_the_proto(real: Any) -> None:
    changes = real["components"]["schemas"]["library.v1.LibraryItemChanges.input"]
    assert changes["additionalProperties"] is False
    assert "required" not in changes
    rating = changes["properties"]["user_rating"]
    assert (rating["minimum"], rating["maximum"], rating["type"]) == (1, 5, ["integer", "null"])
    assert changes["properties"]["is_hidden"]["type"] == "boolean"
    start = real["components"]["schemas"]["download.v1.StartDownloadRequest.attributes"]
    assert start["required"] == ["product_id"]
    assert start["properties"]["product_id"]["format"] == "uuid"
    item = real["components"]["schemas"]["download.v1.ItemReport.input"]
    assert item["required"] == ["item_id", "status"]


def test_both_spellings_of_pages_are_documented(real: Any) -> None:
    operation = real["paths"]["/api/v1/library/items"]["get"]
    by_name = {one["name"]: one["schema"] for one in parameters(real, operation)}
    assert by_name["page"] == by_name["page[number]"]
    assert by_name["limit"] == by_name["page[size]"]
    assert (by_name["limit"]["minimum"], by_name["limit"]["maximum"]) == (1, 100)


def _by_name(document: Any, path: str, verb: str = "get") -> dict[str, Any]:
    return {one["name"]: one for one in parameters(document, document["paths"][path][verb])}


def test_what_a_client_may_ask_to_see_is_documented(real: Any, made: Any) -> None:
    items = _by_name(real, "/api/v1/library/items")
    assert items["include"]["schema"]["items"]["enum"] == ["categories", "product"]
    assert {"title", "category_ids", "categories"} <= {*items["fields[libraryItem]"]["schema"]["items"]["enum"]}
    assert {"fields[userCategory]", "fields[product]"} <= items.keys()
    assert items["filter[status]"]["schema"] == items["status"]["schema"]
    sort = items["sort"]
    assert (sort["explode"], sort["schema"]["maxItems"]) == (False, 1)
    assert sort["schema"]["items"]["enum"][:2] == ["title", "-title"]
    assert _by_name(made, "/api/v1/tags")["sort"]["schema"]["maxItems"] == 2
    assert {"include", "sort"}.isdisjoint(_by_name(real, "/api/v1/library/categories"))


def test_included_resources_are_documented_by_their_types(real: Any) -> None:
    answer = real["paths"]["/api/v1/library/items"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    document = resolved(real, answer)
    kinds = [one["$ref"].rpartition("/")[2] for one in document["properties"]["included"]["items"]["anyOf"]]
    assert kinds == ["userCategory", "product"]
    assert "included" not in document["required"]


def test_resource_linkage_is_documented_either_way(real: Any, made: Any) -> None:
    path = real["paths"]["/api/v1/library/items/{library_item_id}/relationships/categories"]
    assert path.keys() == {"get", "post", "patch", "delete"}
    body = resolved(real, path["post"]["requestBody"]["content"]["application/json"]["schema"])["properties"]["data"]
    assert (body["type"], body["maxItems"], body["items"]["properties"]["id"]["format"]) == ("array", 100, "uuid")
    assert body["items"]["properties"]["type"]["const"] == "userCategory"
    answer = path["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert resolved(real, answer)["required"] == ["jsonapi", "data", "links"]
    one = made["paths"]["/api/v1/books/{book_id}/relationships/author"]["patch"]["requestBody"]["content"]
    data = resolved(made, one["application/json"]["schema"])["properties"]["data"]
    assert data["type"] == ["object", "null"]


def test_relationships_of_a_request_are_documented_beside_the_attributes(real: Any) -> None:
    body = real["paths"]["/api/v1/library/wishlist/items"]["post"]["requestBody"]["content"]["application/json"]
    data = resolved(real, body["schema"])["properties"]["data"]["properties"]
    linked = data["relationships"]["properties"]["product"]["properties"]["data"]
    assert linked["properties"]["type"]["const"] == "product"
    codes = real["paths"]["/api/v1/library/items/{library_item_id}"]["patch"]["responses"]["403"]["$ref"]
    assert "RELATIONSHIP_NOT_WRITABLE" in codes


def test_a_request_with_a_list_is_documented_as_one(real: Any) -> None:
    data = real["components"]["schemas"]["UpdateService_CheckUpdates.request"]["properties"]["data"]
    assert (data["type"], data["minItems"], data["maxItems"]) == ("array", 1, 500)
    assert data["items"]["required"] == ["type", "id", "attributes"]
    assert data["items"]["properties"]["type"]["enum"] == ["installedProduct"]
    assert data["items"]["properties"]["id"]["format"] == "uuid"


def test_entity_tags_are_documented_where_they_are_taken_and_given(real: Any) -> None:
    put = real["paths"]["/api/v1/library/game-settings/{product_id}"]["put"]
    assert "If-Match" in {one["name"] for one in parameters(real, put)}
    assert "ETag" in put["responses"]["200"]["headers"]
    assert {"412", "413", "428"} <= put["responses"].keys()


def test_headers_are_documented_where_they_hold_and_only_there(real: Any) -> None:
    routes = {(route.method, route.path): route for route in ROUTES}
    for verb, path, operation in operations(real):
        route = routes[verb, path]
        taken = {one["name"] for one in operation["parameters"] if one.get("in") == "header"}
        given = operation["responses"][str(route.success_status)]["headers"].keys()
        is_tagged = verb == "GET" and not route.signed_urls
        takes_key = verb == "POST" and not route.signed_urls and route.access.rate_class != "read"
        is_counted = route.access.rate_class != "none" and not route.access.public
        assert {"Accept-Language", "X-Request-ID", "X-Request-Timeout"} <= taken
        assert ("If-None-Match" in taken) == (is_tagged or route.is_conditional), path
        assert is_tagged == ("304" in operation["responses"]), path
        assert ("Idempotency-Key" in taken) == takes_key == ("Idempotency-Replayed" in given)
        assert ("If-Match" in taken) == (route.if_match_field is not None or route.is_conditional)
        assert (verb != "GET") == ("412" in operation["responses"]), path
        assert ("X-RateLimit-Remaining" in given) == is_counted
        assert not is_tagged or "ETag" in given


def needs_a_query(operation: Any) -> bool:
    """The address alone does not say what is read."""
    return any(one.get("in") == "query" and one.get("required") for one in operation["parameters"])


def test_whatever_is_changed_where_a_tag_is_given_can_be_changed_conditionally(real: Any) -> None:
    reads = {
        path
        for verb, path, operation in operations(real)
        if verb == "GET" and "304" in operation["responses"] and not needs_a_query(operation)
    }
    changes = [route for route in ROUTES if route.method != "GET" and route.path in reads]
    assert changes
    assert [route.path for route in changes if not route.is_conditional] == []


def test_a_put_needs_a_body(example: Example) -> None:
    puts = [route for route in example.routes.ROUTES if route.method == "PUT" and route.has_body]
    assert puts
    assert [route.path for route in puts if route.body_is_optional] == []


def test_who_is_told_to_wait_is_told_how_long(real: Any) -> None:
    for response in real["components"]["responses"].values():
        codes = set(next(iter(response["content"].values()))["examples"])
        waits = codes & {"RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE", "IDEMPOTENCY_KEY_IN_USE"}
        assert ("Retry-After" in response["headers"]) or not waits
        assert ("X-RateLimit-Reset" in response["headers"]) == ("RATE_LIMIT_EXCEEDED" in codes)


def test_query_parameters_that_must_be_sent_are_required(real: Any) -> None:
    operation = real["paths"]["/api/v1/download-client/versions"]["get"]
    assert {one["name"] for one in parameters(real, operation) if one.get("required")} == {"product_id"}


def test_an_answer_links_to_what_can_be_done_with_the_resource(real: Any) -> None:
    made = real["paths"]["/api/v1/download-client/downloads"]["post"]["responses"]["202"]["links"]
    assert made["DownloadService_PauseDownload"] == {
        "operationId": "DownloadService_PauseDownload",
        "parameters": {"download_id": "$response.body#/data/id"},
    }
    listed = real["paths"]["/api/v1/library/items"]["get"]["responses"]["200"]["links"]
    assert listed["LibraryService_GetItem"]["parameters"] == {"library_item_id": "$response.body#/data/0/id"}
    assert made.keys().isdisjoint(listed)


def test_enums_say_what_their_values_mean(real: Any) -> None:
    status = real["components"]["schemas"]["library.v1.InstallationStatus"]
    assert status["enum"][:2] == ["not_installed", "installing"]
    assert "* `installing`: A first download is live." in status["description"]


def _over_the_wire(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value))


def _answer(route: Route, seed: int) -> Any:
    """What the gateway answers when the service sends a random message."""
    message: Any = as_services_send(route.response_type, seed)
    for one in message.DESCRIPTOR.fields:
        if one.message_type is not None and not one.is_repeated:
            getattr(message, one.name).CopyFrom(as_services_send(GetMessageClass(one.message_type), seed))
    if route.is_collection and "page" in message.DESCRIPTOR.fields_by_name:
        message.page.CopyFrom(page_pb2.PageInfo(total_items=seed, current_page=2, per_page=20))
    encoded = route.encode(message)
    return _over_the_wire(
        answer_document(encoded, path=route.path, raw_query="", is_read=route.method == "GET"),
    )


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.no_content], ids=lambda route: route.rpc)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_whatever_a_service_sends_becomes_a_documented_answer(real: Any, route: Route, seed: int) -> None:
    operation = real["paths"][route.path][route.method.lower()]
    content = operation["responses"][str(route.success_status)]["content"]["application/vnd.api+json"]
    assert faults(real, content["schema"], _answer(route, seed)) == []


def read_document(document: Any, route: Route) -> Any:
    if route.linkage is not None:
        return read_linkage(document, route.linkage)
    return read_resources(document, route) if route.takes_list else read_attributes(document, route, {})


@pytest.mark.parametrize("route", [route for route in ROUTES if route.has_body], ids=lambda route: route.rpc)
def test_the_example_of_a_request_is_one_that_the_gateway_reads(real: Any, route: Route) -> None:
    operation = real["paths"][route.path][route.method.lower()]
    example = operation["requestBody"]["content"]["application/vnd.api+json"]["example"]
    problems: list[Problem] = []
    path = {place.strip("{}"): "x" for place in route.pointers.values() if place.startswith("{")}
    taken = read_document(example, route)
    route.decode(path, (), taken, problems)
    assert problems == []


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_every_kind_of_field_is_documented_as_it_is_written(made: Any, example: Example, seed: int) -> None:
    thing = as_services_send(example.things_pb2.Thing, seed)
    written = _over_the_wire(example.things.thing_resource(thing))
    assert faults(made, {"$ref": "#/components/schemas/thing"}, written) == []


def field(kind: Kind, rules: validate_pb2.FieldRules, *, repeated: bool = False, has_presence: bool = False) -> Field:
    return Field("f", kind, "", repeated, has_presence, "", False, rules, "f", False, None, None, Location("", 0), "")


@pytest.mark.parametrize(
    ("kind", "rules", "expected"),
    [
        (Kind.STRING, {"string": {"min_len": 2, "max_len": 5}}, {"minLength": 2, "maxLength": 5}),
        (Kind.STRING, {"string": {"len": 3}}, {"minLength": 3, "maxLength": 3}),
        (Kind.STRING, {"string": {"email": True}}, {"format": "email"}),
        (
            Kind.STRING,
            {"string": {"prefix": "a.", "suffix": "z"}},
            {"allOf": [{"pattern": "^a\\."}, {"pattern": "z$"}]},
        ),
        (Kind.STRING, {"string": {"in": ["a", "b"]}}, {"enum": ["a", "b"]}),
        (Kind.STRING, {"string": {"const": "a"}}, {"enum": ["a"]}),
        (Kind.STRING, {"string": {"not_in": ["a"]}}, {"not": {"enum": ["a"]}}),
        (Kind.DOUBLE, {"double": {"gt": 0, "lt": 1.5}}, {"exclusiveMinimum": 0.0, "exclusiveMaximum": 1.5}),
        (Kind.DOUBLE, {"double": {"const": 2}}, {"const": 2.0}),
        (Kind.UINT32, {"uint32": {"lte": 7}}, {"minimum": 0, "maximum": 7}),
        (Kind.BOOL, {"bool": {"const": True}}, {"const": True}),
    ],
)
def test_rules_become_keywords(kind: Kind, rules: dict[str, Any], expected: dict[str, Any]) -> None:
    made = validate_pb2.FieldRules(**rules)
    assert keywords(field(kind, made), made) == expected


@pytest.mark.parametrize(
    ("kind", "rules", "repeated", "has_presence", "expected"),
    [
        (Kind.STRING, {"string": {"uuid": True}}, False, False, True),
        (Kind.STRING, {"string": {"uuid": True}}, False, True, False),
        (Kind.STRING, {"string": {"max_len": 9}}, False, False, False),
        (Kind.STRING, {"string": {"pattern": "^[a-z]+$"}}, False, False, True),
        (Kind.STRING, {"string": {"min_len": 1}, "ignore": validate_pb2.IGNORE_IF_ZERO_VALUE}, False, False, False),
        (Kind.STRING, {"required": True}, False, True, True),
        (Kind.INT32, {"int32": {"gte": 0}}, False, False, False),
        (Kind.INT32, {"int32": {"gt": 0}}, False, False, True),
        (Kind.ENUM, {"enum": {"not_in": [0]}}, False, False, True),
        (Kind.ENUM, {"enum": {"defined_only": True}}, False, False, False),
        (Kind.STRING, {"repeated": {"min_items": 1}}, True, False, True),
        (Kind.STRING, {"repeated": {"max_items": 1}}, True, False, False),
    ],
)
def test_what_must_be_sent_follows_from_the_rules(
    *, kind: Kind, rules: dict[str, Any], repeated: bool, has_presence: bool, expected: bool
) -> None:
    made = validate_pb2.FieldRules(**rules)
    assert is_required(field(kind, made, repeated=repeated, has_presence=has_presence)) is expected
