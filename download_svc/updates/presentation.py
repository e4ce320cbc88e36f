"""download.v1.UpdateService: what is newer, what it takes, and the session that brings it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc.aio
from download.v1 import updates_pb2 as pb
from download.v1 import updates_pb2_grpc

from chassis.auth.access import current_caller
from chassis.cloudevents.events import uuid7
from download_svc.access.application import CachedAccess
from download_svc.installations.application import InstallationReader
from download_svc.sessions.application import Policy, SessionReader
from download_svc.sessions.messages import page_info, session_message
from download_svc.transaction import Begin
from download_svc.updates import messages
from download_svc.updates.application import UpdateReader, apply_update, check_updates, rollback_update
from download_svc.updates.planning import Plans, session_plan
from download_svc.verifications.domain import VerificationReader
from download_svc.versions.application import VersionReader

SERVICE = "download.v1.UpdateService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class UpdatePorts:
    """The ports that the servicer uses."""

    begin: Begin
    sessions: SessionReader
    versions: VersionReader
    installations: InstallationReader
    updates: UpdateReader
    verifications: VerificationReader
    access: CachedAccess
    plans: Plans
    policy: Policy
    now: Callable[[], datetime]


class UpdateServicer(updates_pb2_grpc.UpdateServiceServicer):
    """For users; whose call it is comes from the caller's token alone."""

    def __init__(self, ports: UpdatePorts) -> None:
        self._ports = ports

    async def CheckUpdates(self, request: pb.CheckUpdatesRequest, _context: Context) -> pb.CheckUpdatesResponse:
        found = await check_updates(
            self._ports.versions,
            self._ports.plans,
            messages.installed_products(request),
            permissions=current_caller().permissions,
        )
        return pb.CheckUpdatesResponse(updates=map(messages.availability_message, found))

    async def ApplyUpdate(self, request: pb.ApplyUpdateRequest, _context: Context) -> pb.ApplyUpdateResponse:
        ports, caller = self._ports, current_caller()
        view, plan = await apply_update(
            ports.begin,
            ports.versions,
            ports.access,
            ports.plans,
            ports.policy,
            messages.apply_request(request),
            from_version_id=UUID(request.from_version_id),
            user_id=caller.require_user(),
            permissions=caller.permissions,
            session_id=uuid7(ports.now()),
            now=ports.now(),
        )
        return pb.ApplyUpdateResponse(
            session=session_message(view, None, caller.language), plan=messages.plan_message(view.session, plan)
        )

    async def RollbackUpdate(self, request: pb.RollbackUpdateRequest, _context: Context) -> pb.RollbackUpdateResponse:
        ports, caller = self._ports, current_caller()
        view, plan = await rollback_update(
            ports.begin,
            ports.versions,
            ports.installations,
            ports.updates,
            ports.access,
            ports.plans,
            ports.policy,
            messages.apply_request(request),
            from_version_id=UUID(request.from_version_id) if request.HasField("from_version_id") else None,
            user_id=caller.require_user(),
            permissions=caller.permissions,
            session_id=uuid7(ports.now()),
            now=ports.now(),
        )
        return pb.RollbackUpdateResponse(
            session=session_message(view, None, caller.language), plan=messages.plan_message(view.session, plan)
        )

    async def ListUpdates(self, request: pb.ListUpdatesRequest, _context: Context) -> pb.ListUpdatesResponse:
        page = messages.page_request(request)
        found = await self._ports.updates.page(
            current_caller().require_user(),
            page,
            status=messages.status_filter(request),
            product_id=messages.product_filter(request),
        )
        return pb.ListUpdatesResponse(
            updates=map(messages.update_message, found.items), page=page_info(page, found.total)
        )

    async def ListUpdateHistory(
        self, request: pb.ListUpdateHistoryRequest, _context: Context
    ) -> pb.ListUpdateHistoryResponse:
        page = messages.page_request(request)
        found = await self._ports.updates.history(
            current_caller().require_user(), page, product_id=messages.product_filter(request)
        )
        return pb.ListUpdateHistoryResponse(
            entries=map(messages.history_message, found.items), page=page_info(page, found.total)
        )

    async def GetDownloadPlan(
        self, request: pb.GetDownloadPlanRequest, _context: Context
    ) -> pb.GetDownloadPlanResponse:
        ports = self._ports
        session, plan = await session_plan(
            ports.sessions,
            ports.versions,
            ports.verifications,
            ports.plans,
            user_id=current_caller().require_user(),
            session_id=UUID(request.download_id),
        )
        return pb.GetDownloadPlanResponse(
            plan=messages.plan_message(
                session,
                plan,
                after=request.after if request.HasField("after") else None,
                limit=request.limit if request.HasField("limit") else messages.PLAN_FILES,
                action=messages.action_filter(request),
            )
        )
