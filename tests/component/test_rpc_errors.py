"""Errors over a real server and client: what a servicer raises is what the caller reads, and nothing else gets out."""

import asyncio

import grpc
import pytest
from library.v1 import items_pb2, items_pb2_grpc, query_pb2

from chassis.errors import DomainError, FieldViolation, Kind
from chassis.errors.wire import OMITTED, from_rpc_error
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.validation import MAX_VIOLATIONS
from sandbox.devstack.free_port import free_port
from tests.component.rpc_rig import ITEM, SERVICE, SERVICES, USER, as_service, as_user, rig

REASONS = {
    Kind.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    Kind.UNAUTHENTICATED: "TOKEN_EXPIRED",
    Kind.PERMISSION_DENIED: "PRODUCT_ACCESS_DENIED",
    Kind.NOT_FOUND: "LIBRARY_ITEM_NOT_FOUND",
    Kind.ALREADY_EXISTS: "DOWNLOAD_ALREADY_ACTIVE",
    Kind.ABORTED: "SAVEGAME_VERSION_CONFLICT",
    Kind.FAILED_PRECONDITION: "INVALID_STATE_TRANSITION",
    Kind.RESOURCE_EXHAUSTED: "RATE_LIMIT_EXCEEDED",
    Kind.UNAVAILABLE: "CDN_ERROR",
    Kind.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    Kind.INTERNAL: "INTERNAL_ERROR",
}


async def failure_of(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


@pytest.mark.parametrize("kind", list(Kind))
async def test_every_kind_comes_out_of_the_client_as_it_was_raised(kind):
    raised = DomainError(
        kind,
        REASONS[kind],
        details={"status": "завершено", "limit": "3"},
        violations=[FieldViolation("item.user_rating", "too much", "int32.lte"), FieldViolation("items[3].id", "bad")],
        retry_after_seconds=1.25,
    )

    async def fail(_request, _context):
        raise raised

    async with rig() as r:
        r.library.get_item = fail
        got = await failure_of(r.items.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM), metadata=as_user()))
    got.details.pop("trace_id", None)
    assert (got.kind, got.reason, got.violations) == (kind, REASONS[kind], raised.violations)
    assert got.details == {"status": "завершено", "limit": "3"}
    assert got.retry_after_seconds == 1.25


async def test_an_error_names_the_service_it_came_from():
    async def fail(_request, _context):
        raise DomainError(Kind.NOT_FOUND, "LIBRARY_ITEM_NOT_FOUND")

    async with rig() as r:
        r.library.get_item = fail
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await r.items.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM), metadata=as_user())
    trailers = dict(caught.value.trailing_metadata())
    assert b"library-service" in trailers["grpc-status-details-bin"]
    assert caught.value.details() == "There is no such library item."


async def test_an_unknown_exception_leaks_nothing_but_a_trace_id(caplog):
    secret = "password=hunter2 at /srv/secret.py"

    async def fail(_request, _context):
        raise RuntimeError(secret)

    async with rig() as r:
        r.library.get_item = fail
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await r.items.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM), metadata=as_user())
    error = caught.value
    assert error.code() is grpc.StatusCode.INTERNAL
    told = repr(error) + repr(list(error.trailing_metadata()))
    assert "hunter2" not in told
    assert "RuntimeError" not in told
    assert "Traceback" not in told
    read = from_rpc_error(error)
    assert read.reason == "INTERNAL_ERROR"
    assert len(read.details["trace_id"]) in {0, 32}
    assert "hunter2" in caplog.text


async def test_an_answer_that_cannot_be_rendered_is_an_internal_error():
    async def wrong(_request, _context):
        return "not a message"

    async with rig() as r:
        r.library.get_item = wrong
        got = await failure_of(r.items.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM), metadata=as_user()))
    assert (got.kind, got.reason) == (Kind.INTERNAL, "INTERNAL_ERROR")


