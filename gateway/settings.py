"""The gateway's settings: those of every program, the addresses where it listens, the services behind it. Contract: section 8."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from chassis.settings import Problems, ProgramSettings
from gateway.generated import backends_of, load_generated

Network = IPv4Network | IPv6Network

_ADDRESS = re.compile(r"^\S+$")


def _split(value: object) -> object:
    """A comma list, as the environment has it, or a list, as YAML has it."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


def address_setting(backend: str) -> str:
    """The setting that says where a backend is: `LIBRARY_SERVICE_GRPC_ADDR` of `library`."""
    return f"{backend.replace('-', '_')}{GatewaySettings.open_suffix}".upper()


class GatewaySettings(ProgramSettings):
    """The settings of the gateway."""

    open_suffix: ClassVar[str] = "_service_grpc_addr"

    gateway_http_port: int = Field(8080, ge=0, le=65535)
    """0 = any free one."""
    routes_package: str = "rest"
    """The generated package that is served: its routes, its streams, its documents."""
    service_addresses: Annotated[Mapping[str, str], NoDecode] = Field(default_factory=dict, validate_default=True)
    """Addresses by backend, one for each that the routes need; each is a setting of its own (`LIBRARY_SERVICE_GRPC_ADDR`)."""
    auth_jwks_url: str = Field(min_length=1)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins of web pages that may call the gateway, for REST and WebSockets. None = no other origin may."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Networks whose X-Forwarded-For is believed."""
    redis_addr: str = Field("", pattern=r"^([^:/\s]+:\d+)?$")
    """Empty = no rate limits and no Idempotency-Key."""
    redis_password: SecretStr = SecretStr("")
    redis_db: int = Field(0, ge=0)
    redis_prefix: str = Field("", max_length=60, pattern=r"^[A-Za-z0-9._-]*$")
    """The prefix of all keys and channels, for environments that share a server."""
    rate_limit_reads: int = Field(600, ge=1, le=1_000_000)
    rate_limit_writes: int = Field(120, ge=1, le=1_000_000)
    """Per user and minute."""
    grpc_deadline_seconds: float = Field(5.0, gt=0, le=60)
    """The deadline of a call to a service; also the longest that a client gets by X-Request-Timeout."""
    grpc_start_deadline_seconds: float = Field(20.0, gt=0, le=60)
    """The same for calls that are answered 202: they start something, such as a download of a version of 100,000 files."""

    @model_validator(mode="before")
    @classmethod
    def _gather_addresses(cls, data: Any) -> Any:
        given = {name: value for name, value in data.items() if name.endswith(cls.open_suffix)}
        addresses = {name.removesuffix(cls.open_suffix): value for name, value in given.items()}
        return {"service_addresses": addresses, **{name: data[name] for name in data if name not in given}}

    @field_validator("routes_package")
    @classmethod
    def _read_package(cls, value: str) -> str:
        try:
            load_generated(value)
        except ImportError as error:
            raise ValueError(f"no generated package: {error}") from None
        return value

    @field_validator("service_addresses")
    @classmethod
    def _check_addresses(cls, value: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        """Keeps those that are needed: in an environment of many programs there may be others."""
        package = info.data.get("routes_package")
        needed = backends_of(load_generated(package)) if package else ()
        found = {backend: value.get(backend.replace("-", "_"), "") for backend in needed}
        wrong = [backend for backend, address in found.items() if not _ADDRESS.match(address)]
        problems = [
            f"{address_setting(backend)}: {'must be host:port' if found[backend] else 'Field required'}"
            for backend in wrong
        ]
        if problems:
            raise Problems("\n".join(problems))
        return found

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _read_origins(cls, value: object) -> object:
        origins = _split(value)
        for origin in origins if isinstance(origins, tuple | list) else ():
            parts = urlsplit(str(origin))
            if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path or parts.query or parts.fragment:
                raise ValueError(f"{origin!r} is not an origin such as https://store.example.org")
        return origins

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _read_networks(cls, value: object) -> object:
        parts = _split(value)
        if isinstance(parts, tuple | list):
            return tuple(ip_network(str(part), strict=False) for part in parts)
        return parts
