"""Transcoders of download/v1/installations.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from download.v1 import installations_pb2 as pb
from rest.content.v1 import manifest as content_v1_manifest

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    MAX_INT32,
    MIN_INT32,
    Parameters,
    boolean,
    mask_paths,
    members_of,
    page_of,
    path_string,
    timestamp_text,
)

PRODUCT_VERSION_FIELDS = frozenset({
    "product_id",
    "version_name",
    "platform",
    "channel",
    "released_at",
    "total_size_bytes",
    "file_count",
    "is_critical",
    "release_notes_url",
    "product",
})


def product_version_resource(message: pb.ProductVersion) -> JsonValue:
    """A resource object of type productVersion."""
    has = message.HasField
    its_product_id = message.product_id
    return {
        "type": "productVersion",
        "id": message.id,
        "attributes": {
            "product_id": its_product_id,
            "version_name": message.version_name,
            "platform": content_v1_manifest.PLATFORM_TEXTS[message.platform],
            "channel": message.channel,
            "released_at": timestamp_text(message.released_at) if has("released_at") else None,
            "total_size_bytes": message.total_size_bytes,
            "file_count": message.file_count,
            "is_critical": message.is_critical,
            "release_notes_url": message.release_notes_url if has("release_notes_url") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
    }


INSTALLATION_FIELDS = frozenset({
    "product_id",
    "version_id",
    "device_id",
    "platform",
    "installation_path",
    "is_pinned",
    "auto_update",
    "created_at",
    "updated_at",
    "product",
})


def installation_resource(message: pb.Installation) -> JsonValue:
    """A resource object of type installation."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "installation",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "version_id": message.version_id,
            "device_id": message.device_id if has("device_id") else None,
            "platform": content_v1_manifest.PLATFORM_TEXTS[message.platform],
            "installation_path": message.installation_path if has("installation_path") else None,
            "is_pinned": message.is_pinned,
            "auto_update": message.auto_update if has("auto_update") else None,
            "created_at": timestamp_text(message.created_at) if has("created_at") else None,
            "updated_at": timestamp_text(message.updated_at) if has("updated_at") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/download-client/installations/{its_id}"},
    }


INSTALLATION_CHANGES_MEMBERS = frozenset({"is_pinned", "auto_update"})


def fill_installation_changes(
    message: pb.InstallationChanges,
    value: JsonValue,
    at: str,
    problems: list[Problem],
) -> None:
    members = members_of(value, INSTALLATION_CHANGES_MEMBERS, at, problems)
    if (value := members.get("is_pinned")) is not None:
        message.is_pinned = boolean(value, at, "is_pinned", problems)
    if (value := members.get("auto_update")) is not None:
        message.auto_update = boolean(value, at, "auto_update", problems)


LIST_VERSIONS_QUERY = frozenset({"product_id", "platform", "page", "limit"})
LIST_VERSIONS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_versions(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListVersionsRequest:
    """GET /api/v1/download-client/versions"""
    message = pb.ListVersionsRequest()
    if query:
        given = Parameters(query, problems, names=LIST_VERSIONS_QUERY, spellings=LIST_VERSIONS_SPELLINGS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "platform" in given:
            message.platform = given.enum("platform", content_v1_manifest.PLATFORM_NUMBERS)
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_versions(message: pb.ListVersionsResponse) -> Encoded:
    return Encoded([product_version_resource(one) for one in message.versions], page_of(message.page))


LIST_INSTALLATIONS_QUERY = frozenset({"product_id", "device_id", "page", "limit"})
LIST_INSTALLATIONS_SPELLINGS: dict[str, str] = {"page[number]": "page", "page[size]": "limit"}


def decode_list_installations(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListInstallationsRequest:
    """GET /api/v1/download-client/installations"""
    message = pb.ListInstallationsRequest()
    if query:
        given = Parameters(query, problems, names=LIST_INSTALLATIONS_QUERY, spellings=LIST_INSTALLATIONS_SPELLINGS)
        if "product_id" in given:
            message.product_id = given.string("product_id")
        if "device_id" in given:
            message.device_id = given.string("device_id")
        if "page" in given:
            message.page = given.integer("page", MIN_INT32, MAX_INT32)
        if "limit" in given:
            message.limit = given.integer("limit", MIN_INT32, MAX_INT32)
    return message


def encode_list_installations(message: pb.ListInstallationsResponse) -> Encoded:
    return Encoded([installation_resource(one) for one in message.installations], page_of(message.page))


def decode_get_installation(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetInstallationRequest:
    """GET /api/v1/download-client/installations/{installation_id}"""
    message = pb.GetInstallationRequest()
    message.installation_id = path_string(path, "installation_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_installation(message: pb.GetInstallationResponse) -> Encoded:
    return Encoded(installation_resource(message.installation) if message.HasField("installation") else None)


def decode_update_installation(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateInstallationRequest:
    """PATCH /api/v1/download-client/installations/{installation_id}"""
    message = pb.UpdateInstallationRequest()
    message.installation_id = path_string(path, "installation_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.installation.SetInParent()
        fill_installation_changes(message.installation, attributes, ATTRIBUTES, problems)
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(mask_paths(attributes, INSTALLATION_CHANGES_MEMBERS))
    return message


def encode_update_installation(message: pb.UpdateInstallationResponse) -> Encoded:
    return Encoded(installation_resource(message.installation) if message.HasField("installation") else None)


def decode_delete_installation(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.DeleteInstallationRequest:
    """DELETE /api/v1/download-client/installations/{installation_id}"""
    message = pb.DeleteInstallationRequest()
    message.installation_id = path_string(path, "installation_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_delete_installation(_message: pb.DeleteInstallationResponse) -> Encoded:
    return Encoded(None)
