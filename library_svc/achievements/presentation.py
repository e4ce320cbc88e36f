"""AchievementService: what users have achieved. Called by game clients and by the gateway, for the user."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import achievements_pb2 as pb
from library.v1.achievements_pb2_grpc import AchievementServiceServicer

from chassis.auth.access import current_caller
from chassis.cloudevents.moments import to_timestamp
from library_svc.achievements import application as achievements
from library_svc.achievements.application import AchievementReader, AchievementSort, AchievementView, DefinitionFiller
from library_svc.achievements.domain import Increment, SetTo
from library_svc.callers import current_language, current_user
from library_svc.catalog.domain import Language
from library_svc.ids import AchievementId, ProductId, UserId
from library_svc.transaction import Begin, Origin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["AchievementService"].full_name

_SORT_OF: Final = {pb.AchievementSort.Value(f"ACHIEVEMENT_SORT_{sort.name}"): sort for sort in AchievementSort}

Context = grpc.aio.ServicerContext[Any, Any]


class AchievementServicer(AchievementServiceServicer):
    def __init__(
        self, begin: Begin, reader: AchievementReader, filler: DefinitionFiller, *, now: Callable[[], datetime]
    ) -> None:
        self._begin = begin
        self._reader = reader
        self._filler = filler
        self._now = now

    async def ListAchievementStatus(
        self, request: pb.ListAchievementStatusRequest, _context: Context
    ) -> pb.ListAchievementStatusResponse:
        found = await achievements.list_achievements(
            self._reader,
            self._filler,
            user_id=current_user(),
            product_id=ProductId(UUID(request.product_id)),
            sort=_SORT_OF.get(request.sort_by, AchievementSort.DEFAULT),
        )
        language = current_language()
        return pb.ListAchievementStatusResponse(achievements=[achievement_message(one, language) for one in found])

    async def UpdateAchievementProgress(
        self, request: pb.UpdateAchievementProgressRequest, _context: Context
    ) -> pb.UpdateAchievementProgressResponse:
        shown = await achievements.update_progress(
            self._begin,
            self._reader,
            self._filler,
            user_id=current_user(),
            product_id=ProductId(UUID(request.product_id)),
            achievement_id=AchievementId(UUID(request.achievement_meta_id)),
            step=_step(request.progress),
            origin=_origin(),
            now=self._now(),
        )
        return pb.UpdateAchievementProgressResponse(achievement=achievement_message(shown, current_language()))


def achievement_message(shown: AchievementView, language: Language) -> pb.UserAchievementStatus:
    """The achievement as its user sees it; a secret shows only that it is one."""
    definition = shown.definition
    message = pb.UserAchievementStatus(
        achievement_meta_id=str(definition.id),
        product_id=str(definition.product_id),
        is_hidden=definition.is_hidden,
        is_unlocked=shown.is_unlocked,
        unlocked_at=to_timestamp(shown.unlocked_at),
        rarity_percentage=shown.rarity_percentage,
    )
    if shown.is_secret:
        return message
    message.MergeFrom(
        pb.UserAchievementStatus(
            name=definition.name(language),
            description=definition.description(language),
            icon_url_unlocked=definition.icon_url_unlocked,
        )
    )
    total = definition.total_progress_needed
    if total > 1:
        current = total if shown.is_unlocked else min(shown.current_progress, total)
        message.current_progress.CopyFrom(pb.AchievementProgressState(current=current, total=total))
    return message


def _step(progress: pb.AchievementProgress) -> SetTo | Increment:
    if progress.WhichOneof("step") == "increment":
        return Increment(progress.increment)
    return SetTo(progress.current_progress)


def _origin() -> Origin:
    caller = current_caller()
    return Origin(UserId(caller.require_user()), caller.client_ip, caller.request_id)
