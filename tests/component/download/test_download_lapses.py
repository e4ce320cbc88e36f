"""Slots that lapse and versions that are withdrawn, through the real service: its sweeps, its events, its answers."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from catalog.v1 import events_pb2 as catalog_events
from download.v1 import downloads_pb2 as downloads
from download.v1 import updates_pb2 as pb

from chassis.errors.wire import from_rpc_error
from tests.component.download.rig import Release, Rig, User, until

OLD = {"a.bin": 300, "b.pak": 2000}
NEW = {"a.bin": 300, "b.pak": 3000}


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


async def fall_silent(service: Rig, download_id: str) -> None:
    """As if nothing had been heard for an hour."""
    await service.rows(
        "UPDATE download_sessions SET updated_at = now() - interval '1 hour' WHERE id = $1", UUID(download_id)
    )


async def becomes(user: User, download_id: str, status: str) -> downloads.DownloadSession:
    async def look() -> downloads.DownloadSession | None:
        found = await user.get(download_id)
        return found if found.status == downloads.DownloadStatus.Value(f"DOWNLOAD_STATUS_{status}") else None

    return await until(look, f"the download is {status}")


async def two_versions(service: Rig) -> tuple[Release, Release]:
    product_id, now = uuid4(), datetime.now(UTC)
    old, new = Release(product_id=product_id, files=OLD), Release(product_id=product_id, files=NEW)
    await service.publish(old, release_date=now - timedelta(days=1))
    await service.publish(new, release_date=now)
    return old, new


async def withdraw(service: Rig, release: Release) -> None:
    await service.send(
        catalog_events.VersionWithdrawn(
            product_id=str(release.product_id), version_id=str(release.version_id), withdrawn_at=datetime.now(UTC)
        )
    )


async def test_three_silent_downloads_do_not_keep_a_fourth_waiting(service: Rig):
    releases = [await service.publish() for _ in range(4)]
    user = service.user()
    held = [await user.start(release) for release in releases]
    await user.report(held[0].id, 1)
    assert (await user.get(held[3].id)).queue_position == 4
    for one in held[:3]:
        await fall_silent(service, one.id)
    await becomes(user, held[3].id, "INITIALIZING")
    for one in held[:3]:
        lapsed = await becomes(user, one.id, "PAUSED")
        assert lapsed.pause_reason == downloads.PAUSE_REASON_CLIENT_SILENT
        assert not lapsed.HasField("error")
    assert (await user.complete(held[0].id, 2)).status == downloads.DOWNLOAD_STATUS_COMPLETED
    assert not (await user.resume(held[1].id)).HasField("pause_reason")


async def test_a_withdrawn_version_ends_its_downloads_and_is_gone_back_from(service: Rig):
    old, new = await two_versions(service)
    user = service.user()
    device_id = str(uuid4())
    await user.complete((await user.start(new, device_id=device_id)).id)
    running, waiting = await user.start(new), await user.start(new, device_id=str(uuid4()))
    await user.report(running.id, 1)
    await withdraw(service, new)
    for one in (running, waiting):
        assert (await becomes(user, one.id, "ERROR")).error.code == "VERSION_NOT_AVAILABLE"
        assert await refused(user.retry(one.id)) == "VERSION_NOT_AVAILABLE"
    assert await refused(user.start(new)) == "VERSION_NOT_AVAILABLE"

    products = [pb.InstalledProduct(id=str(new.product_id), current_version_id=str(new.version_id))]
    (found,) = (await user.ask("updates", "CheckUpdates", pb.CheckUpdatesRequest(products=products))).updates
    assert (found.is_update_available, found.is_rollback) == (True, True)
    assert found.latest_version_id == str(old.version_id)

    async def offered() -> list[str]:
        listed = await user.ask("updates", "ListUpdates", pb.ListUpdatesRequest(status=pb.UPDATE_STATUS_AVAILABLE))
        return [one.to_version_id for one in listed.updates]

    assert await until(offered, "the way back is offered") == [str(old.version_id)]
    request = pb.RollbackUpdateRequest(
        product_id=str(new.product_id), device_id=device_id, to_version_id=found.latest_version_id
    )
    back = (await user.ask("updates", "RollbackUpdate", request)).session
    done = await user.complete(back.id)
    assert (done.status, done.version_id) == (downloads.DOWNLOAD_STATUS_COMPLETED, str(old.version_id))
    assert await offered() == []
