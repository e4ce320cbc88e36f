"""Transcoders of download/v1/verifications.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from download.v1 import verifications_pb2 as pb
from rest.content.v1 import manifest as content_v1_manifest
from rest.download.v1 import downloads as download_v1_downloads, updates as download_v1_updates

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    EnumTexts,
    Parameters,
    array,
    boolean,
    enum_number,
    int32,
    int64,
    members_of,
    page_of,
    path_string,
    string,
    timestamp_text,
)

VERIFICATION_STATUS_TEXTS = EnumTexts({
    0: None,
    1: "pending",
    2: "in_progress",
    3: "completed_ok",
    4: "completed_errors",
    5: "failed_to_repair",
})

ISSUE_KIND_TEXTS = EnumTexts({0: None, 1: "corrupted", 2: "missing", 3: "extra", 4: "wrong_mode"})
ISSUE_KIND_NUMBERS: dict[str, int] = {"corrupted": 1, "missing": 2, "extra": 3, "wrong_mode": 4}

VERIFICATION_FIELDS = frozenset({
    "product_id",
    "version_id",
    "device_id",
    "status",
    "checked_files_count",
    "corrupted_files_count",
    "repaired_files_count",
    "files_requiring_redownload",
    "download_session_id",
    "started_at",
    "completed_at",
    "product",
})


def verification_resource(message: pb.Verification) -> JsonValue:
    """A resource object of type verification."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "verification",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "version_id": message.version_id,
            "device_id": message.device_id if has("device_id") else None,
            "status": VERIFICATION_STATUS_TEXTS[message.status],
            "checked_files_count": message.checked_files_count,
            "corrupted_files_count": message.corrupted_files_count,
            "repaired_files_count": message.repaired_files_count,
            "files_requiring_redownload": list(message.files_requiring_redownload),
            "download_session_id": message.download_session_id if has("download_session_id") else None,
            "started_at": timestamp_text(message.started_at) if has("started_at") else None,
            "completed_at": timestamp_text(message.completed_at) if has("completed_at") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/download-client/verifications/{its_id}"},
    }


VERIFICATION_ISSUE_FIELDS = frozenset({"path", "kind"})


def verification_issue_resource(message: pb.VerificationIssue) -> JsonValue:
    """A resource object of type verificationIssue."""
    return {
        "type": "verificationIssue",
        "id": message.id,
        "attributes": {
            "path": message.path,
            "kind": ISSUE_KIND_TEXTS[message.kind],
        },
    }


LOCAL_FILE_MEMBERS = frozenset({"path", "size_bytes", "sha256", "mode", "type", "link_target", "chunk_sha256s"})


def fill_local_file(message: pb.LocalFile, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, LOCAL_FILE_MEMBERS, at, problems)
    if (value := members.get("path")) is not None:
        message.path = string(value, at, "path", problems)
    if (value := members.get("size_bytes")) is not None:
        message.size_bytes = int64(value, at, "size_bytes", problems)
    if (value := members.get("sha256")) is not None:
        message.sha256 = string(value, at, "sha256", problems)
    if (value := members.get("mode")) is not None:
        message.mode = int32(value, at, "mode", problems)
    if (value := members.get("type")) is not None:
        message.type = enum_number(value, content_v1_manifest.ENTRY_TYPE_NUMBERS, at, "type", problems)
    if (value := members.get("link_target")) is not None:
        message.link_target = string(value, at, "link_target", problems)
    if (value := members.get("chunk_sha256s")) is not None:
        here = f"{at}/chunk_sha256s"
        for index, element in enumerate(array(value, at, "chunk_sha256s", problems, 10000)):
            message.chunk_sha256s.append(string(element, here, index, problems))


CREATE_VERIFICATION_MEMBERS = frozenset({"product_id", "version_id", "device_id", "is_whole_tree"})


