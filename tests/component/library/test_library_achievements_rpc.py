"""Achievements as a game client and other services see them: over gRPC, with the database and Catalog behind."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from catalog.v1 import product_pb2
from library.v1 import achievements_pb2 as pb
from library.v1 import playtime_pb2, query_pb2

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, statements, until, user
from tests.component.rpc_rig import as_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIBRARY_TOPIC = "com.platform.library.events.v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


def achievement(total: int = 1, *, is_hidden: bool = False) -> product_pb2.Achievement:
    return product_pb2.Achievement(
        achievement_meta_id=str(uuid4()),
        names=product_pb2.LocalizedText(ru="Мастер", en="Master"),
        descriptions=product_pb2.LocalizedText(ru="Победить", en="Win"),
        icon_url_unlocked="https://icons.test/1",
        total_progress_needed=total,
        is_hidden=is_hidden,
    )


async def played(rig: Rig, user_id: UUID, *defined: product_pb2.Achievement) -> UUID:
    """A product with these achievements that the user owns and plays."""
    product_id = uuid4()
    rig.catalog.achievements[product_id] = list(defined)
    await rig.buy(user_id, product_id)
    request = playtime_pb2.StartPlaytimeSessionRequest(product_id=str(product_id))
    await rig.playtime.StartPlaytimeSession(request, metadata=user(user_id))
    return product_id


def progress(product_id: UUID, achievement_id: str, **step: int) -> pb.UpdateAchievementProgressRequest:
    return pb.UpdateAchievementProgressRequest(
        product_id=str(product_id), achievement_meta_id=achievement_id, progress=pb.AchievementProgress(**step)
    )


async def refusal(call: Any) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def test_progress_is_shown_and_an_unlock_is_told_and_counted(rig: Rig):
    user_id, long, secret = uuid4(), achievement(3), achievement(is_hidden=True)
    product_id = await played(rig, user_id, long, secret)
    request = pb.ListAchievementStatusRequest(product_id=str(product_id))
    shown = (await rig.achievements.ListAchievementStatus(request, metadata=user(user_id, language="en"))).achievements
    assert [(one.name, one.description, one.is_hidden) for one in shown] == [("Master", "Win", False), ("", "", True)]
    assert [one.HasField("current_progress") for one in shown] == [True, False]
    assert not shown[1].HasField("icon_url_unlocked")

    me = user(user_id)
    step = progress(product_id, long.achievement_meta_id, increment=2)
    after = (await rig.achievements.UpdateAchievementProgress(step, metadata=me)).achievement
    assert (after.current_progress.current, after.current_progress.total, after.is_unlocked) == (2, 3, False)
    for one in (long, secret):
        step = progress(product_id, one.achievement_meta_id, current_progress=3)
        after = (await rig.achievements.UpdateAchievementProgress(step, metadata=me)).achievement
        assert (after.is_unlocked, after.name, after.HasField("unlocked_at")) == (True, "Мастер", True)

    async def is_counted() -> bool:
        listed = await rig.achievements.ListAchievementStatus(request, metadata=me)
        return [one.rarity_percentage for one in listed.achievements] == [100.0, 100.0]

    await until(is_counted)
    with statements() as seen:
        listed = await rig.achievements.ListAchievementStatus(request, metadata=me)
    assert len(seen) == 1
    theirs = await rig.query.GetUserAchievements(
        query_pb2.GetUserAchievementsRequest(user_id=str(user_id), product_id=str(product_id)),
        metadata=as_service("social-service"),
    )
    assert theirs.achievements == listed.achievements

    async def is_told() -> bool:
        events = [event for event, _ in await rig.told(LIBRARY_TOPIC) if event.partition_key == str(user_id)]
        told = [event.data["achievementMetaId"] for event in events if event.type.endswith("achievement.unlocked.v1")]
        return told == [long.achievement_meta_id, secret.achievement_meta_id]

    await until(is_told)


async def test_what_cannot_be_is_refused(rig: Rig):
    user_id, one = uuid4(), achievement()
    product_id = await played(rig, user_id, one)
    me, step = user(user_id), progress(product_id, one.achievement_meta_id, increment=1)
    refused = await refusal(rig.achievements.UpdateAchievementProgress(step, metadata=user(uuid4())))
    assert (refused.kind, refused.reason) == (Kind.FAILED_PRECONDITION, "ACHIEVEMENT_PROGRESS_REJECTED")
    await rig.achievements.UpdateAchievementProgress(step, metadata=me)
    refused = await refusal(rig.achievements.UpdateAchievementProgress(step, metadata=me))
    assert (refused.kind, refused.reason) == (Kind.FAILED_PRECONDITION, "ACHIEVEMENT_ALREADY_UNLOCKED")
    unknown = progress(product_id, str(uuid4()), increment=1)
    refused = await refusal(rig.achievements.UpdateAchievementProgress(unknown, metadata=me))
    assert (refused.kind, refused.reason) == (Kind.NOT_FOUND, "ACHIEVEMENT_NOT_FOUND")
    request = pb.ListAchievementStatusRequest(product_id=str(uuid4()))
    refused = await refusal(rig.achievements.ListAchievementStatus(request, metadata=me))
    assert (refused.kind, refused.reason) == (Kind.NOT_FOUND, "PRODUCT_NOT_FOUND")
    for empty in (progress(product_id, one.achievement_meta_id), progress(product_id, "x", increment=-1)):
        refused = await refusal(rig.achievements.UpdateAchievementProgress(empty, metadata=me))
        assert refused.reason == "VALIDATION_ERROR"
