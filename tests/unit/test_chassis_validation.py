"""Validation: every broken rule of the proto, with the field's path as protobuf spells it."""

import time

import pytest
from library.v1 import items_pb2, query_pb2

from chassis.errors import DomainError, Kind
from chassis.grpc_server.validation import compile_rules, validate, violations_of

USER = "6f1c4b1e-8f0a-4b7e-9d63-2f6a3f3b9a11"


def test_a_message_that_keeps_its_rules_passes():
    request = query_pb2.CheckGameAccessRequest(user_id=USER, product_id=USER)
    validate(request)
    assert violations_of(request) == ()


def test_all_violations_come_together_with_paths_and_rules():
    request = query_pb2.GetLibraryItemsRequest(user_id="", product_ids_filter=[USER, "x"])
    with pytest.raises(DomainError) as caught:
        validate(request)
    error = caught.value
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")
    assert [violation.field for violation in error.violations] == ["user_id", "product_ids_filter[1]"]
    assert error.violations == violations_of(request)


def test_nested_fields_are_joined_by_dots():
    request = items_pb2.UpdateItemRequest(library_item_id=USER, item=items_pb2.LibraryItemChanges(user_rating=6))
    assert "item.user_rating" in [violation.field for violation in violations_of(request)]


def test_rules_are_compiled_at_boot_and_cheap_afterwards():
    compile_rules(["library.v1.LibraryService", "library.v1.LibraryQueryService"])
    request = query_pb2.CheckGameAccessRequest(user_id=USER, product_id=USER)
    started = time.process_time()
    for _ in range(1000):
        validate(request)
    assert time.process_time() - started < 0.5  # two orders of magnitude above what it takes


def test_a_service_that_does_not_exist_cannot_be_compiled():
    with pytest.raises(KeyError):
        compile_rules(["nobody.v1.Service"])
