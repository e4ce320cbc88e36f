"""Settings of the event bus and of the object store, for every program that has one; each opens what the settings name. Mixed into
a program's own settings (contract section 8).
"""

from contextlib import AbstractAsyncContextManager
from typing import Literal

from pydantic import Field, SecretStr

from chassis.event_bus import EventBus, open_event_bus
from chassis.settings import ProgramSettings


class EventSettings(ProgramSettings):
    """Where events go."""

    events_backend: Literal["postgres", "kafka"] = "postgres"
    events_postgres_dsn: SecretStr = SecretStr("")
    kafka_brokers: str = Field("", pattern=r"^([^:/,\s]+:\d+(,[^:/,\s]+:\d+)*)?$")
    """host:port, with commas between."""
    kafka_prefix: str = Field("", max_length=60, pattern=r"^[A-Za-z0-9._-]*$")
    """What the names of all topics and groups begin with: for environments that share a cluster."""

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
