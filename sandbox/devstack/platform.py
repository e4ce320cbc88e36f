"""The embedded platform: PostgreSQL, Valkey, the sandbox, both services and the gateway on one machine, with no server to
install. Called by `samovar up`, the demo and the end-to-end tests.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from samovar.sandbox.v1 import sandbox_pb2

from chassis.postgres.migrations import ensure_database, upgrade
from sandbox.client import sandbox_stub
from sandbox.devstack import embedded, real_backends
from sandbox.devstack.database_roles import give_databases, owner_dsn
from sandbox.devstack.platform_config import (
    HOST,
    Backends,
    Home,
    PlatformError,
    Ports,
    databases,
    description,
    embedded_backends,
    environments,
    program_of,
    role_secret,
    write_private,
)
from sandbox.devstack.supervisor import LogSink, Program, Supervisor, Tier
from sandbox.peers import keys

DEMO_TOKEN_LIFE = timedelta(hours=24)
DEMO_USERS: Mapping[str, str] = {
    "anna": "11111111-1111-4111-8111-111111111111",
    "boris": "22222222-2222-4222-8222-222222222222",
}
MIGRATED_PACKAGES: Mapping[str, str] = {"library": "library_svc", "download": "download_svc", "sandbox": "sandbox"}
ADMIN_USER = "99999999-9999-4999-8999-999999999999"


@dataclass(frozen=True, slots=True)
class Running:
    """The platform, up. `ready` is what --ready-file gets."""

    home: Home
    ports: Ports
    supervisor: Supervisor
    ready: Mapping[str, Any]


@contextlib.asynccontextmanager
async def running(
    root: Path,
    ports: Ports,
    log: LogSink,
    overrides: Mapping[str, Mapping[str, str]] | None = None,
    *,
    on_real_backends: bool = False,
) -> AsyncIterator[Running]:
    """Starts everything, waits until it answers, and stops everything on the way out. `overrides` are settings by program
    that go over the platform's own. With `on_real_backends` it stands on Kafka, S3, Redis and PostgreSQL that are there already
    (sandbox.devstack.real_backends), and starts no server of its own.

    Raises:
        PlatformError, EmbeddedServerError: why it cannot start, in one line.
    """
    home = Home(root)
    home.make_folders()
    with _only_one(home):
        public_keys = keys.manifest_public_keys(home.state)
        if on_real_backends:
            backends = await real_backends.with_own_roles(home, real_backends.backends_of(home))
        else:
            await asyncio.to_thread(embedded.prepare_postgres, home.postgres)
            admin = embedded.postgres_dsn(home.postgres, ports.postgres)
            roles = {name: home.secrets()[role_secret(name)] for name in databases()}
            dsns = {name: owner_dsn(admin, name, password) for name, password in roles.items()}
            backends = embedded_backends(home, ports, {"postgres": admin, **dsns})
        facts = description(home, ports, backends, public_keys)

        def on_change(pids: Mapping[str, int]) -> None:
            write_private(home.description, json.dumps({**facts, "pids": pids}, indent=2))

        supervisor = Supervisor(log, on_change)
        try:
            own = environments(home, ports, backends, public_keys)
            settings = {name: {**own[name], **(overrides or {}).get(program_of(name), {})} for name in own}
            if on_real_backends:
                await real_backends.prepare(backends)
            else:
                await _start_servers(supervisor, home, ports, backends)
                await give_databases(backends.dsns["postgres"], roles)
            await _start_programs(supervisor, ports, backends, settings)
            yield Running(home, ports, supervisor, await _ready_facts(facts, supervisor))
        finally:
            await supervisor.stop()
            home.description.unlink(missing_ok=True)


def reset(root: Path) -> None:
    """Removes all that the platform kept, on real backends too.

    Raises:
        PlatformError: it is running, or a real backend with data of its own is unavailable.
    """
    if root.exists():
        home = Home(root)
        with _only_one(home):
            if home.namespace.exists():
                asyncio.run(real_backends.remove(home))
            shutil.rmtree(root)


@contextlib.contextmanager
def _only_one(home: Home) -> Any:
    with home.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PlatformError(f"a platform is running on {home.root} already") from error
        yield


async def _start_servers(supervisor: Supervisor, home: Home, ports: Ports, backends: Backends) -> None:
    password = backends.redis["REDIS_PASSWORD"]
    await supervisor.start(
        [
            Program(
                "postgres",
                embedded.postgres_command(home.postgres, ports.postgres),
                f"{HOST}:{ports.postgres}",
                lambda: _postgres_answers(backends.dsns["postgres"]),
                Tier.SERVER,
                stop_signal=signal.SIGINT,  # fast shutdown: open sessions are ended
            ),
            Program(
                "valkey",
                embedded.valkey_command(home.valkey, ports.valkey, password=password),
                f"{HOST}:{ports.valkey}",
                lambda: embedded.redis_answers(ports.valkey, password),
                Tier.SERVER,
            ),
        ]
    )


async def _start_programs(
    supervisor: Supervisor, ports: Ports, backends: Backends, environment: Mapping[str, Mapping[str, str]]
) -> None:
    await _migrate({name: backends.dsns[name] for name in databases() if name in backends.dsns})
    modules = {"library": "library_svc", "download": "download_svc"}
    services = [
        ("sandbox", "sandbox", ports.sandbox),
        ("library", modules["library"], ports.library),
        ("download", modules["download"], ports.download),
    ]
    services += [
        (name, modules[of], port) for name, port in ports.others.items() if (of := program_of(name)) in modules
    ]
    programs = [
        Program(name, _python(module, environment[name]), f"{HOST}:{port}", _grpc_answers(port), Tier.SERVICE)
        for name, module, port in services
    ]
    gateways = {"gateway": ports.gateway}
    gateways |= {name: port for name, port in ports.others.items() if program_of(name) == "gateway"}
    for name, port in gateways.items():
        url = f"http://{HOST}:{port}"
        command = _python("gateway", environment[name])
        programs.append(Program(name, command, url, _http_answers(f"{url}/readyz"), Tier.GATEWAY))
    await supervisor.start(programs)


def _python(module: str, environment: Mapping[str, str], *words: str) -> embedded.Command:
    return embedded.Command(embedded.child_of_this(sys.executable, "-m", module, *words), environment)


async def _ready_facts(facts: Mapping[str, Any], supervisor: Supervisor) -> Mapping[str, Any]:
    """Return the facts that a user or a test needs to begin: addresses, users with tokens, products. No secret of the platform."""
    async with sandbox_stub(facts) as stub:

        async def token(user_id: str, *roles: str) -> str:
            life = int(DEMO_TOKEN_LIFE.total_seconds())
            request = sandbox_pb2.IssueTokenRequest(user_id=user_id, roles=roles, ttl_seconds=life)
            return (await stub.IssueToken(request)).token

        users = [
            {"name": name, "user_id": user_id, "token": await token(user_id, "user")}
            for name, user_id in DEMO_USERS.items()
        ]
        admin = await token(ADMIN_USER, "user", "admin")
        products = (await stub.ListProducts(sandbox_pb2.ListProductsRequest())).products
    public = (
        "gateway_url",
        "gateway_urls",
        "library_grpc_addr",
        "download_grpc_addr",
        "sandbox_grpc_addr",
        "sandbox_http_url",
    )
    return {
        **{name: facts[name] for name in (*public, "manifest_public_keys")},
        "users": users,
        "admin_token": admin,
        "products": [
            {"product_id": one.product_id, "title_ru": one.titles.ru, "title_en": one.titles.en} for one in products
        ],
        "pids": {"supervisor": os.getpid(), **supervisor.pids()},
    }


async def _migrate(dsns: Mapping[str, str]) -> None:
    """Brings every database to its newest schema, one after another: Alembic's context is one per process. The event log makes
    its own tables.
    """
    for name, dsn in dsns.items():
        await ensure_database(dsn)
        if name in MIGRATED_PACKAGES:
            await upgrade(dsn, MIGRATED_PACKAGES[name])


async def _postgres_answers(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=2)
    await connection.close()


def _grpc_answers(port: int) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise ConnectionError("not serving yet")

    return check


def _http_answers(url: str) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            answer.raise_for_status()

    return check
