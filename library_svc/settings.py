"""The settings of the Library Service (contract section 8). Read once, in main.py; each is the environment variable of the
same name in capitals.
"""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from chassis.runtime.backends import EventSettings, LiveStateSettings, ObjectSettings
from chassis.settings import ProgramSettings


class MigrateSettings(ProgramSettings):
    """The settings that `migrate` needs."""

    postgres_dsn: SecretStr


class LibrarySettings(MigrateSettings, EventSettings, LiveStateSettings, ObjectSettings):
    """The settings that `serve` needs."""

    library_service_grpc_port: int = Field(9094, ge=0, le=65535)
    health_port: int = Field(0, ge=0, le=65535)
    """The port that serves only health, in plain text, for probes that have no certificate. 0 = none."""
    postgres_pool_size: int = Field(10, ge=1, le=200)
    """Connections of each worker."""
    kafka_consumer_group_library: str = Field("library-service", min_length=1, max_length=200)
    kafka_consumer_group_library_live: str = Field("library-service-live", min_length=1, max_length=200)
    catalog_service_grpc_addr: str = Field(min_length=1)
    playtime_heartbeat_interval_seconds: int = Field(60, ge=1, le=3600)
    """The interval at which a playing client should send heartbeats."""
    playtime_session_timeout_seconds: int = Field(300, ge=2, le=86_400)
    """Seconds without a heartbeat after which a session ends, at the time of its last heartbeat."""

    s3_presigned_url_ttl_seconds: int = Field(300, ge=1, le=86_400)
    """Seconds in which an upload or a download of a save may be begun."""
    max_savegame_size_bytes: int = Field(50 << 20, ge=1, le=5 << 30)
    user_savegame_quota_bytes: int = Field(1 << 30, ge=1)

    @model_validator(mode="after")
    def _timeout_is_longer(self) -> Self:
        if self.playtime_session_timeout_seconds <= self.playtime_heartbeat_interval_seconds:
            raise ValueError("PLAYTIME_SESSION_TIMEOUT_SECONDS must be more than PLAYTIME_HEARTBEAT_INTERVAL_SECONDS")
        return self
