"""Game settings: merge patches, versions, what can be kept, and who may keep it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import DomainError, Kind
from library_svc.entitlements.application import grant, revoke
from library_svc.entitlements.domain import ProductAccessDenied, Source, SourceKind
from library_svc.game_settings.application import patch_settings, put_settings
from library_svc.game_settings.domain import (
    MAX_PAYLOAD_BYTES,
    GameSettings,
    GameSettingsNotFound,
    GameSettingsUpdated,
    PreconditionRequired,
    SettingsVersionConflict,
    encoded,
    merged,
    normalised,
)
from library_svc.game_settings.postgres import settings_of, settings_row
from library_svc.game_settings.presentation import payload_of, settings_message
from library_svc.ids import ProductId, UserId
from library_svc.items.domain import RemovalReason
from library_svc.playtime.redis import RedisHeartbeats
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts
from tests.fakes.live_state import MemoryLiveValues

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
USER, GAME = UserId(uuid4()), ProductId(uuid4())
ORDER = Source(SourceKind.ORDER, "1")

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
payloads = st.dictionaries(texts, values, max_size=4).map(normalised)


class Console:
    """A user's device that keeps settings of a game."""

    def __init__(self) -> None:
        self.library = MemoryLibrary(MemoryProducts())

    async def buys(self) -> None:
        await grant(
            self.library.begin,
            MemoryAccessCache(),
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=ORDER,
            at=NOON,
        )

    async def refunds(self) -> None:
        await revoke(
            self.library.begin,
            MemoryAccessCache(),
            RedisHeartbeats(MemoryLiveValues(), max_silence=timedelta(minutes=5)),
            event_id=None,
            user_id=USER,
            product_ids=[GAME],
            source=ORDER,
            reason=RemovalReason.REFUND,
            at=NOON,
        )

    async def puts(self, payload: Mapping[str, object], *if_match: str, at: datetime = NOON) -> GameSettings:
        return await put_settings(
            self.library.begin, user_id=USER, product_id=GAME, payload=payload, if_match=if_match, now=at
        )

    async def patches(self, patch: Mapping[str, object], *if_match: str, at: datetime = LATER) -> GameSettings:
        return await patch_settings(
            self.library.begin, user_id=USER, product_id=GAME, patch=patch, if_match=if_match, now=at
        )

    def updates(self) -> list[datetime]:
        return [event.updated_at for event in self.library.events if isinstance(event, GameSettingsUpdated)]


@pytest.fixture
async def console() -> Console:
    made = Console()
    await made.buys()
    return made


class TestMergePatch:
    @pytest.mark.parametrize(
        ("target", "patch", "result"),
        [
            # The examples of RFC 7396, appendix A.
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            (["a", "b"], ["c", "d"], ["c", "d"]),
            ({"a": "b"}, ["c"], ["c"]),
            ({"a": "foo"}, None, None),
            ({"a": "foo"}, "bar", "bar"),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ],
    )
    def test_it_is_that_of_the_rfc(self, target: object, patch: object, result: object):
        assert merged(target, patch) == result

    @given(payloads, payloads)
    def test_the_same_patch_twice_changes_nothing_more(self, target: Mapping[str, object], patch: Mapping[str, object]):
        once = merged(target, patch)

        assert merged(once, patch) == once


