"""Entitlements: grants are recorded once, and the item stands while one of them does."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library_svc.entitlements.application import GrantResult, grant, revoke, revoke_whole
from library_svc.entitlements.domain import Grant, KeyAlreadyActivated, Source, SourceKind, foundation, held_since
from library_svc.ids import DeviceId, EventId, ProductId, UserId, VersionId
from library_svc.installations.application import follow
from library_svc.installations.domain import Installation
from library_svc.items.domain import (
    AcquisitionType,
    GameAdded,
    GameRemoved,
    InstallationStatus,
    Item,
    ItemUpdated,
    RemovalReason,
)
from library_svc.playtime.redis import RedisHeartbeats
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = UserId(uuid4())
GAME, DLC = ProductId(uuid4()), ProductId(uuid4())
ORDER, OTHER_ORDER = Source(SourceKind.ORDER, "order-1"), Source(SourceKind.ORDER, "order-2")
KEY = Source(SourceKind.KEY, "AAAA-BBBB")


class Shop:
    """Grants and revokes as Payment's events would."""

    def __init__(self) -> None:
        self.library = MemoryLibrary(MemoryProducts())

    async def sells(
        self,
        *products: ProductId,
        source: Source = ORDER,
        at: datetime = NOON,
        event_id: str | None = None,
        to: UserId = USER,
    ) -> None:
        await grant(
            self.library.begin,
            MemoryAccessCache(),
            event_id=EventId("test", event_id or str(uuid4())),
            user_id=to,
            product_ids=products,
            source=source,
            at=at,
        )

    async def refunds(self, *products: ProductId, source: Source = ORDER, at: datetime = NOON) -> None:
        await revoke(
            self.library.begin,
            MemoryAccessCache(),
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            event_id=EventId("test", str(uuid4())),
            user_id=USER,
            product_ids=products,
            source=source,
            reason=RemovalReason.REFUND,
            at=at,
        )

    async def refunds_all(self, source: Source = ORDER, at: datetime = NOON) -> None:
        await revoke_whole(
            self.library.begin,
            MemoryAccessCache(),
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            event_id=EventId("test", str(uuid4())),
            user_id=USER,
            source=source,
            reason=RemovalReason.REFUND,
            at=at,
        )

    async def items(self) -> dict[ProductId, Item]:
        return {item.product_id: item for item in await self.library.owned_items(USER, [])}


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_purchase_brings_an_item_for_each_product_and_says_so(shop: Shop):
    await shop.sells(GAME, DLC)

    items = await shop.items()
    assert set(items) == {GAME, DLC}
    assert items[GAME].acquisition_type is AcquisitionType.PURCHASE
    assert items[GAME].added_at == NOON
    assert shop.library.events == (
        GameAdded(USER, GAME, AcquisitionType.PURCHASE, NOON),
        GameAdded(USER, DLC, AcquisitionType.PURCHASE, NOON),
    )


async def test_the_same_event_again_changes_nothing(shop: Shop):
    await shop.sells(GAME, event_id="e1")
    await shop.sells(GAME, event_id="e1")

    assert len(await shop.items()) == len(shop.library.events) == 1


async def test_the_same_order_in_another_event_changes_nothing(shop: Shop):
    await shop.sells(GAME)
    await shop.sells(GAME, GAME)

    assert len(await shop.items()) == len(shop.library.events) == 1


async def test_a_refund_takes_the_item_away_and_says_so(shop: Shop):
    await shop.sells(GAME, DLC)
    await shop.refunds(DLC, at=NOON + timedelta(days=1))

    assert set(await shop.items()) == {GAME}
    assert shop.library.events[2:] == (GameRemoved(USER, DLC, RemovalReason.REFUND, NOON + timedelta(days=1)),)
    assert await shop.library.access_since(USER, DLC) is None


async def test_the_item_stays_while_another_grant_stands_and_rests_on_it(shop: Shop):
    await shop.sells(GAME)
    before = (await shop.items())[GAME]
    await shop.sells(GAME, source=KEY, at=NOON + timedelta(hours=1))
    await shop.refunds(GAME)

    after = (await shop.items())[GAME]
    assert after.id == before.id
    assert after.acquisition_type is AcquisitionType.KEY_ACTIVATION
    assert await shop.library.access_since(USER, GAME) == NOON + timedelta(hours=1)
    assert [type(event) for event in shop.library.events] == [GameAdded, ItemUpdated]


