"""Everything a program needs to know callers and to be known: its key set, both token verifiers and its own service tokens, made
of its settings. Opened by each program's main.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from chassis.auth.service_tokens import ServiceTokenSource
from chassis.auth.tokens import KeySet, TokenVerifier, open_key_set, service_tokens, user_tokens
from chassis.settings import ProgramSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """`verifier` and `keys` are None without AUTH_JWKS_URL, `service_verifier` without SERVICE_TOKENS_ENABLED, `service_tokens`
    without AUTH_TOKEN_URL.
    """

    keys: KeySet | None
    verifier: TokenVerifier | None
    service_verifier: TokenVerifier | None
    service_tokens: ServiceTokenSource | None


@asynccontextmanager
async def open_identity(settings: ProgramSettings, *, name: str) -> AsyncIterator[Identity]:
    """Opens the identity of the program `name` (which is its audience and its client id)."""
    async with AsyncExitStack() as stack:
        keys: KeySet | None = None
        verifier: TokenVerifier | None = None
        service_verifier: TokenVerifier | None = None
        source: ServiceTokenSource | None = None
        if settings.auth_jwks_url:
            keys = await stack.enter_async_context(open_key_set(settings.auth_jwks_url))
            verifier = user_tokens(keys, issuer=settings.auth_issuer, audience=settings.auth_audience)
            if settings.service_tokens_enabled:
                service_verifier = service_tokens(keys, issuer=settings.auth_issuer, service=name)
        if settings.service_tokens_enabled and settings.auth_token_url:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            source = ServiceTokenSource(
                settings.auth_token_url,
                client_id=name,
                client_secret=settings.service_client_secret.get_secret_value(),
                session=session,
            )
        yield Identity(keys, verifier, service_verifier, source)
