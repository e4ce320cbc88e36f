"""The event bus that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.bus.event_bus import EventBus


@asynccontextmanager
async def open_event_bus(
    backend: str, *, postgres_dsn: str = "", kafka_brokers: str = "", kafka_prefix: str = "", application_name: str = ""
) -> AsyncIterator[EventBus]:
    """The bus that EVENTS_BACKEND names: `postgres` (needs EVENTS_POSTGRES_DSN), `kafka` (needs KAFKA_BROKERS), or `memory`
    (one process only).

    Raises:
        ValueError: an unknown backend, or no address of it.
    """
    if backend == "postgres":
        from chassis.bus.event_log import open_event_log  # noqa: PLC0415 - the adapters import this module

        if not postgres_dsn:
            raise ValueError("EVENTS_POSTGRES_DSN is needed when EVENTS_BACKEND is postgres")
        async with open_event_log(postgres_dsn, application_name=application_name) as log:
            yield log
    elif backend == "kafka":
        from chassis.bus.kafka_bus import open_kafka_bus  # noqa: PLC0415 - the adapters import this module

        if not kafka_brokers:
            raise ValueError("KAFKA_BROKERS is needed when EVENTS_BACKEND is kafka")
        async with open_kafka_bus(kafka_brokers, prefix=kafka_prefix, application_name=application_name) as kafka:
            yield kafka
    elif backend == "memory":
        from tests.fakes.event_bus import MemoryEventBus  # noqa: PLC0415 - the adapters import this module

        yield MemoryEventBus()
    else:
        raise ValueError(f"EVENTS_BACKEND: {backend!r} is not one of postgres, kafka, memory")
