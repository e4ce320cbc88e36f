"""PlaytimeTrackerService: sessions of play. Called by game clients and by the gateway, for the user."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import playtime_pb2 as pb
from library.v1.playtime_pb2_grpc import PlaytimeTrackerServiceServicer

from library_svc.callers import current_user
from library_svc.ids import DeviceId, PlaytimeSessionId, ProductId, UserId
from library_svc.playtime import application as playtime
from library_svc.playtime.application import HeartbeatRecorder, HeartbeatStore, PlaytimeReader, PlaytimeStatistics
from library_svc.playtime.domain import PlaytimeSession, PlaytimeSessionNotFound
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["PlaytimeTrackerService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class HeartbeatPolicy:
    """The interval at which a client should send heartbeats, and the longest silence that it may keep."""

    interval: timedelta
    max_silence: timedelta


class PlaytimeServicer(PlaytimeTrackerServiceServicer):
    def __init__(
        self,
        begin: Begin,
        reader: PlaytimeReader,
        heartbeat_store: HeartbeatStore,
        heartbeats: HeartbeatRecorder,
        *,
        pace: HeartbeatPolicy,
        now: Callable[[], datetime],
    ) -> None:
        self._begin = begin
        self._reader = reader
        self._pulses = heartbeat_store
        self._heartbeats = heartbeats
        self._pace = pace
        self._now = now

    async def StartPlaytimeSession(
        self, request: pb.StartPlaytimeSessionRequest, _context: Context
    ) -> pb.StartPlaytimeSessionResponse:
        session = await playtime.start_session(
            self._begin,
            self._pulses,
            user_id=current_user(),
            product_id=ProductId(UUID(request.product_id)),
            platform=request.platform if request.HasField("platform") else None,
            device_id=DeviceId(UUID(request.device_id)) if request.HasField("device_id") else None,
            now=self._now(),
        )
        return pb.StartPlaytimeSessionResponse(session=session_message(session, self._pace))

    async def GetPlaytimeSession(
        self, request: pb.GetPlaytimeSessionRequest, _context: Context
    ) -> pb.GetPlaytimeSessionResponse:
        session_id = PlaytimeSessionId(UUID(request.session_id))
        session = await self._reader.get_session(current_user(), session_id)
        if session is None:
            raise PlaytimeSessionNotFound(session_id)
        return pb.GetPlaytimeSessionResponse(session=session_message(session, self._pace))

    async def RecordPlaytimeHeartbeat(
        self, request: pb.RecordPlaytimeHeartbeatRequest, _context: Context
    ) -> pb.RecordPlaytimeHeartbeatResponse:
        sequence = request.heartbeat.sequence if request.heartbeat.HasField("sequence") else None
        session_id = PlaytimeSessionId(UUID(request.session_id))
        await self._heartbeats.record(current_user(), session_id, sequence)
        return pb.RecordPlaytimeHeartbeatResponse()

    async def EndPlaytimeSession(
        self, request: pb.EndPlaytimeSessionRequest, _context: Context
    ) -> pb.EndPlaytimeSessionResponse:
        session = await playtime.end_session(
            self._begin,
            self._pulses,
            user_id=current_user(),
            session_id=PlaytimeSessionId(UUID(request.session_id)),
            now=self._now(),
            max_silence=self._pace.max_silence,
        )
        return pb.EndPlaytimeSessionResponse(session=session_message(session, self._pace))

    async def GetPlaytime(self, request: pb.GetPlaytimeRequest, _context: Context) -> pb.GetPlaytimeResponse:
        user_id, product_ids = current_user(), [ProductId(UUID(text)) for text in request.product_ids]
        only_recent = request.period == pb.PLAYTIME_PERIOD_LAST_2_WEEKS
        found = await self._reader.statistics(user_id, product_ids, only_recent=only_recent, now=self._now())
        return pb.GetPlaytimeResponse(statistics=statistics_message(user_id, found))


def session_message(session: PlaytimeSession, pace: HeartbeatPolicy) -> pb.PlaytimeSession:
    """The session as its user sees it."""
    return pb.PlaytimeSession(
        id=str(session.id),
        product_id=str(session.product_id),
        start_time=session.start_time,
        status=f"PLAYTIME_SESSION_STATUS_{session.status.name}",
        heartbeat_interval_seconds=int(pace.interval.total_seconds()),
        end_time=session.end_time,
        duration_seconds=session.duration_seconds,
        platform=session.platform,
        device_id=str(session.device_id) if session.device_id else None,
    )


def statistics_message(user_id: UserId, found: PlaytimeStatistics) -> pb.PlaytimeStatistics:
    """The statistics as the user and other services see them."""
    return pb.PlaytimeStatistics(
        user_id=str(user_id),
        total_playtime_seconds=found.seconds,
        last_2_weeks_seconds=found.recent_seconds,
        last_played_at=found.last_played_at,
        products=[
            pb.ProductPlaytime(
                product_id=str(product.product_id),
                total_playtime_seconds=product.seconds,
                last_2_weeks_seconds=product.recent_seconds,
                last_played_at=product.last_played_at,
            )
            for product in found.products
        ],
        days=[pb.DailyPlaytime(date=day.day.isoformat(), playtime_seconds=day.seconds) for day in found.days],
    )
