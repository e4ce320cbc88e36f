"""Catalog is away: what the library itself knows and does goes on, and what only Catalog can say is unavailable in words."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import grpc
import pytest
from catalog.v1 import product_pb2
from google.protobuf.struct_pb2 import Struct
from library.v1 import achievements_pb2, game_settings_pb2, playtime_pb2, wishlist_pb2

from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, own_items, until, user
from tests.component.library.test_library_updates_rpc import watching


def step(product_id: UUID, achievement_id: str) -> achievements_pb2.UpdateAchievementProgressRequest:
    return achievements_pb2.UpdateAchievementProgressRequest(
        product_id=str(product_id),
        achievement_meta_id=achievement_id,
        progress=achievements_pb2.AchievementProgress(increment=1),
    )


async def test_a_user_who_buys_plays_achieves_and_wishes_needs_no_catalog(
    new_database: Callable[..., Awaitable[str]], valkey_url: str
):
    async with library_rig(new_database, urlsplit(valkey_url).netloc) as rig:
        user_id, known, unknown = uuid4(), uuid4(), uuid4()
        me = user(user_id)
        achievement = product_pb2.Achievement(achievement_meta_id=str(uuid4()), total_progress_needed=1)
        rig.catalog.achievements[known] = [achievement]
        listing = achievements_pb2.ListAchievementStatusRequest(product_id=str(known))
        await rig.achievements.ListAchievementStatus(listing, metadata=me)
        await rig.stop_catalog()

        async with watching(rig.updates, user_id) as told:
            await rig.buy(user_id, known, unknown)
            assert {item.HasField("title") for item in await own_items(rig, user_id)} == {False}
            await plays(rig, user_id, known, unknown)
            await rig.achievements.UpdateAchievementProgress(step(known, achievement.achievement_meta_id), metadata=me)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await rig.achievements.UpdateAchievementProgress(step(unknown, str(uuid4())), metadata=me)
            assert from_rpc_error(refused.value).reason == "SERVICE_UNAVAILABLE"
            wish = await rig.wishes.AddWishlistItem(
                wishlist_pb2.AddWishlistItemRequest(product_id=str(uuid4())), metadata=me
            )
            assert not wish.item.HasField("title")
            await rig.settings.PutGameSettings(
                game_settings_pb2.PutGameSettingsRequest(
                    product_id=str(known), settings=game_settings_pb2.GameSettingsContent(settings_payload=Struct())
                ),
                metadata=me,
            )
            assert await told.take(7) == [
                "item_added",
                "item_added",
                "playtime_updated",
                "playtime_updated",
                "achievement_unlocked",
                "wishlist_updated",
                "game_settings_updated",
            ]

        async def is_counted() -> bool:
            listed = await rig.achievements.ListAchievementStatus(listing, metadata=me)
            return [(one.is_unlocked, one.rarity_percentage) for one in listed.achievements] == [(True, 100.0)]

        await until(is_counted)


async def plays(rig: Rig, user_id: UUID, *product_ids: UUID) -> None:
    for product_id in product_ids:
        began = await rig.playtime.StartPlaytimeSession(
            playtime_pb2.StartPlaytimeSessionRequest(product_id=str(product_id)), metadata=user(user_id)
        )
        await rig.playtime.RecordPlaytimeHeartbeat(
            playtime_pb2.RecordPlaytimeHeartbeatRequest(session_id=began.session.id), metadata=user(user_id)
        )
        await rig.playtime.EndPlaytimeSession(
            playtime_pb2.EndPlaytimeSessionRequest(session_id=began.session.id), metadata=user(user_id)
        )
