"""The translation of failed calls to other services into errors of this one. Used by the clients of Library and Catalog."""

from logging import getLogger

import grpc

from chassis.errors import RETRYABLE_KINDS, DomainError, Kind
from chassis.errors.wire import from_rpc_error

_log = getLogger(__name__)


def unavailable_peer(error: grpc.aio.AioRpcError, peer: str) -> DomainError:
    """Return the error for our own caller: that of an unavailable peer.

    A peer that refuses us or breaks is no answer either, and its reason must not pass for one about our caller.
    """
    found = from_rpc_error(error)
    _log.warning(
        "call to another service failed", extra={"peer": peer, "reason": found.reason, "grpc": error.code().name}
    )
    return found if found.kind in RETRYABLE_KINDS else DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
