"""download.v1.InstallationService: versions of products, and what is installed where."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc.aio
from download.v1 import installations_pb2 as pb
from download.v1 import installations_pb2_grpc

from chassis.auth.access import current_caller
from download_svc.installations import messages
from download_svc.installations.application import InstallationReader, change_installation, report_uninstalled
from download_svc.installations.domain import installation_not_found
from download_svc.sessions.messages import page_info
from download_svc.transaction import Begin
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import channels_of, installable, product_not_found

SERVICE = "download.v1.InstallationService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class InstallationPorts:
    """The ports that the servicer uses."""

    begin: Begin
    installations: InstallationReader
    versions: VersionReader
    now: Callable[[], datetime]


class InstallationServicer(installations_pb2_grpc.InstallationServiceServicer):
    """For users; whose call it is comes from the caller's token alone."""

    def __init__(self, ports: InstallationPorts) -> None:
        self._ports = ports

    async def ListVersions(self, request: pb.ListVersionsRequest, _context: Context) -> pb.ListVersionsResponse:
        caller, page = current_caller(), messages.page_request(request)
        versions = await self._ports.versions.of_product(UUID(request.product_id))
        if not versions:
            raise product_not_found(UUID(request.product_id))
        # A product has few versions: they are ordered and cut here.
        found = installable(
            versions, platform=messages.platform_filter(request), channels=channels_of(caller.permissions)
        )
        shown = found[page.offset : page.offset + page.size]
        return pb.ListVersionsResponse(versions=map(messages.version_message, shown), page=page_info(page, len(found)))

    async def ListInstallations(
        self, request: pb.ListInstallationsRequest, _context: Context
    ) -> pb.ListInstallationsResponse:
        page = messages.page_request(request)
        found = await self._ports.installations.page(
            current_caller().require_user(),
            page,
            product_id=UUID(request.product_id) if request.HasField("product_id") else None,
            device_id=UUID(request.device_id) if request.HasField("device_id") else None,
        )
        return pb.ListInstallationsResponse(
            installations=map(messages.installation_message, found.items), page=page_info(page, found.total)
        )

    async def GetInstallation(
        self, request: pb.GetInstallationRequest, _context: Context
    ) -> pb.GetInstallationResponse:
        installation_id = UUID(request.installation_id)
        kept = await self._ports.installations.get(current_caller().require_user(), installation_id)
        if kept is None:
            raise installation_not_found(installation_id)
        return pb.GetInstallationResponse(installation=messages.installation_message(kept))

    async def UpdateInstallation(
        self, request: pb.UpdateInstallationRequest, _context: Context
    ) -> pb.UpdateInstallationResponse:
        kept = await change_installation(
            self._ports.begin,
            user_id=current_caller().require_user(),
            installation_id=UUID(request.installation_id),
            changes=messages.changes(request),
            now=self._ports.now(),
        )
        return pb.UpdateInstallationResponse(installation=messages.installation_message(kept))

    async def DeleteInstallation(
        self, request: pb.DeleteInstallationRequest, _context: Context
    ) -> pb.DeleteInstallationResponse:
        await report_uninstalled(
            self._ports.begin,
            user_id=current_caller().require_user(),
            installation_id=UUID(request.installation_id),
            now=self._ports.now(),
        )
        return pb.DeleteInstallationResponse()
