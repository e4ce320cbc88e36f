"""The folders of the embedded platform, and the settings by which each of its programs finds the others. Used by the supervisor
(sandbox.devstack.platform); nothing is started here.
"""

import json
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sandbox.devstack.free_port import free_port, is_free

HOST = "127.0.0.1"
SERVICES = ("gateway", "library-service", "download-service", "sandbox")
COMMAND_LINE_CLIENT = "sandbox-cli"
PROGRAMS = ("gateway", "library", "download", "sandbox")
"""Programs of ours, as the supervisor names them."""
SCALED_PROGRAMS = ("library", "download", "gateway")
"""Those of which there may be several."""
EMBEDDED_SERVERS = ("postgres", "valkey")
SECRET_BYTES = 32
DEFAULT_PORTS: Mapping[str, int] = {
    "gateway": 8080,
    "download": 9092,
    "library": 9094,
    "sandbox": 9096,
    "sandbox_http": 9098,
    "postgres": 15432,
    "valkey": 16379,
}


class PlatformError(Exception):
    """The platform cannot start; the text says why in one line."""


def samovar_home() -> Path:
    """The folder that keeps the platform's data between runs: $SAMOVAR_HOME, or .samovar in the working folder."""
    return Path(os.environ.get("SAMOVAR_HOME", ".samovar")).absolute()


@dataclass(frozen=True, slots=True)
class Ports:
    """One TCP port on 127.0.0.1 for each listener; 0 for a server that is not started. `others` has those of further instances, by
    their names: library-2.
    """

    gateway: int
    download: int
    library: int
    sandbox: int
    sandbox_http: int
    postgres: int
    valkey: int
    others: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def choose(
        cls, wanted: Mapping[str, int], *, free: bool, without: Collection[str] = (), instances: int = 1
    ) -> "Ports":
        """Takes what is wanted by name; the rest are the defaults, or free ones. Those `without` are not started. Further
        instances get free ones.

        Raises:
            PlatformError: a port is in use.
        """
        chosen: dict[str, int] = {}
        for name, default in DEFAULT_PORTS.items():
            if name in without:
                chosen[name] = 0
                continue
            port = wanted.get(name) or (free_port() if free else default)
            if port in chosen.values():
                raise PlatformError(f"port {port} is wanted twice")
            chosen[name] = usable(name, port, hint=f"choose another with --{name.replace('_', '-')}-port")
        others: dict[str, int] = {}
        for number in range(2, instances + 1):
            for name in SCALED_PROGRAMS:
                others[f"{name}-{number}"] = free_port()
        return cls(**chosen, others=others)

    def all_of(self, program: str) -> Sequence[int]:
        """Return the ports of every instance of a program."""
        first: int = getattr(self, program)
        return [first, *(port for name, port in self.others.items() if program_of(name) == program)]


def program_of(name: str) -> str:
    """Return the program of an instance: library for library-2."""
    return name.partition("-")[0]


def usable(name: str, port: int, *, hint: str) -> int:
    """The port, if a program could listen on it now.

    Raises:
        PlatformError: it is in use; `hint` says what one can do.
    """
    if not is_free(port):
        raise PlatformError(f"port {port} ({name}) is in use: {hint}")
    return port


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of the platform's folder."""

    root: Path

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def description(self) -> Path:
        """The path of the file by which command-line tools find the platform; it exists while the platform runs."""
        return self.root / "platform.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def namespace(self) -> Path:
        """Holds what the platform's things are called on servers that it shares with others; there once it has some."""
        return self.root / "namespace"

    def make_folders(self) -> None:
        for folder in (self.root, self.objects, self.state):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def secrets(self) -> dict[str, str]:
        """The platform's own secrets, created on first use and kept."""
        path = self.root / "secrets.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        roles = (role_secret(name) for name in databases())
        wanted = (
            "objects_signing_key",
            "cdn_link_secret_key",
            "log_hash_key",
            "valkey",
            *roles,
            *SERVICES,
            COMMAND_LINE_CLIENT,
        )
        if kept.keys() >= set(wanted):
            return kept
        made = {name: secrets.token_urlsafe(SECRET_BYTES) for name in wanted}
        write_private(path, json.dumps({**made, **kept}, indent=2))
        return {**made, **kept}


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads; a reader never sees half of it."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class Backends:
    """The servers under the platform as its programs receive them: a DSN by database, and settings by their purpose.
    Where they are not embedded, topics and bucket are created before the programs start.
    """

    dsns: Mapping[str, str]
    events: Mapping[str, str]
    redis: Mapping[str, str]
    objects: Mapping[str, str]
    are_embedded: bool


def embedded_backends(home: Home, ports: Ports, dsns: Mapping[str, str]) -> Backends:
    """The platform's own servers. `dsns` has those of databases()."""
    return Backends(
        dsns=dsns,
        events={"EVENTS_BACKEND": "postgres", "EVENTS_POSTGRES_DSN": dsns["events"]},
        redis={"REDIS_ADDR": f"{HOST}:{ports.valkey}", "REDIS_PASSWORD": home.secrets()["valkey"]},
        objects={
            "OBJECTS_BACKEND": "directory",
            "OBJECTS_DIRECTORY": str(home.objects),
            "OBJECTS_BASE_URL": f"http://{HOST}:{ports.sandbox_http}/objects",
            "OBJECTS_SIGNING_KEY": home.secrets()["objects_signing_key"],
        },
        are_embedded=True,
    )