async def test_a_purchase_that_comes_after_its_own_refund_brings_nothing(shop: Shop):
    await shop.refunds(GAME)
    await shop.sells(GAME)

    assert await shop.items() == {}
    assert shop.library.events == ()


async def test_a_refunded_product_can_be_bought_again(shop: Shop):
    await shop.sells(GAME)
    await shop.refunds(GAME)
    await shop.sells(GAME, source=OTHER_ORDER, at=NOON + timedelta(days=2))

    assert (await shop.items())[GAME].added_at == NOON + timedelta(days=2)
    assert [type(event) for event in shop.library.events] == [GameAdded, GameRemoved, GameAdded]


async def test_a_returning_item_shows_what_is_still_installed(shop: Shop):
    version = VersionId(uuid4())
    await shop.sells(GAME)
    await shop.refunds(GAME)
    await follow(
        shop.library.begin,
        event_id=EventId("test", "installed"),
        user_id=USER,
        product_id=GAME,
        news=Installation(DeviceId(uuid4()), version, is_installed=True, changed_at=NOON),
    )
    await shop.sells(GAME, source=OTHER_ORDER)

    item = (await shop.items())[GAME]
    assert (item.installation_status, item.installed_version_id) == (InstallationStatus.INSTALLED, version)


def test_an_item_rests_on_the_oldest_grant_that_stands():
    first = Grant(USER, GAME, ORDER, NOON, revoked_at=NOON)
    second = Grant(USER, GAME, KEY, NOON + timedelta(hours=1))
    third = Grant(USER, GAME, OTHER_ORDER, NOON + timedelta(hours=2))

    assert foundation([third, first, second]) is second
    assert foundation([first]) is None


def test_the_earliest_begin_and_end_of_a_grant_count():
    ended = Grant(USER, GAME, ORDER, NOON).revoked(NOON + timedelta(hours=1))

    assert ended.revoked(NOON + timedelta(hours=2)) == ended
    assert ended.granted(NOON + timedelta(hours=2)) == ended
    assert ended.granted(NOON - timedelta(hours=1)).granted_at == NOON - timedelta(hours=1)
    earlier = ended.revoked(NOON - timedelta(hours=2))
    assert (earlier.granted_at, earlier.revoked_at) == (NOON - timedelta(hours=2), NOON - timedelta(hours=2))


spans = st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9))


@given(st.lists(spans, max_size=6))
def test_a_product_is_held_since_the_last_break(hours: list[tuple[int, int | None]]):
    """Said again hour by hour: back from the last grant that stands, as long as something covers the hour before."""
    moments = [NOON + timedelta(hours=hour) for hour in range(10)]
    grants = [
        Grant(USER, GAME, Source(SourceKind.ORDER, str(number)), moments[begin])
        if end is None
        else Grant(USER, GAME, Source(SourceKind.ORDER, str(number)), moments[begin]).revoked(moments[end])
        for number, (begin, end) in enumerate(hours)
    ]
    standing = [begin for begin, end in hours if end is None]
    expected = min(standing, default=None)
    while expected is not None:
        reaching = [min(begin, end) for begin, end in hours if end is not None and end >= expected]
        if min(reaching, default=expected) >= expected:
            break
        expected = min(reaching)

    assert held_since(grants) == (None if expected is None else moments[expected])


async def test_what_was_claimed_for_nothing_and_then_bought_is_bought(shop: Shop):
    await shop.sells(GAME, source=Source(SourceKind.FREE, "spring"))
    assert (await shop.items())[GAME].acquisition_type is AcquisitionType.FREE_TO_PLAY
    await shop.sells(GAME, at=NOON + timedelta(hours=1))

    item = (await shop.items())[GAME]
    assert (item.acquisition_type, item.added_at) == (AcquisitionType.PURCHASE, NOON)
    assert await shop.library.access_since(USER, GAME) == NOON
    await shop.refunds(GAME, at=NOON + timedelta(hours=2))
    assert (await shop.items())[GAME].acquisition_type is AcquisitionType.FREE_TO_PLAY


