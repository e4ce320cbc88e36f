"""What the RPC tests stand on: an auth server with keys that can be swapped, tokens, and real servers of library.v1 on loopback."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import uuid4

import grpc
import jwt
from aiohttp import web
from blockbuster import blockbuster_ctx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm
from library.v1 import items_pb2, items_pb2_grpc, query_pb2, query_pb2_grpc

from chassis.auth.access import Caller, current_caller
from chassis.auth.tls import Tls
from chassis.auth.tokens import KeySet, open_key_set, service_tokens, user_tokens
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import RunningServer, serve
from chassis.quota.rate_limits import RateLimiter

ISSUER = "https://auth.test"
AUDIENCE = "samovar"
SERVICE = "library-service"
SERVICES = ("library.v1.LibraryService", "library.v1.LibraryQueryService")
USER = "6f1c4b1e-8f0a-4b7e-9d63-2f6a3f3b9a11"
ITEM = "0b6f9d3c-26c4-4b6a-8a53-5c9f4c7f4a10"


@cache
def rsa_key(name: str) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate(name: str, *, authority: str = "authority") -> Tls:
    """Of a service of that name on localhost, and the authority that signed it."""

    def named(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])

    now = datetime.now(UTC)
    signer, key = rsa_key(authority), rsa_key(f"tls-{name}")

    def built(subject: str, public_key: Any, *, is_authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(authority))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )

    root = built(authority, signer.public_key(), is_authority=True).sign(signer, hashes.SHA256())
    leaf = built(name, key.public_key(), is_authority=False)
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    encoding = serialization.Encoding.PEM
    return Tls(leaf.sign(signer, hashes.SHA256()).public_bytes(encoding), pem(key), root.public_bytes(encoding))


def public_jwk(kid: str, **changes: Any) -> dict[str, Any]:
    jwk = json.loads(RSAAlgorithm.to_jwk(rsa_key(kid).public_key()))
    return {**jwk, "kid": kid, "use": "sig", "alg": "RS256", **changes}


def user_token(
    *, kid: str = "k1", headers: Mapping[str, Any] | None = None, ttl_seconds: float = 600, **claims: Any
) -> str:
    now = datetime.now(UTC)
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": USER,
        "iat": now - timedelta(seconds=1),
        "exp": now + timedelta(seconds=ttl_seconds),
        "jti": str(uuid4()),
        "roles": ["user"],
        "permissions": [],
        **claims,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, rsa_key(kid), algorithm="RS256", headers={"kid": kid, **(headers or {})})


def service_token(name: str, *, audience: str = SERVICE, ttl_seconds: float = 290, **claims: Any) -> str:
    return user_token(
        sub=f"service:{name}", aud=audience, ttl_seconds=ttl_seconds, roles=None, permissions=None, **claims
    )


def as_user(token: str | None = None) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token or user_token()}"),)


def as_service(name: str, **claims: Any) -> tuple[tuple[str, str], ...]:
    return (("x-service-authorization", f"Bearer {service_token(name, **claims)}"),)


@dataclass
class AuthServer:
    """Serves whatever `keys` holds; `fails` makes it answer 500."""

    base_url: str = ""
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk("k1")])
    fails: bool = False
    key_requests: int = 0
    token_requests: list[dict[str, Any]] = field(default_factory=list)
    token_life_seconds: float = 290
    signing_kid: str = "k1"
    """The key of the tokens that programs get."""

    def rotate(self, *, signs_with: str) -> None:
        """Only k2 is a key from now on."""
        self.keys = [public_jwk("k2")]
        self.signing_kid = signs_with

    @property
    def jwks_url(self) -> str:
        return f"{self.base_url}/.well-known/jwks.json"

    @property
    def token_url(self) -> str:
        return f"{self.base_url}/oauth/token"

    async def _jwks(self, _request: web.Request) -> web.Response:
        self.key_requests += 1
        return web.Response(status=500) if self.fails else web.json_response({"keys": self.keys})

    async def _token(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.token_requests.append(form)
        if self.fails:
            return web.Response(status=503)
        token = service_token(str(form["client_id"]), audience=str(form["audience"]), kid=self.signing_kid)
        return web.json_response({"access_token": token, "expires_in": self.token_life_seconds, "token_type": "Bearer"})


@asynccontextmanager
async def auth_server() -> AsyncIterator[AuthServer]:
    auth = AuthServer()
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", auth._jwks)
    app.router.add_post("/oauth/token", auth._token)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    auth.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield auth
    finally:
        await runner.cleanup()


Behaviour = Callable[[Any, Any], Awaitable[Any]]


class Library(items_pb2_grpc.LibraryServiceServicer, query_pb2_grpc.LibraryQueryServiceServicer):
    """Does what the test puts into `get_item`, and keeps the callers it saw."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.get_item: Behaviour = self._plain_item

    async def _plain_item(self, request: Any, _context: Any) -> Any:
        return items_pb2.GetItemResponse(item=items_pb2.LibraryItem(id=request.library_item_id))

    async def ListItems(self, request: Any, context: Any) -> Any:
        self.callers.append(current_caller())
        return items_pb2.ListItemsResponse()

    async def GetItem(self, request: Any, context: Any) -> Any:
        self.callers.append(current_caller())
        return await self.get_item(request, context)

    async def UpdateItem(self, request: Any, context: Any) -> Any:
        self.callers.append(current_caller())
        return items_pb2.UpdateItemResponse()

    async def GetLibraryItems(self, request: Any, context: Any) -> Any:
        self.callers.append(current_caller())
        return query_pb2.GetLibraryItemsResponse()

    async def CheckGameAccess(self, request: Any, context: Any) -> Any:
        self.callers.append(current_caller())
        return query_pb2.CheckGameAccessResponse(has_access=True)

    def register(self, server: grpc.aio.Server) -> None:
        items_pb2_grpc.add_LibraryServiceServicer_to_server(self, server)
        query_pb2_grpc.add_LibraryQueryServiceServicer_to_server(self, server)


