"""The parts that the Kafka driver (aiokafka) leaves to us: its errors become ours, a refusal by a broker is obeyed, and a client
can close without its brokers. Used by the other Kafka modules.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from logging import getLogger
from typing import Any

from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest

from chassis.bus.event_bus import refused
from chassis.postgres.database import unavailable

CLOSE_TIMEOUT_SECONDS = 5.0

_log = getLogger(__name__)

_endings: set["asyncio.Task[object]"] = set()
"""Clients on their way out: the event loop holds its tasks only weakly."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Driver errors become DomainError: to a publisher and to a reader they mean that the bus is unavailable now, except for those
    which mean that a record is too large.
    """
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        _log.error("a topic is missing: make the topics with `samovar events topics`", extra={"error": repr(error)})
        raise unavailable() from error
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise refused(type(error).__name__) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise unavailable() from error


def heed_refusals(client: Any) -> None:
    """Makes the driver's client raise the error of a whole answer to "where is this group". The driver looks only at those of each
    partition, and a coordinator that is still loading reports none: it would take the group for one that never committed, and
    read everything from the beginning. When it is raised the driver asks again.
    """
    send = client.send

    async def heeding(node_id: Any, request: Any, **options: Any) -> Any:
        answer = await send(node_id, request, **options)
        code = getattr(answer, "error_code", 0) if isinstance(request, OffsetFetchRequest) else 0
        if code:
            raise for_code(code)
        return answer

    client.send = heeding


async def end_quietly(goodbye: Coroutine[Any, Any, object]) -> None:
    """Ends a client whose brokers may be unavailable: its `stop()` or `close()`, in a task of its own, left behind if it does not
    end in time. The driver swallows cancellations, and a caller that waited for it could wait for ever.
    """
    ending = asyncio.create_task(goodbye)
    _endings.add(ending)
    ending.add_done_callback(_ended)
    try:
        await asyncio.wait({ending}, timeout=CLOSE_TIMEOUT_SECONDS)
    finally:
        if not ending.done():
            ending.cancel()
            _log.info("kafka client is left to end by itself")


def _ended(ending: "asyncio.Task[object]") -> None:
    _endings.discard(ending)
    error = None if ending.cancelled() else ending.exception()
    if error is not None:
        _log.info("kafka client closed without goodbye", extra={"error": repr(error)})
