"""The aiohttp application: every generated route and stream at its address, probes beside them, the middleware around them.

An address that an RPC brings with it is served without a change here.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.contract import Route, StreamRoute
from gateway.http.addresses import add_address, path_form, reading
from gateway.http.auth import Verifier
from gateway.http.cors import make_prepare_hook
from gateway.http.documentation import Published, add_documentation
from gateway.http.ops import HEALTH_PATH, READY_PATH, Probes
from gateway.jsonapi.preconditions import AddressLocks, SharedLocks, readers_of
from gateway.jsonapi.rest import RestEndpoint, RestServices
from gateway.middleware import serving
from gateway.quota.idempotency import Idempotency
from gateway.quota.rate_limits import RateLimiter
from gateway.request.limits import Limits
from gateway.settings import Network
from gateway.streams.routes import StreamEndpoint
from gateway.streams.sessions import StreamServices
from gateway.streams.sockets import Sockets
from gateway.upstream.backends import Backends


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AppParts:
    """The parts of the application."""

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
    locks: SharedLocks | None = None
    """None = conditional changes take turns in this process only."""
    now: Callable[[], datetime] = utc_now


def make_app(parts: AppParts) -> web.Application:
    """The application. Its shutdown closes the WebSockets; the backends are their owner's to close."""
    limits = parts.limits
    app = web.Application(
        client_max_size=limits.body_bytes,
        middlewares=(serving(limits, parts.trusted_proxies),),
    )
    sockets = Sockets(limits)
    _add_addresses(app, parts, sockets)
    add_address(app, HEALTH_PATH, reading(parts.probes.health))
    add_address(app, READY_PATH, reading(parts.probes.ready))
    app.on_response_prepare.append(make_prepare_hook(frozenset(parts.cors_origins)))
    add_documentation(app, parts.documentation)

    async def close_sockets(_: web.Application) -> None:
        await sockets.close_all()

    app.on_shutdown.append(close_sockets)
    return app


def _add_addresses(app: web.Application, parts: AppParts, sockets: Sockets) -> None:
    """Every route and stream. Methods of one address may name its parameters differently."""
    names: dict[str, str] = {}
    addresses = defaultdict[str, dict[str, Handler]](dict)
    for path, handlers in (*_routes(parts), *_streams(parts, sockets)):
        addresses[names.setdefault(path_form(path), path)] |= handlers
    # The router takes the first template that fits; where a parameter is all of a segment, one with a verb behind it fits too.
    for path in sorted(addresses, key=lambda each: (each.count("{"), ":" not in each)):
        add_address(app, path, addresses[path])


def _routes(parts: AppParts) -> Iterator[tuple[str, Mapping[str, Handler]]]:
    services = RestServices(
        parts.backends,
        parts.verifier,
        parts.limits,
        parts.rate_limiter,
        parts.idempotency,
        readers_of(parts.routes),
        AddressLocks(parts.locks),
    )
    for route in parts.routes:
        handle = RestEndpoint(route, services).handle
        yield route.path, reading(handle) if route.method == hdrs.METH_GET else {route.method: handle}


def _streams(parts: AppParts, sockets: Sockets) -> Iterator[tuple[str, Mapping[str, Handler]]]:
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
        yield stream.path, {hdrs.METH_GET: StreamEndpoint(stream, services).handle}
