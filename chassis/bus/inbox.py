"""The events that a consumer has already handled. Called inside the transaction of the effect: both last or neither does."""

from sqlalchemy import text

from chassis.postgres.database import Transaction

# Code of before wrote no source: such an entry is an event of any source.
_INSERT = text(
    """
    INSERT INTO inbox (consumer, source, event_id)
    SELECT CAST(:consumer AS text), CAST(:source AS text), CAST(:event_id AS text)
    WHERE NOT EXISTS (SELECT FROM inbox WHERE consumer = :consumer AND source = '' AND event_id = :event_id)
    ON CONFLICT DO NOTHING RETURNING true
    """
)


async def first_time(tx: Transaction, consumer: str, source: str, event_id: str) -> bool:
    """Return True when this consumer sees the event for the first time, and remember that it has. Ids are unique within a source:
    events of two sources with the same id are two events.

    A second delivery that runs at the same moment waits here for the first one's commit or rollback.
    """
    result = await tx.connection.execute(_INSERT, {"consumer": consumer, "source": source, "event_id": event_id})
    return result.scalar_one_or_none() is not None
