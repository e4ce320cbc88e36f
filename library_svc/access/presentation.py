"""LibraryQueryService: what other services ask about a user's library. Reads that decide nothing go straight to the reader."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import query_pb2 as pb
from library.v1.playtime_pb2 import PLAYTIME_PERIOD_LAST_2_WEEKS
from library.v1.query_pb2_grpc import LibraryQueryServiceServicer

from library_svc.access.application import GameAccess
from library_svc.achievements import application as achievements
from library_svc.achievements.application import AchievementReader, DefinitionFiller
from library_svc.achievements.presentation import achievement_message
from library_svc.callers import current_language
from library_svc.ids import ProductId, UserId
from library_svc.items import messages
from library_svc.items.application import LibraryReader
from library_svc.playtime.application import PlaytimeReader
from library_svc.playtime.presentation import statistics_message

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["LibraryQueryService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


class LibraryQueryServicer(LibraryQueryServiceServicer):
    def __init__(
        self,
        reader: LibraryReader,
        access: GameAccess,
        playtime: PlaytimeReader,
        achievement_reader: AchievementReader,
        definitions: DefinitionFiller,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._reader = reader
        self._access = access
        self._playtime = playtime
        self._achievements = achievement_reader
        self._definitions = definitions
        self._now = now

    async def GetLibraryItems(
        self, request: pb.GetLibraryItemsRequest, _context: Context
    ) -> pb.GetLibraryItemsResponse:
        product_ids = [ProductId(UUID(text)) for text in request.product_ids_filter]
        owned = await self._reader.owned_items(UserId(UUID(request.user_id)), product_ids)
        return pb.GetLibraryItemsResponse(items=map(messages.owned_item_message, owned))

    async def CheckGameAccess(
        self, request: pb.CheckGameAccessRequest, _context: Context
    ) -> pb.CheckGameAccessResponse:
        user_id, product_id = UserId(UUID(request.user_id)), ProductId(UUID(request.product_id))
        since = await self._access.since(user_id, product_id)
        return pb.CheckGameAccessResponse(has_access=since is not None, acquisition_date=since)

    async def GetPlaytimeStats(
        self, request: pb.GetPlaytimeStatsRequest, _context: Context
    ) -> pb.GetPlaytimeStatsResponse:
        user_id = UserId(UUID(request.user_id))
        product_ids = [ProductId(UUID(text)) for text in request.product_ids]
        only_recent = request.period == PLAYTIME_PERIOD_LAST_2_WEEKS
        found = await self._playtime.statistics(user_id, product_ids, only_recent=only_recent, now=self._now())
        return pb.GetPlaytimeStatsResponse(statistics=statistics_message(user_id, found))

    async def GetUserAchievements(
        self, request: pb.GetUserAchievementsRequest, _context: Context
    ) -> pb.GetUserAchievementsResponse:
        user_id, product_id = UserId(UUID(request.user_id)), ProductId(UUID(request.product_id))
        found = await achievements.list_achievements(
            self._achievements, self._definitions, user_id=user_id, product_id=product_id
        )
        language = current_language()
        return pb.GetUserAchievementsResponse(achievements=[achievement_message(one, language) for one in found])
