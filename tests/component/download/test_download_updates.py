"""Updates through the real service: what is newer and what it costs, the session over a version, its plan page by page."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from download.v1 import downloads_pb2 as downloads
from download.v1 import installations_pb2 as installations
from download.v1 import updates_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.cloudevents.moments import EARLIEST, MAX_NANOS, MAX_TIMESTAMP_SECONDS, MIN_TIMESTAMP_SECONDS
from chassis.errors.wire import from_rpc_error
from tests.component.download.rig import Release, Rig, User

# Chunks of the rig's files are named by path and number: what grows keeps its first chunks.
OLD = {"a.bin": 300, "b.pak": 2000, "dropped": 100}
NEW = {"a.bin": 300, "b.pak": 3000, "more": 700}


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


async def two_versions(service: Rig, **newer: object) -> tuple[Release, Release]:
    product_id, now = uuid4(), datetime.now(UTC)
    old, new = Release(product_id=product_id, files=OLD), Release(product_id=product_id, files=NEW)
    await service.publish(old, release_date=now - timedelta(days=1))
    await service.publish(new, release_date=now, **newer)
    return old, new


async def check(user: User, *products: tuple[UUID, UUID]) -> list[pb.UpdateAvailability]:
    request = pb.CheckUpdatesRequest(
        products=[pb.InstalledProduct(id=str(one), current_version_id=str(version)) for one, version in products]
    )
    return list((await user.ask("updates", "CheckUpdates", request)).updates)


async def apply(user: User, old: Release, **request: object) -> pb.ApplyUpdateResponse:
    message = pb.ApplyUpdateRequest(product_id=str(old.product_id), from_version_id=str(old.version_id), **request)
    return await user.ask("updates", "ApplyUpdate", message)


async def test_a_check_answers_in_order_what_is_newer_and_what_it_costs(service: Rig):
    old, new = await two_versions(service, is_critical=True, release_notes_url="https://notes.example/1")
    unknown = uuid4()
    newer, latest, foreign, lost = await check(
        service.user(),
        (old.product_id, old.version_id),
        (new.product_id, new.version_id),
        (unknown, uuid4()),
        (old.product_id, unknown),
    )
    assert newer.is_update_available
    assert (newer.id, newer.latest_version_id) == (str(old.product_id), str(new.version_id))
    assert newer.update_type == downloads.UPDATE_TYPE_DELTA
    assert newer.update_size_bytes == 1000 + 700, "the new chunk, the new file"
    assert newer.required_disk_space_bytes == 3000 + 700
    assert newer.is_critical
    assert newer.release_notes_url == "https://notes.example/1"
    assert (latest.is_update_available, latest.latest_version_id) == (False, str(new.version_id))
    assert (foreign.is_update_available, foreign.HasField("latest_version_id")) == (False, False)
    assert (lost.is_update_available, lost.update_type) == (True, downloads.UPDATE_TYPE_FULL)
    assert lost.update_size_bytes == new.size_bytes


async def test_versions_released_at_the_ends_of_time_are_versions(service: Rig):
    """Unset and never, as the systems of others write them; what says that it comes out later is out now."""
    before = datetime.now(UTC)
    product_id = uuid4()
    old, new = Release(product_id=product_id, files=OLD), Release(product_id=product_id, files=NEW)
    await service.publish(old, release_date=Timestamp(seconds=MIN_TIMESTAMP_SECONDS))
    await service.publish(new, release_date=Timestamp(seconds=MAX_TIMESTAMP_SECONDS, nanos=MAX_NANOS))
    (newer,) = await check(service.user(), (product_id, old.version_id))
    assert newer.latest_version_id == str(new.version_id)
    versions = await service.user().ask(
        "installations", "ListVersions", installations.ListVersionsRequest(product_id=str(product_id))
    )
    first, second = sorted(version.released_at.ToDatetime(UTC) for version in versions.versions)
    assert first == EARLIEST
    assert before <= second <= datetime.now(UTC)


async def test_a_version_of_another_channel_is_offered_to_no_one_unasked(service: Rig):
    old, _ = await two_versions(service, channel="beta")
    (found,) = await check(service.user(permissions=["channel:beta"]), (old.product_id, old.version_id))
    assert not found.is_update_available


async def test_an_update_is_a_session_over_a_version_with_its_plan(service: Rig):
    old, new = await two_versions(service)
    user, device_id = service.user(), str(uuid4())
    applied = await apply(user, old, device_id=device_id, installation_path="/games/it", client_free_space_bytes=3700)
    session, plan = applied.session, applied.plan
    assert (session.version_id, session.update_type) == (str(new.version_id), downloads.UPDATE_TYPE_DELTA)
    assert (await user.get(session.id)).update_type == downloads.UPDATE_TYPE_DELTA
    assert (plan.from_version_id, plan.to_version_id) == (str(old.version_id), str(new.version_id))
    assert (plan.fetch_bytes, plan.required_disk_space_bytes, plan.total_files) == (1700, 3700, 4)
    actions = {file.path: pb.FileAction.Name(file.action).removeprefix("FILE_ACTION_") for file in plan.files}
    assert actions == {"a.bin": "KEEP", "b.pak": "CHUNKS", "dropped": "DELETE", "more": "CHUNKS"}
    changed = next(file for file in plan.files if file.path == "b.pak")
    assert [(one.path, one.offset_bytes) for one in changed.on_disk] == [("b.pak", 0), ("b.pak", 1000)]
    assert await refused(apply(user, old, device_id=device_id)) == "DOWNLOAD_ALREADY_ACTIVE"

    pages, after = [], None
    while True:
        request = pb.GetDownloadPlanRequest(download_id=session.id, after=after, limit=3)
        page = (await user.ask("updates", "GetDownloadPlan", request)).plan
        pages.append([file.path for file in page.files])
        if not page.HasField("next_after"):
            break
        after = page.next_after
    assert pages == [["a.bin", "b.pak", "dropped"], ["more"]]
    foreign = pb.GetDownloadPlanRequest(download_id=session.id)
    assert await refused(service.user().ask("updates", "GetDownloadPlan", foreign)) == "DOWNLOAD_NOT_FOUND"


async def test_a_first_download_has_a_plan_from_an_empty_folder(service: Rig):
    release, user = await service.publish(), service.user()
    session = await user.start(release)
    plan = (await user.ask("updates", "GetDownloadPlan", pb.GetDownloadPlanRequest(download_id=session.id))).plan
    assert not plan.HasField("from_version_id")
    assert plan.update_type == downloads.UPDATE_TYPE_FULL
    assert plan.fetch_bytes == release.size_bytes


async def test_an_update_is_refused_that_cannot_be(service: Rig):
    old, new = await two_versions(service)
    user = service.user()
    assert await refused(apply(user, old, client_free_space_bytes=3699)) == "INSUFFICIENT_CLIENT_DISK_SPACE"
    assert await refused(apply(user, new)) == "INVALID_ARGUMENT"
    assert await refused(apply(user, old, to_version_id=str(uuid4()))) == "VERSION_NOT_FOUND"
    assert await refused(apply(user, Release(product_id=old.product_id))) == "VERSION_NOT_FOUND"
    service.library.denied.add((str(user.id), str(old.product_id)))
    assert await refused(apply(user, old)) == "PRODUCT_ACCESS_DENIED"
    back = await apply(service.user(), new, to_version_id=str(old.version_id))
    assert back.session.version_id == str(old.version_id), "any version may be gone back to by name"
