"""Transcoders of download/v1/updates.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from download.v1 import updates_pb2 as pb
from rest.download.v1 import downloads as download_v1_downloads

from gateway.contract import Encoded, JsonValue, Problem, Query, ResourceList
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    EnumTexts,
    Parameters,
    int32,
    int64,
    members_of,
    page_of,
    path_string,
    string,
    timestamp_text,
)

FILE_ACTION_TEXTS = EnumTexts({0: None, 1: "keep", 2: "copy", 3: "patch", 4: "chunks", 5: "delete"})
FILE_ACTION_NUMBERS: dict[str, int] = {"keep": 1, "copy": 2, "patch": 3, "chunks": 4, "delete": 5}

UPDATE_STATUS_TEXTS = EnumTexts({0: None, 1: "available", 2: "downloading", 3: "applied", 4: "failed"})
UPDATE_STATUS_NUMBERS: dict[str, int] = {"available": 1, "downloading": 2, "applied": 3, "failed": 4}

UPDATE_OUTCOME_TEXTS = EnumTexts({0: None, 1: "success", 2: "failed"})

UPDATE_AVAILABILITY_FIELDS = frozenset({
    "current_version_id",
    "is_update_available",
    "latest_version_id",
    "update_type",
    "update_size_bytes",
    "required_disk_space_bytes",
    "is_critical",
    "release_notes_url",
    "is_rollback",
})


def update_availability_resource(message: pb.UpdateAvailability) -> JsonValue:
    """A resource object of type updateAvailability."""
    has = message.HasField
    return {
        "type": "updateAvailability",
        "id": message.id,
        "attributes": {
            "current_version_id": message.current_version_id,
            "is_update_available": message.is_update_available,
            "latest_version_id": message.latest_version_id if has("latest_version_id") else None,
            "update_type": download_v1_downloads.UPDATE_TYPE_TEXTS[message.update_type] if has("update_type") else None,
            "update_size_bytes": message.update_size_bytes if has("update_size_bytes") else None,
            "required_disk_space_bytes": message.required_disk_space_bytes if has("required_disk_space_bytes") else None,
            "is_critical": message.is_critical,
            "release_notes_url": message.release_notes_url if has("release_notes_url") else None,
            "is_rollback": message.is_rollback,
        },
    }


UPDATE_FIELDS = frozenset({
    "product_id",
    "from_version_id",
    "to_version_id",
    "update_type",
    "size_bytes",
    "release_notes_url",
    "status",
    "created_at",
    "updated_at",
    "product",
})


def update_resource(message: pb.Update) -> JsonValue:
    """A resource object of type update."""
    has = message.HasField
    its_product_id = message.product_id
    return {
        "type": "update",
        "id": message.id,
        "attributes": {
            "product_id": its_product_id,
            "from_version_id": message.from_version_id,
            "to_version_id": message.to_version_id,
            "update_type": download_v1_downloads.UPDATE_TYPE_TEXTS[message.update_type],
            "size_bytes": message.size_bytes,
            "release_notes_url": message.release_notes_url if has("release_notes_url") else None,
            "status": UPDATE_STATUS_TEXTS[message.status],
            "created_at": timestamp_text(message.created_at) if has("created_at") else None,
            "updated_at": timestamp_text(message.updated_at) if has("updated_at") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
    }


UPDATE_HISTORY_ENTRY_FIELDS = frozenset({
    "product_id",
    "applied_version_id",
    "previous_version_id",
    "status",
    "applied_at",
    "error_message",
    "product",
})


def update_history_entry_resource(message: pb.UpdateHistoryEntry) -> JsonValue:
    """A resource object of type updateHistoryEntry."""
    has = message.HasField
    its_product_id = message.product_id
    return {
        "type": "updateHistoryEntry",
        "id": message.id,
        "attributes": {
            "product_id": its_product_id,
            "applied_version_id": message.applied_version_id,
            "previous_version_id": message.previous_version_id if has("previous_version_id") else None,
            "status": UPDATE_OUTCOME_TEXTS[message.status],
            "applied_at": timestamp_text(message.applied_at) if has("applied_at") else None,
            "error_message": message.error_message if has("error_message") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
    }


DOWNLOAD_PLAN_FIELDS = frozenset({
    "from_version_id",
    "to_version_id",
    "update_type",
    "fetch_bytes",
    "required_disk_space_bytes",
    "total_files",
    "files",
    "next_after",
})


def download_plan_resource(message: pb.DownloadPlan) -> JsonValue:
    """A resource object of type downloadPlan."""
    has = message.HasField
    its_id = message.id
    return {
        "type": "downloadPlan",
        "id": its_id,
        "attributes": {
            "from_version_id": message.from_version_id if has("from_version_id") else None,
            "to_version_id": message.to_version_id,
            "update_type": download_v1_downloads.UPDATE_TYPE_TEXTS[message.update_type],
            "fetch_bytes": message.fetch_bytes,
            "required_disk_space_bytes": message.required_disk_space_bytes,
            "total_files": message.total_files,
            "files": [file_plan_object(one) for one in message.files],
            "next_after": message.next_after if has("next_after") else None,
        },
        "links": {"self": f"/api/v1/download-client/downloads/{its_id}/plan"},
    }


def download_plan_object(message: pb.DownloadPlan) -> JsonValue:
    has = message.HasField
    return {
        "id": message.id,
        "from_version_id": message.from_version_id if has("from_version_id") else None,
        "to_version_id": message.to_version_id,
        "update_type": download_v1_downloads.UPDATE_TYPE_TEXTS[message.update_type],
        "fetch_bytes": message.fetch_bytes,
        "required_disk_space_bytes": message.required_disk_space_bytes,
        "total_files": message.total_files,
        "files": [file_plan_object(one) for one in message.files],
        "next_after": message.next_after if has("next_after") else None,
    }


def file_plan_object(message: pb.FilePlan) -> JsonValue:
    has = message.HasField
    return {
        "path": message.path,
        "action": FILE_ACTION_TEXTS[message.action],
        "size_bytes": message.size_bytes,
        "from_path": message.from_path if has("from_path") else None,
        "on_disk": [disk_chunk_object(one) for one in message.on_disk],
        "fetch": [fetch_chunk_object(one) for one in message.fetch],
        "patch": file_patch_object(message.patch) if has("patch") else None,
    }


def file_patch_object(message: pb.FilePatch) -> JsonValue:
    return {
        "algorithm": message.algorithm,
        "from_path": message.from_path,
        "from_sha256": message.from_sha256,
        "from_size_bytes": message.from_size_bytes,
        "to_sha256": message.to_sha256,
        "sha256": message.sha256,
        "size_bytes": message.size_bytes,
    }


def disk_chunk_object(message: pb.DiskChunk) -> JsonValue:
    return {
        "sha256": message.sha256,
        "size_bytes": message.size_bytes,
        "path": message.path,
        "offset_bytes": message.offset_bytes,
    }


def fetch_chunk_object(message: pb.FetchChunk) -> JsonValue:
    return {
        "sha256": message.sha256,
        "stored_size_bytes": message.stored_size_bytes,
    }


INSTALLED_PRODUCT_MEMBERS = frozenset({"id", "current_version_id"})


def fill_installed_product(message: pb.InstalledProduct, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, INSTALLED_PRODUCT_MEMBERS, at, problems)
    if (value := members.get("id")) is not None:
        message.id = string(value, at, "id", problems)
    if (value := members.get("current_version_id")) is not None:
        message.current_version_id = string(value, at, "current_version_id", problems)


def decode_check_updates(
    _path: Mapping[str, str],
    query: Query,
    resources: ResourceList | None,
    problems: list[Problem],
) -> pb.CheckUpdatesRequest:
    """POST /api/v1/download-client/updates/check"""
    message = pb.CheckUpdatesRequest()
    if query:
        Parameters(query, problems)
    if resources is not None:
        for index, (resource_id, attributes) in enumerate(resources):
            element = message.products.add()
            fill_installed_product(element, attributes, f"/data/{index}/attributes", problems)
            element.id = resource_id
    return message


def encode_check_updates(message: pb.CheckUpdatesResponse) -> Encoded:
    return Encoded([update_availability_resource(one) for one in message.updates])


LIST_UPDATES_QUERY = frozenset({"status", "product_id", "page", "limit"})
LIST_UPDATES_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_updates(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListUpdatesRequest:
    """GET /api/v1/download-client/updates"""
    message = pb.ListUpdatesRequest()
    if query:
        given = Parameters(query, problems, names=LIST_UPDATES_QUERY, spellings=LIST_UPDATES_SPELLINGS)
        if "status" in given:
            message.status = given.enum("status", UPDATE_STATUS_NUMBERS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_updates(message: pb.ListUpdatesResponse) -> Encoded:
    return Encoded([update_resource(one) for one in message.updates], page_of(message.page))


LIST_UPDATE_HISTORY_QUERY = frozenset({"product_id", "page", "limit"})
LIST_UPDATE_HISTORY_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_update_history(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListUpdateHistoryRequest:
    """GET /api/v1/download-client/updates/history"""
    message = pb.ListUpdateHistoryRequest()
    if query:
        given = Parameters(query, problems, names=LIST_UPDATE_HISTORY_QUERY, spellings=LIST_UPDATE_HISTORY_SPELLINGS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_update_history(message: pb.ListUpdateHistoryResponse) -> Encoded:
    return Encoded([update_history_entry_resource(one) for one in message.entries], page_of(message.page))


APPLY_UPDATE_MEMBERS = frozenset({
    "product_id",
    "from_version_id",
    "to_version_id",
    "device_id",
    "installation_path",
    "priority",
    "client_free_space_bytes",
})


def decode_apply_update(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ApplyUpdateRequest:
    """POST /api/v1/download-client/updates/apply"""
    message = pb.ApplyUpdateRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, APPLY_UPDATE_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("from_version_id")) is not None:
            message.from_version_id = string(value, ATTRIBUTES, "from_version_id", problems)
        if (value := members.get("to_version_id")) is not None:
            message.to_version_id = string(value, ATTRIBUTES, "to_version_id", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
        if (value := members.get("installation_path")) is not None:
            message.installation_path = string(value, ATTRIBUTES, "installation_path", problems)
        if (value := members.get("priority")) is not None:
            message.priority = int32(value, ATTRIBUTES, "priority", problems)
        if (value := members.get("client_free_space_bytes")) is not None:
            message.client_free_space_bytes = int64(value, ATTRIBUTES, "client_free_space_bytes", problems)
    return message


def meta_apply_update(message: pb.ApplyUpdateResponse) -> dict[str, JsonValue]:
    has = message.HasField
    return {
        "plan": download_plan_object(message.plan) if has("plan") else None,
    }


def encode_apply_update(message: pb.ApplyUpdateResponse) -> Encoded:
    return Encoded(
        download_v1_downloads.download_session_resource(message.session) if message.HasField("session") else None,
        meta=meta_apply_update(message),
    )


ROLLBACK_UPDATE_MEMBERS = frozenset({
    "product_id",
    "to_version_id",
    "device_id",
    "from_version_id",
    "installation_path",
    "priority",
    "client_free_space_bytes",
})


def decode_rollback_update(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RollbackUpdateRequest:
    """POST /api/v1/download-client/updates/rollback"""
    message = pb.RollbackUpdateRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, ROLLBACK_UPDATE_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("to_version_id")) is not None:
            message.to_version_id = string(value, ATTRIBUTES, "to_version_id", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
        if (value := members.get("from_version_id")) is not None:
            message.from_version_id = string(value, ATTRIBUTES, "from_version_id", problems)
        if (value := members.get("installation_path")) is not None:
            message.installation_path = string(value, ATTRIBUTES, "installation_path", problems)
        if (value := members.get("priority")) is not None:
            message.priority = int32(value, ATTRIBUTES, "priority", problems)
        if (value := members.get("client_free_space_bytes")) is not None:
            message.client_free_space_bytes = int64(value, ATTRIBUTES, "client_free_space_bytes", problems)
    return message


def meta_rollback_update(message: pb.RollbackUpdateResponse) -> dict[str, JsonValue]:
    has = message.HasField
    return {
        "plan": download_plan_object(message.plan) if has("plan") else None,
    }


def encode_rollback_update(message: pb.RollbackUpdateResponse) -> Encoded:
    return Encoded(
        download_v1_downloads.download_session_resource(message.session) if message.HasField("session") else None,
        meta=meta_rollback_update(message),
    )


GET_DOWNLOAD_PLAN_QUERY = frozenset({"after", "limit", "action"})


def decode_get_download_plan(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetDownloadPlanRequest:
    """GET /api/v1/download-client/downloads/{download_id}/plan"""
    message = pb.GetDownloadPlanRequest()
    message.download_id = path_string(path, "download_id", problems)
    if query:
        given = Parameters(query, problems, names=GET_DOWNLOAD_PLAN_QUERY)
        if "after" in given:
            message.after = given.string("after")
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
        if "action" in given:
            message.action = given.enum("action", FILE_ACTION_NUMBERS)
    return message


def encode_get_download_plan(message: pb.GetDownloadPlanResponse) -> Encoded:
    return Encoded(download_plan_resource(message.plan) if message.HasField("plan") else None)
