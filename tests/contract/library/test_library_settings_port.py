"""What every adapter of the GameSettingsStore and GameSettingsReader ports promises."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from library_svc.entitlements.application import grant
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.game_settings.application import patch_settings, put_settings
from library_svc.game_settings.domain import (
    GameSettings,
    GameSettingsUpdated,
    PreconditionRequired,
    SettingsVersionConflict,
    encoded,
)
from library_svc.ids import ProductId, UserId
from tests.fakes.library.access import MemoryAccessCache

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PAYLOAD = {
    "text": 'Ёлка / 🎄 / \\u0000 " \n \x7f',
    "numbers": [0, -1, 0.1, 1e-300, 1e300, 2**53, 1.2345678901234567e19, -2.5e-7],
    "flags": {"on": True, "off": False, "none": None},
    "": [],
    "empty": {},
}


@pytest.fixture
def user_id() -> UserId:
    return UserId(uuid4())


async def test_settings_come_back_exactly(adapters, user_id):
    settings = GameSettings(user_id, ProductId(uuid4()), PAYLOAD, 1, NOON, NOON + timedelta(hours=1))
    async with adapters.begin() as tx:
        assert await tx.game_settings.find(user_id, settings.product_id) is None
        await tx.game_settings.save(settings)
        await tx.commit()

    found = await adapters.settings.get_settings(user_id, settings.product_id)
    assert found == settings
    assert encoded(found.settings_payload) == encoded(PAYLOAD)
    async with adapters.begin() as tx:
        assert await tx.game_settings.find(user_id, settings.product_id) == settings
        assert await tx.game_settings.find(UserId(uuid4()), settings.product_id) is None
        await tx.game_settings.save(replace(settings, settings_payload={}, version=2))
        await tx.commit()
    assert (await adapters.settings.get_settings(user_id, settings.product_id)).settings_payload == {}
    assert await adapters.settings.get_settings(UserId(uuid4()), settings.product_id) is None


async def test_what_is_not_committed_leaves_no_trace(adapters, user_id):
    product_id = ProductId(uuid4())
    async with adapters.begin() as tx:
        await tx.game_settings.save(GameSettings(user_id, product_id, {}, 1, NOON, NOON))
        tx.record(GameSettingsUpdated(user_id, product_id, NOON))

    assert await adapters.settings.get_settings(user_id, product_id) is None
    assert await adapters.told(user_id) == []


async def test_of_twenty_first_settings_one_is_kept_and_told(adapters, user_id):
    product_id = await owned(adapters, user_id)

    outcomes = await asyncio.gather(
        *(
            put_settings(
                adapters.begin, user_id=user_id, product_id=product_id, payload={"n": number}, if_match=(), now=NOON
            )
            for number in range(20)
        ),
        return_exceptions=True,
    )

    kept = [outcome for outcome in outcomes if isinstance(outcome, GameSettings)]
    assert [await adapters.settings.get_settings(user_id, product_id)] == kept
    assert sum(isinstance(outcome, PreconditionRequired) for outcome in outcomes) == 19
    assert [kind for kind, _ in await adapters.told(user_id)] == ["game.added.v1", "game.settings.updated.v1"]


async def test_of_twenty_changes_of_one_version_one_succeeds(adapters, user_id):
    product_id = await owned(adapters, user_id)
    await put_settings(adapters.begin, user_id=user_id, product_id=product_id, payload={}, if_match=(), now=NOON)

    outcomes = await asyncio.gather(
        *(
            patch_settings(
                adapters.begin, user_id=user_id, product_id=product_id, patch={str(number): 1}, if_match=["1"], now=NOON
            )
            for number in range(20)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, GameSettings) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, SettingsVersionConflict) for outcome in outcomes) == 19
    found = await adapters.settings.get_settings(user_id, product_id)
    assert (found.version, len(found.settings_payload)) == (2, 1)


async def owned(adapters, user_id: UserId) -> ProductId:
    product_id = ProductId(uuid4())
    source = Source(SourceKind.ORDER, "1")
    await grant(
        adapters.begin,
        MemoryAccessCache(),
        event_id=None,
        user_id=user_id,
        product_ids=[product_id],
        source=source,
        at=NOON,
    )
    return product_id
