"""Authentication of the user: the Bearer token of a request, which the services check again. A service's token is not a user's, and
only the token identifies the caller (X-User-Id is not read). Contract: sections 1 and 5.
"""

from typing import Protocol

from aiohttp import hdrs, web

from chassis.auth.access import Caller, set_caller
from chassis.auth.tokens import Credential
from chassis.errors import DomainError, Kind
from gateway.contract import AccessRule
from gateway.request.context import RequestContext

SCHEME = "bearer"


class Verifier(Protocol):
    """A check of tokens: chassis.auth.tokens.TokenVerifier, for our issuer and audience."""

    async def accept(self, token: str) -> Credential:
        """Raises: DomainError UNAUTHENTICATED, TOKEN_EXPIRED."""


def bearer_token(request: web.BaseRequest) -> str | None:
    """The token of the Authorization header; None without the header.

    Raises:
        DomainError: UNAUTHENTICATED for more than one header or another scheme.
    """
    headers = request.headers.getall(hdrs.AUTHORIZATION, ())
    if not headers:
        return None
    scheme, _, token = headers[0].strip().partition(" ")
    token = token.strip()
    if len(headers) > 1 or scheme.lower() != SCHEME or not token:
        raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
    return token


async def authenticate(
    verifier: Verifier, token: str | None, access: AccessRule, context: RequestContext
) -> Credential:
    """The credential of a user who has one of the roles that `access` names. The request then belongs to that user, in logs too.

    Raises:
        DomainError: UNAUTHENTICATED or TOKEN_EXPIRED for the token, PERMISSION_DENIED for the roles.
    """
    if token is None:
        raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
    credential = await verifier.accept(token)
    claims = credential.claims
    if claims.user_id is None:
        raise DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
    context.user_id = claims.user_id
    set_caller(
        Caller(
            user_id=claims.user_id,
            roles=claims.roles,
            permissions=claims.permissions,
            client_ip=context.client_ip,
            request_id=context.request_id,
            language=context.language,
        ),
    )
    if claims.roles.isdisjoint(access.roles):
        raise DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED")
    return credential
