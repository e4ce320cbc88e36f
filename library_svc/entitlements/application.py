"""Granting and revoking the right to products; the item in the library follows. Called by the consumers of Payment's events and
by LibraryInternalService.

`event_id` is the event's that told of it, remembered in the same transaction; None when it was asked for directly. Both ways are
idempotent by source and product.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from library_svc.access.application import KnownAccess, changing
from library_svc.entitlements.domain import Grant, Source, foundation
from library_svc.ids import EventId, ItemId, PlaytimeSessionId, ProductId, UserId
from library_svc.installations.domain import shown
from library_svc.items.application import tell_changed
from library_svc.items.domain import GameAdded, GameRemoved, Item, RemovalReason
from library_svc.playtime.application import Pulses, cut_off_sessions
from library_svc.transaction import Begin, Transaction
from library_svc.wishlist.domain import WishlistItemRemoved

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """A grant after a use case, and whether it stood before."""

    grant: Grant
    was_known: bool
    stood: bool


async def grant(
    begin: Begin,
    known_access: KnownAccess,
    *,
    event_id: EventId | None,
    user_id: UserId,
    product_ids: Sequence[ProductId],
    source: Source,
    at: datetime,
) -> Sequence[Settled]:
    """Gives the user the products, in one transaction. A grant of this source that was heard of before stays as it is.

    Returns:
        The source's grant of each product; nothing for an event that was handled before.
    """
    settled = []
    async with changing(known_access, user_id, product_ids), begin(user_id) as tx:
        if event_id is not None and not await tx.is_first(event_id):
            return ()
        await tx.lock_user(user_id)
        for product_id in dict.fromkeys(product_ids):
            grants = await tx.entitlements.of_product(user_id, product_id)
            if known := next((known for known in grants if known.source == source), None):
                settled.append(Settled(known, was_known=True, stood=known.stands))
                continue
            new = Grant(user_id, product_id, source, granted_at=at)
            await tx.entitlements.save(new)
            await _keep_item(tx, foundation([*grants, new]) or new)
            await _fulfil_wish(tx, new)
            settled.append(Settled(new, was_known=False, stood=False))
        await tx.commit()
    logger.info(
        "granted", extra={"event_id": event_id and event_id.id, "source": source.kind, "products": len(product_ids)}
    )
    return settled


async def revoke(
    begin: Begin,
    known_access: KnownAccess,
    pulses: Pulses,
    *,
    event_id: EventId | None,
    user_id: UserId,
    product_ids: Sequence[ProductId],
    source: Source,
    reason: RemovalReason,
    at: datetime,
) -> Sequence[Settled]:
    """Ends the source's grants of the products, in one transaction; items that rest on nothing else go, and whoever plays them is
    cut off.

    A grant that was not heard of yet is recorded as ended, so that it changes nothing when it comes late.

    Returns:
        The source's grant of each product; nothing for an event that was handled before.
    """
    settled, cut_off = [], list[tuple[UserId, PlaytimeSessionId]]()
    async with changing(known_access, user_id, product_ids), begin(user_id) as tx:
        if event_id is not None and not await tx.is_first(event_id):
            return ()
        await tx.lock_user(user_id)
        for product_id in dict.fromkeys(product_ids):
            grants = {known.source: known for known in await tx.entitlements.of_product(user_id, product_id)}
            known = grants.get(source)
            ended = (known or Grant(user_id, product_id, source, granted_at=at)).revoked(at)
            settled.append(Settled(ended, was_known=known is not None, stood=known is not None and known.stands))
            await tx.entitlements.save(ended)
            if base := foundation({**grants, source: ended}.values()):
                await _keep_item(tx, base)
            else:
                cut_off += await _remove_item(tx, pulses, user_id, product_id, reason, at)
        await tx.commit()
    if cut_off:
        await pulses.forget(cut_off)
    logger.info(
        "revoked", extra={"event_id": event_id and event_id.id, "source": source.kind, "products": len(product_ids)}
    )
    return settled


async def _keep_item(tx: Transaction, base: Grant) -> None:
    """Has the user own an item that rests on this grant."""
    item = await tx.items.of_product(base.user_id, base.product_id)
    if item is None:
        item = Item(
            id=ItemId(uuid4()),
            user_id=base.user_id,
            product_id=base.product_id,
            added_at=base.granted_at,
            acquisition_type=base.source.acquisition_type,
        )
        # The product may be on a disk, and played, since an earlier time in the library.
        item = shown(item, await tx.installations.of_product(base.user_id, base.product_id))
        played = await tx.playtime.played(base.user_id, base.product_id)
        await tx.items.add(item.with_playtime(played.total_seconds, played.last_played_at))
        tx.record(GameAdded(item.user_id, item.product_id, item.acquisition_type, item.added_at))
    elif item.acquisition_type is not base.source.acquisition_type:
        await tx.items.save(replace(item, acquisition_type=base.source.acquisition_type))
        tell_changed(tx, item, {"acquisition_type"})


async def _fulfil_wish(tx: Transaction, new: Grant) -> None:
    """What the user comes by, however, leaves their wishlist."""
    if wish := await tx.wishlist.of_product(new.user_id, new.product_id):
        await tx.wishlist.remove(wish)
        tx.record(WishlistItemRemoved(wish.user_id, wish.product_id, wish.id, removed_at=new.granted_at))


async def _remove_item(
    tx: Transaction, pulses: Pulses, user_id: UserId, product_id: ProductId, reason: RemovalReason, at: datetime
) -> Sequence[tuple[UserId, PlaytimeSessionId]]:
    cut_off = await cut_off_sessions(tx, pulses, await tx.playtime.live(user_id, product_id))
    if item := await tx.items.of_product(user_id, product_id):
        await tx.items.remove(item)
        tx.record(GameRemoved(user_id, product_id, reason, removed_at=at))
    return cut_off
