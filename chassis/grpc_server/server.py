"""The gRPC server of every program: interceptors, health with real readiness, reflection, and a drain that loses no call.

Opened by each program's main inside its composition root. Contract: sections 5 and 11.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection

from chassis.auth.access import access_of
from chassis.auth.tls import Tls
from chassis.auth.tokens import TokenVerifier
from chassis.concurrency.background import background
from chassis.errors.reasons import learn_reasons
from chassis.grpc_server.health import HEALTH_SERVICE, HealthService, RequestReader
from chassis.grpc_server.interceptors import RecordRefusal, ServerPipeline
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.validation import compile_rules
from chassis.quota.rate_limits import RateLimiter

HEALTH_INTERVAL_SECONDS = 1.0
NOTICE_SHARE = 0.1
NOTICE_MAX_SECONDS = 1.0
"""The longest time a stopping server accepts calls after it reported NOT_SERVING, so that balancers move off before it refuses."""

REQUEST_LIMIT_BYTES = 4 * 1024 * 1024
"""Twice what the gateway takes of a body, which is longer as JSON than as a message."""
RESPONSE_LIMIT_BYTES = 8 * 1024 * 1024
CONCURRENT_STREAMS_LIMIT = 4_096
CONNECTION_AGE_SECONDS = 1_800
"""Connections are renewed, so that clients find new replicas behind a DNS name; streams on the old one live on."""
PING_INTERVAL_SECONDS = 20

_log = getLogger(__name__)


@dataclass(slots=True)
class RunningServer:
    """A server that takes calls on `port`."""

    port: int
    # grpcio's own wait_for_termination, when it is cancelled, cancels the server's shutdown with it.
    _stopped: asyncio.Event = field(repr=False)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._stopped.wait()


@asynccontextmanager
async def serve(
    *,
    name: str,
    bind: str,
    register: Callable[[grpc.aio.Server], None],
    services: Sequence[str],
    verifier: TokenVerifier | None,
    service_verifier: TokenVerifier | None,
    readiness: Readiness,
    drain_seconds: float,
    tls: Tls | None = None,
    workers: int = 1,
    with_reflection: bool = False,
    rate_limiter: RateLimiter | None = None,
    health_bind: str = "",
    record_refusal: RecordRefusal | None = None,
) -> AsyncIterator[RunningServer]:
    """Serves while the block runs; leaving it says NOT_SERVING, ends streams with UNAVAILABLE and lets running calls finish.

    `bind` is `host:port` (port 0 = any free one), `services` the full names of what `register` adds, `workers` how many
    processes share the port. On `health_bind` health alone is served, in plain text: a kubelet has no certificate.
    `record_refusal` has refused changes audited (chassis.auth.changes).

    Raises:
        OSError: the port cannot be had.
    """
    compile_rules(services)
    learn_reasons(services)
    _warn_of_unreachable(services)
    reader = RequestReader()
    pipeline = ServerPipeline(
        service=name,
        verifier=verifier,
        service_verifier=service_verifier,
        asks_for_certificates=tls is not None,
        reader=reader,
        rate_limiter=rate_limiter,
        record_refusal=record_refusal,
    )
    server = grpc.aio.server(interceptors=[pipeline], options=_options(workers))
    unregistered: Any = _Unregistered(server)  # Any: the generated functions add handlers, and need no more of a server
    register(unregistered)
    health = HealthService(services, pipeline.identify_service, reader)
    server.add_generic_rpc_handlers((health.handler(),))
    if with_reflection:
        reflection.enable_server_reflection((*services, HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    port = _listen(server, bind, tls)
    probed = _probed(health, health_bind, workers) if health_bind else None
    stopped = asyncio.Event()
    await health.set_serving(serving=await readiness.ready())
    await server.start()
    if probed is not None:
        await probed.start()
    _log.info("serving", extra={"bind": bind, "port": port})
    try:
        async with background(_follow(readiness, health)):
            yield RunningServer(port, stopped)
    finally:
        await _drain(server, health, pipeline, drain_seconds)
        if probed is not None:
            await probed.stop(None)
        stopped.set()
        _log.info("stopped", extra={"port": port})


class _Unregistered:
    """The server without registered methods. grpc.aio waits for the next call of each of these with a task of its own, and looks at
    all the tasks again with every call: of forty methods that is a tenth of what a call costs. Others it waits for together.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, _service: str, _handlers: Any) -> None:
        """The generic handlers have them too."""


async def _follow(readiness: Readiness, health: HealthService) -> None:
    while True:
        await asyncio.sleep(HEALTH_INTERVAL_SECONDS)
        await health.set_serving(serving=await readiness.ready())


async def _drain(
    server: grpc.aio.Server,
    health: HealthService,
    pipeline: ServerPipeline,
    drain_seconds: float,
) -> None:
    await health.end()
    notice_seconds = min(NOTICE_MAX_SECONDS, drain_seconds * NOTICE_SHARE)
    await asyncio.sleep(notice_seconds)
    pipeline.end_streams()
    await server.stop(drain_seconds - notice_seconds)


def _probed(health: HealthService, bind: str, workers: int) -> grpc.aio.Server:
    server = grpc.aio.server(options=_options(workers))
    server.add_generic_rpc_handlers((health.handler(),))
    _listen(server, bind, None)
    return server


def _listen(server: grpc.aio.Server, bind: str, tls: Tls | None) -> int:
    try:
        port = server.add_insecure_port(bind) if tls is None else server.add_secure_port(bind, tls.server_credentials())
    except RuntimeError as error:
        raise OSError(errno.EADDRINUSE, f"cannot listen on {bind}") from error
    return int(port)


def _options(workers: int) -> list[tuple[str, int]]:
    return [
        # Without it two servers silently share a port; with several workers that is what is wanted.
        ("grpc.so_reuseport", 1 if workers > 1 else 0),
        ("grpc.max_receive_message_length", REQUEST_LIMIT_BYTES),
        ("grpc.max_send_message_length", RESPONSE_LIMIT_BYTES),
        ("grpc.max_concurrent_streams", CONCURRENT_STREAMS_LIMIT),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_SECONDS * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _warn_of_unreachable(services: Sequence[str]) -> None:
    pool = descriptor_pool.Default()
    for name in services:
        for method in pool.FindServiceByName(name).methods:
            rule = access_of(f"/{name}/{method.name}")
            if not (rule.public or rule.roles or rule.services):
                _log.warning(
                    "method without an access option refuses everybody", extra={"method": f"{name}/{method.name}"}
                )
