"""The library's live stream over gRPC, with a real Valkey: every event in its order, resumed, told when some are lost, and whole
whatever happens to the service and to the hot state.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
import pytest_asyncio
from catalog.v1 import product_pb2
from download.v1 import downloads_pb2 as downloads
from download.v1.events_pb2 import DownloadSessionStatusChanged, GameInstalled
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct
from library.v1 import achievements_pb2, categories_pb2, game_settings_pb2, playtime_pb2, wishlist_pb2
from library.v1 import items_pb2 as items
from library.v1 import updates_pb2 as pb
from library.v1.updates_pb2_grpc import LibraryUpdateServiceStub
from redis.asyncio import Redis

from chassis.errors import Kind
from chassis.errors.wire import from_rpc_error
from chassis.grpc_client.rpc_client import open_channel
from library_svc.main import NAME, SERVICES, build
from tests.component.data_rig import proxied
from tests.component.library.library_rig import Rig, library_rig, own_items, refund, until, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVE_GROUP = "library-service-live"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database: Callable[..., Awaitable[str]], valkey_url: str) -> AsyncIterator[Rig]:
    async with library_rig(new_database, redis_addr=urlsplit(valkey_url).netloc) as running:
        yield running


class Watcher:
    """What a client was told, and the rest of its stream."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def next(self) -> pb.WatchLibraryUpdatesResponse:
        async with asyncio.timeout(60):
            return await self._call.read()

    async def take(self, count: int) -> list[str]:
        """The members of the next events."""
        return [(await self.next()).WhichOneof("payload") for _ in range(count)]

    async def until(self, kind: str) -> pb.WatchLibraryUpdatesResponse:
        while (event := await self.next()).WhichOneof("payload") != kind:
            pass
        return event


@asynccontextmanager
async def watching(
    stub: LibraryUpdateServiceStub, user_id: UUID, last_event_id: str | None = None, *, language: str = "ru"
) -> AsyncIterator[Watcher]:
    """The stream, from the moment on that the service has said that nothing will be missed."""
    request = pb.WatchLibraryUpdatesRequest(last_event_id=last_event_id)
    call = stub.WatchLibraryUpdates(request, metadata=user(user_id, language=language))
    await call.initial_metadata()
    try:
        yield Watcher(call)
    finally:
        call.cancel()


async def favour(rig: Rig, user_id: UUID, item_id: str, **changes: Any) -> None:
    """Changes an item as its user does."""
    request = items.UpdateItemRequest(
        library_item_id=item_id,
        item=items.LibraryItemChanges(**{name: value for name, value in changes.items() if value is not None}),
        update_mask=FieldMask(paths=list(changes)),
    )
    await rig.items.UpdateItem(request, metadata=user(user_id))


async def bought(rig: Rig, user_id: UUID) -> items.LibraryItem:
    """A product of the user's, of which the stream was told already."""
    await rig.buy(user_id, uuid4())
    [item] = await own_items(rig, user_id)
    await until(lambda: caught_up(rig))
    return item


async def waiting(rig: Rig) -> int:
    """How many events the live group has not dealt with."""
    connection = await asyncpg.connect(rig.events_dsn)
    try:
        return await connection.fetchval(
            """SELECT count(*) FROM log JOIN offsets ON offsets.topic = log.topic AND offsets.partition = log.partition
            WHERE "group" = $1 AND log.id > offsets.id""",
            LIVE_GROUP,
        )
    finally:
        await connection.close()


async def caught_up(rig: Rig) -> bool:
    connection = await asyncpg.connect(rig.postgres_dsn)
    try:
        unpublished = await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")
    finally:
        await connection.close()
    return unpublished == 0 and await waiting(rig) == 0


async def wish_and_rank(rig: Rig, user_id: UUID, product_id: UUID) -> None:
    """Two changes of the wishlist."""
    wish = await rig.wishes.AddWishlistItem(
        wishlist_pb2.AddWishlistItemRequest(product_id=str(product_id)), metadata=user(user_id)
    )
    await rig.wishes.UpdateWishlistItem(
        wishlist_pb2.UpdateWishlistItemRequest(
            wishlist_item_id=wish.item.id,
            item=wishlist_pb2.WishlistItemChanges(priority=3),
            update_mask=FieldMask(paths=["priority"]),
        ),
        metadata=user(user_id),
    )


