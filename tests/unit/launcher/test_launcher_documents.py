"""The launcher's documents and the contract's generated transcoders understand each other, both ways."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from download.v1 import downloads_pb2 as downloads
from library.v1 import items_pb2 as items
from rest.routes import ROUTES

from gateway.contract import Problem, Route
from launcher.api.library_resources import library_entry_of
from launcher.api.resources import (
    CdnReport,
    ItemReport,
    ItemStatus,
    SessionStatus,
    link_of,
    manifest_reference_of,
    session_of,
)


def route(method: str, end: str) -> Route:
    return next(route for route in ROUTES if route.method == method and route.path.endswith(end))


def decoded(method: str, end: str, attributes: dict[str, Any], **path: str) -> Any:
    problems: list[Problem] = []
    plain = orjson.loads(orjson.dumps(attributes))
    message = route(method, end).decode(path, (), plain, problems)
    assert not problems
    return message


def test_a_report_reads_as_the_contracts_message() -> None:
    item, session = uuid4(), uuid4()
    attributes = {
        "sequence": 1_700_000_000_000,
        "items": [ItemReport(item, ItemStatus.ERROR, 7, "north", "CDN_ERROR").document()],
        "cdn": [CdnReport("north", 10, 20, 1).document()],
    }
    message = decoded("POST", "/report", attributes, download_id=str(session))
    assert message.sequence == 1_700_000_000_000
    assert message.items[0].status == downloads.DOWNLOAD_ITEM_STATUS_ERROR
    assert (message.items[0].item_id, message.items[0].error_code) == (str(item), "CDN_ERROR")
    assert (message.cdn[0].provider, message.cdn[0].bytes, message.cdn[0].errors) == ("north", 10, 1)


def test_the_request_of_a_download_and_of_links_reads_too() -> None:
    start = {"product_id": str(uuid4()), "platform": "linux", "priority": 3, "client_free_space_bytes": 5}
    assert decoded("POST", "/downloads", start).priority == 3
    links = decoded("POST", "/links", {"ids": ["ab" * 32]}, download_id=str(uuid4()))
    assert list(links.ids) == ["ab" * 32]


@pytest.mark.parametrize("status", list(SessionStatus))
def test_a_session_reads_back_in_every_status(status: SessionStatus) -> None:
    message = downloads.DownloadSession(
        id=str(uuid4()),
        product_id=str(uuid4()),
        version_id=str(uuid4()),
        status=downloads.DownloadStatus.Value(f"DOWNLOAD_STATUS_{status.name}"),
        error=downloads.DownloadFailure(code="CDN_ERROR", message="m"),
    )
    data = route("GET", "/downloads/{download_id}").encode(downloads.GetDownloadResponse(session=message)).data
    session = session_of(orjson.loads(orjson.dumps(data)))
    assert (str(session.id), session.status, session.device_id) == (message.id, status, None)
    assert (session.error_code, session.error_message) == ("CDN_ERROR", "m")


def test_manifest_reference_links_and_library_items_read_back() -> None:
    reference = downloads.ManifestReference(
        id=str(uuid4()), manifest_url="u", size_bytes=3, sha256="ab" * 32, signature=bytes(range(64)), key_id="k"
    )
    encoded = route("GET", "/manifest").encode(downloads.GetDownloadManifestResponse(manifest=reference))
    assert manifest_reference_of(encoded.data).signature == bytes(range(64))

    link = downloads.DownloadLink(id="ab" * 32, stored_size_bytes=1, stored_sha256="cd" * 32)
    candidate = link.candidates.add(url="u", cdn_provider="north")
    candidate.expires_at.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC))
    encoded = route("POST", "/links").encode(downloads.CreateDownloadLinksResponse(links=[link]))
    (read,) = [link_of(resource) for resource in encoded.data]
    assert read.candidates[0].expires_at == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

    item = items.LibraryItem(id=str(uuid4()), product_id=str(uuid4()), installation_status=1)
    encoded = route("GET", "/library/items").encode(items.ListItemsResponse(items=[item]))
    (entry,) = [library_entry_of(resource) for resource in encoded.data]
    assert (entry.title, entry.installation_status) == (None, "not_installed")
