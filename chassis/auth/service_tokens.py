"""This program's own tokens for calling others: OAuth 2 client credentials (RFC 6749, section 4.4) against AUTH_TOKEN_URL, one
token per called service, renewed before it expires and when it is refused. Used by chassis.grpc_client.rpc_client;
chassis.grpc_server.interceptors refuses by `service_token_refused`.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import aiohttp

from chassis.errors import DomainError, Kind

RENEW_AT_SHARE = 0.75
"""A token is renewed once this share of its life is over."""
RETRY_SECONDS = 1.0
"""The least time between two requests for a token when the first failed, or brought a token that was refused."""
TIMEOUT_SECONDS = 3.0
ANSWER_LIMIT_BYTES = 64 * 1024

CREDENTIAL, SERVICE = "credential", "service"
"""Member of ErrorInfo.metadata: it was the calling service that could not be believed, not its user."""

_log = getLogger(__name__)


def service_token_refused(reason: str = "UNAUTHENTICATED") -> DomainError:
    """The error for a service's own token: it makes the caller bring another one, and never reaches a user."""
    return DomainError(Kind.UNAUTHENTICATED, reason, details={CREDENTIAL: SERVICE})


def is_service_token_refused(error: DomainError) -> bool:
    return error.kind is Kind.UNAUTHENTICATED and error.details.get(CREDENTIAL) == SERVICE


def _unavailable() -> DomainError:
    return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: float
    expires_at: float


class ServiceTokenSource:
    """Tokens of one program (`client_id` is its name) by audience, which is the called service's name."""

    def __init__(
        self,
        token_url: str,
        *,
        client_id: str,
        client_secret: str,
        session: aiohttp.ClientSession,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._session = session
        self._monotonic = monotonic
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._failed_at: dict[str, float] = {}
        self._replaced_at: dict[str, float] = {}

    def cached(self, audience: str) -> str | None:
        """A token that need not be renewed yet, without waiting."""
        token = self._tokens.get(audience)
        return token.value if token is not None and self._monotonic() < token.renew_at else None

    async def token(self, audience: str) -> str:
        """A token for calling `audience`; one request at a time, however many callers wait.

        Raises:
            DomainError: UNAVAILABLE when the auth server gives none and the last one has expired.
        """
        cached = self.cached(audience)
        if cached is not None:
            return cached
        async with self._locks.setdefault(audience, asyncio.Lock()):
            cached = self.cached(audience)
            if cached is not None:
                return cached
            return await self._renew(audience)

    async def replace(self, audience: str, refused: str) -> str:
        """Another token than the one that `audience` refused, which is forgotten: its key was removed, or never known there. One
        request for all whose calls were refused together, and at most one every RETRY_SECONDS.

        Raises:
            DomainError: UNAVAILABLE when no token can be had.
        """
        async with self._locks.setdefault(audience, asyncio.Lock()):
            known = self._tokens.get(audience)
            if known is not None and known.value != refused:
                return known.value
            replaced_at = self._replaced_at.get(audience)
            if replaced_at is not None and self._monotonic() - replaced_at < RETRY_SECONDS:
                raise _unavailable()
            self._replaced_at[audience] = self._monotonic()
            self._tokens.pop(audience, None)
            _log.warning("service token refused", extra={"audience": audience})
            return await self._renew(audience)

    async def _renew(self, audience: str) -> str:
        failed_at = self._failed_at.get(audience)
        if failed_at is None or self._monotonic() - failed_at >= RETRY_SECONDS:
            try:
                token = await self._fetch(audience)
            except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
                self._failed_at[audience] = self._monotonic()
                _log.warning("no service token", extra={"audience": audience, "error": repr(error)})
            else:
                self._tokens[audience] = token
                self._failed_at.pop(audience, None)
                return token.value
        last = self._tokens.get(audience)
        if last is not None and self._monotonic() < last.expires_at:
            return last.value
        raise _unavailable()

    async def _fetch(self, audience: str) -> _Token:
        asked_at = self._monotonic()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "audience": audience,
        }
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with self._session.post(self._url, data=form, timeout=timeout, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            if response.content_length is not None and response.content_length > ANSWER_LIMIT_BYTES:
                raise ValueError("answer too large")
            answer: Any = await response.json(content_type=None)
        value = answer.get("access_token") if isinstance(answer, dict) else None
        life_seconds = answer.get("expires_in") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value or not isinstance(life_seconds, int | float):
            raise ValueError("answer without a token")
        return _Token(value, asked_at + RENEW_AT_SHARE * life_seconds, asked_at + life_seconds)
