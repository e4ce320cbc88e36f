"""Three clients that share no code, betterproto2 over grpclib, protobuf over grpcio and raw HTTP, call the same methods of the
running platform and get the same answers, good and bad.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from client.download.v1 import (
    DownloadItemStatus,
    DownloadServiceStub,
    GetDownloadManifestRequest,
    GetDownloadRequest,
    ListDownloadItemsRequest,
    ListDownloadsRequest,
)
from client.google.protobuf import FieldMask
from client.library.v1 import (
    GetItemRequest,
    InstallationStatus,
    ItemSort,
    LibraryItemChanges,
    LibraryServiceStub,
    ListItemsRequest,
    UpdateItemRequest,
)
from download.v1 import downloads_pb2, downloads_pb2_grpc
from google.protobuf import field_mask_pb2
from grpclib.client import Channel
from grpclib.exceptions import GRPCError
from library.v1 import items_pb2, items_pb2_grpc

from chassis.errors.reasons import REASONS
from chassis.errors.wire import from_rpc_error
from tests.e2e.clients import DOWNLOADS, ITEMS, Answer, Api, CommandLine, until
from tests.e2e.conftest import Platform
from tests.e2e.trees import make_tree
from tests.unit.codegen.random_messages import expected


@dataclass(frozen=True)
class Clients:
    """The three, each with Anna's token, and what she owns."""

    http: Api
    library: Any
    downloads: Any
    typed_library: LibraryServiceStub
    typed_downloads: DownloadServiceStub
    metadata: dict[str, str]
    item_id: str
    download_id: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(self.metadata.items())


@pytest.fixture
async def clients(platform: Platform, anna: Api, samovar: CommandLine, tmp_path: Path) -> AsyncIterator[Clients]:
    published = await samovar.publish(make_tree(tmp_path / "source", "three"), f"three-{uuid.uuid4().hex[:8]}", "1.0")
    product_id = published["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    item = await anna.owns(product_id)

    session = await anna.startable(product_id, installation_path="/games/три")

    async def settled() -> bool:
        """Titles and statuses come with events; the three must not be asked while they do."""
        attributes = (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]
        return attributes["title"] is not None and attributes["installation_status"] == "installing"

    await until(settled, "the library does not follow")
    library, download = platform.private["library_grpc_addr"], platform.private["download_grpc_addr"]
    async with (
        grpc.aio.insecure_channel(library) as library_channel,
        grpc.aio.insecure_channel(download) as download_channel,
        _grpclib(library) as typed_library,
        _grpclib(download) as typed_download,
    ):
        yield Clients(
            http=anna,
            library=items_pb2_grpc.LibraryServiceStub(library_channel),
            downloads=downloads_pb2_grpc.DownloadServiceStub(download_channel),
            typed_library=LibraryServiceStub(typed_library),
            typed_downloads=DownloadServiceStub(typed_download),
            metadata={"authorization": f"Bearer {anna.token}", "accept-language": "ru"},
            item_id=item["id"],
            download_id=session.data["id"],
        )
    await anna.call("DELETE", f"{DOWNLOADS}/{session.data['id']}")


def _grpclib(address: str) -> Channel:
    host, _, port = address.rpartition(":")
    return Channel(host, int(port))


def same(plain: Any, typed: Any) -> None:
    """Both protobuf clients read the same message: written again, the typed one is the other's bytes in meaning."""
    assert type(plain).FromString(bytes(typed)) == plain


def shown(resource: Any) -> dict[str, Any]:
    """A resource object as the members of its message."""
    return {"id": resource["id"], **resource["attributes"]}


async def test_an_item_is_the_same_through_all_three(clients: Clients) -> None:
    answer = await clients.http.get(f"{ITEMS}/{clients.item_id}")
    plain = await clients.library.GetItem(
        items_pb2.GetItemRequest(library_item_id=clients.item_id), metadata=clients.pairs
    )
    typed = await clients.typed_library.get_item(
        GetItemRequest(library_item_id=clients.item_id), metadata=clients.metadata
    )
    same(plain, typed)
    assert shown(answer.data) == expected(plain.item)
    assert typed.item is not None
    assert typed.item.title == answer.data["attributes"]["title"]
    assert typed.item.installation_status in set(InstallationStatus)
    assert typed.item.added_at == plain.item.added_at.ToDatetime(tzinfo=typed.item.added_at.tzinfo)


async def test_a_filtered_page_is_the_same_through_all_three(clients: Clients) -> None:
    query = {"search": "three", "is_favorite": "false", "sort_by": "name_desc", "page": "1", "limit": "3"}
    answer = await clients.http.get(f"{ITEMS}?{'&'.join(f'{name}={value}' for name, value in query.items())}")
    plain = await clients.library.ListItems(
        items_pb2.ListItemsRequest(
            search="three", is_favorite=False, sort_by=items_pb2.ITEM_SORT_NAME_DESC, page=1, limit=3
        ),
        metadata=clients.pairs,
    )
    typed = await clients.typed_library.list_items(
        ListItemsRequest(search="three", is_favorite=False, sort_by=ItemSort.NAME_DESC, page=1, limit=3),
        metadata=clients.metadata,
    )
    same(plain, typed)
    assert len(plain.items) >= 1
    assert [shown(one) for one in answer.data] == [expected(one) for one in plain.items]
    meta = answer.document["meta"]
    assert (meta["total_items"], meta["current_page"], meta["per_page"]) == (
        plain.page.total_items,
        plain.page.current_page,
        plain.page.per_page,
    )


async def test_a_change_through_one_is_seen_through_the_others(clients: Clients) -> None:
    path = f"{ITEMS}/{clients.item_id}"
    change = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 4, "notes": "Ёж ≠ \u0065\u0301"}}}
    changed = await clients.http.call("PATCH", path, body=change)
    assert changed.status == 200
    plain = await clients.library.UpdateItem(
        items_pb2.UpdateItemRequest(
            library_item_id=clients.item_id,
            item=items_pb2.LibraryItemChanges(is_favorite=True),
            update_mask=field_mask_pb2.FieldMask(paths=["is_favorite"]),
        ),
        metadata=clients.pairs,
    )
    assert (plain.item.user_rating, plain.item.notes) == (4, "Ёж ≠ \u0065\u0301")
    typed = await clients.typed_library.update_item(
        UpdateItemRequest(library_item_id=clients.item_id, item=LibraryItemChanges(), update_mask=_mask("user_rating")),
        metadata=clients.metadata,
    )
    assert typed.item is not None
    assert (typed.item.user_rating, typed.item.is_favorite, typed.item.notes) == (None, True, plain.item.notes)
    again = await clients.library.GetItem(
        items_pb2.GetItemRequest(library_item_id=clients.item_id), metadata=clients.pairs
    )
    assert type(again.item).FromString(bytes(typed.item)) == again.item
    assert shown((await clients.http.get(path)).data) == expected(again.item)


