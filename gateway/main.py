"""The gateway's composition root: settings in, a served application out."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from logging import getLogger

from chassis.auth.identity import open_identity
from chassis.auth.tls import read_tls
from chassis.grpc_server.readiness import Readiness
from chassis.quota.redis_permits import RedisPermits
from chassis.quota.redis_store import RedisStore, open_redis_store
from chassis.runtime.program import run
from chassis.settings import load_settings
from gateway.app import AppParts, make_app
from gateway.generated import load_generated
from gateway.http.documentation import read_documentation
from gateway.http.ops import Probes
from gateway.http.server import serve_http
from gateway.quota.idempotency import Idempotency
from gateway.quota.rate_limits import RateLimiter
from gateway.quota.redis_answers import RedisAnswers
from gateway.quota.redis_locks import RedisLocks
from gateway.request.limits import Limits
from gateway.settings import GatewaySettings
from gateway.upstream.backends import open_backends

NAME = "gateway"

NOTICE_SHARE = 0.1
NOTICE_MAX_SECONDS = 1.0
"""The longest time a stopping gateway serves after /readyz reported it, so that balancers have moved off before it refuses."""

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that answers on `port`."""

    port: int

    async def wait(self) -> None:
        """Never returns: an HTTP server does not end by itself."""
        await asyncio.Event().wait()


@asynccontextmanager
async def build(settings: GatewaySettings) -> AsyncIterator[RunningGateway]:
    """Runs the gateway while the block runs.

    Raises:
        OSError: the port cannot be had, or a certificate cannot be read.
    """
    limits = Limits()
    readiness = Readiness()
    probes = Probes(readiness)
    generated = load_generated(settings.routes_package)
    tls = await read_tls(settings)
    documentation = await asyncio.to_thread(read_documentation, generated.package)
    async with (
        open_identity(settings, name=NAME) as identity,
        open_backends(
            settings.service_addresses,
            generated.rpcs,
            service_tokens=identity.service_tokens,
            deadline_seconds=settings.grpc_deadline_seconds,
            start_deadline_seconds=settings.grpc_start_deadline_seconds,
            tls=tls,
        ) as backends,
        _open_store(settings) as store,
    ):
        assert identity.keys is not None  # noqa: S101  the settings require AUTH_JWKS_URL
        assert identity.verifier is not None  # noqa: S101
        readiness.add("auth", identity.keys.check)
        for name in backends.names:
            readiness.add(f"{name}-service", partial(backends.check, name))
        app = make_app(
            AppParts(
                routes=generated.routes,
                streams=generated.streams,
                backends=backends,
                verifier=identity.verifier,
                probes=probes,
                documentation=documentation,
                cors_origins=settings.cors_origins,
                trusted_proxies=settings.trusted_proxies,
                limits=limits,
                rate_limiter=None if store is None else _rate_limiter(store, settings, limits),
                idempotency=None if store is None else _idempotency(store, limits),
                locks=None if store is None else RedisLocks(store),
            ),
        )
        async with serve_http(
            app,
            host=settings.bind_host,
            port=settings.gateway_http_port,
            drain_seconds=settings.drain_seconds,
            limits=limits,
            reuse_port=settings.workers > 1,
        ) as port:
            _log.info("serving", extra={"port": port})
            try:
                yield RunningGateway(port)
            finally:
                probes.draining = True
                await asyncio.sleep(min(NOTICE_MAX_SECONDS, settings.drain_seconds * NOTICE_SHARE))
        _log.info("stopped", extra={"port": port})


@asynccontextmanager
async def _open_store(settings: GatewaySettings) -> AsyncIterator[RedisStore | None]:
    """Open the store; None when the settings name no Redis."""
    if not settings.redis_addr:
        yield None
        return
    password = settings.redis_password.get_secret_value()
    async with open_redis_store(
        settings.redis_addr, password=password, database=settings.redis_db, prefix=settings.redis_prefix
    ) as store:
        yield store


def _rate_limiter(store: RedisStore, settings: GatewaySettings, limits: Limits) -> RateLimiter:
    budgets = {"read": settings.rate_limit_reads, "write": settings.rate_limit_writes}
    return RateLimiter(RedisPermits(store), budgets, max_leases=limits.rate_leases)


def _idempotency(store: RedisStore, limits: Limits) -> Idempotency:
    answers = RedisAnswers(store, user_bytes=limits.kept_user_bytes)
    return Idempotency(answers, max_answer_bytes=limits.kept_answer_bytes)


def main() -> None:
    sys.exit(run(build, load_settings(GatewaySettings), NAME))