class TestPayloads:
    @given(payloads)
    def test_a_payload_comes_back_from_its_message_and_its_row(self, payload: Mapping[str, object]):
        settings = GameSettings(USER, GAME, payload, 1, NOON, LATER)
        message = settings_message(settings)
        sent = Struct.FromString(message.settings_payload.SerializeToString())

        assert encoded(payload_of(sent)) == encoded(payload)
        assert settings_of(settings_row(settings)) == settings
        assert (message.version, message.product_id) == (1, str(GAME))

    def test_whole_numbers_are_integers_and_booleans_are_not(self):
        assert (
            encoded({"a": normalised(5.0), "b": normalised(True), "c": normalised(0.5)}) == '{"a":5,"b":true,"c":0.5}'
        )

    @pytest.mark.parametrize("payload", [{"a": "\0"}, {"\0": 1}, {"a": [{"b": float("nan")}]}, {"a": float("inf")}])
    async def test_what_json_or_the_store_has_no_place_for_is_refused(self, console: Console, payload):
        with pytest.raises(DomainError) as refused:
            await console.puts(payload)

        assert (refused.value.kind, refused.value.reason) == (Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT")

    async def test_the_limit_is_that_of_the_compact_json(self, console: Console):
        room = MAX_PAYLOAD_BYTES - len('{"a":""}')
        kept = await console.puts({"a": "x" * room})
        with pytest.raises(DomainError) as put:
            await console.puts({"a": "я" * room}, "1")
        with pytest.raises(DomainError) as patched:
            await console.patches({"b": 1}, "1")

        assert kept.version == 1
        assert {put.value.reason, patched.value.reason} == {"PAYLOAD_TOO_LARGE"}
        assert (await console.library.get_settings(USER, GAME)) == kept


class TestVersions:
    async def test_the_first_settings_need_no_condition(self, console: Console):
        first = await console.puts({"volume": 5})

        assert first == GameSettings(USER, GAME, {"volume": 5}, 1, NOON, NOON)
        assert await console.library.get_settings(USER, GAME) == first
        assert console.updates() == [NOON]

    async def test_a_change_counts_and_is_told(self, console: Console):
        await console.puts({"volume": 5, "name": "a"})
        second = await console.patches({"volume": 6, "name": None}, "1")
        third = await console.puts({}, "7", "2", at=LATER)

        assert (second.version, second.settings_payload, second.last_updated_at) == (2, {"volume": 6}, LATER)
        assert (third.version, third.settings_payload) == (3, {})
        assert console.updates() == [NOON, LATER, LATER]

    @pytest.mark.parametrize("payload", [{"a": 1, "b": [True]}, {"b": [True], "a": 1}])
    async def test_the_same_again_is_only_synced(self, console: Console, payload: Mapping[str, object]):
        await console.puts({"a": 1, "b": [True]})
        again = await console.puts(payload, "1", at=LATER)

        assert (again.version, again.last_updated_at, again.last_synced_with_cloud_at) == (1, NOON, LATER)
        assert console.updates() == [NOON]

    async def test_true_is_not_one(self, console: Console):
        await console.puts({"a": 1})

        assert (await console.puts({"a": True}, "1")).version == 2

    async def test_any_version_is_named_by_a_star(self, console: Console):
        await console.puts({"a": 1})

        assert (await console.patches({"a": 2}, "*")).version == 2

    async def test_a_change_without_a_version_or_of_another_is_refused(self, console: Console):
        await console.puts({"a": 1})

        for change in (console.puts, console.patches):
            with pytest.raises(PreconditionRequired):
                await change({"a": 2})
            for stale in ("0", "2", 'W/"1"', ""):
                with pytest.raises(SettingsVersionConflict):
                    await change({"a": 2}, stale)
        assert (await console.library.get_settings(USER, GAME)).settings_payload == {"a": 1}
        assert console.updates() == [NOON]

    async def test_there_is_no_version_of_what_is_not_there(self, console: Console):
        for condition in ("1", "*"):
            with pytest.raises(SettingsVersionConflict):
                await console.puts({"a": 1}, condition)
        with pytest.raises(GameSettingsNotFound):
            await console.patches({"a": 1}, "1")


class TestAccess:
    async def test_who_has_no_right_to_the_product_keeps_nothing_for_it(self):
        console = Console()

        for change in (console.puts, console.patches):
            with pytest.raises(ProductAccessDenied):
                await change({"a": 1})
        assert await console.library.get_settings(USER, GAME) is None

    async def test_what_was_kept_stays_readable_for_a_return(self, console: Console):
        first = await console.puts({"a": 1})
        await console.refunds()

        with pytest.raises(ProductAccessDenied):
            await console.puts({"a": 2}, "1")
        assert await console.library.get_settings(USER, GAME) == first
        assert await console.library.get_settings(UserId(uuid4()), GAME) is None
