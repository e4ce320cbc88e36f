"""The guard of users' tables: no row of an erased user is ever inserted again, whatever writes it. For migrations.

A trigger looks at `erasures` before each insert, under a shared lock of the user, which recording an erasure takes exclusively: a
transaction that inserts either commits before the erasure is recorded, so that its rows are found, or is refused.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from chassis.postgres.migrations import Executes

ERASED_STATE: Final = "SE152"
"""SQLSTATE of a refused insert; chassis.postgres.database makes ACCOUNT_ERASED of it."""
LOCK_SPACE: Final = 1520152
"""First half of the advisory locks of users; the second is a hash of the id."""
GUARD: Final = "refuse_erased"

LOCK_USER: Final = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, hashtext($1::uuid::text))"

_CREATE: Final = (
    # Volatile, so that the second statement sees what was committed while the first one waited.
    f"""
    CREATE FUNCTION {GUARD}() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({LOCK_SPACE}, hashtext(NEW.user_id::text));
        IF EXISTS (SELECT FROM erasures WHERE user_id = NEW.user_id) THEN
            RAISE EXCEPTION 'the user is erased' USING ERRCODE = '{ERASED_STATE}';
        END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE INDEX erasures_pending ON erasures (requested_at) WHERE done_at IS NULL",
    "CREATE INDEX audit_log_actor ON audit_log (actor, at)",
    # The log is append only for the service; to forget who did it is all that may be changed, and only through here.
    """
    CREATE FUNCTION audit_forget(erased text, most integer) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS $$
        WITH batch AS (SELECT at, id FROM audit_log WHERE actor = erased LIMIT most),
        forgotten AS (
            UPDATE audit_log SET actor = NULL, address = NULL, request_id = NULL
            FROM batch WHERE audit_log.at = batch.at AND audit_log.id = batch.id RETURNING 1
        )
        SELECT count(*) FROM forgotten
    $$
    """,
)
_DROP: Final = (
    "DROP FUNCTION audit_forget(text, integer)",
    "DROP INDEX audit_log_actor",
    "DROP INDEX erasures_pending",
    f"DROP FUNCTION {GUARD}()",
)


def create_guard(op: Executes, tables: Iterable[str]) -> None:
    """Creates the objects that erasures need, and guards the tables, each with a column `user_id`. Once in a service's database."""
    for statement in _CREATE:
        op.execute(statement)
    guard_tables(op, tables)


def guard_tables(op: Executes, tables: Iterable[str]) -> None:
    """Guards more tables. One whose rows go with the row of a guarded table, by its foreign key, needs no guard of its own."""
    for table in tables:
        op.execute(f"CREATE TRIGGER {GUARD} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {GUARD}()")


def drop_guard(op: Executes, tables: Sequence[str]) -> None:
    """Undoes `create_guard`."""
    for table in tables:
        op.execute(f"DROP TRIGGER {GUARD} ON {table}")
    for statement in _DROP:
        op.execute(statement)
