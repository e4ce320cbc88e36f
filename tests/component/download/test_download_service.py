"""The slice end to end inside the service: published, started, linked, reported, installed; and what is refused."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4, uuid5

import grpc
import pytest
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from download.v1 import downloads_pb2 as downloads
from library.v1 import events_pb2 as library_events

from chassis.errors.wire import from_rpc_error
from chassis.objects.signed_urls import verify
from depot import manifest as manifests
from depot import signing
from tests.component.download.rig import (
    KEY_ID,
    LINK_KEY,
    OBJECTS_KEY,
    Release,
    Rig,
    chunk_ids,
    until,
)

TOPIC = "com.platform.download.events.v1"


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


def _status(name: str) -> int:
    return downloads.DownloadStatus.Value(f"DOWNLOAD_STATUS_{name}")


async def _events(service: Rig, download_id: str) -> list[tuple[str, str]]:
    records = [json.loads(record["value"]) for record in await service.log(TOPIC, download_id)]
    return [
        (event["type"].removeprefix("com.platform.download."), event["data"].get("newStatus", "")) for event in records
    ]


async def test_a_published_version_is_started_fetched_reported_and_installed(service: Rig):
    release = await service.publish()
    user = service.user()
    device_id = str(uuid4())
    started = await user.start(release, device_id=device_id, installation_path="/games", priority=7)
    assert started.status == _status("QUEUED")
    assert (started.total_size_bytes, started.priority, started.platform) == (2800, 7, content.PLATFORM_LINUX)
    session = await user.get(started.id)
    assert (session.status, session.queue_position) == (_status("INITIALIZING"), 1)
    items = (await user.items(started.id)).items
    assert [item.relative_path for item in items] == ["a.bin", "b.pak", "c.empty"]
    assert [item.id for item in items] == [str(uuid5(UUID(started.id), path)) for path in sorted(release.files)]
    pending = downloads.DOWNLOAD_ITEM_STATUS_DOWNLOADING
    moving = await user.report(
        started.id, 1, [downloads.ItemReport(item_id=items[1].id, status=pending, downloaded_bytes=1400)]
    )
    assert (moving.status, moving.downloaded_bytes, moving.progress_percentage) == (_status("DOWNLOADING"), 1400, 50.0)
    done = await user.complete(started.id, 2)
    assert (done.status, done.downloaded_bytes, done.progress_percentage) == (_status("COMPLETED"), 2800, 100.0)
    assert not done.HasField("queue_position")

    async def told() -> list[tuple[str, str]]:
        events = await _events(service, started.id)
        return events if ("session.status.changed.v1", "completed") in events else []

    events = await until(told, "the completion is told")
    assert [new for kind, new in events if kind == "session.status.changed.v1"] == [
        "queued",
        "initializing",
        "downloading",
        "verifying",
        "completed",
    ]
    assert [new for kind, new in events if kind == "item.status.changed.v1"] == ["completed"] * 3
    installed = [json.loads(record["value"]) for record in await service.log(TOPIC, device_id)]
    [event] = [event for event in installed if event["type"].endswith("game.installed.v1")]
    assert event["data"]["remainingInstallations"] == 1
    assert event["partitionkey"] == str(user.id)
    rows = await service.rows("SELECT version_id, installation_path FROM installations WHERE user_id = $1", user.id)
    assert [tuple(row) for row in rows] == [(release.version_id, "/games")]


async def test_the_manifest_is_handed_out_as_it_was_signed(service: Rig, tmp_path: Path):
    release = await service.publish()
    user = service.user()
    started = await user.start(release)
    request = downloads.GetDownloadManifestRequest(download_id=started.id)
    manifest = (await user.call("GetDownloadManifest", request)).manifest
    url = urlsplit(manifest.manifest_url)
    verify("GET", url.path, dict(parse_qsl(url.query)), key=OBJECTS_KEY, now=datetime.now(UTC))
    stored = await asyncio.to_thread((tmp_path / url.path.removeprefix("/objects/")).read_bytes)
    assert hashlib.sha256(stored).hexdigest() == manifest.sha256
    assert (len(stored), manifest.key_id) == (manifest.size_bytes, KEY_ID)
    signature = content.ManifestSignature(key_id=manifest.key_id, signature=manifest.signature)
    signing.verify(stored, signature, {KEY_ID: signing.public_key(service.signer)})


async def test_links_are_signed_for_the_cdn_and_expire(service: Rig):
    release = await service.publish()
    user = service.user()
    started = await user.start(release)
    wanted = chunk_ids("b.pak", 2500)
    links = await user.links(started.id, [wanted[2], str(uuid5(release.version_id, "b.pak"))])
    assert [link.id for link in links] == [wanted[2], wanted[0], wanted[1]]
    [candidate] = links[0].candidates
    url = urlsplit(candidate.url)
    assert url.path == f"/cdn/content/{release.product_id}/chunks/{wanted[2][:2]}/{wanted[2]}"
    query = dict(parse_qsl(url.query))
    verify("GET", url.path, query, key=LINK_KEY, now=datetime.now(UTC))
    ends = candidate.expires_at.ToDatetime(tzinfo=UTC)
    assert timedelta(seconds=540) < ends - datetime.now(UTC) <= timedelta(seconds=600)
    assert links[0].stored_size_bytes == 500


async def test_links_are_refused_for_what_is_not_the_sessions(service: Rig):
    release, other = await service.publish(), await service.publish(Release(files={"z.bin": 10}))
    user, stranger = service.user(), service.user()
    started = await user.start(release)
    own, foreign = chunk_ids("a.bin", 300), chunk_ids("z.bin", 10)
    assert await refused(user.links(started.id, [*own, *foreign])) == "FILE_NOT_FOUND"
    assert await refused(user.links(started.id, [*own, str(uuid5(other.version_id, "z.bin"))])) == "FILE_NOT_FOUND"
    assert await refused(user.links(started.id, ["not an id"])) == "VALIDATION_ERROR"
    assert await refused(user.links(started.id, own * 1001)) == "VALIDATION_ERROR"
    assert await refused(stranger.links(started.id, own)) == "DOWNLOAD_NOT_FOUND"
    await user.pause(started.id)
    assert await refused(user.links(started.id, own)) == "INVALID_STATE_TRANSITION"


async def test_another_users_session_is_not_found_by_any_method(service: Rig):
    started = await service.user().start(await service.publish())
    stranger = service.user()
    manifest = downloads.GetDownloadManifestRequest(download_id=started.id)
    for call in (
        stranger.get(started.id),
        stranger.items(started.id),
        stranger.pause(started.id),
        stranger.resume(started.id),
        stranger.retry(started.id),
        stranger.cancel(started.id),
        stranger.report(started.id, 1),
        stranger.call("GetDownloadManifest", manifest),
    ):
        assert await refused(call) == "DOWNLOAD_NOT_FOUND"


async def test_twenty_starts_at_once_make_one_session(service: Rig):
    release = await service.publish()
    user = service.user()
    results = await asyncio.gather(*(user.start(release) for _ in range(20)), return_exceptions=True)
    started = [result for result in results if isinstance(result, downloads.DownloadSession)]
    reasons = {from_rpc_error(result).reason for result in results if isinstance(result, grpc.aio.AioRpcError)}
    assert len(started) == 1
    assert reasons == {"DOWNLOAD_ALREADY_ACTIVE"}
    page = await user.call("ListDownloads", downloads.ListDownloadsRequest())
    assert page.page.total_items == 1


async def test_starts_at_once_never_take_more_slots_than_there_are(service: Rig):
    releases = await asyncio.gather(*(service.publish() for _ in range(6)))
    user = service.user()
    await asyncio.gather(*(user.start(release) for release in releases))
    page = await user.call("ListDownloads", downloads.ListDownloadsRequest(limit=100))
    statuses = sorted(downloads.DownloadStatus.Name(session.status) for session in page.sessions)
    assert statuses == ["DOWNLOAD_STATUS_INITIALIZING"] * 3 + ["DOWNLOAD_STATUS_QUEUED"] * 3
    assert sorted(session.queue_position for session in page.sessions) == [1, 2, 3, 4, 5, 6]


async def test_a_slot_goes_on_when_its_session_ends(service: Rig):
    releases = [await service.publish() for _ in range(5)]
    user = service.user()
    sessions = [await user.start(release) for release in releases[:4]]
    urgent = await user.start(releases[4], priority=10)
    assert (await user.get(urgent.id)).queue_position == 1
    await user.complete(sessions[0].id)
    assert (await user.get(urgent.id)).status == _status("INITIALIZING")
    assert (await user.get(sessions[3].id)).status == _status("QUEUED")
    await user.cancel(sessions[1].id)
    assert (await user.get(sessions[3].id)).status == _status("INITIALIZING")
    assert await refused(user.cancel(sessions[1].id)) == "INVALID_STATE_TRANSITION"


async def test_pause_resume_fail_and_retry(service: Rig):
    release = await service.publish()
    user = service.user()
    started = await user.start(release)
    assert (await user.pause(started.id)).status == _status("PAUSED")
    assert (await user.report(started.id, 1)).status == _status("PAUSED")
    assert (await user.resume(started.id)).status == _status("INITIALIZING")
    item = (await user.items(started.id)).items[0]
    failed_item = downloads.ItemReport(
        item_id=item.id,
        status=downloads.DOWNLOAD_ITEM_STATUS_ERROR,
        error_code="FILE_HASH_MISMATCH",
        cdn_provider="origin",
    )
    failed = await user.report(started.id, 1, [failed_item])
    assert (failed.status, failed.error.code) == (_status("ERROR"), "FILE_HASH_MISMATCH")
    shown = (await user.items(started.id, status=downloads.DOWNLOAD_ITEM_STATUS_ERROR)).items
    assert [(one.id, one.retry_count, one.error_code, one.cdn_provider) for one in shown] == [
        (item.id, 1, "FILE_HASH_MISMATCH", "origin")
    ]
    assert await refused(user.resume(started.id)) == "INVALID_STATE_TRANSITION"
    retried = await user.retry(started.id)
    assert retried.status == _status("INITIALIZING")
    assert not retried.HasField("error")
    assert (await user.complete(started.id, 2)).status == _status("COMPLETED")


async def test_what_cannot_be_started_says_why(service: Rig):
    release = await service.publish()
    user = service.user()
    assert await refused(user.start(Release())) == "VERSION_NOT_FOUND"
    product_only = downloads.StartDownloadRequest(product_id=str(uuid4()))
    assert await refused(user.call("StartDownload", product_only)) == "PRODUCT_NOT_FOUND"
    assert await refused(user.start(release, platform=content.PLATFORM_WINDOWS)) == "VERSION_NOT_FOUND"
    assert await refused(user.start(release, client_free_space_bytes=2799)) == "INSUFFICIENT_CLIENT_DISK_SPACE"
    assert await refused(user.start(release, priority=11)) == "VALIDATION_ERROR"
    assert await refused(user.get("not-a-uuid")) == "VALIDATION_ERROR"
    service.library.denied.add((str(user.id), str(release.product_id)))
    assert await refused(user.start(release)) == "PRODUCT_ACCESS_DENIED"
    roleless = service.user(roles=[])
    assert await refused(roleless.start(release)) == "PERMISSION_DENIED"


async def test_a_channel_needs_its_permission(service: Rig):
    beta = await service.publish(channel="beta")
    assert await refused(service.user().start(beta)) == "VERSION_NOT_FOUND"
    started = await service.user(permissions=["channel:beta"]).start(beta)
    assert started.version_id == str(beta.version_id)


async def test_a_product_of_two_platforms_wants_one_named(service: Rig):
    linux = await service.publish()
    await service.publish(Release(product_id=linux.product_id, platform=content.PLATFORM_MACOS))
    user = service.user()
    request = downloads.StartDownloadRequest(product_id=str(linux.product_id))
    assert await refused(user.call("StartDownload", request)) == "INVALID_ARGUMENT"
    request.platform = content.PLATFORM_LINUX
    assert (await user.call("StartDownload", request)).session.version_id == str(linux.version_id)


async def test_a_removed_game_is_downloaded_no_further(service: Rig):
    release = await service.publish()
    user = service.user()
    started = await user.start(release)
    await user.report(started.id, 1)
    service.library.denied.add((str(user.id), str(release.product_id)))
    await service.send(
        library_events.GameRemoved(
            user_id=str(user.id),
            product_id=str(release.product_id),
            reason=library_events.REMOVAL_REASON_REFUND,
            removed_at=datetime.now(UTC),
        )
    )

    async def cancelled() -> bool:
        return (await user.get(started.id)).status == _status("CANCELLED")

    await until(cancelled, "the download is cancelled")
    assert await refused(user.links(started.id, chunk_ids("a.bin", 300))) == "INVALID_STATE_TRANSITION"
    assert await refused(user.start(release)) == "PRODUCT_ACCESS_DENIED"
    report = await user.report(started.id, 2)
    assert report.status == _status("CANCELLED")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("signed by a stranger", "MANIFEST_SIGNATURE_INVALID"),
        ("changed after it was signed", "MANIFEST_SIGNATURE_INVALID"),
        ("signature is rubbish", "MANIFEST_SIGNATURE_INVALID"),
        ("of another product", "MANIFEST_INVALID"),
        ("of another version", "MANIFEST_INVALID"),
        ("of another platform", "MANIFEST_INVALID"),
        ("a path that leads out", "MANIFEST_INVALID"),
        ("the launcher's own folder", "MANIFEST_INVALID"),
        ("nowhere", "MANIFEST_INVALID"),
    ],
)
async def test_a_manifest_that_cannot_be_trusted_is_a_dead_letter_and_its_version_unknown(
    service: Rig, fault: str, reason: str
):
    paths = {"a path that leads out": "../out", "the launcher's own folder": ".samovar/installed.json"}
    release = Release(files={paths.get(fault, "a"): 5})
    changes = {
        "of another product": {"product_id": str(uuid4())},
        "of another version": {"version_id": str(uuid4())},
        "of another platform": {"platform": content.PLATFORM_MACOS},
    }
    stored = manifests.serialise(release.manifest(**changes.get(fault, {})))
    signature = service.sign(stored)
    if fault == "signed by a stranger":
        signature = signing.sign(stored, KEY_ID, Ed25519PrivateKey.generate())
    elif fault == "changed after it was signed":
        stored = manifests.serialise(release.manifest(created_at=datetime(2020, 1, 1, tzinfo=UTC)))
    url = service.place(release, stored, signature)
    if fault == "signature is rubbish":
        service.origin.pages[urlsplit(url).path + ".sig"] = (200, b"\xff\xff\xff")
    elif fault == "nowhere":
        service.origin.pages.clear()
    await service.announce(release, url)
    letters = await until(
        lambda: service.log("com.platform.catalog.events.v1.dlq", str(release.version_id)), "the dead letter"
    )
    assert json.loads(letters[0]["headers"])["dlq-reason"] == reason
    assert await refused(service.user().start(release)) == "VERSION_NOT_FOUND"
    assert not await service.is_known(release)


@pytest.mark.parametrize("place", ["not on the list", "redirects", "refuses", "not http"])
async def test_a_manifest_that_its_address_does_not_give_comes_from_catalog(service: Rig, place: str):
    release = Release()
    stored = manifests.serialise(release.manifest())
    signature = service.sign(stored)
    url = service.place(release, b"not the manifest", signature)
    path = urlsplit(url).path
    if place == "not on the list":
        url = url.replace("127.0.0.1", "localhost")
    elif place == "redirects":
        service.origin.pages[path] = (302, b"")
        service.origin.pages["/elsewhere"] = (200, stored)
    elif place == "refuses":
        service.origin.pages[path] = (403, b"")
    else:
        url = "file:///etc/passwd"
    response = service.catalog.manifests
    response[str(release.version_id)] = type(service.catalog).answer(stored, signature)
    await service.announce(release, url)
    await until(lambda: service.is_known(release), "the version is published")
    assert (await service.user().start(release)).total_size_bytes == release.size_bytes


async def test_a_publisher_that_stumbles_is_asked_again(service: Rig):
    release = Release()
    stored = manifests.serialise(release.manifest())
    url = service.place(release, stored, service.sign(stored))
    path = urlsplit(url).path
    good, service.origin.pages[path] = service.origin.pages[path], (503, b"")
    await service.announce(release, url)
    await until(lambda: _asked(service, path), "the publisher is asked")
    service.origin.pages[path] = good
    await until(lambda: service.is_known(release), "the version is published")
    assert await service.log("com.platform.catalog.events.v1.dlq", str(release.version_id)) == []


async def _asked(service: Rig, path: str) -> bool:
    return path in service.origin.asked


async def test_a_report_of_a_thousand_files_is_taken_and_of_more_refused(service: Rig):
    files = {f"f{number:04}": 10 for number in range(1001)}
    release = await service.publish(Release(files=files))
    user = service.user()
    started = await user.start(release)
    done = downloads.DOWNLOAD_ITEM_STATUS_COMPLETED
    reports = [
        downloads.ItemReport(item_id=str(uuid5(UUID(started.id), path)), status=done, downloaded_bytes=10)
        for path in files
    ]
    assert await refused(user.report(started.id, 1, reports)) == "VALIDATION_ERROR"
    assert (await user.report(started.id, 1, reports[:1000])).downloaded_bytes == 10_000
    assert (await user.report(started.id, 2, reports[1000:])).status == _status("COMPLETED")
    stranger = downloads.ItemReport(item_id=str(uuid4()), status=done)
    again = await user.start(release)
    assert await refused(user.report(again.id, 1, [stranger])) == "FILE_NOT_FOUND"


async def test_lists_are_paged_and_filtered(service: Rig):
    releases = [await service.publish() for _ in range(3)]
    user = service.user()
    sessions = [await user.start(release) for release in releases]
    await user.cancel(sessions[0].id)
    page = await user.call("ListDownloads", downloads.ListDownloadsRequest(page=2, limit=2))
    assert [session.id for session in page.sessions] == [sessions[0].id]
    assert (page.page.total_items, page.page.current_page, page.page.per_page) == (3, 2, 2)
    cancelled = downloads.ListDownloadsRequest(status=_status("CANCELLED"))
    assert [one.id for one in (await user.call("ListDownloads", cancelled)).sessions] == [sessions[0].id]
    of_product = downloads.ListDownloadsRequest(product_id=str(releases[1].product_id))
    assert [one.id for one in (await user.call("ListDownloads", of_product)).sessions] == [sessions[1].id]
    assert await refused(user.call("ListDownloads", downloads.ListDownloadsRequest(limit=101))) == "VALIDATION_ERROR"