async def test_bytes_that_are_no_message_are_the_callers_mistake():
    async with rig() as r:
        call = r.channel.unary_unary("/library.v1.LibraryService/GetItem", None, None)
        got = await failure_of(call(b"\xff\xff\xff", metadata=as_user()))
    assert (got.kind, got.reason) == (Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT")


async def test_bytes_are_not_even_parsed_for_a_caller_who_may_not_call():
    async with rig() as r:
        call = r.channel.unary_unary("/library.v1.LibraryService/GetItem", None, None)
        got = await failure_of(call(b"\xff\xff\xff"))
    assert got.reason == "UNAUTHENTICATED"


async def test_all_violations_of_a_request_come_at_once():
    request = items_pb2.UpdateItemRequest(
        library_item_id="x",
        item=items_pb2.LibraryItemChanges(user_rating=9, notes="n" * 5000),
    )
    async with rig() as r:
        got = await failure_of(r.items.UpdateItem(request, metadata=as_user()))
    assert (got.kind, got.reason) == (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR")
    fields = {violation.field: violation.rule for violation in got.violations}
    assert fields["library_item_id"] == "string.uuid"
    assert fields["item.user_rating"].startswith("int32.")
    assert fields["item.notes"] == "string.max_len"
    assert fields["update_mask"] == "required"
    assert all(violation.description for violation in got.violations)


async def test_violations_in_lists_name_their_index():
    request = query_pb2.GetLibraryItemsRequest(user_id=USER, product_ids_filter=[ITEM, "b", "c"])
    async with rig() as r:
        got = await failure_of(r.query.GetLibraryItems(request, metadata=as_service("download-service")))
    assert [violation.field for violation in got.violations] == ["product_ids_filter[1]", "product_ids_filter[2]"]


async def test_more_violations_than_trailers_hold_are_counted_not_lost_with_the_error():
    request = query_pb2.GetLibraryItemsRequest(user_id=USER, product_ids_filter=["bad"] * 500)
    async with rig() as r, grpc.aio.insecure_channel(f"127.0.0.1:{r.port}") as plain:  # a client with default limits
        call = plain.unary_unary(
            "/library.v1.LibraryQueryService/GetLibraryItems",
            query_pb2.GetLibraryItemsRequest.SerializeToString,
            query_pb2.GetLibraryItemsResponse.FromString,
        )
        got = await failure_of(call(request, metadata=as_service("download-service")))
    assert got.reason == "VALIDATION_ERROR"
    assert len(got.violations) > 20
    assert len(got.violations) + int(got.details[OMITTED]) == MAX_VIOLATIONS


async def test_a_service_that_is_away_reads_as_unavailable():
    async with open_channel(
        f"127.0.0.1:{free_port()}", audience=SERVICE, service_tokens=None, services=SERVICES
    ) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        got = await failure_of(stub.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM)))
    assert (got.kind, got.reason) == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")


async def test_a_late_answer_reads_as_deadline_exceeded():
    asked = asyncio.Event()
    ended = asyncio.Event()

    async def hang(_request, _context):
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with rig() as r:
        r.library.get_item = hang
        request = items_pb2.GetItemRequest(library_item_id=ITEM)
        while not asked.is_set():  # on a busy machine its time may be over before it is there
            got = await failure_of(r.items.GetItem(request, metadata=as_user(), timeout=0.3))
            await asyncio.sleep(0)
        await asyncio.wait_for(ended.wait(), 30)
    assert (got.kind, got.reason) == (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_what_a_called_service_refused_is_not_told_to_the_caller_as_his_own_fault():
    async def call_another(_request, _context):
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.PERMISSION_DENIED, grpc.aio.Metadata(), grpc.aio.Metadata(), "not you"
        )

    async with rig() as r:
        r.library.get_item = call_another
        got = await failure_of(r.items.GetItem(items_pb2.GetItemRequest(library_item_id=ITEM), metadata=as_user()))
    assert (got.kind, got.reason) == (Kind.INTERNAL, "INTERNAL_ERROR")


async def test_an_unknown_method_is_unimplemented():
    async with rig() as r:
        call = r.channel.unary_unary("/library.v1.LibraryService/Nothing", None, None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=as_user())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
