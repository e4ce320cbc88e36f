"""The programs of `bench.library`: a PostgreSQL, a Valkey, an auth server, and for each side the Library Service and a gateway over
a database of its own. Each program is a process; what it costs is what the operating system says of it.
"""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import psutil

from bench.gateway_sides import AUDIENCE, CLIENT_SECRET, ISSUER, auth_server, program, token_issuer
from bench.library_data import Player, load, players
from chassis.postgres.migrations import ensure_database, upgrade
from sandbox.devstack.embedded import postgres_command, postgres_dsn, prepare_postgres, valkey_command
from sandbox.devstack.free_port import free_port
from sandbox.peers.auth import TokenIssuer

POSTGRES_OPTIONS = {
    # Filling an empty table is then not logged; and nothing is cleaned up while it is measured.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
}
NOBODY = "127.0.0.1:1"
TOKEN_LIFE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Ground:
    """What both sides stand on."""

    folder: Path
    postgres_port: int
    postgres: psutil.Process
    valkey: str
    auth: str
    issuer: TokenIssuer

    def dsn(self, database: str) -> str:
        return postgres_dsn(self.folder / "postgres", self.postgres_port, database)

    def user_token(self, user_id: UUID) -> str:
        return self.issuer.issue_token(user_id, life=TOKEN_LIFE)

    def service_token(self, service: str) -> str:
        """Lives for five minutes."""
        return self.issuer.issue_service_token(service, audience="library-service")


@dataclass(frozen=True, slots=True)
class Side:
    """A library of so many rows, its service and its gateway. `tokens` are those of its players, in their order."""

    rows: int
    dsn: str
    players: Sequence[Player]
    tokens: Sequence[str]
    service_address: str
    metrics_url: str
    gateway_url: str
    programs: Mapping[str, psutil.Process]


def cpu_seconds(process: psutil.Process) -> float:
    """Of the process and its children so far, in user code and in the kernel."""
    spent = 0.0
    for each in (process, *process.children(recursive=True)):
        times = each.cpu_times()
        spent += times.user + times.system
    return spent


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    issuer = token_issuer("gateway", "library-service")
    postgres_port, valkey_port = free_port(), free_port()
    cluster = folder / "postgres"
    prepare_postgres(cluster)
    async with AsyncExitStack() as stack:
        opened = stack.enter_async_context
        auth = await opened(auth_server(issuer))
        command = postgres_command(cluster, postgres_port, options=POSTGRES_OPTIONS)
        postgres = await opened(program(command.argv, postgres_port, folder / "postgres.log", command.environment))
        command = valkey_command(folder / "valkey", valkey_port, password=None)
        await opened(program(command.argv, valkey_port, folder / "valkey.log", command.environment))
        yield Ground(folder, postgres_port, postgres, f"127.0.0.1:{valkey_port}", auth, issuer)


async def fill(base: Ground, name: str, users: int, count: int, *, with_past: bool) -> Sequence[Player]:
    """Makes the side's database. Returns the users of the load."""
    chosen = players(users, count)
    await ensure_database(base.dsn(name))
    await upgrade(base.dsn(name), "library_svc")
    await load(base.dsn(name), users, chosen, with_past=with_past)
    return chosen


async def drop(base: Ground, name: str) -> None:
    """Gives the side's disk space back."""
    connection = await asyncpg.connect(base.dsn("postgres"))
    try:
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@asynccontextmanager
async def side(base: Ground, name: str, rows: int, chosen: Sequence[Player]) -> AsyncIterator[Side]:
    """The service and the gateway over the side's database."""
    service_port, metrics_port, gateway_port = free_port(), free_port(), free_port()
    events = f"{name}_events"
    await ensure_database(base.dsn(events))
    common = {
        "AUTH_JWKS_URL": f"{base.auth}/jwks.json",
        "AUTH_ISSUER": ISSUER,
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_TOKEN_URL": f"{base.auth}/token",
        "SERVICE_TOKENS_ENABLED": "true",
        "SERVICE_CLIENT_SECRET": CLIENT_SECRET,
        "REDIS_ADDR": base.valkey,
        "REDIS_PREFIX": f"{name}.",
        "DRAIN_SECONDS": "1",
    }
    service = {
        "LIBRARY_SERVICE_GRPC_PORT": str(service_port),
        "METRICS_PORT": str(metrics_port),
        "POSTGRES_DSN": base.dsn(name),
        "EVENTS_POSTGRES_DSN": base.dsn(events),
        "CATALOG_SERVICE_GRPC_ADDR": NOBODY,
        "OBJECTS_DIRECTORY": str(base.folder / f"{name}-objects"),
        "OBJECTS_BASE_URL": f"http://{NOBODY}/objects",
        "OBJECTS_SIGNING_KEY": CLIENT_SECRET,
        "RATE_LIMIT_READS": "1000000",
        "RATE_LIMIT_WRITES": "1000000",
    }
    address = f"127.0.0.1:{service_port}"
    gateway = {
        "GATEWAY_HTTP_PORT": str(gateway_port),
        "LIBRARY_SERVICE_GRPC_ADDR": address,
        "DOWNLOAD_SERVICE_GRPC_ADDR": NOBODY,
    }
    async with (
        program(
            (sys.executable, "-m", "library_svc"), service_port, base.folder / f"{name}-service.log", common | service
        ) as service_process,
        program(
            (sys.executable, "-m", "gateway"), gateway_port, base.folder / f"{name}-gateway.log", common | gateway
        ) as gateway_process,
    ):
        tokens = [base.user_token(player.user_id) for player in chosen]
        processes = {"gateway": gateway_process, "service": service_process, "postgres": base.postgres}
        metrics, url = f"http://127.0.0.1:{metrics_port}/metrics", f"http://127.0.0.1:{gateway_port}"
        yield Side(rows, base.dsn(name), chosen, tokens, address, metrics, url, processes)
