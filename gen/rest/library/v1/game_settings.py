"""Transcoders of library/v1/game_settings.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import game_settings_pb2 as pb

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    Parameters,
    fill_struct,
    mask_paths,
    members_of,
    path_string,
    struct_json,
    timestamp_text,
)

GAME_SETTINGS_FIELDS = frozenset({"settings_payload", "version", "last_updated_at", "last_synced_with_cloud_at"})


def game_settings_resource(message: pb.GameSettings) -> JsonValue:
    """A resource object of type gameSettings."""
    has = message.HasField
    its_product_id = message.product_id
    return {
        "type": "gameSettings",
        "id": its_product_id,
        "attributes": {
            "settings_payload": struct_json(message.settings_payload) if has("settings_payload") else None,
            "version": message.version,
            "last_updated_at": timestamp_text(message.last_updated_at) if has("last_updated_at") else None,
            "last_synced_with_cloud_at": timestamp_text(message.last_synced_with_cloud_at) if has("last_synced_with_cloud_at") else None,
        },
        "links": {"self": f"/api/v1/library/game-settings/{its_product_id}"},
    }


GAME_SETTINGS_CONTENT_MEMBERS = frozenset({"settings_payload"})


def fill_game_settings_content(
    message: pb.GameSettingsContent,
    value: JsonValue,
    at: str,
    problems: list[Problem],
) -> None:
    members = members_of(value, GAME_SETTINGS_CONTENT_MEMBERS, at, problems)
    if (value := members.get("settings_payload")) is not None:
        fill_struct(message.settings_payload, value, at, "settings_payload", problems)


GAME_SETTINGS_PATCH_MEMBERS = frozenset({"settings_payload"})


def fill_game_settings_patch(message: pb.GameSettingsPatch, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, GAME_SETTINGS_PATCH_MEMBERS, at, problems)
    if (value := members.get("settings_payload")) is not None:
        fill_struct(message.settings_payload, value, at, "settings_payload", problems)


def decode_get_game_settings(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetGameSettingsRequest:
    """GET /api/v1/library/game-settings/{product_id}"""
    message = pb.GetGameSettingsRequest()
    message.product_id = path_string(path, "product_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_game_settings(message: pb.GetGameSettingsResponse) -> Encoded:
    return Encoded(
        game_settings_resource(message.settings) if message.HasField("settings") else None,
        tag=str(message.settings.version),
    )


def decode_put_game_settings(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.PutGameSettingsRequest:
    """PUT /api/v1/library/game-settings/{product_id}"""
    message = pb.PutGameSettingsRequest()
    message.product_id = path_string(path, "product_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.settings.SetInParent()
        fill_game_settings_content(message.settings, attributes, ATTRIBUTES, problems)
    return message


def encode_put_game_settings(message: pb.PutGameSettingsResponse) -> Encoded:
    return Encoded(
        game_settings_resource(message.settings) if message.HasField("settings") else None,
        tag=str(message.settings.version),
    )


def decode_patch_game_settings(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.PatchGameSettingsRequest:
    """PATCH /api/v1/library/game-settings/{product_id}"""
    message = pb.PatchGameSettingsRequest()
    message.product_id = path_string(path, "product_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.settings.SetInParent()
        fill_game_settings_patch(message.settings, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, GAME_SETTINGS_PATCH_MEMBERS))
    return message


def encode_patch_game_settings(message: pb.PatchGameSettingsResponse) -> Encoded:
    return Encoded(
        game_settings_resource(message.settings) if message.HasField("settings") else None,
        tag=str(message.settings.version),
    )
