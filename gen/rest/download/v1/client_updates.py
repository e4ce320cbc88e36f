"""Transcoders of download/v1/client_updates.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from download.v1 import client_updates_pb2 as pb
from rest.content.v1 import manifest as content_v1_manifest

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    EnumTexts,
    Parameters,
    enum_number,
    int32,
    int64,
    members_of,
    path_string,
    string,
    timestamp_text,
)

CLIENT_CHANNEL_TEXTS = EnumTexts({0: None, 1: "stable", 2: "beta", 3: "test"})
CLIENT_CHANNEL_NUMBERS: dict[str, int] = {"stable": 1, "beta": 2, "test": 3}

CLIENT_ARCH_TEXTS = EnumTexts({0: None, 1: "x86_64", 2: "arm64"})
CLIENT_ARCH_NUMBERS: dict[str, int] = {"x86_64": 1, "arm64": 2}

CLIENT_UPDATE_FIELDS = frozenset({
    "version",
    "is_available",
    "is_mandatory",
    "is_rollback",
    "minimum_version",
    "target_sha256",
    "target_size_bytes",
})


def client_update_resource(message: pb.ClientUpdate) -> JsonValue:
    """A resource object of type clientUpdate."""
    has = message.HasField
    return {
        "type": "clientUpdate",
        "id": message.id,
        "attributes": {
            "version": message.version,
            "is_available": message.is_available,
            "is_mandatory": message.is_mandatory,
            "is_rollback": message.is_rollback,
            "minimum_version": message.minimum_version if has("minimum_version") else None,
            "target_sha256": message.target_sha256,
            "target_size_bytes": message.target_size_bytes,
        },
    }


CLIENT_RELEASE_FIELDS = frozenset({
    "version",
    "platform",
    "arch",
    "channel",
    "rollout_permille",
    "minimum_version",
    "is_rollback",
    "target_sha256",
    "target_size_bytes",
    "created_at",
})


def client_release_resource(message: pb.ClientRelease) -> JsonValue:
    """A resource object of type clientRelease."""
    has = message.HasField
    return {
        "type": "clientRelease",
        "id": message.id,
        "attributes": {
            "version": message.version,
            "platform": content_v1_manifest.PLATFORM_TEXTS[message.platform],
            "arch": CLIENT_ARCH_TEXTS[message.arch],
            "channel": CLIENT_CHANNEL_TEXTS[message.channel],
            "rollout_permille": message.rollout_permille,
            "minimum_version": message.minimum_version if has("minimum_version") else None,
            "is_rollback": message.is_rollback,
            "target_sha256": message.target_sha256,
            "target_size_bytes": message.target_size_bytes,
            "created_at": timestamp_text(message.created_at) if has("created_at") else None,
        },
    }


CHECK_CLIENT_UPDATE_QUERY = frozenset({"platform", "arch", "channel", "version", "install_id", "is_manual"})


def decode_check_client_update(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.CheckClientUpdateRequest:
    """GET /api/v1/download-client/client-updates"""
    message = pb.CheckClientUpdateRequest()
    if query:
        given = Parameters(query, problems, names=CHECK_CLIENT_UPDATE_QUERY)
        if "platform" in given:
            message.platform = given.enum("platform", content_v1_manifest.PLATFORM_NUMBERS)
        if "arch" in given:
            message.arch = given.enum("arch", CLIENT_ARCH_NUMBERS)
        if "channel" in given:
            message.channel = given.enum("channel", CLIENT_CHANNEL_NUMBERS)
        if "version" in given:
            message.version = given.string("version")
        if "install_id" in given:
            message.install_id = given.string("install_id")
        if "is_manual" in given:
            message.is_manual = given.boolean("is_manual")
    return message


def encode_check_client_update(message: pb.CheckClientUpdateResponse) -> Encoded:
    return Encoded(client_update_resource(message.update) if message.HasField("update") else None)


ADD_CLIENT_RELEASE_MEMBERS = frozenset({
    "version",
    "platform",
    "arch",
    "channel",
    "minimum_version",
    "target_sha256",
    "target_size_bytes",
})


def decode_add_client_release(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.AddClientReleaseRequest:
    """POST /api/v1/download-client/client-releases"""
    message = pb.AddClientReleaseRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, ADD_CLIENT_RELEASE_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("version")) is not None:
            message.version = string(value, ATTRIBUTES, "version", problems)
        if (value := members.get("platform")) is not None:
            message.platform = enum_number(value, content_v1_manifest.PLATFORM_NUMBERS, ATTRIBUTES, "platform", problems)
        if (value := members.get("arch")) is not None:
            message.arch = enum_number(value, CLIENT_ARCH_NUMBERS, ATTRIBUTES, "arch", problems)
        if (value := members.get("channel")) is not None:
            message.channel = enum_number(value, CLIENT_CHANNEL_NUMBERS, ATTRIBUTES, "channel", problems)
        if (value := members.get("minimum_version")) is not None:
            message.minimum_version = string(value, ATTRIBUTES, "minimum_version", problems)
        if (value := members.get("target_sha256")) is not None:
            message.target_sha256 = string(value, ATTRIBUTES, "target_sha256", problems)
        if (value := members.get("target_size_bytes")) is not None:
            message.target_size_bytes = int64(value, ATTRIBUTES, "target_size_bytes", problems)
    return message


def encode_add_client_release(message: pb.AddClientReleaseResponse) -> Encoded:
    return Encoded(client_release_resource(message.release) if message.HasField("release") else None)


LIST_CLIENT_RELEASES_QUERY = frozenset({"platform", "arch", "channel"})


def decode_list_client_releases(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListClientReleasesRequest:
    """GET /api/v1/download-client/client-releases"""
    message = pb.ListClientReleasesRequest()
    if query:
        given = Parameters(query, problems, names=LIST_CLIENT_RELEASES_QUERY)
        if "platform" in given:
            message.platform = given.enum("platform", content_v1_manifest.PLATFORM_NUMBERS)
        if "arch" in given:
            message.arch = given.enum("arch", CLIENT_ARCH_NUMBERS)
        if "channel" in given:
            message.channel = given.enum("channel", CLIENT_CHANNEL_NUMBERS)
    return message


def encode_list_client_releases(message: pb.ListClientReleasesResponse) -> Encoded:
    return Encoded([client_release_resource(one) for one in message.releases])


SET_CLIENT_ROLLOUT_MEMBERS = frozenset({"rollout_permille"})


def decode_set_client_rollout(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.SetClientRolloutRequest:
    """POST /api/v1/download-client/client-releases/{release_id}/rollout"""
    message = pb.SetClientRolloutRequest()
    message.release_id = path_string(path, "release_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, SET_CLIENT_ROLLOUT_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("rollout_permille")) is not None:
            message.rollout_permille = int32(value, ATTRIBUTES, "rollout_permille", problems)
    return message


def encode_set_client_rollout(message: pb.SetClientRolloutResponse) -> Encoded:
    return Encoded(client_release_resource(message.release) if message.HasField("release") else None)


ROLL_BACK_CLIENT_RELEASE_MEMBERS = frozenset[str]()


def decode_roll_back_client_release(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RollBackClientReleaseRequest:
    """POST /api/v1/download-client/client-releases/{release_id}/rollback"""
    message = pb.RollBackClientReleaseRequest()
    message.release_id = path_string(path, "release_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members_of(attributes, ROLL_BACK_CLIENT_RELEASE_MEMBERS, ATTRIBUTES, problems)
    return message


def encode_roll_back_client_release(message: pb.RollBackClientReleaseResponse) -> Encoded:
    return Encoded(client_release_resource(message.release) if message.HasField("release") else None)
