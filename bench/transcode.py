"""Generated transcoders against protobuf's json_format, side by side in one run: `./taskw bench:transcode`.

Out: a page of 20 library items from message to JSON bytes. In: 20 PATCH documents of a library item, and one report of a download
with 20 files, from JSON bytes to messages. Each figure is the best of several rounds, so that a busy machine matters less; the two
sides take turns. Prints one JSON object as its last line: microseconds of each side and how many times as fast ours is.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from download.v1 import downloads_pb2
from google.protobuf import json_format
from library.v1 import items_pb2
from rest.download.v1 import downloads
from rest.library.v1 import items

ITEMS = 20
ROUNDS = 15
SECONDS_A_ROUND = 0.04


def _uuid(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


def library_page() -> items_pb2.ListItemsResponse:
    """A page as the service answers it: some items played, rated and annotated, some fresh."""
    response = items_pb2.ListItemsResponse()
    for number in range(ITEMS):
        item = response.items.add(
            id=_uuid(number),
            product_id=_uuid(number + 1000),
            title=f"Игра номер {number}",
            cover_image_url=f"https://cdn.example.com/covers/{_uuid(number + 1000)}.jpg",
            total_playtime_seconds=3_600 * number,
            installation_status=1 + number % 6,
            acquisition_type=1 + number % 5,
            is_favorite=number % 3 == 0,
        )
        item.added_at.FromNanoseconds(1_760_000_000_123_456_000 + number * 86_400_000_000_000)
        if number % 2:
            item.last_played_at.FromNanoseconds(1_765_000_000_000_000_000 + number * 3_600_000_000_000)
            item.installed_version_id = _uuid(number + 2000)
            item.user_rating = 1 + number % 5
            item.notes = "Вернуться после обновления"
    response.page.total_items, response.page.current_page, response.page.per_page = 347, 2, ITEMS
    return response


def report_attributes() -> dict[str, Any]:
    """A report on 20 files, as a launcher sends it every second or so."""
    files = [
        {
            "item_id": _uuid(number),
            "status": "downloading",
            "downloaded_bytes": 1_048_576 * number,
            "cdn_provider": "origin",
        }
        for number in range(ITEMS)
    ]
    return {
        "sequence": 41,
        "items": files,
        "cdn": [{"provider": "origin", "bytes": 104_857_600, "duration_ms": 910, "errors": 0}],
    }


def _expect_none(problems: list[Any]) -> None:
    if problems:
        raise ValueError(problems)


def _ours_out(page: items_pb2.ListItemsResponse) -> bytes:
    encoded = items.encode_list_items(page)
    return orjson.dumps({"data": encoded.data})


def _theirs_out(page: items_pb2.ListItemsResponse) -> bytes:
    return json_format.MessageToJson(
        page, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
    ).encode()


def _ours_in(documents: list[bytes]) -> None:
    for document in documents:
        problems: list[Any] = []
        attributes = orjson.loads(document)["data"]["attributes"]
        items.decode_update_item({"library_item_id": "x"}, (), attributes, problems)
        _expect_none(problems)


def _theirs_in(documents: list[bytes]) -> None:
    for document in documents:
        json_format.Parse(document, items_pb2.UpdateItemRequest())


def _ours_report(document: bytes) -> None:
    problems: list[Any] = []
    attributes = orjson.loads(document)["data"]["attributes"]
    downloads.decode_report_download({"download_id": "x"}, (), attributes, problems)
    _expect_none(problems)


def _theirs_report(document: bytes) -> None:
    json_format.Parse(document, downloads_pb2.ReportDownloadRequest())


def _round(work: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times * 1e6


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> dict[str, float]:
    """Microseconds of both, best of the rounds, and their ratio."""
    best = [float("inf"), float("inf")]
    for side, work in ((0, ours), (1, theirs)):
        best[side] = _round(work, 3)
    times = [max(1, int(SECONDS_A_ROUND * 1e6 / one)) for one in best]
    for _ in range(ROUNDS):
        for side, work in ((0, ours), (1, theirs)):
            best[side] = min(best[side], _round(work, times[side]))
    return {
        "ours_us": round(best[0], 1),
        "json_format_us": round(best[1], 1),
        "times_as_fast": round(best[1] / best[0], 1),
    }


def measure() -> dict[str, dict[str, float]]:
    page = library_page()
    changes = {"is_hidden": False, "is_favorite": True, "user_rating": 4, "notes": "Вернуться после обновления"}
    patch = orjson.dumps({"data": {"type": "libraryItemUpdate", "id": "x", "attributes": changes}})
    patch_plain = orjson.dumps(
        {"library_item_id": "x", "item": changes, "update_mask": "isHidden,isFavorite,userRating,notes"}
    )
    report = report_attributes()
    plain = {
        "download_id": "x",
        **report,
        "items": [{**file, "status": "DOWNLOAD_ITEM_STATUS_DOWNLOADING"} for file in report["items"]],
    }
    report_document = orjson.dumps({"data": {"type": "downloadReport", "attributes": report}})
    report_plain = orjson.dumps(plain)
    return {
        "library_page_out": compare(lambda: _ours_out(page), lambda: _theirs_out(page)),
        "library_patches_in": compare(lambda: _ours_in([patch] * ITEMS), lambda: _theirs_in([patch_plain] * ITEMS)),
        "download_report_in": compare(lambda: _ours_report(report_document), lambda: _theirs_report(report_plain)),
    }


def main() -> None:
    results: Mapping[str, Mapping[str, float]] = measure()
    for name, result in results.items():
        ours, theirs, ratio = result["ours_us"], result["json_format_us"], result["times_as_fast"]
        print(f"{name:22} {ours:8.1f} µs   json_format {theirs:8.1f} µs   {ratio:.1f} ×")
    print(json.dumps({"bench": "transcode", "items": ITEMS, "python": sys.version.split()[0], **results}))


if __name__ == "__main__":
    main()