async def play_and_unlock(rig: Rig, user_id: UUID, product_id: UUID, achievement_id: str) -> str:
    """An achievement, then the end of the session, whose id this returns."""
    session = await rig.playtime.StartPlaytimeSession(
        playtime_pb2.StartPlaytimeSessionRequest(product_id=str(product_id)), metadata=user(user_id)
    )
    await rig.achievements.UpdateAchievementProgress(
        achievements_pb2.UpdateAchievementProgressRequest(
            product_id=str(product_id),
            achievement_meta_id=achievement_id,
            progress=achievements_pb2.AchievementProgress(increment=1),
        ),
        metadata=user(user_id),
    )
    await rig.playtime.EndPlaytimeSession(
        playtime_pb2.EndPlaytimeSessionRequest(session_id=session.session.id), metadata=user(user_id)
    )
    session_id: str = session.session.id
    return session_id


async def test_everything_that_happens_is_told_in_its_order(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me = user(user_id)
    achievement = product_pb2.Achievement(
        achievement_meta_id=str(uuid4()), names=product_pb2.LocalizedText(ru="Мастер", en="Master")
    )
    rig.catalog.titles[product_id] = ("Игра", "Game")
    rig.catalog.achievements[product_id] = [achievement]
    async with watching(rig.updates, user_id, language="en") as told:
        await wish_and_rank(rig, user_id, product_id)
        order_id = await rig.buy(user_id, product_id)
        [item] = await own_items(rig, user_id)
        made = await rig.categories.CreateCategory(categories_pb2.CreateCategoryRequest(name="Любимые"), metadata=me)
        await favour(rig, user_id, item.id, is_favorite=True, category_ids=[made.category.id], notes="мои слова")
        await rig.settings.PutGameSettings(
            game_settings_pb2.PutGameSettingsRequest(
                product_id=str(product_id),
                settings=game_settings_pb2.GameSettingsContent(settings_payload=Struct()),
            ),
            metadata=me,
        )
        session_id = await play_and_unlock(rig, user_id, product_id, achievement.achievement_meta_id)
        await rig.categories.DeleteCategory(
            categories_pb2.DeleteCategoryRequest(category_id=made.category.id), metadata=me
        )
        seen = [await told.next() for _ in range(10)]
        await rig.publish(refund(user_id, product_id, order_id=order_id))
        seen.append(await told.next())
    assert [event.WhichOneof("payload") for event in seen] == [
        "wishlist_updated",
        "wishlist_updated",
        "item_added",
        "wishlist_updated",
        "category_updated",
        "item_updated",
        "game_settings_updated",
        "achievement_unlocked",
        "playtime_updated",
        "category_updated",
        "item_removed",
    ]
    changes = [event.wishlist_updated.change for event in (seen[0], seen[1], seen[3])]
    assert changes == [pb.WISHLIST_CHANGE_ADDED, pb.WISHLIST_CHANGE_UPDATED, pb.WISHLIST_CHANGE_REMOVED]
    assert (seen[2].item_added.library_item_id, seen[2].item_added.product_id) == (item.id, str(product_id))
    assert seen[2].item_added.acquisition_type == items.ACQUISITION_TYPE_PURCHASE
    assert seen[5].item_updated.library_item_id == item.id
    unlocked = seen[7].achievement_unlocked
    assert (unlocked.achievement_id, unlocked.achievement_name) == (achievement.achievement_meta_id, "Master")
    assert seen[8].playtime_updated.session_id == session_id
    assert seen[10].item_removed.product_id == str(product_id)
    assert all(event.HasField("occurred_at") for event in seen)
    assert len({event.event_id for event in seen}) == len(seen)


async def test_a_change_comes_with_the_values_and_a_change_of_nothing_is_none(rig: Rig):
    user_id = uuid4()
    item = await bought(rig, user_id)
    async with watching(rig.updates, user_id) as told:
        await favour(rig, user_id, item.id, user_rating=4, is_favorite=True)
        first = await told.until("item_updated")
        assert dict(first.item_updated.changes) == {"user_rating": 4, "is_favorite": True}
        await favour(rig, user_id, item.id, user_rating=4, is_favorite=True)
        await favour(rig, user_id, item.id, user_rating=None)
        second = await told.next()
        assert dict(second.item_updated.changes) == {"user_rating": None}


async def test_an_installation_is_told_as_it_shows_on_the_item(rig: Rig):
    user_id = uuid4()
    item = await bought(rig, user_id)
    about = {"user_id": str(user_id), "product_id": item.product_id, "version_id": str(uuid4())}
    async with watching(rig.updates, user_id) as told:
        began = DownloadSessionStatusChanged(
            **about, download_session_id=str(uuid4()), new_status=downloads.DOWNLOAD_STATUS_DOWNLOADING
        )
        await rig.publish(began, copies=2)
        first = await told.until("item_updated")
        assert dict(first.item_updated.changes) == {"installation_status": "installing"}
        began.new_status = downloads.DOWNLOAD_STATUS_COMPLETED
        began.timestamp.GetCurrentTime()
        there = GameInstalled(**about, device_id=str(uuid4()))
        there.timestamp.GetCurrentTime()
        await rig.publish(began, there)
        second = await told.next()
        assert dict(second.item_updated.changes)["installation_status"] == "installed"
    assert {first.item_updated.library_item_id, second.item_updated.library_item_id} == {item.id}


async def test_a_stream_is_resumed_after_the_last_event_seen(rig: Rig):
    user_id = uuid4()
    item = await bought(rig, user_id)
    async with watching(rig.updates, user_id) as told:
        await favour(rig, user_id, item.id, is_favorite=True)
        seen = await told.until("item_updated")
    for rating in (1, 2, 3):
        await favour(rig, user_id, item.id, user_rating=rating)
    async with watching(rig.updates, user_id, seen.event_id) as told:
        missed = [await told.next() for _ in range(3)]
        assert all(list(event.item_updated.changes) == ["user_rating"] for event in missed)
    async with watching(rig.updates, user_id, missed[1].event_id) as told:
        assert (await told.next()).event_id == missed[2].event_id, "an event keeps its id"


async def test_what_is_gone_when_somebody_looks_is_not_told_of(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    async with watching(rig.updates, user_id) as told:
        start = (await _first(rig, user_id, told)).event_id
    order_id = await rig.buy(user_id, product_id)
    [item] = [one for one in await own_items(rig, user_id) if one.product_id == str(product_id)]
    await favour(rig, user_id, item.id, is_hidden=True)
    await rig.publish(refund(user_id, product_id, order_id=order_id))

    async def is_gone() -> bool:
        return all(one.product_id != str(product_id) for one in await own_items(rig, user_id, include_hidden=True))

    await until(is_gone)
    async with watching(rig.updates, user_id, start) as told:
        assert (await told.next()).item_removed.product_id == str(product_id)


async def _first(rig: Rig, user_id: UUID, told: Watcher) -> pb.WatchLibraryUpdatesResponse:
    await rig.categories.CreateCategory(categories_pb2.CreateCategoryRequest(name="A"), metadata=user(user_id))
    return await told.next()


async def test_an_unknown_or_foreign_place_is_answered_with_one_resync_and_then_what_comes(rig: Rig):
    user_id, other_id = uuid4(), uuid4()
    async with watching(rig.updates, other_id) as told:
        foreign = await _first(rig, other_id, told)
    for number, place in enumerate((foreign.event_id, "nonsense")):
        async with watching(rig.updates, user_id, place) as told:
            lost = await told.next()
            assert (lost.resync_required.reason, bool(lost.event_id)) == ("unknown_id", True)
            made = await rig.categories.CreateCategory(
                categories_pb2.CreateCategoryRequest(name=f"B{number}"), metadata=user(user_id)
            )
            assert (await told.next()).category_updated.category_id == made.category.id


async def test_users_see_only_their_own(rig: Rig):
    user_id, other_id = uuid4(), uuid4()
    async with watching(rig.updates, user_id) as told:
        await bought(rig, other_id)
        item = await bought(rig, user_id)
        assert (await told.next()).item_added.library_item_id == item.id


@pytest.mark.parametrize(("claims", "reason"), [({"ttl_seconds": -10}, "TOKEN_EXPIRED"), ({"roles": []}, None)])
async def test_who_may_not_watch_is_refused(rig: Rig, claims: dict[str, Any], reason: str | None):
    call = rig.updates.WatchLibraryUpdates(pb.WatchLibraryUpdatesRequest(), metadata=user(uuid4(), **claims))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    error = from_rpc_error(refused.value)
    assert (error.kind, error.reason) == (
        (Kind.UNAUTHENTICATED, reason) if reason else (Kind.PERMISSION_DENIED, "PERMISSION_DENIED")
    )


async def test_whichever_instance_is_asked_and_whichever_dies_each_event_comes_once(rig: Rig):
    user_id = uuid4()
    item = await bought(rig, user_id)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(build(rig.program)) for _ in range(2)]
        channels = [
            await stack.enter_async_context(
                open_channel(f"127.0.0.1:{other.port}", audience=NAME, service_tokens=None, services=SERVICES)
            )
            for other in others
        ]
        watchers = [
            await stack.enter_async_context(watching(stub, user_id))
            for stub in (rig.updates, *(LibraryUpdateServiceStub(channel) for channel in channels))
        ]
        for rating in (1, 2, 3, 4, 5) * 4:
            await favour(rig, user_id, item.id, user_rating=rating)
        heard = [[(await told.next()).event_id for _ in range(20)] for told in watchers]
    assert heard[0] == heard[1] == heard[2]
    assert len(set(heard[0])) == 20


async def test_the_bus_that_tells_everything_again_adds_nothing(rig: Rig):
    user_id = uuid4()
    item = await bought(rig, user_id)
    async with watching(rig.updates, user_id) as told:
        for rating in (1, 2, 3):
            await favour(rig, user_id, item.id, user_rating=rating)
        assert await told.take(3) == ["item_updated"] * 3
        own = [event for event, _ in await rig.told("com.platform.library.events.v1") if event.subject == item.id]
        await rig.bus.publish([*own, *reversed(own)])
        await until(lambda: caught_up(rig))
        await favour(rig, user_id, item.id, notes="after")
        assert list((await told.next()).item_updated.changes) == ["notes"]


async def test_losing_the_hot_state_loses_no_event_and_who_comes_back_is_told(
    new_database: Callable[..., Awaitable[str]], valkey_url: str
):
    async with proxied(valkey_url) as valkey, library_rig(new_database, urlsplit(valkey.dsn).netloc) as rig:
        user_id = uuid4()
        item = await bought(rig, user_id)
        async with watching(rig.updates, user_id) as told:
            await favour(rig, user_id, item.id, is_favorite=True)
            seen = await told.until("item_updated")
        valkey.cut()
        await favour(rig, user_id, item.id, user_rating=5)

        async def is_held_up() -> bool:
            return await waiting(rig) > 0

        await until(is_held_up)
        assert (await own_items(rig, user_id))[0].user_rating == 5
        valkey.mend()
        await until(lambda: caught_up(rig))
        async with watching(rig.updates, user_id, seen.event_id) as told:
            assert dict((await told.next()).item_updated.changes) == {"user_rating": 5}
            async with Redis.from_url(valkey_url) as client:
                await client.delete(*[key async for key in client.scan_iter(match=f"*{user_id}*")])
            await favour(rig, user_id, item.id, user_rating=1)
            assert (await told.next()).resync_required.reason == "unknown_id"
        async with watching(rig.updates, user_id, seen.event_id) as told:
            assert (await told.next()).resync_required.reason == "unknown_id"
