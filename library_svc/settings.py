"""The settings of the Library Service (contract section 8). Read once, in main.py; each is the environment variable of the
same name in capitals.
"""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from chassis.settings import ProgramSettings


class MigrateSettings(ProgramSettings):
    """What `migrate` needs."""

    postgres_dsn: SecretStr


class LibrarySettings(MigrateSettings):
    """What `serve` needs."""

    library_service_grpc_port: int = Field(9094, ge=0, le=65535)
    postgres_pool_size: int = Field(10, ge=1, le=200)
    """Connections of each worker."""
    events_backend: Literal["postgres"] = "postgres"
    events_postgres_dsn: SecretStr = SecretStr("")
    catalog_service_grpc_addr: str = Field(min_length=1)

    @model_validator(mode="after")
    def _has_its_event_log(self) -> Self:
        if self.events_backend == "postgres" and not self.events_postgres_dsn.get_secret_value():
            raise ValueError("EVENTS_POSTGRES_DSN: needed when EVENTS_BACKEND is postgres")
        return self
