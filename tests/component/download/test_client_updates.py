"""Releases of the launcher through the real service: made known, rolled out, halted, gone back from."""

import asyncio
from uuid import uuid4

import grpc
import pytest
from content.v1 import manifest_pb2 as content
from download.v1 import client_updates_pb2 as pb

from chassis.errors.wire import from_rpc_error
from tests.component.download.rig import Rig

SHA = "ab" * 32


@pytest.fixture(params=[pb.CLIENT_CHANNEL_STABLE, pb.CLIENT_CHANNEL_BETA])
def line(request) -> dict[str, int]:
    return {"platform": content.PLATFORM_LINUX, "arch": pb.CLIENT_ARCH_ARM64, "channel": request.param}


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


async def test_a_release_goes_from_known_to_offered_to_halted_to_gone_back_from(service: Rig, line: dict[str, int]):
    admin, stub = service.user(roles=["admin"]), service.stubs["client_updates"]

    def add(version: str, sha256: str = SHA):
        request = pb.AddClientReleaseRequest(version=version, target_sha256=sha256, target_size_bytes=9, **line)
        return admin.ask("client_updates", "AddClientRelease", request)

    async def rollout(release: pb.ClientRelease, permille: int) -> pb.ClientRelease:
        request = pb.SetClientRolloutRequest(release_id=release.id, rollout_permille=permille)
        return (await admin.ask("client_updates", "SetClientRollout", request)).release

    async def check(version: str) -> pb.ClientUpdate:  # no token at all
        request = pb.CheckClientUpdateRequest(version=version, install_id=str(uuid4()), **line)
        return (await stub.CheckClientUpdate(request)).update

    assert await refused(check("1.0")) == "CLIENT_RELEASE_NOT_FOUND"
    added = await asyncio.gather(*(add("1.0") for _ in range(20)))
    assert len({one.release.id for one in added}) == 1, "twenty at once are one release"
    assert await refused(add("1.0.0", "cd" * 32)) == "CLIENT_RELEASE_ALREADY_EXISTS"
    assert await refused(check("1.0")) == "CLIENT_RELEASE_NOT_FOUND", "nobody is offered it yet"
    one, two = added[0].release, (await add("2.0")).release
    assert (await rollout(one, 1000)).rollout_permille == 1000
    assert not (await check("1.0")).is_available
    await rollout(two, 1000)
    found = await check("1.0")
    assert (found.version, found.is_available, found.target_sha256) == ("2.0", True, SHA)
    await rollout(two, 0)
    assert not (await check("1.0")).is_available
    assert not (await check("2.0")).is_available, "a halt takes it from nobody"
    await admin.ask("client_updates", "RollBackClientRelease", pb.RollBackClientReleaseRequest(release_id=one.id))
    back = await check("2.0")
    assert (back.version, back.is_available, back.is_rollback) == ("1.0", True, True)
    listed = await admin.ask("client_updates", "ListClientReleases", pb.ListClientReleasesRequest(**line))
    assert [(kept.version, kept.rollout_permille) for kept in listed.releases] == [("2.0", 0), ("1.0", 1000)]


async def test_only_an_admin_says_what_is_released(service: Rig, line: dict[str, int]):
    nobody = str(uuid4())
    calls = {
        "AddClientRelease": pb.AddClientReleaseRequest(version="9.9", target_sha256=SHA, target_size_bytes=1, **line),
        "ListClientReleases": pb.ListClientReleasesRequest(**line),
        "SetClientRollout": pb.SetClientRolloutRequest(release_id=nobody, rollout_permille=1),
        "RollBackClientRelease": pb.RollBackClientReleaseRequest(release_id=nobody),
    }
    for method, request in calls.items():
        assert await refused(service.user().ask("client_updates", method, request)) == "PERMISSION_DENIED"
    admin = service.user(roles=["admin"])
    for method in ("SetClientRollout", "RollBackClientRelease"):
        assert await refused(admin.ask("client_updates", method, calls[method])) == "CLIENT_RELEASE_NOT_FOUND"
