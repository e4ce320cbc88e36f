"""A library that is killed -9 between each pair of steps of a purchase, its events on a Kafka of the test's own. Prints figures."""

import asyncio
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from chassis.bus.kafka_bus import open_kafka_bus
from chassis.bus.kafka_topics import make_topics
from operations.registry import topics
from tests.faults.steps import NAME, STEPS
from tests.faults.test_step_kills import dies_and_comes_back
from tests.real.servers import Servers

pytestmark = [pytest.mark.real_faults, pytest.mark.timeout(300)]

PAYMENT_TOPIC = "com.platform.payment.events.v1"


@pytest.fixture(scope="module")
def brokers() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="samovar-real-", ignore_cleanup_errors=True) as folder:
        servers = Servers(Path(folder))
        asyncio.run(servers.start("kafka"))
        yield servers.environment["KAFKA_BROKERS"]
        asyncio.run(servers.end("kafka"))


@pytest.mark.parametrize("step", STEPS)
async def test_on_kafka_a_purchase_has_its_whole_effect_once_when_the_library_dies_at(
    step: str, brokers: str, new_database: Callable[[str], Awaitable[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"{uuid.uuid4().hex[:8]}."
    await make_topics(brokers, [prefix + topic for topic in topics()])
    environment = {"EVENTS_BACKEND": "kafka", "KAFKA_BROKERS": brokers, "KAFKA_PREFIX": prefix}

    async with open_kafka_bus(brokers, prefix=prefix) as bus:

        async def unread() -> int:
            return await bus.lag(NAME, [PAYMENT_TOPIC]) or 0

        seconds = await dies_and_comes_back(step, await new_database("library"), bus, environment, unread)
    with capsys.disabled():
        print(f"\nkilled -9 at `{step}`: 0 lost, 0 doubled in effect, all done {seconds:.1f} s after the next start")
