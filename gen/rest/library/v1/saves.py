"""Transcoders of library/v1/saves.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import saves_pb2 as pb

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MAX_INT64,
    MIN_INT32,
    MIN_INT64,
    EnumTexts,
    Parameters,
    enum_number,
    fill_timestamp,
    int64,
    mask_paths,
    members_of,
    page_of,
    path_integer,
    path_string,
    string,
    timestamp_text,
)

SAVEGAME_VERSION_STATE_TEXTS = EnumTexts({0: None, 1: "current", 2: "kept", 3: "conflict"})

SAVEGAME_KEEP_NUMBERS: dict[str, int] = {"cloud": 1, "local": 2, "both": 3}

SAVEGAME_FIELDS = frozenset({
    "product_id",
    "save_slot_name",
    "version",
    "conflict_version",
    "file_size_bytes",
    "file_hash_sha256",
    "client_modified_at",
    "server_uploaded_at",
    "device_id",
    "comment",
    "product",
})


def savegame_resource(message: pb.Savegame) -> JsonValue:
    """A resource object of type savegame."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "savegame",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "save_slot_name": message.save_slot_name,
            "version": message.version,
            "conflict_version": message.conflict_version if has("conflict_version") else None,
            "file_size_bytes": message.file_size_bytes,
            "file_hash_sha256": message.file_hash_sha256,
            "client_modified_at": timestamp_text(message.client_modified_at) if has("client_modified_at") else None,
            "server_uploaded_at": timestamp_text(message.server_uploaded_at) if has("server_uploaded_at") else None,
            "device_id": message.device_id if has("device_id") else None,
            "comment": message.comment if has("comment") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/library/savegames/{its_id}"},
    }


SAVEGAME_VERSION_FIELDS = frozenset({
    "savegame_id",
    "version",
    "state",
    "is_locked",
    "file_size_bytes",
    "file_hash_sha256",
    "client_modified_at",
    "server_uploaded_at",
    "device_id",
})


def savegame_version_resource(message: pb.SavegameVersion) -> JsonValue:
    """A resource object of type savegameVersion."""
    has = message.HasField
    return {
        "type": "savegameVersion",
        "id": message.id,
        "attributes": {
            "savegame_id": message.savegame_id,
            "version": message.version,
            "state": SAVEGAME_VERSION_STATE_TEXTS[message.state],
            "is_locked": message.is_locked,
            "file_size_bytes": message.file_size_bytes,
            "file_hash_sha256": message.file_hash_sha256,
            "client_modified_at": timestamp_text(message.client_modified_at) if has("client_modified_at") else None,
            "server_uploaded_at": timestamp_text(message.server_uploaded_at) if has("server_uploaded_at") else None,
            "device_id": message.device_id if has("device_id") else None,
        },
    }


PRESIGNED_UPLOAD_URL_FIELDS = frozenset({"upload_url", "method", "headers", "expires_in_seconds", "savegame_id"})


def presigned_upload_url_resource(message: pb.PresignedUploadUrl) -> JsonValue:
    """A resource object of type presignedUploadUrl."""
    return {
        "type": "presignedUploadUrl",
        "id": message.internal_save_id,
        "attributes": {
            "upload_url": message.upload_url,
            "method": message.method,
            "headers": dict(sorted(message.headers.items())),
            "expires_in_seconds": message.expires_in_seconds,
            "savegame_id": message.savegame_id,
        },
    }


PRESIGNED_DOWNLOAD_URL_FIELDS = frozenset({
    "version",
    "download_url",
    "expires_in_seconds",
    "file_size_bytes",
    "file_hash_sha256",
})


def presigned_download_url_resource(message: pb.PresignedDownloadUrl) -> JsonValue:
    """A resource object of type presignedDownloadUrl."""
    return {
        "type": "presignedDownloadUrl",
        "id": message.savegame_id,
        "attributes": {
            "version": message.version,
            "download_url": message.download_url,
            "expires_in_seconds": message.expires_in_seconds,
            "file_size_bytes": message.file_size_bytes,
            "file_hash_sha256": message.file_hash_sha256,
        },
    }


SAVEGAME_QUOTA_FIELDS = frozenset({"used_bytes", "reserved_bytes", "limit_bytes"})


def savegame_quota_resource(message: pb.SavegameQuota) -> JsonValue:
    """A resource object of type savegameQuota."""
    return {
        "type": "savegameQuota",
        "id": message.user_id,
        "attributes": {
            "used_bytes": message.used_bytes,
            "reserved_bytes": message.reserved_bytes,
            "limit_bytes": message.limit_bytes,
        },
        "links": {"self": "/api/v1/library/savegames/quota"},
    }


