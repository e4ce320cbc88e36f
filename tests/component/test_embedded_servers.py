"""The embedded servers belong to the user who runs the platform: whoever else reaches their ports on this machine gets nowhere."""

import signal
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from chassis.postgres.migrations import upgrade
from sandbox.devstack import embedded
from sandbox.devstack.database_roles import give_databases, owner_dsn
from tests.conftest import POSTGRES_SETTINGS, postgres_answers, served, server_folder

OWNERS = {"library": "of-library", "download": "of-download"}


@contextmanager
def running(cluster: Path) -> Iterator[int]:
    def command(port: int) -> embedded.Command:
        return embedded.postgres_command(cluster, port, options=POSTGRES_SETTINGS)

    with served(command, postgres_answers, None, cluster.with_name("log"), signal.SIGINT) as port:
        yield port


@pytest.fixture
def older_cluster() -> Iterator[Path]:
    """A data folder as it was made before: everyone on this machine is trusted."""
    with server_folder("samovar-postgres-") as folder:
        cluster = folder / "cluster"
        embedded.prepare_postgres(cluster)
        embedded.password_file(cluster).unlink()
        (cluster / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        yield cluster


@pytest.mark.parametrize("user", ["postgres", "library"])
@pytest.mark.parametrize("password", ["", "wrong"])
async def test_without_the_password_nobody_gets_into_the_database(postgres_url: str, user: str, password: str):
    await give_databases(postgres_url, OWNERS)
    address = postgres_url.rpartition("@")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://{user}:{password}@{address}")


@pytest.mark.parametrize(
    "statement",
    ["COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')", "CREATE ROLE another SUPERUSER"],
)
async def test_the_role_of_a_service_can_do_nothing_outside_its_database(postgres_url: str, statement: str):
    await give_databases(postgres_url, OWNERS)
    connection = await asyncpg.connect(owner_dsn(postgres_url, "library", OWNERS["library"]))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(owner_dsn(postgres_url, "library", OWNERS["library"]), database="download")


async def test_a_folder_of_an_earlier_version_keeps_its_data_and_gets_passwords_and_owners(older_cluster: Path):
    with running(older_cluster) as port:
        dsn = f"postgresql://postgres@127.0.0.1:{port}"
        for name, package in (("library", "library_svc"), ("download", "download_svc")):
            admin = await asyncpg.connect(dsn)
            await admin.execute(f"CREATE DATABASE {name}")
            await admin.close()
            await upgrade(f"{dsn}/{name}", package, "0001")
        connection = await asyncpg.connect(f"{dsn}/library")
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        await connection.close()
    for _ in range(2):  # the second start finds everything as it should be
        embedded.prepare_postgres(older_cluster)
        with running(older_cluster) as port:
            admin_dsn = embedded.postgres_dsn(older_cluster, port)
            await give_databases(admin_dsn, OWNERS)
            await upgrade(owner_dsn(admin_dsn, "library", OWNERS["library"]), "library_svc")
            await upgrade(owner_dsn(admin_dsn, "download", OWNERS["download"]), "download_svc")
            connection = await asyncpg.connect(owner_dsn(admin_dsn, "library", OWNERS["library"]))
            assert await connection.fetchval("UPDATE kept SET number = number RETURNING number") == 7
            await connection.close()
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", password="")


async def test_a_lost_password_file_is_made_anew():
    with server_folder("samovar-postgres-") as folder:
        cluster = folder / "cluster"
        embedded.prepare_postgres(cluster)
        embedded.password_file(cluster).unlink()
        embedded.prepare_postgres(cluster)
        with running(cluster) as port:
            await (await asyncpg.connect(embedded.postgres_dsn(cluster, port))).close()


async def test_valkey_takes_no_command_without_its_password():
    with server_folder("samovar-valkey-") as data:

        def command(port: int) -> embedded.Command:
            return embedded.valkey_command(data, port, password="right", persistent=False)

        with served(command, _asks_for_a_password, None, data / "log", signal.SIGTERM) as port:
            await embedded.redis_answers(port, "right")
            async with Redis(port=port, protocol=2) as stranger:
                with pytest.raises(AuthenticationError):
                    await stranger.flushall()


def test_no_secret_is_on_a_command_line_or_readable_by_others(tmp_path: Path):
    embedded.prepare_postgres(tmp_path / "cluster")
    valkey = embedded.valkey_command(tmp_path / "valkey", 1, password="a secret of Valkey")
    words = [*valkey.argv, *embedded.postgres_command(tmp_path / "cluster", 1).argv]
    secrets = ["a secret of Valkey", embedded.password_file(tmp_path / "cluster").read_text()]
    assert not [word for word in words for secret in secrets if secret in word]
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and _holds(path, secrets)]
    assert {path.name for path in holding} == {"cluster.password", "password.conf"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}


def _holds(path: Path, secrets: Sequence[str]) -> bool:
    return any(secret.encode() in path.read_bytes() for secret in secrets)


def _asks_for_a_password(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"-NOAUTH")
    except OSError:
        return False
