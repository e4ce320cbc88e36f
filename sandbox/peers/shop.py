"""The Payment and Account stand-ins: orders, refunds, deleted accounts. Called by sandbox.peers.servicers."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from account.v1 import events_pb2 as account_events
from payment.v1 import events_pb2 as payment_events
from sqlalchemy import text

from chassis.cloudevents.events import new_event
from chassis.errors import DomainError, Kind
from chassis.postgres.database import Database
from sandbox.peers.catalog import product_not_found

_TYPES = text("SELECT id, product_type FROM products WHERE id = ANY(:ids)")
_IS_DELETED = text("SELECT deleted_at FROM deleted_accounts WHERE user_id = :user_id")
_PUT_ORDER = text("INSERT INTO orders (id, user_id, paid_at) VALUES (:id, :user_id, :paid_at)")
_PUT_ITEM = text("INSERT INTO order_items (order_id, product_id) VALUES (:order_id, :product_id)")
_ORDER_FOR_UPDATE = text("SELECT id, user_id, refund_id FROM orders WHERE id = :id FOR UPDATE")
_ORDER_ITEMS = text("SELECT product_id FROM order_items WHERE order_id = :id ORDER BY product_id")
_REFUND = text("UPDATE orders SET refund_id = :refund_id, refunded_at = :now WHERE id = :id")
_DELETE_ACCOUNT = text("""
INSERT INTO deleted_accounts (user_id, deleted_at) VALUES (:user_id, :now) ON CONFLICT (user_id) DO NOTHING RETURNING user_id
""")


class Shop:
    """Each method is one transaction with its event."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def buy(self, user_id: UUID, product_ids: Sequence[UUID]) -> UUID:
        """A paid order of one copy each. Returns the order's id.

        Raises:
            DomainError: PRODUCT_NOT_FOUND; PERMISSION_DENIED for a deleted account.
        """
        wanted = list(dict.fromkeys(product_ids))
        order_id, now = uuid4(), self._now()
        async with self._database.begin() as tx:
            if (await tx.connection.execute(_IS_DELETED, {"user_id": user_id})).one_or_none() is not None:
                raise DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED")
            types = {row.id: row.product_type for row in await tx.connection.execute(_TYPES, {"ids": wanted})}
            for product_id in wanted:
                if product_id not in types:
                    raise product_not_found(product_id)
            await tx.connection.execute(_PUT_ORDER, {"id": order_id, "user_id": user_id, "paid_at": now})
            await tx.connection.execute(_PUT_ITEM, [{"order_id": order_id, "product_id": one} for one in wanted])
            items = [
                payment_events.PurchasedItem(product_id=str(one), product_type=types[one], quantity=1) for one in wanted
            ]
            event = payment_events.PurchaseCompleted(
                user_id=str(user_id), order_id=str(order_id), items=items, purchase_timestamp=now
            )
            tx.record(new_event(event, now=now))
            await tx.commit()
        return order_id

    async def refund(self, order_id: UUID) -> UUID:
        """Pays the whole order back; a second time it is the same refund. Returns its id.

        Raises:
            DomainError: INVALID_ARGUMENT for an unknown order.
        """
        refund_id, now = uuid4(), self._now()
        async with self._database.begin() as tx:
            order = (await tx.connection.execute(_ORDER_FOR_UPDATE, {"id": order_id})).one_or_none()
            if order is None:
                description = f"there is no order {order_id}"
                raise DomainError(Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description})
            if order.refund_id is not None:
                return UUID(str(order.refund_id))
            await tx.connection.execute(_REFUND, {"id": order_id, "refund_id": refund_id, "now": now})
            items = await tx.connection.execute(_ORDER_ITEMS, {"id": order_id})
            event = payment_events.RefundCompleted(
                user_id=str(order.user_id),
                order_id=str(order_id),
                refund_id=str(refund_id),
                items=[payment_events.RefundedItem(product_id=str(row.product_id)) for row in items],
                refunded_at=now,
            )
            tx.record(new_event(event, now=now))
            await tx.commit()
        return refund_id

    async def delete_user(self, user_id: UUID) -> None:
        """Deletes the account. Idempotent: an account is deleted, and its deletion published, once."""
        now = self._now()
        async with self._database.begin() as tx:
            gone = await tx.connection.execute(_DELETE_ACCOUNT, {"user_id": user_id, "now": now})
            if gone.one_or_none() is not None:
                tx.record(new_event(account_events.UserDeleted(user_id=str(user_id), deleted_at=now), now=now))
                await tx.commit()
