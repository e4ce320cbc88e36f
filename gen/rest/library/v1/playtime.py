"""Transcoders of library/v1/playtime.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import playtime_pb2 as pb

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    EnumTexts,
    Parameters,
    fill_timestamp,
    int64,
    members_of,
    path_string,
    string,
    timestamp_text,
)

PLAYTIME_SESSION_STATUS_TEXTS = EnumTexts({0: None, 1: "active", 2: "completed", 3: "timed_out", 4: "terminated"})

PLAYTIME_PERIOD_NUMBERS: dict[str, int] = {"all_time": 1, "last_2_weeks": 2}

PLAYTIME_SESSION_FIELDS = frozenset({
    "product_id",
    "start_time",
    "status",
    "heartbeat_interval_seconds",
    "end_time",
    "duration_seconds",
    "platform",
    "device_id",
    "product",
})


def playtime_session_resource(message: pb.PlaytimeSession) -> JsonValue:
    """A resource object of type playtimeSession."""
    has = message.HasField
    its_id = message.id
    its_product_id = message.product_id
    return {
        "type": "playtimeSession",
        "id": its_id,
        "attributes": {
            "product_id": its_product_id,
            "start_time": timestamp_text(message.start_time) if has("start_time") else None,
            "status": PLAYTIME_SESSION_STATUS_TEXTS[message.status],
            "heartbeat_interval_seconds": message.heartbeat_interval_seconds,
            "end_time": timestamp_text(message.end_time) if has("end_time") else None,
            "duration_seconds": message.duration_seconds if has("duration_seconds") else None,
            "platform": message.platform if has("platform") else None,
            "device_id": message.device_id if has("device_id") else None,
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
        "links": {"self": f"/api/v1/library/playtime/sessions/{its_id}"},
    }


PLAYTIME_STATISTICS_FIELDS = frozenset({
    "total_playtime_seconds",
    "last_2_weeks_seconds",
    "last_played_at",
    "products",
    "days",
})


def playtime_statistics_resource(message: pb.PlaytimeStatistics) -> JsonValue:
    """A resource object of type playtimeStatistics."""
    has = message.HasField
    return {
        "type": "playtimeStatistics",
        "id": message.user_id,
        "attributes": {
            "total_playtime_seconds": message.total_playtime_seconds,
            "last_2_weeks_seconds": message.last_2_weeks_seconds,
            "last_played_at": timestamp_text(message.last_played_at) if has("last_played_at") else None,
            "products": [product_playtime_object(one) for one in message.products],
            "days": [daily_playtime_object(one) for one in message.days],
        },
        "links": {"self": "/api/v1/library/playtime"},
    }


def product_playtime_object(message: pb.ProductPlaytime) -> JsonValue:
    has = message.HasField
    return {
        "product_id": message.product_id,
        "total_playtime_seconds": message.total_playtime_seconds,
        "last_2_weeks_seconds": message.last_2_weeks_seconds,
        "last_played_at": timestamp_text(message.last_played_at) if has("last_played_at") else None,
    }


def daily_playtime_object(message: pb.DailyPlaytime) -> JsonValue:
    return {
        "date": message.date,
        "playtime_seconds": message.playtime_seconds,
    }


PLAYTIME_HEARTBEAT_MEMBERS = frozenset({"sequence", "client_time"})


def fill_playtime_heartbeat(message: pb.PlaytimeHeartbeat, value: JsonValue, at: str, problems: list[Problem]) -> None:
    members = members_of(value, PLAYTIME_HEARTBEAT_MEMBERS, at, problems)
    if (value := members.get("sequence")) is not None:
        message.sequence = int64(value, at, "sequence", problems)
    if (value := members.get("client_time")) is not None:
        fill_timestamp(message.client_time, value, at, "client_time", problems)


START_PLAYTIME_SESSION_MEMBERS = frozenset({"product_id", "platform", "device_id"})


def decode_start_playtime_session(
    _path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.StartPlaytimeSessionRequest:
    """POST /api/v1/library/playtime/sessions/start"""
    message = pb.StartPlaytimeSessionRequest()
    if query:
        Parameters(query, problems)
    if attributes is not None:
        members = members_of(attributes, START_PLAYTIME_SESSION_MEMBERS, ATTRIBUTES, problems)
        if (value := members.get("product_id")) is not None:
            message.product_id = string(value, ATTRIBUTES, "product_id", problems)
        if (value := members.get("platform")) is not None:
            message.platform = string(value, ATTRIBUTES, "platform", problems)
        if (value := members.get("device_id")) is not None:
            message.device_id = string(value, ATTRIBUTES, "device_id", problems)
    return message


def encode_start_playtime_session(message: pb.StartPlaytimeSessionResponse) -> Encoded:
    return Encoded(playtime_session_resource(message.session) if message.HasField("session") else None)


def decode_get_playtime_session(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetPlaytimeSessionRequest:
    """GET /api/v1/library/playtime/sessions/{session_id}"""
    message = pb.GetPlaytimeSessionRequest()
    message.session_id = path_string(path, "session_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_get_playtime_session(message: pb.GetPlaytimeSessionResponse) -> Encoded:
    return Encoded(playtime_session_resource(message.session) if message.HasField("session") else None)


def decode_record_playtime_heartbeat(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.RecordPlaytimeHeartbeatRequest:
    """POST /api/v1/library/playtime/sessions/{session_id}/heartbeat"""
    message = pb.RecordPlaytimeHeartbeatRequest()
    message.session_id = path_string(path, "session_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.heartbeat.SetInParent()
        fill_playtime_heartbeat(message.heartbeat, attributes, ATTRIBUTES, problems)
    return message


def encode_record_playtime_heartbeat(_message: pb.RecordPlaytimeHeartbeatResponse) -> Encoded:
    return Encoded(None)


def decode_end_playtime_session(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.EndPlaytimeSessionRequest:
    """POST /api/v1/library/playtime/sessions/{session_id}/end"""
    message = pb.EndPlaytimeSessionRequest()
    message.session_id = path_string(path, "session_id", problems)
    if query:
        Parameters(query, problems)
    return message


def encode_end_playtime_session(message: pb.EndPlaytimeSessionResponse) -> Encoded:
    return Encoded(playtime_session_resource(message.session) if message.HasField("session") else None)


GET_PLAYTIME_QUERY = frozenset({"period"})


def decode_get_playtime(
    _path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.GetPlaytimeRequest:
    """GET /api/v1/library/playtime"""
    message = pb.GetPlaytimeRequest()
    if query:
        given = Parameters(query, problems, names=GET_PLAYTIME_QUERY, lists=frozenset({"product_ids"}))
        if "product_ids" in given:
            message.product_ids.extend(given.strings("product_ids"))
        if "period" in given:
            message.period = given.enum("period", PLAYTIME_PERIOD_NUMBERS)
    return message


def encode_get_playtime(message: pb.GetPlaytimeResponse) -> Encoded:
    return Encoded(playtime_statistics_resource(message.statistics) if message.HasField("statistics") else None)
