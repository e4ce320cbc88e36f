"""download.v1.VerificationService: what of an installation is not as published, and the session that mends it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc.aio
from download.v1 import verifications_pb2 as pb
from download.v1 import verifications_pb2_grpc

from chassis.auth.access import current_caller
from chassis.cloudevents.events import uuid7
from download_svc.access.application import CachedAccess
from download_svc.sessions.application import Policy
from download_svc.sessions.messages import page_info, session_message
from download_svc.transaction import Begin
from download_svc.updates.messages import plan_message
from download_svc.verifications import messages
from download_svc.verifications.application import create_verification, repair_verification, submit_hashes
from download_svc.verifications.domain import Verification, VerificationReader, verification_not_found
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import ManifestReader

SERVICE = "download.v1.VerificationService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class VerificationPorts:
    """The ports that the servicer uses."""

    begin: Begin
    verifications: VerificationReader
    versions: VersionReader
    manifests: ManifestReader
    access: CachedAccess
    policy: Policy
    now: Callable[[], datetime]


class VerificationServicer(verifications_pb2_grpc.VerificationServiceServicer):
    """For users; whose call it is comes from the caller's token alone."""

    def __init__(self, ports: VerificationPorts) -> None:
        self._ports = ports

    async def CreateVerification(
        self, request: pb.CreateVerificationRequest, _context: Context
    ) -> pb.CreateVerificationResponse:
        ports, caller = self._ports, current_caller()
        verification = await create_verification(
            ports.begin,
            ports.versions,
            ports.access,
            user_id=caller.require_user(),
            permissions=caller.permissions,
            verification_id=uuid7(ports.now()),
            product_id=UUID(request.product_id),
            version_id=UUID(request.version_id),
            device_id=UUID(request.device_id) if request.HasField("device_id") else None,
            is_whole_tree=request.is_whole_tree,
            now=ports.now(),
        )
        return pb.CreateVerificationResponse(verification=messages.verification_message(verification))

    async def GetVerification(
        self, request: pb.GetVerificationRequest, _context: Context
    ) -> pb.GetVerificationResponse:
        verification = await self._verification(request.verification_id)
        return pb.GetVerificationResponse(verification=messages.verification_message(verification))

    async def SubmitHashes(self, request: pb.SubmitHashesRequest, _context: Context) -> pb.SubmitHashesResponse:
        ports = self._ports
        verification = await submit_hashes(
            ports.begin,
            ports.verifications,
            ports.versions,
            user_id=current_caller().require_user(),
            verification_id=UUID(request.verification_id),
            local=messages.local_entries(request),
            is_last=request.is_last,
            now=ports.now(),
        )
        return pb.SubmitHashesResponse(verification=messages.verification_message(verification))

    async def ListVerificationIssues(
        self, request: pb.ListVerificationIssuesRequest, _context: Context
    ) -> pb.ListVerificationIssuesResponse:
        verification, page = await self._verification(request.verification_id), messages.page_request(request)
        found = await self._ports.verifications.issues(verification, page, kind=messages.kind_filter(request))
        return pb.ListVerificationIssuesResponse(
            issues=messages.issue_messages(verification, found.items), page=page_info(page, found.total)
        )

    async def RepairVerification(
        self, request: pb.RepairVerificationRequest, _context: Context
    ) -> pb.RepairVerificationResponse:
        ports, caller = self._ports, current_caller()
        has_space = request.HasField("client_free_space_bytes")
        view, plan = await repair_verification(
            ports.begin,
            ports.verifications,
            ports.versions,
            ports.manifests,
            ports.access,
            ports.policy,
            user_id=caller.require_user(),
            permissions=caller.permissions,
            verification_id=UUID(request.verification_id),
            installation_path=request.installation_path if request.HasField("installation_path") else None,
            priority=request.priority if request.HasField("priority") else None,
            free_space_bytes=request.client_free_space_bytes if has_space else None,
            session_id=uuid7(ports.now()),
            now=ports.now(),
        )
        return pb.RepairVerificationResponse(
            session=session_message(view, None, caller.language), plan=plan_message(view.session, plan)
        )

    async def _verification(self, verification_id: str) -> Verification:
        verification = await self._ports.verifications.get(current_caller().require_user(), UUID(verification_id))
        if verification is None:
            raise verification_not_found(UUID(verification_id))
        return verification
