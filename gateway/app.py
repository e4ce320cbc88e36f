"""The aiohttp application: every generated route and stream at its address, probes beside them, the middleware around them.

An address that an RPC brings with it is served without a change here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import HttpVersion11, hdrs, web

from gateway.auth import Verifier
from gateway.backends import Backends
from gateway.contract import Route, StreamRoute
from gateway.cors import make_prepare_hook
from gateway.documentation import Published, add_documentation
from gateway.idempotency import Idempotency
from gateway.limits import Limits
from gateway.middleware import serving
from gateway.ops import HEALTH_PATH, READY_PATH, Probes
from gateway.rate_limits import RateLimiter
from gateway.rest import RestEndpoint, RestServices
from gateway.settings import Network
from gateway.sockets import Sockets
from gateway.streams import StreamEndpoint, StreamServices


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AppParts:
    """What the application is made of."""

    routes: Sequence[Route]
    streams: Sequence[StreamRoute]
    backends: Backends
    verifier: Verifier
    probes: Probes
    documentation: Mapping[str, Published] = field(default_factory=dict)
    cors_origins: Collection[str] = ()
    trusted_proxies: Collection[Network] = ()
    limits: Limits = field(default_factory=Limits)
    rate_limiter: RateLimiter | None = None
    idempotency: Idempotency | None = None
    now: Callable[[], datetime] = utc_now


def make_app(parts: AppParts) -> web.Application:
    """The application. Its shutdown closes the WebSockets; the backends are their owner's to close."""
    limits = parts.limits
    app = web.Application(
        client_max_size=limits.body_bytes,
        middlewares=(serving(limits, parts.trusted_proxies),),
    )
    sockets = Sockets(limits)
    _add_routes(app, parts)
    _add_streams(app, parts, sockets)
    app.router.add_get(HEALTH_PATH, parts.probes.health)
    app.router.add_get(READY_PATH, parts.probes.ready)
    app.on_response_prepare.append(make_prepare_hook(frozenset(parts.cors_origins)))
    add_documentation(app, parts.documentation)

    async def close_sockets(_: web.Application) -> None:
        await sockets.close_all()

    app.on_shutdown.append(close_sockets)
    return app


async def send_continue(request: web.Request) -> None:
    """RFC 9110, section 10.1.1; expectations that nobody knows are passed over."""
    if request.version == HttpVersion11 and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Not part of the answer, which has not begun.
        request.writer.output_size = 0


def _add_routes(app: web.Application, parts: AppParts) -> None:
    services = RestServices(parts.backends, parts.verifier, parts.limits, parts.rate_limiter, parts.idempotency)
    # Where two templates fit an address, the one with fewer placeholders is meant.
    for route in sorted(parts.routes, key=lambda each: each.path.count("{")):
        endpoint = RestEndpoint(route, services)
        app.router.add_route(route.method, route.path, endpoint.handle, expect_handler=send_continue)
        if route.method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, route.path, endpoint.handle)


def _add_streams(app: web.Application, parts: AppParts, sockets: Sockets) -> None:
    services = StreamServices(
        backends=parts.backends,
        verifier=parts.verifier,
        sockets=sockets,
        limits=parts.limits,
        rate_limiter=parts.rate_limiter,
        allowed_origins=frozenset(parts.cors_origins),
        now=parts.now,
    )
    for stream in parts.streams:
        app.router.add_route(hdrs.METH_GET, stream.path, StreamEndpoint(stream, services).handle)
