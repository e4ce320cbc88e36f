"""Bringing a game's saves on this device and in the cloud together: compares, then pushes, pulls or asks. Called by the commands
and around `samovar play`.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from launcher.api.saves_api import CloudSlot, CloudVersion
from launcher.failures import ExitCode, LauncherError
from launcher.saves.archive import Packed, pack, sha256_of, unpack
from launcher.saves.plan import Action, Base, CloudSide, decide
from launcher.saves.rules import SaveBook, SaveRule
from launcher.saves.sealing import SaveKey, is_sealed, seal, unseal


class Prefer(StrEnum):
    """The resolution of a conflict."""

    CLOUD = "cloud"
    LOCAL = "local"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a conflict, to be shown."""

    local: Packed
    cloud: CloudSlot


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of a sync.

    Attributes:
        version: of the cloud after it; None: nothing is there.
        kept: the folder with what a pull replaced.
    """

    product_id: UUID
    slot: str
    action: str
    version: int | None = None
    files: int = 0
    kept: str | None = None


class Cloud(Protocol):
    """The part of launcher.api.saves_api.SavesApi that a sync needs."""

    async def slots(self, product_id: UUID | None = None) -> Sequence[CloudSlot]: ...
    async def versions(self, savegame_id: str) -> Sequence[CloudVersion]: ...
    async def upload(self, content: Path, attributes: Mapping[str, Any]) -> CloudSlot: ...
    async def download(self, savegame_id: str, version: int, target: Path) -> None: ...
    async def restore(self, savegame_id: str, version: int) -> CloudSlot: ...
    async def resolve(self, slot: CloudSlot, keep: str) -> CloudSlot: ...


Ask = Callable[[Sides], Prefer | None]
"""Shows both sides of a conflict; None leaves it open."""


class SaveSync:
    """One device's sync of one rule at a time."""

    def __init__(self, cloud: Cloud, book: SaveBook, *, device_id: UUID, ask: Ask, key: SaveKey | None = None) -> None:
        self._cloud = cloud
        self._book = book
        self._device_id = device_id
        self._ask = ask
        self._key = key

    async def sync(self, rule: SaveRule) -> Synced:
        """Does what `decide` says.

        Raises:
            LauncherError: SAVE_CONFLICT, nobody decided; a file cannot be read; nothing is lost or half done.
        """
        async with self._packed(rule) as packed:
            slot = await self.find_slot(rule)
            base = self._book.base(rule)
            action = decide(base, packed.sha256 if packed else None, _side(base, slot))
            match action:
                case Action.PUSH:
                    assert packed is not None  # noqa: S101  there is something to push
                    return await self._push(rule, packed, slot.version if slot else None)
                case Action.PULL:
                    assert slot is not None  # noqa: S101  there is something to pull
                    return await self._pull(rule, slot)
                case Action.CONFLICT:
                    assert packed is not None and slot is not None  # noqa: S101, PT018  two sides
                    return await self._settle(rule, packed, slot)
                case Action.ADOPT:
                    assert slot is not None  # noqa: S101  it is in the cloud
                    self._note(rule, slot, packed.sha256 if packed else "")
                case Action.FORGET:
                    self._book.set_base(rule, None)
                case Action.DELETED_IN_CLOUD | Action.NOTHING:
                    pass
            files = packed.files if packed else 0
            return Synced(rule.product_id, rule.slot, action.value, slot.version if slot else None, files)

    async def push(self, rule: SaveRule) -> Synced:
        """Uploads what is here as the successor of the last synced version; the server refuses a stale one.

        Raises:
            LauncherError: SAVES_MISSING, the patterns name no file; SAVE_CONFLICT, both are kept in the cloud.
        """
        async with self._packed(rule) as packed:
            if packed is None:
                raise _missing(rule)
            base, slot = self._book.base(rule), await self.find_slot(rule)
            return await self._push(rule, packed, base.version if base and slot else None)

    async def pull(self, rule: SaveRule, version: int | None = None) -> Synced:
        """Puts a version, the current one by default, in place of what is here, which is kept beside.

        Raises:
            LauncherError: SAVEGAME_SLOT_NOT_FOUND, and what download and unpacking raise.
        """
        return await self._pull(rule, await self.require_slot(rule), version)

    async def restore(self, rule: SaveRule, version: int) -> Synced:
        """Makes an older version current in the cloud and puts it here."""
        slot = await self._cloud.restore((await self.require_slot(rule)).id, version)
        return await self._pull(rule, slot)

    async def find_slot(self, rule: SaveRule) -> CloudSlot | None:
        wanted = rule.slot.casefold()
        slots = await self._cloud.slots(rule.product_id)
        return next((slot for slot in slots if slot.name.casefold() == wanted), None)

    async def require_slot(self, rule: SaveRule) -> CloudSlot:
        """Raises: LauncherError: the cloud has no such slot."""
        slot = await self.find_slot(rule)
        if slot is None:
            message = f"the cloud has no slot {rule.slot!r} of this game"
            raise LauncherError("SAVEGAME_SLOT_NOT_FOUND", message, ExitCode.DENIED)
        return slot

    async def _settle(self, rule: SaveRule, packed: Packed, slot: CloudSlot) -> Synced:
        if self._key is not None and await self._has_content(slot, packed.sha256):
            self._note(rule, slot, packed.sha256)
            return Synced(rule.product_id, rule.slot, Action.ADOPT.value, slot.version, packed.files)
        match self._ask(Sides(packed, slot)):
            case Prefer.CLOUD:
                return await self._pull(rule, slot)
            case Prefer.LOCAL:
                return await self._push(rule, packed, slot.version)
            case Prefer.BOTH:
                return await self._keep_both(rule, packed)
            case None:
                raise _conflict(rule, slot.version)

    async def _keep_both(self, rule: SaveRule, packed: Packed) -> Synced:
        """Uploads what is here as the other side, moves it to a slot of its own, and takes the cloud's."""
        try:
            slot = await self._upload(rule, packed, None)
        except LauncherError as refusal:
            if refusal.code != "SAVEGAME_VERSION_CONFLICT":
                raise
            slot = await self._cloud.resolve(await self.require_slot(rule), "both")
        pulled = await self._pull(rule, slot)
        return Synced(rule.product_id, rule.slot, "kept_both", pulled.version, pulled.files, pulled.kept)

    async def _push(self, rule: SaveRule, packed: Packed, base_version: int | None) -> Synced:
        try:
            slot = await self._upload(rule, packed, base_version)
        except LauncherError as refusal:
            if refusal.code != "SAVEGAME_VERSION_CONFLICT":
                raise
            slot = await self.require_slot(rule)
            raise _conflict(rule, slot.version) from None
        self._note(rule, slot, packed.sha256)
        return Synced(rule.product_id, rule.slot, Action.PUSH.value, slot.version, packed.files)

    async def _pull(self, rule: SaveRule, slot: CloudSlot, version: int | None = None) -> Synced:
        chosen = slot.version if version is None else version
        with tempfile.TemporaryDirectory(prefix="samovar-save-") as work:
            archive = await self._fetch(slot, chosen, Path(work))
            sha256 = await asyncio.to_thread(sha256_of, archive)
            kept = await asyncio.to_thread(unpack, archive, rule.folder, rule.patterns)
        # An older version beside the current one is a change made here: its base stays the current one.
        self._note(rule, slot, sha256 if chosen == slot.version else "")
        return Synced(rule.product_id, rule.slot, Action.PULL.value, chosen, kept=str(kept) if kept else None)

    async def _fetch(self, slot: CloudSlot, version: int, work: Path) -> Path:
        """The archive of a version, decrypted if it has to be."""
        fetched, opened = work / "fetched", work / "save.tar"
        await self._cloud.download(slot.id, version, fetched)
        if not await asyncio.to_thread(is_sealed, fetched):
            return fetched
        await asyncio.to_thread(unseal, fetched, opened, self._key)
        return opened

    async def _has_content(self, slot: CloudSlot, sha256: str) -> bool:
        """Sealed bytes differ each time: what is in them has to be looked at."""
        with tempfile.TemporaryDirectory(prefix="samovar-save-") as work:
            archive = await self._fetch(slot, slot.version, Path(work))
            return await asyncio.to_thread(sha256_of, archive) == sha256

    async def _upload(self, rule: SaveRule, packed: Packed, base_version: int | None) -> CloudSlot:
        if self._key is None:
            return await self._cloud.upload(packed.path, self._attributes(rule, packed, base_version))
        sealed = packed.path.with_suffix(".sealed")
        await asyncio.to_thread(seal, packed.path, sealed, self._key)
        sha256 = await asyncio.to_thread(sha256_of, sealed)
        size_bytes = (await asyncio.to_thread(sealed.stat)).st_size
        sent = replace(packed, path=sealed, size_bytes=size_bytes, sha256=sha256)
        return await self._cloud.upload(sealed, self._attributes(rule, sent, base_version))

    def _note(self, rule: SaveRule, slot: CloudSlot, sha256: str) -> None:
        """`sha256` is of the archive, not of what encryption made of it."""
        self._book.set_base(rule, Base(slot.id, slot.version, sha256))

    def _attributes(self, rule: SaveRule, packed: Packed, base_version: int | None) -> Mapping[str, Any]:
        return {
            "product_id": str(rule.product_id),
            "save_slot_name": rule.slot,
            "file_size_bytes": packed.size_bytes,
            "file_hash_sha256": packed.sha256,
            "client_modified_at": (packed.modified_at or datetime.now(UTC)).isoformat(),
            "device_id": str(self._device_id),
            **({} if base_version is None else {"base_version": base_version}),
        }

    @asynccontextmanager
    async def _packed(self, rule: SaveRule) -> AsyncIterator[Packed | None]:
        with tempfile.TemporaryDirectory(prefix="samovar-save-") as work:
            yield await asyncio.to_thread(pack, rule.folder, rule.patterns, Path(work))


def _side(base: Base | None, slot: CloudSlot | None) -> CloudSide | None:
    """The cloud's side; of the version that was synced last it is known what is in it, encrypted or not."""
    if slot is None:
        return None
    is_known = base is not None and base.sha256 != "" and (base.savegame_id, base.version) == (slot.id, slot.version)
    return CloudSide(slot.id, slot.version, base.sha256 if is_known and base else slot.sha256)


def _missing(rule: SaveRule) -> LauncherError:
    patterns = ", ".join(repr(pattern) for pattern in rule.patterns)
    return LauncherError("SAVES_MISSING", f"{rule.folder} has no file named by {patterns}", ExitCode.USAGE)


def _conflict(rule: SaveRule, version: int) -> LauncherError:
    message = (
        f"the slot {rule.slot!r} changed here and in the cloud (version {version} there); nothing was overwritten: "
        "run `samovar saves sync` with --prefer cloud, local or both"
    )
    return LauncherError("SAVE_CONFLICT", message, ExitCode.SAVE_CONFLICT)
