"""The gateway's settings: what every program has, and where it listens and what it stands in front of. Contract: section 8."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from chassis.settings import ProgramSettings

Network = IPv4Network | IPv6Network

_ADDRESS = re.compile(r"^\S+$")


def _split(value: object) -> object:
    """A comma list, as the environment has it, or a list, as YAML has it."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


class GatewaySettings(ProgramSettings):
    """What the gateway can be told."""

    gateway_http_port: int = Field(8080, ge=0, le=65535)
    """0 = any free one."""
    library_service_grpc_addr: str = Field(pattern=_ADDRESS)
    download_service_grpc_addr: str = Field(pattern=_ADDRESS)
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
    """What all keys and channels begin with: for environments that share a server."""
    rate_limit_reads: int = Field(600, ge=1, le=1_000_000)
    rate_limit_writes: int = Field(120, ge=1, le=1_000_000)
    """Per user and minute."""
    grpc_deadline_seconds: float = Field(5.0, gt=0, le=60)
    """How long a call to a service may take; also the most that a client gets by X-Request-Timeout."""
    grpc_start_deadline_seconds: float = Field(20.0, gt=0, le=60)
    """The same for calls that are answered 202: they start something, such as a download of a version of 100,000 files."""

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