def _mask(*paths: str) -> Any:
    return FieldMask(paths=list(paths))


async def test_a_session_its_page_and_its_files_are_the_same_through_all_three(clients: Clients) -> None:
    download_id = clients.download_id
    session = await clients.http.get(f"{DOWNLOADS}/{download_id}")
    plain = await clients.downloads.GetDownload(
        downloads_pb2.GetDownloadRequest(download_id=download_id), metadata=clients.pairs
    )
    same(
        plain,
        await clients.typed_downloads.get_download(
            GetDownloadRequest(download_id=download_id), metadata=clients.metadata
        ),
    )
    assert shown(session.data) == expected(plain.session)
    assert plain.session.installation_path == "/games/три"

    product_id = plain.session.product_id
    page = await clients.http.get(f"{DOWNLOADS}?product_id={product_id}")
    sessions = await clients.downloads.ListDownloads(
        downloads_pb2.ListDownloadsRequest(product_id=product_id), metadata=clients.pairs
    )
    same(
        sessions,
        await clients.typed_downloads.list_downloads(
            ListDownloadsRequest(product_id=product_id), metadata=clients.metadata
        ),
    )
    assert [shown(one) for one in page.data] == [expected(one) for one in sessions.sessions]

    files = await clients.http.get(f"{DOWNLOADS}/{download_id}/items?status=pending&limit=100")
    items = await clients.downloads.ListDownloadItems(
        downloads_pb2.ListDownloadItemsRequest(
            download_id=download_id, status=downloads_pb2.DOWNLOAD_ITEM_STATUS_PENDING, limit=100
        ),
        metadata=clients.pairs,
    )
    typed = await clients.typed_downloads.list_download_items(
        ListDownloadItemsRequest(download_id=download_id, status=DownloadItemStatus.PENDING, limit=100),
        metadata=clients.metadata,
    )
    same(items, typed)
    assert len(items.items) > 1
    assert [shown(one) for one in files.data] == [expected(one) for one in items.items]
    assert [one.relative_path for one in typed.items] == [one["attributes"]["relative_path"] for one in files.data]