LISTENING: Final = {
    "library": "LIBRARY_SERVICE_GRPC_PORT",
    "download": "DOWNLOAD_SERVICE_GRPC_PORT",
    "gateway": "GATEWAY_HTTP_PORT",
}
"""The setting of each program of which there may be several that says where it listens."""


def environments(home: Home, ports: Ports, backends: Backends, public_keys: str) -> Mapping[str, Mapping[str, str]]:
    """Return the environment variables of each program, by program."""
    kept = home.secrets()
    auth = f"http://{HOST}:{ports.sandbox_http}"
    common = {
        "AUTH_JWKS_URL": f"{auth}/.well-known/jwks.json",
        "AUTH_TOKEN_URL": f"{auth}/oauth/token",
        "SERVICE_TOKENS_ENABLED": "true",
        "GRPC_REFLECTION": "true",
        "BIND_HOST": HOST,
        "LOG_HASH_KEY": kept["log_hash_key"],
    }
    dsns, events, redis = backends.dsns, backends.events, backends.redis
    objects = {**backends.objects, "CDN_LINK_SECRET_KEY": kept["cdn_link_secret_key"]}
    addresses = {
        "LIBRARY_SERVICE_GRPC_ADDR": _target(ports.all_of("library")),
        "DOWNLOAD_SERVICE_GRPC_ADDR": _target(ports.all_of("download")),
        "CATALOG_SERVICE_GRPC_ADDR": f"{HOST}:{ports.sandbox}",
    }
    clients = {name: kept[name] for name in (*SERVICES, COMMAND_LINE_CLIENT)}
    cdn = [{"name": "origin", "base_url": f"{auth}/cdn", "region": "local", "weight": 1}]
    made: dict[str, dict[str, str]] = {
        "sandbox": {
            **common,
            **events,
            **objects,
            "POSTGRES_DSN": dsns["sandbox"],
            "SANDBOX_GRPC_PORT": str(ports.sandbox),
            "SANDBOX_HTTP_PORT": str(ports.sandbox_http),
            "SANDBOX_STATE_DIR": str(home.state),
            "SANDBOX_CLIENT_SECRETS": json.dumps(clients),
            "SERVICE_CLIENT_SECRET": kept["sandbox"],
        },
        "library": {
            **common,
            **events,
            **redis,
            **backends.objects,
            **addresses,
            "POSTGRES_DSN": dsns["library"],
            "LIBRARY_SERVICE_GRPC_PORT": str(ports.library),
            "SERVICE_CLIENT_SECRET": kept["library-service"],
        },
        "download": {
            **common,
            **events,
            **redis,
            **objects,
            **addresses,
            "POSTGRES_DSN": dsns["download"],
            "DOWNLOAD_SERVICE_GRPC_PORT": str(ports.download),
            "CDN_PROVIDERS": json.dumps(cdn),
            "MANIFEST_PUBLIC_KEYS": public_keys,
            "MANIFEST_ORIGINS": auth,
            "MANIFEST_ALLOW_HTTP": "true",
            "SERVICE_CLIENT_SECRET": kept["download-service"],
        },
        "gateway": {
            **common,
            **redis,
            **addresses,
            "GATEWAY_HTTP_PORT": str(ports.gateway),
            "SERVICE_CLIENT_SECRET": kept["gateway"],
        },
    }
    for name, port in ports.others.items():
        program = program_of(name)
        made[name] = {**made[program], LISTENING[program]: str(port)}
    return made


def _target(ports: Sequence[int]) -> str:
    """Return the target of a gRPC channel: one address, or several to balance over."""
    addresses = ",".join(f"{HOST}:{port}" for port in ports)
    return addresses if len(ports) == 1 else f"ipv4:{addresses}"


def read_overrides(words: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Settings by program, from words like `download.CDN_LINK_TTL_SECONDS=60`.

    Raises:
        PlatformError: a word does not read, or names no program.
    """
    overrides: dict[str, dict[str, str]] = {}
    for word in words:
        target, assigned, value = word.partition("=")
        program, dot, name = target.partition(".")
        if not (assigned and dot and name) or program not in PROGRAMS:
            raise PlatformError(f"--set {word}: PROGRAM.NAME=VALUE is needed, PROGRAM one of {', '.join(PROGRAMS)}")
        overrides.setdefault(program, {})[name.upper()] = value
    return overrides


def description(home: Home, ports: Ports, backends: Backends, public_keys: str) -> dict[str, Any]:
    """Return the facts that command-line tools need to find and use the platform (platform.json)."""
    kept = home.secrets()
    http = f"http://{HOST}:{ports.sandbox_http}"
    return {
        "gateway_url": f"http://{HOST}:{ports.gateway}",
        "gateway_urls": [f"http://{HOST}:{port}" for port in ports.all_of("gateway")],
        "library_grpc_addr": f"{HOST}:{ports.library}",
        "download_grpc_addr": f"{HOST}:{ports.download}",
        "sandbox_grpc_addr": f"{HOST}:{ports.sandbox}",
        "sandbox_http_url": http,
        "auth_token_url": f"{http}/oauth/token",
        "objects": dict(backends.objects),
        "events": dict(backends.events),
        "redis": dict(backends.redis),
        "dsns": dict(backends.dsns),
        "cli_client_secret": kept[COMMAND_LINE_CLIENT],
        "sandbox_state_dir": str(home.state),
        "manifest_public_keys": public_keys,
    }


def databases() -> Sequence[str]:
    return ("library", "download", "sandbox", "events")


def role_secret(database: str) -> str:
    """The name in Home.secrets() of the password of the role that owns the database."""
    return f"postgres_{database}"
