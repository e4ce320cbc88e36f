"""What every adapter of the library's transactions promises (application/ports.py)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from library_svc.entitlements.application import grant, revoke
from library_svc.entitlements.domain import Grant, Source, SourceKind
from library_svc.ids import DeviceId, DownloadSessionId, EventId, ItemId, ProductId, UserId, VersionId
from library_svc.installations.application import follow
from library_svc.installations.domain import Download, DownloadStatus, Installation, InstallationState, Verification
from library_svc.items.application import update_item
from library_svc.items.domain import (
    AcquisitionType,
    GameAdded,
    GameRemoved,
    InstallationStatus,
    Item,
    ItemChanges,
    RemovalReason,
)
from library_svc.playtime.redis import RedisHeartbeats
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def an_item(user_id: UserId, **attributes: object) -> Item:
    item = Item(ItemId(uuid4()), user_id, ProductId(uuid4()), NOON, AcquisitionType.PURCHASE)
    return replace(item, **attributes)


@pytest.fixture
def user_id() -> UserId:
    return UserId(uuid4())


async def test_what_is_committed_is_found_with_every_attribute(adapters, user_id):
    item = an_item(
        user_id,
        acquisition_type=AcquisitionType.FAMILY_SHARED_ACCESS,
        shared_from_user_id=UserId(uuid4()),
        installation_status=InstallationStatus.UPDATING,
        installed_version_id=VersionId(uuid4()),
        last_played_at=NOON + timedelta(days=1),
        total_playtime_seconds=2**40,
        is_hidden=True,
        is_favorite=True,
        user_rating=5,
        notes="Всё / 100 %",
    )
    async with adapters.begin() as tx:
        await tx.items.add(item)
        await tx.commit()

    async with adapters.begin() as tx:
        assert await tx.items.find(user_id, item.id) == item
        assert await tx.items.of_product(user_id, item.product_id) == item
        assert await tx.items.find(UserId(uuid4()), item.id) is None
        assert await tx.items.of_product(user_id, ProductId(uuid4())) is None


async def test_what_is_not_committed_leaves_no_trace(adapters, user_id):
    item = an_item(user_id)
    async with adapters.begin() as tx:
        await tx.items.add(item)
        await tx.entitlements.save(Grant(user_id, item.product_id, Source(SourceKind.ORDER, "1"), NOON))
        assert await tx.first_time(EventId("test", f"event of {user_id}"))
        tx.record(GameAdded(user_id, item.product_id, item.acquisition_type, NOON))

    assert await adapters.reader.owned_items(user_id, []) == []
    assert await adapters.reader.access_since(user_id, item.product_id) is None
    assert await adapters.told(user_id) == []
    async with adapters.begin() as tx:
        assert await tx.first_time(EventId("test", f"event of {user_id}"))


async def test_an_error_inside_rolls_back(adapters, user_id):
    async def fail() -> None:
        async with adapters.begin() as tx:
            await tx.items.add(an_item(user_id))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()

    assert await adapters.reader.owned_items(user_id, []) == []


async def test_rows_and_events_commit_together_in_order(adapters, user_id):
    item = an_item(user_id)
    async with adapters.begin() as tx:
        await tx.items.add(item)
        tx.record(GameAdded(user_id, item.product_id, item.acquisition_type, NOON))
        tx.record(GameRemoved(user_id, item.product_id, RemovalReason.REFUND, NOON))
        await tx.commit()

    product = str(item.product_id)
    assert await adapters.told(user_id) == [("game.added.v1", product), ("game.removed.v1", product)]


async def test_an_item_is_saved_and_removed(adapters, user_id):
    item, other = an_item(user_id), an_item(user_id)
    async with adapters.begin() as tx:
        await tx.items.add(item)
        await tx.items.add(other)
        await tx.commit()
    async with adapters.begin() as tx:
        await tx.items.save(replace(item, notes="kept"))
        await tx.items.remove(other)
        await tx.commit()

    assert await adapters.reader.owned_items(user_id, []) == [replace(item, notes="kept")]


async def test_grants_are_told_apart_by_source_and_product(adapters, user_id):
    product_id, other_product = ProductId(uuid4()), ProductId(uuid4())
    by_order = Grant(user_id, product_id, Source(SourceKind.ORDER, "1"), NOON)
    by_key = Grant(user_id, product_id, Source(SourceKind.KEY, "1"), NOON + timedelta(hours=1))
    async with adapters.begin() as tx:
        await tx.entitlements.save(by_order)
        await tx.entitlements.save(by_key)
        await tx.entitlements.save(Grant(user_id, other_product, Source(SourceKind.ORDER, "1"), NOON))
        await tx.commit()
    async with adapters.begin() as tx:
        await tx.entitlements.save(by_order.revoked(NOON))
        await tx.commit()

    async with adapters.begin() as tx:
        assert set(await tx.entitlements.of_product(user_id, product_id)) == {by_order.revoked(NOON), by_key}
    assert await adapters.reader.access_since(user_id, product_id) == by_key.granted_at
    assert await adapters.reader.access_since(UserId(uuid4()), product_id) is None


async def test_the_last_word_about_each_session_device_and_its_files_is_kept(adapters, user_id):
    product_id, version_id = ProductId(uuid4()), VersionId(uuid4())
    session_id, device_id = DownloadSessionId(uuid4()), DeviceId(uuid4())
    queued = Download(session_id, version_id, DownloadStatus.QUEUED, NOON)
    completed = Download(session_id, version_id, DownloadStatus.COMPLETED, NOON + timedelta(seconds=1))
    installed = Installation(device_id, version_id, is_installed=True, changed_at=NOON)
    damaged = Verification(device_id, version_id, is_damaged=True, changed_at=NOON)
    right = Verification(device_id, version_id, is_damaged=False, changed_at=NOON + timedelta(seconds=1))
    for news in (queued, completed, installed, damaged, right):
        async with adapters.begin() as tx:
            await tx.installations.save(user_id, product_id, news)
            await tx.commit()

    async with adapters.begin() as tx:
        assert await tx.installations.of_product(user_id, product_id) == InstallationState(
            downloads={session_id: completed}, installations={device_id: installed}, verifications={device_id: right}
        )
        assert await tx.installations.of_product(user_id, ProductId(uuid4())) == InstallationState()


async def test_an_event_is_first_once(adapters):
    event_id = EventId("test", str(uuid4()))
    async with adapters.begin() as tx:
        assert await tx.first_time(event_id)
        await tx.commit()

    async with adapters.begin() as tx:
        assert not await tx.first_time(event_id)


async def test_a_user_is_held_by_one_transaction_at_a_time(adapters, user_id):
    steps: list[str] = []
    entered = asyncio.Event()

    async def first() -> None:
        async with adapters.begin() as tx:
            await tx.lock_user(user_id)
            entered.set()
            await asyncio.sleep(0)
            steps.append("first ends")
            await tx.commit()

    async def second() -> None:
        await entered.wait()
        async with adapters.begin() as tx:
            await tx.lock_user(user_id)
            steps.append("second begins")

    await asyncio.gather(first(), second())
    assert steps == ["first ends", "second begins"]


class TestConcurrency:
    async def test_twenty_deliveries_of_one_purchase_give_one_item_and_one_event(self, adapters, user_id):
        product_id, event_id = ProductId(uuid4()), EventId("test", str(uuid4()))

        async def deliver() -> None:
            source = Source(SourceKind.ORDER, "1")
            await grant(
                adapters.begin,
                MemoryAccessCache(),
                event_id=event_id,
                user_id=user_id,
                product_ids=[product_id],
                source=source,
                at=NOON,
            )

        await asyncio.gather(*(deliver() for _ in range(20)))

        assert [item.product_id for item in await adapters.reader.owned_items(user_id, [])] == [product_id]
        assert await adapters.told(user_id) == [("game.added.v1", str(product_id))]

    async def test_twenty_orders_of_one_product_give_one_item_and_one_event(self, adapters, user_id):
        product_id = ProductId(uuid4())

        async def order(number: int) -> None:
            await grant(
                adapters.begin,
                MemoryAccessCache(),
                event_id=EventId("test", str(uuid4())),
                user_id=user_id,
                product_ids=[product_id],
                source=Source(SourceKind.ORDER, str(number)),
                at=NOON,
            )

        await asyncio.gather(*(order(number) for number in range(20)))

        assert len(await adapters.reader.owned_items(user_id, [])) == 1
        assert await adapters.told(user_id) == [("game.added.v1", str(product_id))]
        assert await adapters.reader.access_since(user_id, product_id) == NOON

    async def test_item_and_grants_agree_when_purchases_and_refunds_race(self, adapters, user_id):
        product_id = ProductId(uuid4())

        async def buy(number: int) -> None:
            source = Source(SourceKind.ORDER, str(number))
            await grant(
                adapters.begin,
                MemoryAccessCache(),
                event_id=EventId("test", str(uuid4())),
                user_id=user_id,
                product_ids=[product_id],
                source=source,
                at=NOON,
            )
            await revoke(
                adapters.begin,
                MemoryAccessCache(),
                RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
                event_id=EventId("test", str(uuid4())),
                user_id=user_id,
                product_ids=[product_id],
                source=source,
                reason=RemovalReason.REFUND,
                at=NOON,
            )

        await asyncio.gather(*(buy(number) for number in range(8)))

        assert await adapters.reader.owned_items(user_id, []) == []
        assert await adapters.reader.access_since(user_id, product_id) is None
        told = [kind for kind, _ in await adapters.told(user_id)]
        assert told == ["game.added.v1", "game.removed.v1"] * (len(told) // 2)

    async def test_the_users_change_and_downloads_news_both_last(self, adapters, user_id):
        item = an_item(user_id)
        async with adapters.begin() as tx:
            await tx.items.add(item)
            await tx.commit()
        news = Download(DownloadSessionId(uuid4()), VersionId(uuid4()), DownloadStatus.QUEUED, NOON)

        await asyncio.gather(
            update_item(adapters.begin, user_id=user_id, item_id=item.id, changes=ItemChanges(notes="mine")),
            follow(
                adapters.begin,
                event_id=EventId("test", str(uuid4())),
                user_id=user_id,
                product_id=item.product_id,
                news=news,
            ),
            update_item(adapters.begin, user_id=user_id, item_id=item.id, changes=ItemChanges(is_favorite=True)),
        )

        expected = replace(item, notes="mine", is_favorite=True, installation_status=InstallationStatus.INSTALLING)
        assert await adapters.reader.owned_items(user_id, []) == [expected]
