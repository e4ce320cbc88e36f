"""Every event of the platform, by its proto: which topics there are. Used by operations.events."""

from collections.abc import Iterator

from account.v1 import events_pb2 as account_events
from catalog.v1 import events_pb2 as catalog_events
from download.v1 import events_pb2 as download_events
from library.v1 import events_pb2 as library_events
from payment.v1 import events_pb2 as payment_events

from chassis.cloudevents.events import EventOption, event_option

FILES = tuple(
    module.DESCRIPTOR for module in (account_events, catalog_events, download_events, library_events, payment_events)
)


def events() -> Iterator[EventOption]:
    """The event option of every message that has one."""
    for file in FILES:
        for message in file.message_types_by_name.values():
            try:
                yield event_option(message)
            except ValueError:
                continue  # part of an event, or a value


def topics() -> list[str]:
    """The topics that events travel on, without those of dead letters."""
    return sorted({event.topic for event in events()})
