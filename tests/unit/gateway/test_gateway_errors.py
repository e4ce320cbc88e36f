import orjson
import pytest
from download.v1 import downloads_pb2
from library.v1 import items_pb2

from chassis.errors import DomainError, FieldViolation, Kind
from chassis.errors.reasons import REASONS
from chassis.grpc_server.validation import violations_of
from gateway.contract import Problem
from gateway.problems.descriptions import describe
from gateway.problems.errors import common_status, error_response, of_error, of_problem
from gateway.problems.pointers import Source, existing, locate
from gateway.request.context import RequestContext

POINTERS = {
    "product_id": "/data/attributes/product_id",
    "items": "/data/attributes/items",
    "settings.limit": "/data/attributes/settings/limit",
    "page": "?page[number]",
    "item_id": "{library_item_id}",
}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("product_id", Source("pointer", "/data/attributes/product_id")),
        ("items[3].item_id", Source("pointer", "/data/attributes/items/3/item_id")),
        ('items["a/b~c"]', Source("pointer", "/data/attributes/items/a~1b~0c")),
        ("settings.limit", Source("pointer", "/data/attributes/settings/limit")),
        ("settings.limit.deep[0]", Source("pointer", "/data/attributes/settings/limit/deep/0")),
        ("page", Source("parameter", "page[number]")),
        ("item_id", Source("parameter", "library_item_id")),
        ("unknown.field", Source("pointer", "/data/attributes")),
        ("", Source("pointer", "/data/attributes")),
    ],
)
def test_a_field_is_located_where_it_was_read_from(field, expected):
    assert locate(field, POINTERS) == expected


def test_a_field_of_a_request_without_a_body_has_no_place():
    assert locate("mask", {"id": "{id}"}) is None
    (error,) = of_error(
        DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=[FieldViolation("mask", "bad")]),
        "en",
        pointers={"id": "{id}"},
    )
    assert error.source is None
    assert error.meta == {"field": "mask"}


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/data/attributes/a~1b", "/data/attributes/a~1b"),
        ("/data/attributes/list/1", "/data/attributes/list/1"),
        ("/data/attributes/list/2/x", "/data/attributes/list"),
        ("/data/attributes/missing/deep", "/data/attributes"),
        ("/data/attributes/list/²", "/data/attributes/list"),
        ("/data/attributes/list/٠", "/data/attributes/list"),
        ("/data/attributes/list/01", "/data/attributes/list"),
        (f"/data/attributes/list/{'1' * 5000}", "/data/attributes/list"),
        ("/nothing", ""),
        ("", ""),
    ],
)
def test_a_pointer_names_what_exists(pointer, expected):
    document = {"data": {"attributes": {"a/b": 1, "list": [0, 1]}}}
    assert existing(pointer, document) == expected
    assert existing(pointer, None) == ""


@pytest.mark.parametrize("reason", sorted(REASONS))
@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_reason_becomes_an_error_object(reason, language):
    (error,) = of_error(DomainError(Kind.INTERNAL, reason), language)
    assert error.code == reason
    assert error.status == REASONS[reason].http
    assert error.title
    assert error.detail
    assert set(error.as_json()) == {"id", "status", "code", "title", "detail"}
    assert error.as_json()["status"] == str(REASONS[reason].http)


def test_problems_are_described_in_the_callers_language():
    problem = Problem(
        "VALIDATION_ERROR", pointer="/data/type", details={"description": "must be a string", "rule": "type.string"}
    )
    assert "must be a string" in of_problem(problem, "en").detail
    assert "строкой" in of_problem(problem, "ru").detail
    assert of_problem(problem, "ru").meta == {"rule": "type.string"}


@pytest.mark.parametrize(
    "message",
    [
        downloads_pb2.StartDownloadRequest(
            product_id="x", version_id="", installation_path="", platform=99, priority=11, client_free_space_bytes=-1
        ),
        downloads_pb2.CreateDownloadLinksRequest(download_id="x", ids=["q"]),
        downloads_pb2.CreateDownloadLinksRequest(download_id="x"),
        downloads_pb2.CreateDownloadLinksRequest(download_id="x", ids=["a" * 64] * 1001),
        downloads_pb2.ReportDownloadRequest(
            download_id="x", items=[downloads_pb2.ItemReport(cdn_provider="x" * 101, error_code="z")]
        ),
        items_pb2.UpdateItemRequest(library_item_id="x"),
        items_pb2.ListItemsRequest(page=0, limit=1000, search="x" * 201),
    ],
)
def test_broken_rules_are_described_in_russian_too(message):
    descriptions = [violation.description for violation in violations_of(message)]
    assert descriptions
    for description in descriptions:
        assert describe(description, "en") == description
        assert describe(description, "ru") != description


def test_a_sentence_nobody_translated_stays_english():
    assert describe("something quite new", "ru") == "something quite new"


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        (["VALIDATION_ERROR", "INVALID_ARGUMENT"], 400),
        (["RESOURCE_TYPE_CONFLICT"], 409),
        (["RESOURCE_TYPE_CONFLICT", "VALIDATION_ERROR"], 400),
        (["INTERNAL_ERROR", "VALIDATION_ERROR"], 500),
    ],
)
def test_several_errors_have_the_status_that_is_true_of_all(codes, status):
    assert common_status([of_problem(Problem(code), "en") for code in codes]) == status


def test_equal_complaints_are_made_once():
    violations = [FieldViolation("item", "value is required"), FieldViolation("update_mask", "value is required")]
    error = DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=violations)
    pointers = {"item": "/data/attributes", "update_mask": "/data/attributes"}
    document = {"data": {"attributes": {}}}
    assert len(of_error(error, "en", pointers=pointers, document=document)) == 1


@pytest.mark.parametrize(("given", "sent"), [(None, "1"), (0.0, "1"), (0.2, "1"), (61.5, "62")])
def test_503_always_says_when_to_try_again(given, sent):
    context = RequestContext("r", "t" * 32, "", "en", "application/vnd.api+json", acceptable=True)
    errors = of_error(DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE"), "en")
    response = error_response(errors, context, retry_after_seconds=given)
    assert response.status == 503
    assert response.headers["Retry-After"] == sent
    assert orjson.loads(response.body)["meta"] == {"trace_id": "t" * 32}


def test_every_missing_member_is_named():
    names = ("product_id", "to_version_id")
    violations = [FieldViolation(name, "value is required", "required") for name in names]
    error = DomainError(Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", violations=violations)
    pointers = {name: f"/data/attributes/{name}" for name in names}
    told = of_error(error, "ru", pointers=pointers, document={"data": {"type": "x", "attributes": {}}})
    assert [one.source for one in told] == [Source("pointer", "/data/attributes")] * 2
    assert [one.meta["member"] for one in told] == [f"/data/attributes/{name}" for name in names]