SAVEGAME_CHANGES_MEMBERS = frozenset({"comment"})


def fill_savegame_changes(message: pb.SavegameChanges, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, SAVEGAME_CHANGES_MEMBERS, at, problems)
    if (value := members.get("comment")) is not None:
        message.comment = string(value, at, "comment", problems)


LIST_SAVEGAMES_QUERY = frozenset({"product_id", "page", "limit"})
LIST_SAVEGAMES_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_savegames(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListSavegamesRequest:
    """GET /api/v1/library/savegames"""
    message = pb.ListSavegamesRequest()
    if query:
        given = Parameters(query, problems, names=LIST_SAVEGAMES_QUERY, spellings=LIST_SAVEGAMES_SPELLINGS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_savegames(message: pb.ListSavegamesResponse) -> Encoded:
    return Encoded([savegame_resource(one) for one in message.savegames], page_of(message.page))


def decode_get_savegame(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetSavegameRequest:
    """GET /api/v1/library/savegames/{savegame_id}"""
    message = pb.GetSavegameRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_savegame(message: pb.GetSavegameResponse) -> Encoded:
    return Encoded(savegame_resource(message.savegame) if message.HasField("savegame") else None)


def decode_update_savegame(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateSavegameRequest:
    """PATCH /api/v1/library/savegames/{savegame_id}"""
    message = pb.UpdateSavegameRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.savegame.SetInParent()
        fill_savegame_changes(message.savegame, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, SAVEGAME_CHANGES_MEMBERS))
    return message


def encode_update_savegame(message: pb.UpdateSavegameResponse) -> Encoded:
    return Encoded(savegame_resource(message.savegame) if message.HasField("savegame") else None)


DELETE_SAVEGAME_QUERY = frozenset({"base_version"})


def decode_delete_savegame(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.DeleteSavegameRequest:
    """DELETE /api/v1/library/savegames/{savegame_id}"""
    message = pb.DeleteSavegameRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    if query:
        given = Parameters(query, problems, names=DELETE_SAVEGAME_QUERY)
        if "base_version" in given:
            message.base_version = given.integer("base_version", MIN_INT64, MAX_INT64)
    return message


def encode_delete_savegame(_message: pb.DeleteSavegameResponse) -> Encoded:
    return Encoded(None)


LIST_SAVEGAME_VERSIONS_QUERY = frozenset({"page", "limit"})
LIST_SAVEGAME_VERSIONS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_savegame_versions(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListSavegameVersionsRequest:
    """GET /api/v1/library/savegames/{savegame_id}/versions"""
    message = pb.ListSavegameVersionsRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    if query:
        given = Parameters(query, problems, names=LIST_SAVEGAME_VERSIONS_QUERY, spellings=LIST_SAVEGAME_VERSIONS_SPELLINGS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_savegame_versions(message: pb.ListSavegameVersionsResponse) -> Encoded:
    return Encoded([savegame_version_resource(one) for one in message.versions], page_of(message.page))


CREATE_UPLOAD_URL_MEMBERS = frozenset({
    "product_id",
    "save_slot_name",
    "file_size_bytes",
    "file_hash_sha256",
    "client_modified_at",
    "base_version",
    "device_id",
})


def decode_create_upload_url(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CreateUploadUrlRequest:
    """POST /api/v1/library/savegames/upload-url"""
    message = pb.CreateUploadUrlRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CREATE_UPLOAD_URL_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("save_slot_name")) is not None:
            message.save_slot_name = string(value, ATTRIBUTES, "save_slot_name", problems)
        if (value := members.get("file_size_bytes")) is not None:
            message.file_size_bytes = int64(value, ATTRIBUTES, "file_size_bytes", problems)
        if (value := members.get("file_hash_sha256")) is not None:
            message.file_hash_sha256 = string(value, ATTRIBUTES, "file_hash_sha256", problems)
        if (value := members.get("client_modified_at")) is not None:
            fill_timestamp(message.client_modified_at, value, ATTRIBUTES, "client_modified_at", problems)
        if (value := members.get("base_version")) is not None:
            message.base_version = int64(value, ATTRIBUTES, "base_version", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
    return message


def encode_create_upload_url(message: pb.CreateUploadUrlResponse) -> Encoded:
    return Encoded(presigned_upload_url_resource(message.upload) if message.HasField("upload") else None)


CONFIRM_UPLOAD_MEMBERS = frozenset({"internal_save_id", "s3_path"})


def decode_confirm_upload(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ConfirmUploadRequest:
    """POST /api/v1/library/savegames/confirm-upload"""
    message = pb.ConfirmUploadRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CONFIRM_UPLOAD_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("internal_save_id")) is not None:
            message.internal_save_id = string(value, ATTRIBUTES, "internal_save_id", problems)
        if (value := members.get("s3_path")) is not None:
            message.s3_path = string(value, ATTRIBUTES, "s3_path", problems)
    return message


def encode_confirm_upload(message: pb.ConfirmUploadResponse) -> Encoded:
    return Encoded(savegame_resource(message.savegame) if message.HasField("savegame") else None)


CREATE_DOWNLOAD_URL_MEMBERS = frozenset({"savegame_id", "version"})


def decode_create_download_url(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CreateDownloadUrlRequest:
    """POST /api/v1/library/savegames/download-url"""
    message = pb.CreateDownloadUrlRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CREATE_DOWNLOAD_URL_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("savegame_id")) is not None:
            message.savegame_id = string(value, ATTRIBUTES, "savegame_id", problems)
        if (value := members.get("version")) is not None:
            message.version = int64(value, ATTRIBUTES, "version", problems)
    return message


def encode_create_download_url(message: pb.CreateDownloadUrlResponse) -> Encoded:
    return Encoded(presigned_download_url_resource(message.download) if message.HasField("download") else None)


def decode_restore_savegame_version(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RestoreSavegameVersionRequest:
    """POST /api/v1/library/savegames/{savegame_id}/versions/{version}/restore"""
    message = pb.RestoreSavegameVersionRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    message.version = path_integer(path, "version", MIN_INT64, MAX_INT64, problems)
    if query:
        Parameters(query, problems)
    return message


def encode_restore_savegame_version(message: pb.RestoreSavegameVersionResponse) -> Encoded:
    return Encoded(savegame_resource(message.savegame) if message.HasField("savegame") else None)


def decode_lock_savegame_version(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.LockSavegameVersionRequest:
    """POST /api/v1/library/savegames/{savegame_id}/versions/{version}/lock"""
    message = pb.LockSavegameVersionRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    message.version = path_integer(path, "version", MIN_INT64, MAX_INT64, problems)
    if query:
        Parameters(query, problems)
    return message


def encode_lock_savegame_version(message: pb.LockSavegameVersionResponse) -> Encoded:
    return Encoded(savegame_version_resource(message.version) if message.HasField("version") else None)


def decode_unlock_savegame_version(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UnlockSavegameVersionRequest:
    """POST /api/v1/library/savegames/{savegame_id}/versions/{version}/unlock"""
    message = pb.UnlockSavegameVersionRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    message.version = path_integer(path, "version", MIN_INT64, MAX_INT64, problems)
    if query:
        Parameters(query, problems)
    return message


def encode_unlock_savegame_version(message: pb.UnlockSavegameVersionResponse) -> Encoded:
    return Encoded(savegame_version_resource(message.version) if message.HasField("version") else None)


def decode_delete_savegame_version(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.DeleteSavegameVersionRequest:
    """DELETE /api/v1/library/savegames/{savegame_id}/versions/{version}"""
    message = pb.DeleteSavegameVersionRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    message.version = path_integer(path, "version", MIN_INT64, MAX_INT64, problems)
    if query:
        Parameters(query, problems)
    return message


def encode_delete_savegame_version(_message: pb.DeleteSavegameVersionResponse) -> Encoded:
    return Encoded(None)


RESOLVE_SAVEGAME_CONFLICT_MEMBERS = frozenset({"keep", "conflict_version"})


def decode_resolve_savegame_conflict(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ResolveSavegameConflictRequest:
    """POST /api/v1/library/savegames/{savegame_id}/resolve-conflict"""
    message = pb.ResolveSavegameConflictRequest()
    message.savegame_id = path_string(path, "savegame_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, RESOLVE_SAVEGAME_CONFLICT_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("keep")) is not None:
            message.keep = enum_number(value, SAVEGAME_KEEP_NUMBERS, ATTRIBUTES, "keep", problems)
        if (value := members.get("conflict_version")) is not None:
            message.conflict_version = int64(value, ATTRIBUTES, "conflict_version", problems)
    return message


def encode_resolve_savegame_conflict(message: pb.ResolveSavegameConflictResponse) -> Encoded:
    return Encoded(savegame_resource(message.savegame) if message.HasField("savegame") else None)


def decode_get_savegame_quota(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetSavegameQuotaRequest:
    """GET /api/v1/library/savegames/quota"""
    message = pb.GetSavegameQuotaRequest()
    if query:
        Parameters(query, problems)
    return message


def encode_get_savegame_quota(message: pb.GetSavegameQuotaResponse) -> Encoded:
    return Encoded(savegame_quota_resource(message.quota) if message.HasField("quota") else None)
