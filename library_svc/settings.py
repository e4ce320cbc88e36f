"""The settings of the Library Service (contract section 8). Read once, in main.py; each is the environment variable of the
same name in capitals.
"""

from pydantic import Field, SecretStr

from chassis.backend_settings import EventSettings
from chassis.settings import ProgramSettings


class MigrateSettings(ProgramSettings):
    """What `migrate` needs."""

    postgres_dsn: SecretStr


class LibrarySettings(MigrateSettings, EventSettings):
    """What `serve` needs."""

    library_service_grpc_port: int = Field(9094, ge=0, le=65535)
    postgres_pool_size: int = Field(10, ge=1, le=200)
    """Connections of each worker."""
    kafka_consumer_group_library: str = Field("library-service", min_length=1, max_length=200)
    catalog_service_grpc_addr: str = Field(min_length=1)
