"""GameSettingsSyncService: settings that games keep for their users. Called by game clients and by the gateway, for the user."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import grpc.aio
from google.protobuf.struct_pb2 import Struct, Value
from library.v1 import game_settings_pb2 as pb
from library.v1.game_settings_pb2_grpc import GameSettingsSyncServiceServicer

from library_svc.callers import current_user
from library_svc.game_settings import application as game_settings
from library_svc.game_settings.application import GameSettingsReader
from library_svc.game_settings.domain import GameSettings, GameSettingsNotFound, JsonValue, Payload, normalised
from library_svc.ids import ProductId
from library_svc.masks import masked
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["GameSettingsSyncService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class GameSettingsServicer(GameSettingsSyncServiceServicer):
    def __init__(self, begin: Begin, reader: GameSettingsReader, *, now: Callable[[], datetime]) -> None:
        self._begin = begin
        self._reader = reader
        self._now = now

    async def GetGameSettings(
        self, request: pb.GetGameSettingsRequest, _context: Context
    ) -> pb.GetGameSettingsResponse:
        product_id = ProductId(UUID(request.product_id))
        settings = await self._reader.get_settings(current_user(), product_id)
        if settings is None:
            raise GameSettingsNotFound(product_id)
        return pb.GetGameSettingsResponse(settings=settings_message(settings))

    async def PutGameSettings(
        self, request: pb.PutGameSettingsRequest, _context: Context
    ) -> pb.PutGameSettingsResponse:
        settings = await game_settings.put_settings(
            self._begin,
            user_id=current_user(),
            product_id=ProductId(UUID(request.product_id)),
            payload=payload_of(request.settings.settings_payload),
            if_match=request.if_match,
            now=self._now(),
        )
        return pb.PutGameSettingsResponse(settings=settings_message(settings))

    async def PatchGameSettings(
        self, request: pb.PatchGameSettingsRequest, _context: Context
    ) -> pb.PatchGameSettingsResponse:
        named = masked(request.settings, request.update_mask, at="settings")
        settings = await game_settings.patch_settings(
            self._begin,
            user_id=current_user(),
            product_id=ProductId(UUID(request.product_id)),
            patch=payload_of(named.get("settings_payload", Struct())),
            if_match=request.if_match,
            now=self._now(),
        )
        return pb.PatchGameSettingsResponse(settings=settings_message(settings))


def payload_of(struct: Struct) -> Payload:
    """The JSON object of a message."""
    return cast("Payload", normalised({name: _value(value) for name, value in struct.fields.items()}))


def settings_message(settings: GameSettings) -> pb.GameSettings:
    """The settings as their user sees them."""
    payload = Struct()
    payload.update(settings.settings_payload)
    return pb.GameSettings(
        product_id=str(settings.product_id),
        settings_payload=payload,
        version=settings.version,
        last_updated_at=settings.last_updated_at,
        last_synced_with_cloud_at=settings.last_synced_with_cloud_at,
    )


def _value(value: Value) -> JsonValue:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "struct_value":
            return {name: _value(member) for name, member in value.struct_value.fields.items()}
        case "list_value":
            return [_value(member) for member in value.list_value.values]
        case _:
            return None
