"""The installation status follows Download's events. Called by the consumers of Download's events."""

from library_svc.changes import differing
from library_svc.ids import EventId, ProductId, UserId
from library_svc.installations.domain import News, shown
from library_svc.items.application import record_changed
from library_svc.transaction import Begin


async def follow(begin: Begin, *, event_id: EventId, user_id: UserId, product_id: ProductId, news: News) -> None:
    """Remembers the news and shows it on the item, in one transaction.

    It is remembered without an item too: the item may be on its way, or come back.
    """
    async with begin(user_id) as tx:
        if not await tx.first_time(event_id):
            return
        await tx.lock_user(user_id)
        known = await tx.installations.of_product(user_id, product_id)
        state = known.after(news)
        if state is not known:
            await tx.installations.save(user_id, product_id, news)
            if item := await tx.items.of_product(user_id, product_id):
                after = shown(item, state)
                await tx.items.save(after)
                record_changed(tx, after, differing(item, after))
        await tx.commit()