async def test_a_manifest_is_the_same_but_for_its_signed_link(clients: Clients) -> None:
    answer = await clients.http.get(f"{DOWNLOADS}/{clients.download_id}/manifest")
    plain = await clients.downloads.GetDownloadManifest(
        downloads_pb2.GetDownloadManifestRequest(download_id=clients.download_id), metadata=clients.pairs
    )
    typed = await clients.typed_downloads.get_download_manifest(
        GetDownloadManifestRequest(download_id=clients.download_id), metadata=clients.metadata
    )
    signed = {"manifest_url", "expires_at"}
    assert typed.manifest is not None
    again = type(plain.manifest).FromString(bytes(typed.manifest))
    kept = [
        {name: value for name, value in one.items() if name not in signed}
        for one in (expected(plain.manifest), expected(again), shown(answer.data))
    ]
    assert kept[0] == kept[1] == kept[2]
    assert kept[0]["signature"]


async def _http_error(call: Awaitable[Answer]) -> tuple[int, set[str], list[str]]:
    answer = await call
    errors = answer.document["errors"]
    return (
        answer.status,
        {one["code"] for one in errors},
        [one["source"]["pointer"] for one in errors if "source" in one],
    )


async def _grpcio_error(call: Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call()
    error = from_rpc_error(raised.value)
    return raised.value.code(), error.reason, [one.field for one in error.violations]


async def _grpclib_error(call: Callable[[], Awaitable[Any]]) -> tuple[int, str, list[str]]:
    """grpclib reads the details of an error by itself, as messages of googleapis."""
    with pytest.raises(GRPCError) as raised:
        await call()
    reason, fields = "", []
    for detail in raised.value.details or ():
        if detail.DESCRIPTOR.full_name == "google.rpc.ErrorInfo":
            reason = detail.reason
        elif detail.DESCRIPTOR.full_name == "google.rpc.BadRequest":
            fields = [one.field for one in detail.field_violations]
    return raised.value.status.value, reason, fields


async def test_what_is_not_there_is_not_there_for_all_three(clients: Clients) -> None:
    nobody = str(uuid.uuid4())
    status, codes, _ = await _http_error(clients.http.get(f"{ITEMS}/{nobody}"))
    code, reason, _ = await _grpcio_error(
        lambda: clients.library.GetItem(items_pb2.GetItemRequest(library_item_id=nobody), metadata=clients.pairs)
    )
    number, typed_reason, _ = await _grpclib_error(
        lambda: clients.typed_library.get_item(GetItemRequest(library_item_id=nobody), metadata=clients.metadata)
    )
    assert codes == {reason} == {typed_reason} == {"LIBRARY_ITEM_NOT_FOUND"}
    assert status == REASONS[reason].http
    assert code is REASONS[reason].code
    assert number == code.value[0]


async def test_a_broken_rule_is_named_to_all_three(clients: Clients) -> None:
    path = f"{ITEMS}/{clients.item_id}"
    change = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 6}}}
    status, codes, pointers = await _http_error(clients.http.call("PATCH", path, body=change))
    code, reason, fields = await _grpcio_error(
        lambda: clients.library.UpdateItem(
            items_pb2.UpdateItemRequest(
                library_item_id=clients.item_id,
                item=items_pb2.LibraryItemChanges(user_rating=6),
                update_mask=field_mask_pb2.FieldMask(paths=["user_rating"]),
            ),
            metadata=clients.pairs,
        )
    )
    number, typed_reason, typed_fields = await _grpclib_error(
        lambda: clients.typed_library.update_item(
            UpdateItemRequest(
                library_item_id=clients.item_id,
                item=LibraryItemChanges(user_rating=6),
                update_mask=_mask("user_rating"),
            ),
            metadata=clients.metadata,
        )
    )
    assert codes == {reason} == {typed_reason} == {"VALIDATION_ERROR"}
    assert (status, number) == (400, code.value[0])
    assert fields == typed_fields == ["item.user_rating"]
    assert pointers == ["/data/attributes/user_rating"]


async def test_a_bad_token_is_refused_to_all_three(clients: Clients) -> None:
    status, codes, _ = await _http_error(clients.http.with_token("nonsense").get(ITEMS))
    bad = {**clients.metadata, "authorization": "Bearer nonsense"}
    code, reason, _ = await _grpcio_error(
        lambda: clients.library.ListItems(items_pb2.ListItemsRequest(), metadata=tuple(bad.items()))
    )
    number, typed_reason, _ = await _grpclib_error(
        lambda: clients.typed_library.list_items(ListItemsRequest(), metadata=bad)
    )
    assert codes == {reason} == {typed_reason} == {"UNAUTHENTICATED"}
    assert (status, code, number) == (401, grpc.StatusCode.UNAUTHENTICATED, code.value[0])
