"""Verifications, updates as they are listed, rollbacks and offers through the real service: what is answered, told, streamed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from download.v1 import downloads_pb2 as downloads
from download.v1 import updates_pb2 as updates
from download.v1 import verifications_pb2 as pb

from chassis.errors.wire import from_rpc_error
from tests.component.download.rig import Release, Rig, User, chunk_ids, file_entry, until

TOPIC = "com.platform.download.events.v1"
OLD = {"a.bin": 300, "b.pak": 2000, "dropped": 100}
NEW = {"a.bin": 300, "b.pak": 3500, "more": 700}


async def refused(awaitable) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value).reason


async def told(service: Rig, user: User, kind: str) -> list[dict[str, object]]:
    records = [json.loads(record["value"]) for record in await service.log(TOPIC, str(user.id))]
    return [one["data"] for one in records if one["type"] == f"com.platform.download.{kind}"]


def local_files(release: Release) -> dict[str, pb.LocalFile]:
    entries = [file_entry(path, size) for path, size in release.files.items()]
    return {
        one.path: pb.LocalFile(path=one.path, size_bytes=one.size_bytes, sha256=one.sha256.hex(), mode=one.mode)
        for one in entries
    }


async def create(user: User, release: Release, **request: object) -> pb.Verification:
    message = pb.CreateVerificationRequest(
        product_id=str(release.product_id), version_id=str(release.version_id), **request
    )
    return (await user.ask("verifications", "CreateVerification", message)).verification


async def submit(user: User, one: pb.Verification, files: list[pb.LocalFile], *, last: bool = True) -> pb.Verification:
    message = pb.SubmitHashesRequest(verification_id=one.id, files=files, is_last=last)
    return (await user.ask("verifications", "SubmitHashes", message)).verification


async def test_damage_is_found_told_repaired_to_the_chunk_and_told_again(service: Rig):
    release, user, device_id = await service.publish(), service.user(), str(uuid4())
    files = local_files(release)
    right = chunk_ids("b.pak", 2500)
    files["b.pak"] = pb.LocalFile(
        path="b.pak", size_bytes=2500, sha256="0" * 64, mode=420, chunk_sha256s=[right[0], "f" * 64, right[2]]
    )
    files["c.empty"].mode = 493
    files["mine"] = pb.LocalFile(path="mine", size_bytes=1)
    del files["a.bin"]
    made = await create(user, release, device_id=device_id)
    assert (made.status, made.device_id) == (pb.VERIFICATION_STATUS_PENDING, device_id)
    half = await submit(user, made, list(files.values())[:1], last=False)
    assert (half.status, half.checked_files_count) == (pb.VERIFICATION_STATUS_IN_PROGRESS, 1)
    found = await submit(user, made, list(files.values())[1:])
    assert (found.status, found.corrupted_files_count) == (pb.VERIFICATION_STATUS_COMPLETED_ERRORS, 3)
    assert found.HasField("completed_at")
    assert await refused(submit(user, made, [])) == "INVALID_STATE_TRANSITION"

    request = pb.ListVerificationIssuesRequest(verification_id=made.id, limit=3)
    page = await user.ask("verifications", "ListVerificationIssues", request)
    issues = {one.path: pb.IssueKind.Name(one.kind).removeprefix("ISSUE_KIND_") for one in page.issues}
    assert issues == {"a.bin": "MISSING", "b.pak": "CORRUPTED", "c.empty": "WRONG_MODE"}
    assert page.page.total_items == 4

    message = pb.RepairVerificationRequest(verification_id=made.id, installation_path="/games/it")
    repair = await user.ask("verifications", "RepairVerification", message)
    session, plan = repair.session, repair.plan
    assert (session.total_size_bytes, session.device_id) == (2800, device_id)
    fetched = [one.sha256 for file in plan.files for one in file.fetch]
    assert fetched == [*chunk_ids("a.bin", 300), right[1]], "exactly the damaged chunks"
    assert plan.fetch_bytes == 300 + 1000
    items = (await user.items(session.id)).items
    assert [item.relative_path for item in items] == ["a.bin", "b.pak", "c.empty"]
    shown = await user.ask("updates", "GetDownloadPlan", updates.GetDownloadPlanRequest(download_id=session.id))
    assert shown.plan == plan
    assert len(await user.links(session.id, fetched)) == 2
    await user.complete(session.id)
    get = pb.GetVerificationRequest(verification_id=made.id)
    mended = (await user.ask("verifications", "GetVerification", get)).verification
    assert (mended.status, mended.repaired_files_count) == (pb.VERIFICATION_STATUS_COMPLETED_OK, 3)
    assert mended.download_session_id == session.id

    kind = "file.verification.completed.v1"
    events = await until(lambda: _both(service, user, kind), "both ends are told")
    assert [event["verificationStatus"] for event in events] == ["failed_repair_needed", "success"]
    assert [event.get("downloadSessionId") for event in events] == [None, session.id]
    assert {event["deviceId"] for event in events} == {device_id}
    assert (events[1]["corruptedFilesCount"], events[1]["repairedFilesCount"]) == (3, 3)

    other = service.user()
    for method, foreign in (
        ("GetVerification", get),
        ("ListVerificationIssues", request),
        ("RepairVerification", message),
        ("SubmitHashes", pb.SubmitHashesRequest(verification_id=made.id)),
    ):
        assert await refused(other.ask("verifications", method, foreign)) == "VERIFICATION_NOT_FOUND"


async def _both(service: Rig, user: User, kind: str) -> list[dict[str, object]] | None:
    events = await told(service, user, kind)
    return events if len(events) == 2 else None


async def test_batches_that_come_all_at_once_are_all_counted(service: Rig):
    release = await service.publish(Release(files={f"f{number}": 10 for number in range(40)}))
    user = service.user()
    made, files = await create(user, release), list(local_files(release).values())
    await asyncio.gather(*(submit(user, made, files[start : start + 4], last=False) for start in range(0, 40, 4)))
    last = await submit(user, made, [])
    assert (last.status, last.checked_files_count) == (pb.VERIFICATION_STATUS_COMPLETED_OK, 40)


async def test_a_verification_is_refused_that_cannot_be(service: Rig):
    release, user = await service.publish(), service.user()
    assert await refused(create(user, Release(product_id=release.product_id))) == "VERSION_NOT_FOUND"
    made = await create(user, release)
    too_many = [pb.LocalFile(path=str(number)) for number in range(1001)]
    assert await refused(submit(user, made, too_many)) == "VALIDATION_ERROR"
    assert await refused(submit(user, made, [pb.LocalFile(path="a", sha256="XY")])) == "VALIDATION_ERROR"
    assert await refused(submit(user, made, [pb.LocalFile(path="a\0b")])) == "INVALID_ARGUMENT"
    service.library.denied.add((str(user.id), str(release.product_id)))
    assert await refused(create(user, release)) == "PRODUCT_ACCESS_DENIED"


async def test_an_update_is_offered_applied_listed_and_gone_back_from(service: Rig):
    product_id, now, device_id = uuid4(), datetime.now(UTC), str(uuid4())
    old = await service.publish(Release(product_id=product_id, files=OLD), release_date=now - timedelta(days=1))
    user, other = service.user(), service.user()
    first = await user.start(old, device_id=device_id)
    await user.complete(first.id)
    async with user.watch() as stream:
        new = await service.publish(Release(product_id=product_id, files=NEW), release_date=now)
        async with asyncio.timeout(60):
            async for event in stream:
                if event.HasField("update_available"):
                    break
    assert event.update_available.new_version_id == str(new.version_id)
    assert event.update_available.update_size_bytes == 1500 + 700
    (offered,) = await told(service, user, "update.available.v1")
    assert (offered["currentVersionId"], offered["newVersionId"]) == (str(old.version_id), str(new.version_id))
    assert (offered["updateType"], offered["updateSizeBytes"]) == ("delta", 2200)

    async def listed(**filters: object) -> dict[str, str]:
        answer = await user.ask("updates", "ListUpdates", updates.ListUpdatesRequest(**filters))
        assert answer.page.total_items == len(answer.updates)
        return {
            one.to_version_id: updates.UpdateStatus.Name(one.status).removeprefix("UPDATE_STATUS_")
            for one in answer.updates
        }

    assert await listed() == {str(new.version_id): "AVAILABLE"}
    apply = updates.ApplyUpdateRequest(
        product_id=str(product_id), from_version_id=str(old.version_id), device_id=device_id
    )
    applied = (await user.ask("updates", "ApplyUpdate", apply)).session
    assert await listed(status=updates.UPDATE_STATUS_DOWNLOADING) == {str(new.version_id): "DOWNLOADING"}
    await user.complete(applied.id)
    assert await listed() == {str(new.version_id): "APPLIED"}

    rollback = updates.RollbackUpdateRequest(product_id=str(product_id), device_id=device_id)
    back = await user.ask("updates", "RollbackUpdate", rollback)
    assert (back.session.version_id, back.plan.from_version_id) == (str(old.version_id), str(new.version_id))
    assert back.session.update_type == downloads.UPDATE_TYPE_DELTA
    assert await refused(user.ask("updates", "RollbackUpdate", rollback)) == "DOWNLOAD_ALREADY_ACTIVE"
    assert await refused(other.ask("updates", "RollbackUpdate", rollback)) == "INSTALLATION_NOT_FOUND"
    await user.complete(back.session.id)

    async def offered_again() -> bool:
        return await listed() == {str(new.version_id): "AVAILABLE", str(old.version_id): "APPLIED"}

    await until(offered_again, "the newer version is offered again")
    history = await user.ask("updates", "ListUpdateHistory", updates.ListUpdateHistoryRequest())
    assert [(one.applied_version_id, one.previous_version_id) for one in history.entries] == [
        (str(old.version_id), str(new.version_id)),
        (str(new.version_id), str(old.version_id)),
    ]
    assert {one.status for one in history.entries} == {updates.UPDATE_OUTCOME_SUCCESS}
    assert len(await told(service, user, "update.available.v1")) == 1, "who goes back is not told of what is known"
    nothing = await other.ask("updates", "ListUpdates", updates.ListUpdatesRequest())
    assert nothing.page.total_items == 0
