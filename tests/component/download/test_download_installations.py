"""Versions and installations through the real service: what is listed, changed, told to the platform."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from download.v1 import installations_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors.wire import from_rpc_error
from tests.component.download.rig import Release, Rig, User, until

TOPIC = "com.platform.download.events.v1"


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


async def installations(user: User, **filters: str) -> list[pb.Installation]:
    answer = await user.ask("installations", "ListInstallations", pb.ListInstallationsRequest(**filters))
    assert answer.page.total_items == len(answer.installations)
    return list(answer.installations)


async def install(user: User, release: Release, device_id: str | None = None) -> None:
    request = {"device_id": device_id} if device_id else {}
    started = await user.start(release, installation_path="/games/it", **request)
    await user.complete(started.id)


async def test_versions_are_listed_newest_first_and_only_from_channels_the_user_may_see(service: Rig):
    product_id, now = uuid4(), datetime.now(UTC)
    releases = [Release(product_id=product_id) for _ in range(3)]
    for age, release in enumerate(releases):
        channel = "beta" if age == 1 else "stable"
        await service.publish(release, channel=channel, release_date=now - timedelta(days=age))
    request = pb.ListVersionsRequest(product_id=str(product_id))

    async def listed(user: User) -> list[str]:
        answer = await user.ask("installations", "ListVersions", request)
        assert answer.page.total_items == len(answer.versions)
        return [version.id for version in answer.versions]

    newest, beta, oldest = (str(release.version_id) for release in releases)
    assert await listed(service.user()) == [newest, oldest]
    assert await listed(service.user(permissions=["channel:beta"])) == [newest, beta, oldest]
    page = await service.user().ask(
        "installations", "ListVersions", pb.ListVersionsRequest(product_id=str(product_id), page=2, limit=1)
    )
    assert [version.id for version in page.versions] == [oldest]
    unknown = pb.ListVersionsRequest(product_id=str(uuid4()))
    assert await refused(service.user().ask("installations", "ListVersions", unknown)) == "PRODUCT_NOT_FOUND"


async def test_an_installation_is_changed_by_its_user_alone(service: Rig):
    release, user, device_id = await service.publish(), service.user(), str(uuid4())
    await install(user, release, device_id)
    (kept,) = await installations(user, device_id=device_id)
    assert (kept.version_id, kept.installation_path) == (str(release.version_id), "/games/it")
    assert not kept.is_pinned
    assert not kept.HasField("auto_update")

    async def change(who: User, paths: list[str], **values: bool) -> pb.Installation:
        request = pb.UpdateInstallationRequest(
            installation_id=kept.id,
            installation=pb.InstallationChanges(**values),
            update_mask=FieldMask(paths=paths),
        )
        return (await who.ask("installations", "UpdateInstallation", request)).installation

    pinned = await change(user, ["is_pinned", "auto_update"], is_pinned=True, auto_update=False)
    assert pinned.is_pinned
    assert pinned.HasField("auto_update")
    cleared = await change(user, ["auto_update"])
    assert cleared.is_pinned
    assert not cleared.HasField("auto_update")
    assert await refused(change(user, ["is_pinned"])) == "INVALID_ARGUMENT"
    assert await refused(change(user, ["version_id"])) == "INVALID_ARGUMENT"
    other = service.user()
    assert await refused(change(other, ["is_pinned"], is_pinned=False)) == "INSTALLATION_NOT_FOUND"
    get = pb.GetInstallationRequest(installation_id=kept.id)
    assert await refused(other.ask("installations", "GetInstallation", get)) == "INSTALLATION_NOT_FOUND"
    assert (await user.ask("installations", "GetInstallation", get)).installation == cleared


async def test_an_uninstall_is_told_to_the_platform_once_with_the_devices_that_are_left(service: Rig):
    release, user, devices = await service.publish(), service.user(), [str(uuid4()), str(uuid4())]
    for device_id in devices:
        await install(user, release, device_id)
    (kept,) = await installations(user, device_id=devices[0])
    gone = pb.DeleteInstallationRequest(installation_id=kept.id)
    assert await refused(service.user().ask("installations", "DeleteInstallation", gone)) == "INSTALLATION_NOT_FOUND"
    await user.ask("installations", "DeleteInstallation", gone)
    assert await refused(user.ask("installations", "DeleteInstallation", gone)) == "INSTALLATION_NOT_FOUND"
    assert [one.device_id for one in await installations(user, product_id=str(release.product_id))] == devices[1:]

    async def told() -> list[dict[str, object]]:
        records = [json.loads(record["value"]) for record in await service.log(TOPIC, str(user.id))]
        return [one["data"] for one in records if one["type"] == "com.platform.download.game.uninstalled.v1"]

    (data,) = await until(told, "the uninstall is told")
    assert (data["productId"], data["deviceId"]) == (str(release.product_id), devices[0])
    assert data["remainingInstallations"] == 1
