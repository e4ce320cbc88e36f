"""Settings of the event bus, the live state and the object store, for every program that has one; each opens what the settings
name. Mixed into a program's own settings (contract section 8).
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from chassis.bus.event_bus import EventBus
from chassis.bus.factory import open_event_bus
from chassis.live.redis_state import RedisState, open_redis_state
from chassis.objects.factory import open_object_store
from chassis.objects.object_store import ObjectStore
from chassis.quota.rate_limits import RateLimiter
from chassis.quota.redis_permits import RedisPermits
from chassis.quota.redis_store import open_redis_store
from chassis.settings import ProgramSettings

if TYPE_CHECKING:
    from chassis.objects.s3_store import S3Location


class EventSettings(ProgramSettings):
    """The settings of the event bus."""

    events_backend: Literal["postgres", "kafka"] = "postgres"
    events_postgres_dsn: SecretStr = SecretStr("")
    kafka_brokers: str = Field("", pattern=r"^([^:/,\s]+:\d+(,[^:/,\s]+:\d+)*)?$")
    """host:port, with commas between."""
    kafka_prefix: str = Field("", max_length=60, pattern=r"^[A-Za-z0-9._-]*$")
    """The prefix of the names of all topics and groups, for environments that share a cluster."""

    def problems(self) -> list[str]:
        """As ProgramSettings says."""
        missing = []
        if self.events_backend == "postgres" and not self.events_postgres_dsn.get_secret_value():
            missing.append("EVENTS_POSTGRES_DSN: needed when EVENTS_BACKEND is postgres")
        if self.events_backend == "kafka" and not self.kafka_brokers:
            missing.append("KAFKA_BROKERS: needed when EVENTS_BACKEND is kafka")
        return super().problems() + missing

    def open_event_bus(self, application_name: str) -> AbstractAsyncContextManager[EventBus]:
        """The bus that these settings name."""
        return open_event_bus(
            self.events_backend,
            postgres_dsn=self.events_postgres_dsn.get_secret_value(),
            kafka_brokers=self.kafka_brokers,
            kafka_prefix=self.kafka_prefix,
            application_name=application_name,
        )


class LiveStateSettings(ProgramSettings):
    """The settings of the live state."""

    redis_addr: str = Field("127.0.0.1:6379", pattern=r"^[^:/\s]+:\d+$")
    redis_password: SecretStr = SecretStr("")
    redis_db: int = Field(0, ge=0)
    redis_prefix: str = Field("", max_length=60, pattern=r"^[A-Za-z0-9._-]*$")
    """The prefix of all keys and channels, for environments that share a server."""

    rate_limit_reads: int = Field(600, ge=1, le=1_000_000)
    rate_limit_writes: int = Field(120, ge=1, le=1_000_000)
    """Calls per user and minute of users who call the gRPC port themselves. The gateway counts those that it passes on."""

    @asynccontextmanager
    async def open_rate_limiter(self, name: str) -> AsyncIterator[RateLimiter]:
        """The count of the program `name`, which its instances share."""
        async with open_redis_store(
            self.redis_addr,
            password=self.redis_password.get_secret_value(),
            database=self.redis_db,
            prefix=f"{self.redis_prefix}{name}:",
        ) as store:
            yield RateLimiter(RedisPermits(store), {"read": self.rate_limit_reads, "write": self.rate_limit_writes})

    def open_live_state(self) -> AbstractAsyncContextManager[RedisState]:
        """The live state that these settings name."""
        return open_redis_state(
            self.redis_addr,
            password=self.redis_password.get_secret_value(),
            database=self.redis_db,
            prefix=self.redis_prefix,
        )


class ObjectSettings(ProgramSettings):
    """The settings of the object store."""

    objects_backend: Literal["directory", "s3"] = "directory"
    objects_directory: str = ""
    objects_base_url: str = ""
    objects_signing_key: SecretStr = SecretStr("")
    s3_endpoint: str = Field("", pattern=r"^([^:/\s]+(:\d+)?)?$")
    """host, or host:port."""
    s3_public_endpoint: str = Field("", pattern=r"^([^:/\s]+(:\d+)?)?$")
    """The endpoint's address as clients see it, if it is different: it is used in signed URLs."""
    s3_access_key_id: str = ""
    s3_secret_access_key: SecretStr = SecretStr("")
    s3_region: str = "us-east-1"
    s3_use_ssl: bool = True
    s3_bucket: str = Field("samovar", min_length=3, max_length=63)
    s3_bucket_savegames: str = Field("samovar-savegames", min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]*$")
    """The bucket of users' saves; where OBJECTS_BACKEND is directory, a folder of that name."""

    def problems(self) -> list[str]:
        """As ProgramSettings says."""
        needed = {
            "directory": {
                "OBJECTS_DIRECTORY": self.objects_directory,
                "OBJECTS_BASE_URL": self.objects_base_url,
                "OBJECTS_SIGNING_KEY": self.objects_signing_key.get_secret_value(),
            },
            "s3": {
                "S3_ENDPOINT": self.s3_endpoint,
                "S3_ACCESS_KEY_ID": self.s3_access_key_id,
                "S3_SECRET_ACCESS_KEY": self.s3_secret_access_key.get_secret_value(),
            },
        }[self.objects_backend]
        missing = [name for name, value in needed.items() if not value]
        return super().problems() + [
            f"{name}: needed when OBJECTS_BACKEND is {self.objects_backend}" for name in missing
        ]

    def open_object_store(self, bucket: str = "") -> AbstractAsyncContextManager[ObjectStore]:
        """The store that these settings name, in another bucket if one is given; in a directory a bucket is a folder."""
        return open_object_store(
            self.objects_backend,
            directory=str(Path(self.objects_directory, bucket)),
            base_url=f"{self.objects_base_url.rstrip('/')}/{bucket}",
            signing_key=self.objects_signing_key.get_secret_value(),
            s3=self.s3_location(bucket) if self.objects_backend == "s3" else None,
        )

    def s3_location(self, bucket: str = "") -> "S3Location":
        """The bucket that these settings name, or another one of the same store."""
        from chassis.objects.s3_store import S3Location  # noqa: PLC0415 - only who uses it loads the client

        return S3Location(
            endpoint=self.s3_endpoint,
            access_key=self.s3_access_key_id,
            secret_key=self.s3_secret_access_key.get_secret_value(),
            region=self.s3_region,
            bucket=bucket or self.s3_bucket,
            use_ssl=self.s3_use_ssl,
            public_endpoint=self.s3_public_endpoint,
        )