@pytest.mark.parametrize("is_early", [False, True])
async def test_a_refund_of_the_whole_order_ends_all_of_it_and_nothing_else(shop: Shop, *, is_early: bool):
    await shop.sells(GAME, source=OTHER_ORDER)
    if is_early:
        await shop.refunds_all(at=NOON + timedelta(days=1))
    await shop.sells(GAME, DLC)
    if not is_early:
        await shop.refunds_all(at=NOON + timedelta(days=1))
    await shop.sells(ProductId(uuid4()), at=NOON + timedelta(hours=1))

    assert set(await shop.items()) == {GAME}
    assert await shop.library.access_since(USER, DLC) is None


async def test_a_key_is_the_first_users_for_good(shop: Shop):
    other = UserId(uuid4())
    await shop.sells(GAME, DLC, source=KEY)
    with pytest.raises(KeyAlreadyActivated):
        await shop.sells(GAME, source=KEY, to=other)
    await shop.refunds(GAME, source=KEY)
    with pytest.raises(KeyAlreadyActivated):
        await shop.sells(GAME, source=KEY, to=other)

    assert await shop.library.owned_items(other, []) == []
    # A gift or a promotion of the same name is another thing.
    await shop.sells(GAME, source=Source(SourceKind.GIFT, KEY.id), to=other)
    assert len(await shop.library.owned_items(other, [])) == 1


@pytest.mark.parametrize(
    ("kind", "acquisition_type"),
    [
        (SourceKind.ORDER, AcquisitionType.PURCHASE),
        (SourceKind.KEY, AcquisitionType.KEY_ACTIVATION),
        (SourceKind.GIFT, AcquisitionType.GIFT),
        (SourceKind.FREE, AcquisitionType.FREE_TO_PLAY),
    ],
)
def test_how_a_product_was_acquired_follows_from_the_source(kind: SourceKind, acquisition_type: AcquisitionType):
    assert Source(kind, "1").acquisition_type is acquisition_type


class TestAskedForDirectly:
    async def grants(self, shop: Shop, source: Source, at: datetime = NOON) -> GrantResult:
        (settled,) = await grant(
            shop.library.begin,
            MemoryAccessCache(),
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=source,
            at=at,
        )
        return settled

    async def revokes(self, shop: Shop, source: Source, at: datetime = NOON) -> GrantResult:
        (settled,) = await revoke(
            shop.library.begin,
            MemoryAccessCache(),
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=source,
            reason=RemovalReason.ADMIN,
            at=at,
        )
        return settled

    @pytest.mark.parametrize(
        ("kind", "acquired"),
        [
            (SourceKind.GIFT, AcquisitionType.GIFT),
            (SourceKind.KEY, AcquisitionType.KEY_ACTIVATION),
            (SourceKind.FREE, AcquisitionType.FREE_TO_PLAY),
        ],
    )
    async def test_the_item_says_how_it_was_come_by(self, shop: Shop, kind: SourceKind, acquired: AcquisitionType):
        settled = await self.grants(shop, Source(kind, "1"))

        assert settled == GrantResult(Grant(USER, GAME, Source(kind, "1"), NOON), was_known=False, stood=False)
        assert (await shop.items())[GAME].acquisition_type is acquired
        assert shop.library.events == (GameAdded(USER, GAME, acquired, NOON),)

    async def test_the_same_again_tells_of_the_first(self, shop: Shop):
        first = await self.grants(shop, KEY)
        again = await self.grants(shop, KEY, at=NOON + timedelta(days=1))

        assert (again.grant, again.was_known, again.stood) == (first.grant, True, True)
        assert len(shop.library.events) == 1

    async def test_what_was_taken_back_stays_so(self, shop: Shop):
        await self.grants(shop, KEY)
        ended = await self.revokes(shop, KEY)
        again = await self.revokes(shop, KEY, at=NOON + timedelta(days=1))
        granted = await self.grants(shop, KEY)

        assert (ended.stood, again.stood, granted.stood) == (True, False, False)
        assert ended.grant == again.grant == granted.grant == Grant(USER, GAME, KEY, NOON, revoked_at=NOON)
        assert [type(event) for event in shop.library.events] == [GameAdded, GameRemoved]
        assert await shop.items() == {}

    async def test_what_never_was_is_remembered_as_taken_back(self, shop: Shop):
        ended = await self.revokes(shop, KEY)
        granted = await self.grants(shop, KEY)

        assert (ended.was_known, ended.stood, granted.grant.stands) == (False, False, False)
        assert shop.library.events == ()
