"""Game settings as a game client sees them: over gRPC, with the database behind."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from library.v1 import game_settings_pb2 as pb

from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component.library.library_rig import Rig, library_rig, statements, until, user

# Each test has users of its own, so one running service does for all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

LIBRARY_TOPIC = "com.platform.library.events.v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


def struct(payload: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(payload)
    return made


def put(product_id: UUID, payload: dict[str, Any], *if_match: str) -> pb.PutGameSettingsRequest:
    content = pb.GameSettingsContent(settings_payload=struct(payload))
    return pb.PutGameSettingsRequest(product_id=str(product_id), settings=content, if_match=if_match)


def patch(product_id: UUID, payload: dict[str, Any] | None, *if_match: str) -> pb.PatchGameSettingsRequest:
    change = pb.GameSettingsPatch(settings_payload=None if payload is None else struct(payload))
    mask = FieldMask(paths=["settings_payload"])
    return pb.PatchGameSettingsRequest(product_id=str(product_id), settings=change, update_mask=mask, if_match=if_match)


async def refusal(call) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value)


async def test_settings_are_kept_patched_and_told(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me = user(user_id)
    await rig.buy(user_id, product_id)

    first = (await rig.settings.PutGameSettings(put(product_id, {"a": 1, "b": {"c": None}}), metadata=me)).settings
    second = (
        await rig.settings.PatchGameSettings(patch(product_id, {"a": None, "d": [1.5]}, "1"), metadata=me)
    ).settings

    assert (first.version, second.version) == (1, 2)
    assert MessageToDict(second.settings_payload) == {"b": {"c": None}, "d": [1.5]}
    with statements() as seen:
        shown = await rig.settings.GetGameSettings(pb.GetGameSettingsRequest(product_id=str(product_id)), metadata=me)
    assert shown.settings == second
    assert len(seen) == 1

    async def told() -> list[dict[str, Any]]:
        events = [event for event, _ in await rig.told(LIBRARY_TOPIC)]
        kind = "com.platform.library.game.settings.updated.v1"
        return [event.data for event in events if event.type == kind and event.partition_key == str(user_id)]

    async def both_told() -> bool:
        return len(await told()) == 2

    await until(both_told)
    assert {data["productId"] for data in await told()} == {str(product_id)}


async def test_each_refusal_has_its_reason(rig: Rig):
    user_id, product_id = uuid4(), uuid4()
    me = user(user_id)
    get = pb.GetGameSettingsRequest(product_id=str(product_id))

    denied = await refusal(rig.settings.PutGameSettings(put(product_id, {}), metadata=me))
    assert (denied.kind, denied.reason) == (Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED")
    await rig.buy(user_id, product_id)
    for call in (
        rig.settings.GetGameSettings(get, metadata=me),
        rig.settings.PatchGameSettings(patch(product_id, {}, "1"), metadata=me),
    ):
        missing = await refusal(call)
        assert (missing.kind, missing.reason) == (Kind.NOT_FOUND, "GAME_SETTINGS_NOT_FOUND")
    await rig.settings.PutGameSettings(put(product_id, {"a": 1}), metadata=me)
    unconditional = await refusal(rig.settings.PutGameSettings(put(product_id, {}), metadata=me))
    assert (unconditional.kind, unconditional.reason) == (Kind.FAILED_PRECONDITION, "PRECONDITION_REQUIRED")
    stale = await refusal(rig.settings.PatchGameSettings(patch(product_id, {}, "9"), metadata=me))
    assert (stale.kind, stale.reason, stale.details) == (
        Kind.ABORTED,
        "SETTINGS_VERSION_CONFLICT",
        {"current_version": "1"},
    )
    for request in (put(product_id, {"a": "\0"}, "1"), put(product_id, {"a": float("nan")}, "1")):
        error = await refusal(rig.settings.PutGameSettings(request, metadata=me))
        assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    large = await refusal(rig.settings.PutGameSettings(put(product_id, {"a": "x" * 262_144}, "1"), metadata=me))
    assert (large.kind, large.reason) == (Kind.RESOURCE_EXHAUSTED, "PAYLOAD_TOO_LARGE")
    cleared = await refusal(rig.settings.PatchGameSettings(patch(product_id, None, "1"), metadata=me))
    assert cleared.reason == "INVALID_ARGUMENT"
    empty = pb.PutGameSettingsRequest(product_id=str(product_id), settings=pb.GameSettingsContent())
    assert (await refusal(rig.settings.PutGameSettings(empty, metadata=me))).reason == "VALIDATION_ERROR"
    stranger = await refusal(rig.settings.GetGameSettings(get, metadata=user(uuid4())))
    assert stranger.reason == "GAME_SETTINGS_NOT_FOUND"
    kept = (await rig.settings.GetGameSettings(get, metadata=me)).settings
    assert (kept.version, MessageToDict(kept.settings_payload)) == (1, {"a": 1.0})
