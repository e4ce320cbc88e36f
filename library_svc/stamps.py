"""When something became true, and which event said so: what decides between events that came in any order.

Used by the read models that follow other services: of two values the one with the later stamp stays, so that every order of the
same events, repeated or not, ends in the same state.
"""

from datetime import UTC, datetime
from typing import NewType

Stamp = NewType("Stamp", str)
"""A text that sorts by time, then by event; the database compares it as it is (`COLLATE "C"`)."""

NO_STAMP = Stamp("")
"""Earlier than every other."""


def stamp(at: datetime, event_id: str = "") -> Stamp:
    """The stamp of an event; without an id, of an answer to a question, which yields to an event of the same time."""
    return Stamp(f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z {event_id}")
