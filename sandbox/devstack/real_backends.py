"""The platform on real servers (`samovar up --backends real`): where Kafka, S3, Redis and PostgreSQL are, and what the platform's
things are called on them. Everything carries a namespace of its own, so that platforms on the same servers do not see each
other. Used by sandbox.devstack.platform.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from redis.exceptions import RedisError

from chassis.bus.kafka_topics import TopicsNotMade, delete_topics_with
from chassis.live.redis_state import open_redis
from chassis.runtime.backends import ObjectSettings
from sandbox.devstack.database_roles import give_databases, owner_dsn
from sandbox.devstack.platform_config import Backends, Home, PlatformError, databases, role_secret, write_private

NEEDED = ("POSTGRES_DSN", "KAFKA_BROKERS", "REDIS_ADDR", "S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
OPTIONAL = ("REDIS_PASSWORD", "REDIS_DB", "S3_PUBLIC_ENDPOINT", "S3_REGION", "S3_USE_SSL")
ENVIRONMENT_FILE = Path("backends/environment.json")
COMMAND_TIMEOUT_SECONDS = 60.0
DELETE_KEYS = 500


def backends_of(home: Home) -> Backends:
    """The servers that `backends:up` started or the environment names, under the platform's namespace, which is created on the
    first call and kept.

    Raises:
        PlatformError: the address of one of them is missing.
    """
    environment = _environment(home)
    missing = [name for name in NEEDED if not environment.get(name)]
    if missing:
        raise PlatformError(f"{', '.join(missing)}: not set; start the servers with ./taskw backends:up")
    if not home.namespace.exists():
        write_private(home.namespace, f"samovar-{secrets.token_hex(4)}")
    return _backends(environment, home.namespace.read_text())


def _environment(home: Home) -> Mapping[str, str]:
    """The environment over what `backends:up` wrote, of this home or of the working folder."""
    files = (home.root / ENVIRONMENT_FILE, Path(".samovar") / ENVIRONMENT_FILE)
    written: dict[str, str] = next((json.loads(file.read_text()) for file in files if file.exists()), {})
    return {name: os.environ.get(name) or written.get(name, "") for name in (*NEEDED, *OPTIONAL)}


def _backends(environment: Mapping[str, str], namespace: str) -> Backends:
    admin = environment["POSTGRES_DSN"]
    own = (name for name in databases() if name != "events")
    given = {name: environment[name] for name in OPTIONAL if environment[name]}
    return Backends(
        dsns={"postgres": admin, **{name: _dsn(admin, f"{namespace}-{name}") for name in own}},
        events={
            "EVENTS_BACKEND": "kafka",
            "KAFKA_BROKERS": environment["KAFKA_BROKERS"],
            "KAFKA_PREFIX": f"{namespace}.",
        },
        redis={
            "REDIS_ADDR": environment["REDIS_ADDR"],
            "REDIS_PREFIX": f"{namespace}.",
            **{name: value for name, value in given.items() if name.startswith("REDIS_")},
        },
        objects={
            "OBJECTS_BACKEND": "s3",
            "S3_BUCKET": namespace,
            "S3_BUCKET_SAVEGAMES": f"{namespace}-savegames",
            **{name: environment[name] for name in NEEDED if name.startswith("S3_")},
            **{name: value for name, value in given.items() if name.startswith("S3_")},
        },
        are_embedded=False,
    )


async def with_own_roles(home: Home, backends: Backends) -> Backends:
    """Creates the databases. A superuser gives each an owner of its own, as which services log in; any other
    administrator owns them itself.

    Raises:
        PlatformError: the server refused, or is unavailable.
    """
    admin, names = backends.dsns["postgres"], [name for name in backends.dsns if name != "postgres"]
    secrets_by_name = home.secrets()
    owners = {_database(backends.dsns[name]): secrets_by_name[role_secret(name)] for name in names}
    try:
        if not await _is_superuser(admin):
            return backends
        await give_databases(admin, owners)
    except (asyncpg.PostgresError, OSError) as error:
        raise PlatformError(f"the databases cannot be made: {error!r}") from error
    own = {name: owner_dsn(admin, _database(backends.dsns[name]), secrets_by_name[role_secret(name)]) for name in names}
    return replace(backends, dsns={"postgres": admin, **own})


async def _is_superuser(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"))
    finally:
        await connection.close()


async def prepare(backends: Backends) -> None:
    """Creates the topics and the buckets with the operator's own commands; does nothing to those that exist.

    Raises:
        PlatformError: a server refused, or is unavailable.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_samovar(backends.events, "events", "topics"))
        tasks.create_task(_samovar(backends.objects, "objects", "bucket"))


async def remove(home: Home) -> None:
    """Removes everything under the platform's namespace.

    Raises:
        PlatformError: a server is unavailable.
    """
    backends = backends_of(home)
    try:
        await asyncio.gather(
            _drop_databases(backends.dsns),
            delete_topics_with(backends.events["KAFKA_BROKERS"], backends.events["KAFKA_PREFIX"]),
            _forget(backends.redis),
            asyncio.to_thread(_remove_buckets, backends.objects),
        )
    except (asyncpg.PostgresError, OSError, RedisError, TopicsNotMade) as error:
        raise PlatformError(f"what lies on the real backends cannot be removed: {error!r}") from error


async def _samovar(environment: Mapping[str, str], *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("samovar")),
        *words,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise PlatformError(f"samovar {' '.join(words)} takes longer than {COMMAND_TIMEOUT_SECONDS:.0f} s") from None
    if process.returncode:
        raise PlatformError(" ".join(said.decode(errors="replace").split())[-500:])


async def _drop_databases(dsns: Mapping[str, str]) -> None:
    connection = await asyncpg.connect(dsns["postgres"])
    try:
        for name, dsn in dsns.items():
            if name != "postgres":
                await connection.execute(f'DROP DATABASE IF EXISTS "{_database(dsn)}" WITH (FORCE)')
                if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", _database(dsn)):
                    await connection.execute(f'DROP ROLE "{_database(dsn)}"')
    finally:
        await connection.close()


async def _forget(redis: Mapping[str, str]) -> None:
    password, database = redis.get("REDIS_PASSWORD", ""), int(redis.get("REDIS_DB", "0"))
    async with open_redis(redis["REDIS_ADDR"], password=password, database=database) as client:
        doomed = [key async for key in client.scan_iter(f"{redis['REDIS_PREFIX']}*", count=DELETE_KEYS)]
        for start in range(0, len(doomed), DELETE_KEYS):
            await client.unlink(*doomed[start : start + DELETE_KEYS])


def _remove_buckets(objects: Mapping[str, str]) -> None:
    import urllib3  # noqa: PLC0415  only here is the client of S3 needed
    from minio.error import MinioException, S3Error  # noqa: PLC0415

    from chassis.objects.s3_bucket import remove_bucket  # noqa: PLC0415

    settings = ObjectSettings(**{name.lower(): value for name, value in objects.items()})  # type: ignore[arg-type]
    for bucket in (settings.s3_bucket, settings.s3_bucket_savegames):
        try:
            remove_bucket(settings.s3_location(bucket))
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise ConnectionError(str(error)) from error
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError(str(error)) from error


def _database(dsn: str) -> str:
    return urlsplit(dsn).path[1:]


def _dsn(admin: str, database: str) -> str:
    return urlunsplit(urlsplit(admin)._replace(path=f"/{database}"))
