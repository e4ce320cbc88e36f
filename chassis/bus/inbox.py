"""Which events a consumer has dealt with already. Called inside the transaction of the effect: both last or neither does."""

from sqlalchemy import text

from chassis.postgres.database import Transaction

_INSERT = text(
    "INSERT INTO inbox (consumer, event_id) VALUES (:consumer, :event_id) ON CONFLICT DO NOTHING RETURNING true"
)


async def first_time(tx: Transaction, consumer: str, event_id: str) -> bool:
    """Whether this consumer sees the event for the first time, and remembers that it has.

    A second delivery that runs at the same moment waits here for the first one's commit or rollback.
    """
    result = await tx.connection.execute(_INSERT, {"consumer": consumer, "event_id": event_id})
    return result.scalar_one_or_none() is not None
