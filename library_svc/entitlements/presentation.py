"""LibraryInternalService: what other services change in a user's library. Called by the services that the proto names."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from library.v1 import internal_pb2 as pb
from library.v1.events_pb2 import RemovalReason as RemovalReasonMessage
from library.v1.internal_pb2_grpc import LibraryInternalServiceServicer

from library_svc.access.application import AccessCache
from library_svc.entitlements import application as entitlements
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import ProductId, UserId
from library_svc.items.domain import RemovalReason
from library_svc.playtime.application import HeartbeatStore
from library_svc.transaction import Begin

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["LibraryInternalService"].full_name

Context = grpc.aio.ServicerContext[Any, Any]

_KIND_OF: Final = {pb.EntitlementSource.Value(f"ENTITLEMENT_SOURCE_{kind.name}"): kind for kind in SourceKind}
_REASON_OF: Final = {RemovalReasonMessage.Value(f"REMOVAL_REASON_{reason.name}"): reason for reason in RemovalReason}


class LibraryInternalServicer(LibraryInternalServiceServicer):
    def __init__(
        self, begin: Begin, access_cache: AccessCache, heartbeat_store: HeartbeatStore, *, now: Callable[[], datetime]
    ) -> None:
        self._begin = begin
        self._known_access = access_cache
        self._pulses = heartbeat_store
        self._now = now

    async def GrantEntitlement(
        self, request: pb.GrantEntitlementRequest, _context: Context
    ) -> pb.GrantEntitlementResponse:
        (settled,) = await entitlements.grant(
            self._begin,
            self._known_access,
            event_id=None,
            user_id=UserId(UUID(request.user_id)),
            product_ids=[ProductId(UUID(request.product_id))],
            source=Source(_KIND_OF[request.source], request.source_id),
            at=self._now(),
        )
        return pb.GrantEntitlementResponse(
            is_new=not settled.was_known, is_active=settled.grant.stands, granted_at=settled.grant.granted_at
        )

    async def RevokeEntitlement(
        self, request: pb.RevokeEntitlementRequest, _context: Context
    ) -> pb.RevokeEntitlementResponse:
        (settled,) = await entitlements.revoke(
            self._begin,
            self._known_access,
            self._pulses,
            event_id=None,
            user_id=UserId(UUID(request.user_id)),
            product_ids=[ProductId(UUID(request.product_id))],
            source=Source(_KIND_OF[request.source], request.source_id),
            reason=_REASON_OF[request.reason],
            at=self._now(),
        )
        return pb.RevokeEntitlementResponse(was_active=settled.stood, revoked_at=settled.grant.revoked_at)