def decode_create_verification(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CreateVerificationRequest:
    """POST /api/v1/download-client/verifications"""
    message = pb.CreateVerificationRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, CREATE_VERIFICATION_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("version_id")) is not None:
            message.version_id = string(value, ATTRIBUTES, "version_id", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
        if (value := members.get("is_whole_tree")) is not None:
            message.is_whole_tree = boolean(value, ATTRIBUTES, "is_whole_tree", problems)
    return message


def encode_create_verification(message: pb.CreateVerificationResponse) -> Encoded:
    return Encoded(verification_resource(message.verification) if message.HasField("verification") else None)


def decode_get_verification(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetVerificationRequest:
    """GET /api/v1/download-client/verifications/{verification_id}"""
    message = pb.GetVerificationRequest()
    message.verification_id = path_string(path, "verification_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_verification(message: pb.GetVerificationResponse) -> Encoded:
    return Encoded(verification_resource(message.verification) if message.HasField("verification") else None)


SUBMIT_HASHES_MEMBERS = frozenset({"files", "is_last"})


def decode_submit_hashes(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.SubmitHashesRequest:
    """POST /api/v1/download-client/verifications/{verification_id}/hashes"""
    message = pb.SubmitHashesRequest()
    message.verification_id = path_string(path, "verification_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, SUBMIT_HASHES_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("files")) is not None:
            here = f"{ATTRIBUTES}/files"
            for index, element in enumerate(array(value, ATTRIBUTES, "files", problems, 1000)):
                fill_local_file(message.files.add(), element, f"{here}/{index}", problems)
        if (value := members.get("is_last")) is not None:
            message.is_last = boolean(value, ATTRIBUTES, "is_last", problems)
    return message


def encode_submit_hashes(message: pb.SubmitHashesResponse) -> Encoded:
    return Encoded(verification_resource(message.verification) if message.HasField("verification") else None)


LIST_VERIFICATION_ISSUES_QUERY = frozenset({"kind", "page", "limit"})
LIST_VERIFICATION_ISSUES_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_verification_issues(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListVerificationIssuesRequest:
    """GET /api/v1/download-client/verifications/{verification_id}/issues"""
    message = pb.ListVerificationIssuesRequest()
    message.verification_id = path_string(path, "verification_id", problems)
    if query:
        given = Parameters(
            query,
            problems,
            names=LIST_VERIFICATION_ISSUES_QUERY,
            spellings=LIST_VERIFICATION_ISSUES_SPELLINGS,
        )
        if "kind" in given:
            message.kind = given.enum("kind", ISSUE_KIND_NUMBERS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_verification_issues(message: pb.ListVerificationIssuesResponse) -> Encoded:
    return Encoded([verification_issue_resource(one) for one in message.issues], page_of(message.page))


REPAIR_VERIFICATION_MEMBERS = frozenset({"installation_path", "priority", "client_free_space_bytes"})


def decode_repair_verification(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RepairVerificationRequest:
    """POST /api/v1/download-client/verifications/{verification_id}/repair"""
    message = pb.RepairVerificationRequest()
    message.verification_id = path_string(path, "verification_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, REPAIR_VERIFICATION_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("installation_path")) is not None:
            message.installation_path = string(value, ATTRIBUTES, "installation_path", problems)
        if (value := members.get("priority")) is not None:
            message.priority = int32(value, ATTRIBUTES, "priority", problems)
        if (value := members.get("client_free_space_bytes")) is not None:
            message.client_free_space_bytes = int64(value, ATTRIBUTES, "client_free_space_bytes", problems)
    return message


def meta_repair_verification(message: pb.RepairVerificationResponse) -> dict[str, JsonValue]:
    has = message.HasField
    return {
        "plan": download_v1_updates.download_plan_object(message.plan) if has("plan") else None,
    }


def encode_repair_verification(message: pb.RepairVerificationResponse) -> Encoded:
    return Encoded(
        download_v1_downloads.download_session_resource(message.session) if message.HasField("session") else None,
        meta=meta_repair_verification(message),
    )
