"""Settings of the Download Service (contract section 8). Read once, by main."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from chassis.runtime.backends import EventSettings, LiveStateSettings, ObjectSettings
from chassis.settings import ProgramSettings
from depot.signing import parse_public_keys
from download_svc.versions.sources import origin_of


class CdnProviderSettings(BaseModel, frozen=True):
    """One member of CDN_PROVIDERS."""

    name: str = Field(min_length=1, max_length=100)
    base_url: str = Field(pattern="^https?://")
    region: str = ""
    weight: int = Field(1, ge=1, le=1000)


class MigrateSettings(ProgramSettings):
    """The settings that `migrate` needs."""

    postgres_dsn: SecretStr


class DownloadSettings(MigrateSettings, EventSettings, LiveStateSettings, ObjectSettings):
    """The settings that `serve` needs."""

    download_service_grpc_port: int = Field(9092, ge=0, le=65535)
    health_port: int = Field(0, ge=0, le=65535)
    """The port that serves only health, in plain text, for probes that have no certificate. 0 = none."""
    postgres_pool_size: int = Field(10, ge=2, le=200)
    """Connections of each worker."""
    kafka_consumer_group_download: str = Field("download-service", min_length=1, max_length=200)
    kafka_consumer_group_download_live: str = Field("download-service-live", min_length=1, max_length=200)
    library_service_grpc_addr: str = Field(min_length=1)
    catalog_service_grpc_addr: str = Field(min_length=1)
    cdn_link_secret_key: SecretStr = Field(min_length=16)
    cdn_link_ttl_seconds: int = Field(600, ge=30, le=86_400)
    cdn_providers: tuple[CdnProviderSettings, ...] = Field(min_length=1)
    manifest_public_keys: str
    manifest_origins: Annotated[tuple[str, ...], NoDecode] = ()
    manifest_allow_http: bool = False
    max_concurrent_downloads_per_user: int = Field(3, ge=1, le=100)
    download_session_timeout_seconds: int = Field(300, ge=10, le=86_400)
    """Seconds without a report of its client after which a session gives up its slot."""
    default_download_priority: int = Field(5, ge=0, le=10)

    patch_workers: int = Field(1, ge=0, le=64)
    """Processes that build binary patches, of each worker; 0 = none are built here."""
    patch_max_file_mb: int = Field(128, ge=1, le=128)
    """Larger files are updated by chunks alone."""

    @field_validator("manifest_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("manifest_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin_of(origin) is None:
                raise ValueError(f"{origin!r} is not an origin (https://host or https://host:port)")
        return value

    @field_validator("manifest_public_keys")
    @classmethod
    def _are_keys(cls, value: str) -> str:
        if not parse_public_keys(value):
            raise ValueError("at least one key is needed")
        return value
