"""Erasures in PostgreSQL: recorded with one row, carried out in small transactions by a job that any instance can continue.

What is counted is committed with what was removed: wherever the job dies, the next one finds the rest, and no row is counted twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from logging import getLogger
from typing import Any, Final
from uuid import UUID

from prometheus_client import Counter

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from chassis.concurrency.background import failure_of
from chassis.erasure.plan import NOBODY, ErasedTable, ErasurePlan
from chassis.errors import DomainError
from chassis.postgres.database import ACCOUNT_ERASED, Database, Transaction
from chassis.postgres.erased_users import LOCK_USER
from chassis.postgres.statements import Statement

BATCH_ROWS: Final = 1_000
"""Rows that one transaction removes."""
USERS_AT_ONCE: Final = 100
"""Erasures that one step of the job processes."""
POLL_SECONDS: Final = 2.0
AUDIT_LOG: Final = "audit_log"

_LOCK: Final = Statement(LOCK_USER, ("user_id",))
_RECORD: Final = Statement(
    "INSERT INTO erasures (user_id, requested_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING", ("user_id", "at")
)
_IS_ERASED: Final = Statement("SELECT FROM erasures WHERE user_id = $1", ("user_id",))
_PENDING: Final = Statement(
    "SELECT user_id FROM erasures WHERE done_at IS NULL ORDER BY requested_at LIMIT $1", ("most",)
)
_HOLD: Final = Statement(
    "SELECT user_id FROM erasures WHERE user_id = $1 AND done_at IS NULL FOR UPDATE SKIP LOCKED", ("user_id",)
)
_COUNT: Final = Statement(
    """
    UPDATE erasures SET counts = coalesce(counts, '{}') ||
        jsonb_build_object($2::text, coalesce((counts ->> $2::text)::bigint, 0) + $3::bigint)
    WHERE user_id = $1
    """,
    ("user_id", "name", "count"),
)
_DONE: Final = Statement("UPDATE erasures SET done_at = now() WHERE user_id = $1", ("user_id",))
_FORGET_AUDIT: Final = Statement(f"SELECT audit_forget($1::uuid::text, {BATCH_ROWS}) AS count", ("user_id",))

_log = getLogger(__name__)

_erased: Final = Counter("users_erased", "Erasures that were carried out whole.")
_dropped: Final = Counter("events_of_erased_users", "Events that came for users who are erased.", ["type"])


class Erasures:
    """A service's erasures. `plan` says what they remove."""

    def __init__(self, database: Database, plan: ErasurePlan) -> None:
        self._database = database
        self._plan = plan
        self._removals = [(each.name, _removal(each)) for each in plan.tables]

    async def request(self, user_id: UUID, at: datetime) -> None:
        """Records the erasure of the user, who is refused from now on. Waits for the user's running changes; idempotent."""
        async with self._database.begin(user_id) as tx:
            await tx.fetch(_LOCK, {"user_id": user_id})
            await tx.fetch(_RECORD, {"user_id": user_id, "at": at})
            await tx.commit()

    async def is_erased(self, user_id: UUID) -> bool:
        """Return True when the user's erasure is recorded, done or not."""
        return bool(await self._database.fetch(_IS_ERASED, {"user_id": user_id}))

    async def run_pending(self) -> None:
        """Carries out what is recorded. An erasure that fails is in no other's way.

        Raises:
            ExceptionGroup: what went wrong, at the end.
        """
        failures = []
        for row in await self._database.fetch(_PENDING, {"most": USERS_AT_ONCE}):
            user_id: UUID = row["user_id"]
            error = await failure_of(partial(self._erase, user_id))
            if error is not None:
                failures.append(error)
        if failures:
            raise ExceptionGroup("erasures", failures)

    async def _erase(self, user_id: UUID) -> None:
        for store in self._plan.stores:
            if await self._in_turn(user_id, store.name, _told(await store.erase(user_id))) is None:
                return
        for name, statement in (*self._removals, (AUDIT_LOG, _FORGET_AUDIT)):
            if not await self._empty(user_id, name, statement):
                return
        for store in self._plan.last:
            if await self._in_turn(user_id, store.name, _told(await store.erase(user_id))) is None:
                return
        async with self._database.begin(user_id) as tx:
            await tx.fetch(_DONE, {"user_id": user_id})
            await tx.commit()
        _erased.inc()
        _log.info("a user is erased")

    async def _empty(self, user_id: UUID, name: str, statement: Statement) -> bool:
        """Runs the statement batch by batch until nothing is left; False when another instance is at this user."""
        while (count := await self._in_turn(user_id, name, _runs(statement, user_id))) is not None:
            if count < BATCH_ROWS:
                return True
        return False

    async def _in_turn(self, user_id: UUID, name: str, work: Callable[[Transaction], Awaitable[int]]) -> int | None:
        """Runs one small transaction that counts what it did; None when another instance is at this user, or was."""
        async with self._database.begin(user_id) as tx:
            if not await tx.fetch(_HOLD, {"user_id": user_id}):
                return None
            count = await work(tx)
            await tx.fetch(_COUNT, {"user_id": user_id, "name": name, "count": count})
            await tx.commit()
        return count


def _told(count: int) -> Callable[[Transaction], Awaitable[int]]:
    async def known(_: Transaction) -> int:
        return count

    return known


def _runs(statement: Statement, user_id: UUID) -> Callable[[Transaction], Awaitable[int]]:
    async def run(tx: Transaction) -> int:
        (row,) = await tx.fetch(statement, {"user_id": user_id})
        return int(row["count"])

    return run


def _removal(table: ErasedTable) -> Statement:
    """Takes a batch of the user's rows. The names are those of a plan, and never anybody's input."""
    change = "UPDATE {name} SET {column} = '{nobody}'::uuid" if table.is_kept_for_nobody else "DELETE FROM {name}"
    batch = "SELECT ctid FROM {name} WHERE {column} = $1 LIMIT {most} FOR UPDATE"
    statement = (
        f"WITH gone AS ({change} WHERE ctid = ANY (ARRAY({batch})) AND {{column}} = $1 RETURNING 1) "  # noqa: S608
        "SELECT count(*) AS count FROM gone"
    )
    names = {"name": table.name, "column": table.column, "nobody": NOBODY, "most": BATCH_ROWS}
    return Statement(statement.format(**names), ("user_id",))


def ignoring_erased(subscriptions: Sequence[Subscription]) -> Sequence[Subscription]:
    """The subscriptions, whose events have no effect when their user is erased: they are done with, and no dead letters."""

    def wrapped(subscription: Subscription) -> Subscription:
        async def handle(message: Any, event: CloudEvent) -> None:
            try:
                await subscription.handler(message, event)
            except DomainError as error:
                if error.reason != ACCOUNT_ERASED:
                    raise
                _dropped.labels(event.type).inc()

        return replace(subscription, handler=handle)

    return [wrapped(each) for each in subscriptions]
