"""The audit log: who tried what, and the result. Written by services in the transaction of the audited change."""

from sqlalchemy import text

from chassis.auth.changes import running_change
from chassis.postgres.database import Transaction

_INSERT = text(
    "INSERT INTO audit_log (actor, actor_kind, address, action, resource, outcome, request_id) "
    "VALUES (:actor, :actor_kind, CAST(:address AS inet), :action, :resource, :outcome, :request_id)"
)


async def note(
    tx: Transaction,
    *,
    actor: str,
    actor_kind: str,
    action: str,
    resource: str,
    outcome: str,
    address: str | None = None,
    request_id: str | None = None,
) -> None:
    """Adds an entry. `actor_kind` says what `actor` names, `user` or `service`; `address` is the client's IP address."""
    values = {
        "actor": actor,
        "actor_kind": actor_kind,
        "address": address,
        "action": action,
        "resource": resource,
        "outcome": outcome,
        "request_id": request_id,
    }
    await tx.connection.execute(_INSERT, values)
    if (change := running_change()) is not None:
        change.is_recorded = True  # with its own words, so nothing is added to them
