"""Granting and revoking the right to products; the item in the library follows. Called by the consumers of Payment's events and
by LibraryInternalService.

`event_id` is the event's that told of it, remembered in the same transaction; None when it was asked for directly. Both ways are
idempotent by source and product.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from library_svc.access.application import AccessCache, changing
from library_svc.changes import differing
from library_svc.entitlements.domain import (
    WHOLE_SOURCE,
    Grant,
    KeyAlreadyActivated,
    Source,
    SourceKind,
    foundation,
    held_since,
)
from library_svc.ids import EventId, ItemId, PlaytimeSessionId, ProductId, UserId
from library_svc.installations.domain import shown
from library_svc.items.application import record_changed
from library_svc.items.domain import GameAdded, GameRemoved, Item, RemovalReason
from library_svc.playtime.application import HeartbeatStore, cut_off_sessions
from library_svc.transaction import Begin, Transaction
from library_svc.wishlist.domain import WishlistItemRemoved

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GrantResult:
    """A grant after a use case, and whether it stood before."""

    grant: Grant
    was_known: bool
    stood: bool


async def grant(
    begin: Begin,
    access_cache: AccessCache,
    *,
    event_id: EventId | None,
    user_id: UserId,
    product_ids: Sequence[ProductId],
    source: Source,
    at: datetime,
) -> Sequence[GrantResult]:
    """Gives the user the products, in one transaction. A grant of this source that is known stays; it may have begun earlier. A
    grant of a source that ended as a whole is recorded as ended.

    Returns:
        The source's grant of each product; nothing for an event that was handled before.

    Raises:
        KeyAlreadyActivated: the source is a key that is another user's.
    """
    settled = []
    async with changing(access_cache, user_id, product_ids), begin(user_id) as tx:
        if event_id is not None and not await tx.first_time(event_id):
            return ()
        await tx.lock_user(user_id)
        of_source = {known.product_id: known for known in await tx.entitlements.of_source(user_id, source)}
        if source.kind is SourceKind.KEY and not of_source.keys() >= set(product_ids):
            await _claim_key(tx, user_id, source)
        for product_id in dict.fromkeys(product_ids):
            grants = {known.source: known for known in await tx.entitlements.of_product(user_id, product_id)}
            known, whole = grants.get(source), of_source.get(WHOLE_SOURCE)
            new = known.granted(at) if known else Grant(user_id, product_id, source, granted_at=at)
            if whole is not None and whole.revoked_at is not None:
                new = new.revoked(whole.revoked_at)
            settled.append(GrantResult(new, was_known=known is not None, stood=known is not None and known.stands))
            if new == known:
                continue
            await tx.entitlements.save(new)
            if await _keep_item(tx, {**grants, source: new}.values()) and known is None and new.stands:
                await _fulfil_wish(tx, new)
        await tx.commit()
    logger.info(
        "granted", extra={"event_id": event_id and event_id.id, "source": source.kind, "products": len(product_ids)}
    )
    return settled


async def revoke(
    begin: Begin,
    access_cache: AccessCache,
    heartbeat_store: HeartbeatStore,
    *,
    event_id: EventId | None,
    user_id: UserId,
    product_ids: Sequence[ProductId],
    source: Source,
    reason: RemovalReason,
    at: datetime,
) -> Sequence[GrantResult]:
    """Ends the source's grants of the products, in one transaction; items that rest on nothing else go, and whoever plays them is
    cut off.

    A grant that is not known yet is recorded as ended, so that it changes nothing when it comes late.

    Returns:
        The source's grant of each product; nothing for an event that was handled before.
    """
    settled, cut_off = [], list[tuple[UserId, PlaytimeSessionId]]()
    async with changing(access_cache, user_id, product_ids), begin(user_id) as tx:
        if event_id is not None and not await tx.first_time(event_id):
            return ()
        await tx.lock_user(user_id)
        for product_id in dict.fromkeys(product_ids):
            grants = {known.source: known for known in await tx.entitlements.of_product(user_id, product_id)}
            known = grants.get(source)
            ended = (known or Grant(user_id, product_id, source, granted_at=at)).revoked(at)
            settled.append(GrantResult(ended, was_known=known is not None, stood=known is not None and known.stands))
            await tx.entitlements.save(ended)
            if not await _keep_item(tx, {**grants, source: ended}.values()):
                cut_off += await _remove_item(tx, heartbeat_store, user_id, product_id, reason, at)
        await tx.commit()
    if cut_off:
        await heartbeat_store.forget(cut_off)
    logger.info(
        "revoked", extra={"event_id": event_id and event_id.id, "source": source.kind, "products": len(product_ids)}
    )
    return settled


async def revoke_whole(
    begin: Begin,
    access_cache: AccessCache,
    heartbeat_store: HeartbeatStore,
    *,
    event_id: EventId | None,
    user_id: UserId,
    source: Source,
    reason: RemovalReason,
    at: datetime,
) -> Sequence[GrantResult]:
    """Ends all that the source granted, and will be said to have granted.

    The end of the source is recorded first: from then on no grant of it can begin to stand, so those that are read with it are all.
    Both steps may be repeated.
    """
    async with begin(user_id) as tx:
        await tx.lock_user(user_id)
        of_source = {known.product_id: known for known in await tx.entitlements.of_source(user_id, source)}
        whole = of_source.pop(WHOLE_SOURCE, None) or Grant(user_id, WHOLE_SOURCE, source, granted_at=at)
        await tx.entitlements.save(whole.revoked(at))
        await tx.commit()
    return await revoke(
        begin,
        access_cache,
        heartbeat_store,
        event_id=event_id,
        user_id=user_id,
        product_ids=sorted(of_source),
        source=source,
        reason=reason,
        at=at,
    )


async def _keep_item(tx: Transaction, grants: Collection[Grant]) -> bool:
    """Has the user own an item that rests on the product's grants, if one of them stands.

    Returns:
        Whether one does.
    """
    base, since = foundation(grants), held_since(grants)
    if base is None or since is None:
        return False
    item = await tx.items.of_product(base.user_id, base.product_id)
    if item is None:
        item = Item(
            id=ItemId(uuid4()),
            user_id=base.user_id,
            product_id=base.product_id,
            added_at=since,
            acquisition_type=base.source.acquisition_type,
        )
        # The product may be on a disk, and played, since an earlier time in the library.
        item = shown(item, await tx.installations.of_product(base.user_id, base.product_id))
        played = await tx.playtime.played(base.user_id, base.product_id)
        await tx.items.add(item.with_playtime(played.total_seconds, played.last_played_at))
        tx.record(GameAdded(item.user_id, item.product_id, item.acquisition_type, item.added_at))
        return True
    after = replace(item, added_at=since, acquisition_type=base.source.acquisition_type)
    if after != item:
        await tx.items.save(after)
        record_changed(tx, after, differing(item, after))
    return True


async def _claim_key(tx: Transaction, user_id: UserId, source: Source) -> None:
    if await tx.entitlements.claim_key(user_id, source.id) != user_id:
        raise KeyAlreadyActivated


async def _fulfil_wish(tx: Transaction, new: Grant) -> None:
    """Remove an acquired product from the user's wishlist, however it was acquired."""
    if wish := await tx.wishlist.of_product(new.user_id, new.product_id):
        await tx.wishlist.remove(wish)
        tx.record(WishlistItemRemoved(wish.user_id, wish.product_id, wish.id, removed_at=new.granted_at))


async def _remove_item(
    tx: Transaction,
    heartbeat_store: HeartbeatStore,
    user_id: UserId,
    product_id: ProductId,
    reason: RemovalReason,
    at: datetime,
) -> Sequence[tuple[UserId, PlaytimeSessionId]]:
    cut_off = await cut_off_sessions(tx, heartbeat_store, await tx.playtime.live(user_id, product_id))
    if item := await tx.items.of_product(user_id, product_id):
        await tx.items.remove(item)
        tx.record(GameRemoved(user_id, product_id, reason, removed_at=at))
    return cut_off
