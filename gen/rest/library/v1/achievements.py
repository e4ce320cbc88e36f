"""Transcoders of library/v1/achievements.proto. Generated from proto/ by `./taskw gen`; do not edit."""

from collections.abc import Mapping

from library.v1 import achievements_pb2 as pb

from gateway.contract import Encoded, JsonValue, Problem, Query
from gateway.transcoding import (
    ATTRIBUTES,
    Parameters,
    at_most_one,
    double,
    int32,
    members_of,
    path_string,
    timestamp_text,
)

ACHIEVEMENT_SORT_NUMBERS: dict[str, int] = {"default": 1, "rarity_asc": 2, "unlocked_at_desc": 3}

USER_ACHIEVEMENT_STATUS_FIELDS = frozenset({
    "product_id",
    "name",
    "description",
    "icon_url_unlocked",
    "is_hidden",
    "is_unlocked",
    "unlocked_at",
    "current_progress",
    "rarity_percentage",
    "product",
})


def user_achievement_status_resource(message: pb.UserAchievementStatus) -> JsonValue:
    """A resource object of type userAchievementStatus."""
    has = message.HasField
    its_product_id = message.product_id
    return {
        "type": "userAchievementStatus",
        "id": message.achievement_meta_id,
        "attributes": {
            "product_id": its_product_id,
            "name": message.name if has("name") else None,
            "description": message.description if has("description") else None,
            "icon_url_unlocked": message.icon_url_unlocked if has("icon_url_unlocked") else None,
            "is_hidden": message.is_hidden,
            "is_unlocked": message.is_unlocked,
            "unlocked_at": timestamp_text(message.unlocked_at) if has("unlocked_at") else None,
            "current_progress": achievement_progress_state_object(message.current_progress) if has("current_progress") else None,
            "rarity_percentage": double(message.rarity_percentage),
        },
        "relationships": {
            "product": {"data": {"type": "product", "id": its_product_id} if its_product_id else None},
        },
    }


def achievement_progress_state_object(message: pb.AchievementProgressState) -> JsonValue:
    return {
        "current": message.current,
        "total": message.total,
    }


ACHIEVEMENT_PROGRESS_MEMBERS = frozenset({"current_progress", "increment"})


def fill_achievement_progress(
    message: pb.AchievementProgress,
    value: JsonValue,
    at: str,
    problems: list[Problem],
) -> None:
    members = members_of(value, ACHIEVEMENT_PROGRESS_MEMBERS, at, problems)
    at_most_one(members, ("current_progress", "increment"), at, problems)
    if (value := members.get("current_progress")) is not None:
        message.current_progress = int32(value, at, "current_progress", problems)
    if (value := members.get("increment")) is not None:
        message.increment = int32(value, at, "increment", problems)


LIST_ACHIEVEMENT_STATUS_QUERY = frozenset({"sort_by"})


def decode_list_achievement_status(
    path: Mapping[str, str],
    query: Query,
    _attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.ListAchievementStatusRequest:
    """GET /api/v1/library/achievements/status/{product_id}"""
    message = pb.ListAchievementStatusRequest()
    message.product_id = path_string(path, "product_id", problems)
    if query:
        given = Parameters(query, problems, names=LIST_ACHIEVEMENT_STATUS_QUERY)
        if "sort_by" in given:
            message.sort_by = given.enum("sort_by", ACHIEVEMENT_SORT_NUMBERS)
    return message


def encode_list_achievement_status(message: pb.ListAchievementStatusResponse) -> Encoded:
    return Encoded([user_achievement_status_resource(one) for one in message.achievements])


def decode_update_achievement_progress(
    path: Mapping[str, str],
    query: Query,
    attributes: Mapping[str, JsonValue] | None,
    problems: list[Problem],
) -> pb.UpdateAchievementProgressRequest:
    """POST /api/v1/library/achievements/{product_id}/{achievement_meta_id}/progress"""
    message = pb.UpdateAchievementProgressRequest()
    message.product_id = path_string(path, "product_id", problems)
    message.achievement_meta_id = path_string(path, "achievement_meta_id", problems)
    if query:
        Parameters(query, problems)
    if attributes is not None:
        message.progress.SetInParent()
        fill_achievement_progress(message.progress, attributes, ATTRIBUTES, problems)
    return message


def encode_update_achievement_progress(message: pb.UpdateAchievementProgressResponse) -> Encoded:
    return Encoded(user_achievement_status_resource(message.achievement) if message.HasField("achievement") else None)
