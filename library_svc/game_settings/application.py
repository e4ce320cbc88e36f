"""Putting and patching a user's settings of a game. Called by GameSettingsSyncService.

Only who may use the product may store for it: else anybody could keep anything here under any id. What is kept stays readable
when the right to the product ends, as saves do.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from library_svc.entitlements.domain import ProductAccessDenied, foundation
from library_svc.game_settings.domain import (
    GameSettings,
    GameSettingsNotFound,
    GameSettingsUpdated,
    Payload,
    SettingsVersionConflict,
    checked,
    with_patch,
)
from library_svc.ids import ProductId, UserId
from library_svc.transaction import Begin, Transaction


class GameSettingsReader(Protocol):
    """Reads outside of any transaction; each is one statement."""

    async def get_settings(self, user_id: UserId, product_id: ProductId) -> GameSettings | None: ...


async def put_settings(
    begin: Begin,
    *,
    user_id: UserId,
    product_id: ProductId,
    payload: Payload,
    if_match: Collection[str],
    now: datetime,
) -> GameSettings:
    """Puts whole settings in one transaction: the first, or those in place of a version that `if_match` names.

    Raises:
        ProductAccessDenied: the user may not use the product.
        PreconditionRequired, SettingsVersionConflict: `if_match` does not name the version that is there.
        DomainError: the payload cannot be kept (domain `checked`).
    """
    async with begin(user_id) as tx:
        before = await _open(tx, user_id, product_id)
        if before is None:
            if if_match:
                raise SettingsVersionConflict(None)
            after = GameSettings(user_id, product_id, checked(payload), 1, now, now)
        else:
            before.require_match(if_match)
            after = before.with_payload(payload, now)
        await _save(tx, before, after)
        await tx.commit()
    return after


async def patch_settings(
    begin: Begin,
    *,
    user_id: UserId,
    product_id: ProductId,
    patch: Payload,
    if_match: Collection[str],
    now: datetime,
) -> GameSettings:
    """Merges a patch (RFC 7396) into a version that `if_match` names, in one transaction.

    Raises:
        ProductAccessDenied: the user may not use the product.
        GameSettingsNotFound: there is nothing to patch.
        PreconditionRequired, SettingsVersionConflict: `if_match` does not name the version that is there.
        DomainError: the result cannot be kept (domain `checked`).
    """
    async with begin(user_id) as tx:
        before = await _open(tx, user_id, product_id)
        if before is None:
            raise GameSettingsNotFound(product_id)
        before.require_match(if_match)
        after = before.with_payload(with_patch(before.settings_payload, patch), now)
        await _save(tx, before, after)
        await tx.commit()
    return after


async def _open(tx: Transaction, user_id: UserId, product_id: ProductId) -> GameSettings | None:
    """Return the stored settings, if any, with the user locked: the first settings may be on their way from another device."""
    await tx.lock_user(user_id)
    if foundation(await tx.entitlements.of_product(user_id, product_id)) is None:
        raise ProductAccessDenied(product_id)
    return await tx.game_settings.find(user_id, product_id)


async def _save(tx: Transaction, before: GameSettings | None, after: GameSettings) -> None:
    await tx.game_settings.save(after)
    if before is None or before.version != after.version:
        tx.record(GameSettingsUpdated(after.user_id, after.product_id, updated_at=after.last_updated_at))
