"""chassis.bus.consumers and chassis.bus.event_bus: which failures are tried again, how long the wait is, which adapter is
opened.
"""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from chassis.bus.consumers import RetryPolicy
from chassis.bus.event_bus import PARTITIONS, partition_of
from chassis.bus.factory import open_event_bus
from chassis.errors import RETRYABLE_KINDS, DomainError, Kind
from chassis.postgres.advisory_locks import lock_key
from chassis.postgres.database import engine_url, is_retryable
from tests.fakes.event_bus import MemoryEventBus


class DriverError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize("kind", list(Kind))
def test_a_domain_error_is_tried_again_by_its_kind(kind: Kind):
    assert is_retryable(DomainError(kind, "REASON")) == (kind in RETRYABLE_KINDS)


@pytest.mark.parametrize("sqlstate", ["08006", "53300", "57P01", "57P03", "40001", "40P01", "55P03"])
def test_a_database_that_cannot_now_is_tried_again(sqlstate: str):
    assert is_retryable(DBAPIError("SELECT", {}, DriverError(sqlstate)))


@pytest.mark.parametrize("sqlstate", ["23505", "42601", "22P02"])
def test_a_database_that_says_no_is_not(sqlstate: str):
    assert not is_retryable(IntegrityError("INSERT", {}, DriverError(sqlstate)))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        OSError(28, "full"),
        asyncpg.InterfaceError("closed"),
        asyncpg.InternalClientError("closed"),
        ExceptionGroup("two", [OSError(), ExceptionGroup("one", [TimeoutError()])]),
    ],
)
def test_failures_of_the_machine_and_the_network_are_tried_again(error: Exception):
    assert is_retryable(error)


@pytest.mark.parametrize(
    "error", [ValueError(), KeyError("a"), AssertionError(), ExceptionGroup("two", [OSError(), ValueError()])]
)
def test_mistakes_of_the_program_are_not(error: Exception):
    assert not is_retryable(error)


def test_the_wait_grows_to_its_bound_and_never_past_it():
    policy = RetryPolicy(first_delay_seconds=0.1, last_delay_seconds=5.0)
    waits = [policy.delay_seconds(attempt) for attempt in range(1, 200)]
    assert all(0.05 <= wait <= 5.0 for wait in waits)
    assert waits[0] <= 0.1
    assert min(waits[10:]) >= 2.5


def test_a_key_has_one_partition_and_keys_are_spread():
    found = [partition_of(f"user-{number}") for number in range(1000)]
    assert found == [partition_of(f"user-{number}") for number in range(1000)]
    assert set(found) == set(range(PARTITIONS))


def test_lock_keys_are_stable_signed_and_different():
    keys = {lock_key("lease", f"group-{number}", "topic") for number in range(1000)}
    assert len(keys) == 1000
    assert all(-(2**63) <= key < 2**63 for key in keys)
    assert lock_key("a", "b") != lock_key("ab")


async def test_the_bus_is_chosen_by_its_backend():
    async with open_event_bus("memory") as bus:
        assert isinstance(bus, MemoryEventBus)


@pytest.mark.parametrize(
    ("backend", "named"), [("carrier pigeon", "EVENTS_BACKEND"), ("postgres", "EVENTS_POSTGRES_DSN")]
)
async def test_a_bus_that_is_not_configured_names_the_setting(backend: str, named: str):
    with pytest.raises(ValueError, match=named):
        async with open_event_bus(backend):
            pass


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql+asyncpg://u:p@h:5432/d"),
        ("postgres://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql://u:p%40ss@h/d?sslmode=require", "postgresql+asyncpg://u:p%40ss@h/d?ssl=require"),
    ],
)
def test_every_usual_dsn_is_understood_by_the_pool(dsn: str, expected: str):
    assert engine_url(dsn) == expected