@asynccontextmanager
async def library_server(
    library: Library,
    *,
    keys: KeySet,
    bind: str = "127.0.0.1:0",
    with_service_tokens: bool = True,
    readiness: Readiness | None = None,
    drain_seconds: float = 0.5,
    tls: Tls | None = None,
    register: Callable[[grpc.aio.Server], None] | None = None,
    services: tuple[str, ...] = SERVICES,
    with_reflection: bool = False,
    rate_limiter: RateLimiter | None = None,
    health_bind: str = "",
) -> AsyncIterator[RunningServer]:
    verifier = user_tokens(keys, issuer=ISSUER, audience=AUDIENCE)
    service_verifier = service_tokens(keys, issuer=ISSUER, service=SERVICE) if with_service_tokens else None
    async with serve(
        name=SERVICE,
        bind=bind,
        register=register or library.register,
        services=services,
        verifier=verifier,
        service_verifier=service_verifier,
        readiness=readiness or Readiness(),
        drain_seconds=drain_seconds,
        tls=tls,
        with_reflection=with_reflection,
        rate_limiter=rate_limiter,
        health_bind=health_bind,
    ) as server:
        yield server


@dataclass
class Rig:
    auth: AuthServer
    keys: KeySet
    library: Library
    port: int
    channel: grpc.aio.Channel
    items: Any
    query: Any


@asynccontextmanager
async def rig(**options: Any) -> AsyncIterator[Rig]:
    """Auth server, one library server, one channel without a service token of its own."""
    async with AsyncExitStack() as stack:
        stack.enter_context(blockbuster_ctx("chassis"))  # nothing of ours blocks the loop
        auth = await stack.enter_async_context(auth_server())
        keys = await stack.enter_async_context(open_key_set(auth.jwks_url))
        library = Library()
        server = await stack.enter_async_context(library_server(library, keys=keys, **options))
        channel = await stack.enter_async_context(
            open_channel(f"127.0.0.1:{server.port}", audience=SERVICE, service_tokens=None, services=SERVICES)
        )
        items = items_pb2_grpc.LibraryServiceStub(channel)
        query = query_pb2_grpc.LibraryQueryServiceStub(channel)
        yield Rig(auth, keys, library, server.port, channel, items, query)
