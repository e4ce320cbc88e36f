"""The work behind `samovar saves`, with everything heavy imported. Loaded by launcher.cli.saves_app when a command runs, and by
`play`.
"""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from depot.terminal import say
from launcher.api.library_api import open_library
from launcher.api.saves_api import SavesApi, open_saves
from launcher.cli.display import write_json
from launcher.cli.naming import find_product
from launcher.failures import ExitCode, LauncherError
from launcher.saves.rules import DEFAULT_PATTERNS, SaveBook, SaveRule
from launcher.saves.sealing import SaveKey
from launcher.saves.sync import Ask, Prefer, SaveSync, Sides, Synced
from launcher.settings import Account, Environment


async def set_rule(
    owner: Account, game: str, folder: Path, patterns: Sequence[str], slot: str, *, as_json: bool
) -> None:
    """Says where a game's saves lie."""
    async with open_library(owner) as library:
        product_id, title = await find_product(library, game)
    rule = SaveRule(product_id, folder, tuple(patterns) or DEFAULT_PATTERNS, slot)
    _book(owner).set_rule(rule)
    _say(rule, f"the saves of {title} are {', '.join(rule.patterns)} in {rule.folder}", as_json=as_json)


async def show_slots(owner: Account, *, as_json: bool) -> None:
    """Every slot in the cloud."""
    async with open_saves(owner) as api:
        slots = await api.slots()
    if as_json:
        write_json([asdict(slot) for slot in slots])
        return
    for slot in slots:
        note = f"  conflict with version {slot.conflict_version}" if slot.conflict_version else ""
        say(
            f"{slot.product_id}  {slot.name}  version {slot.version}  {slot.size_bytes:,} bytes  "
            f"{slot.client_modified_at}{note}"
        )
    if not slots:
        say("the cloud has no saves of yours")


async def sync(owner: Account, game: str | None, prefer: str | None, *, as_json: bool) -> None:
    """Syncs one game, or all that have a rule; one that fails holds up no other."""
    book = _book(owner)
    rules = book.rules() if game is None else [book.rule(await _product(owner, game))]
    failures: list[LauncherError] = []
    async with open_saves(owner) as api:
        for rule in rules:
            try:
                _show(await _sync(owner, api, prefer).sync(rule), as_json=as_json)
            except LauncherError as failure:
                failures.append(failure)
                if len(rules) > 1:
                    text = f"{rule.product_id} {rule.slot}: {failure}"
                    say(text, err=True)
    if not rules:
        say("no game has a rule for its saves: see `samovar saves rule --help`")
    if failures:
        raise failures[0]


async def push(owner: Account, game: str, *, as_json: bool) -> None:
    """Uploads what is here."""
    async with _of_game(owner, game) as (syncing, _, rule):
        _show(await syncing.push(rule), as_json=as_json)


async def pull(owner: Account, game: str, version: int | None, *, as_json: bool) -> None:
    """Puts a version here."""
    async with _of_game(owner, game) as (syncing, _, rule):
        _show(await syncing.pull(rule, version), as_json=as_json)


async def restore(owner: Account, game: str, version: int, *, as_json: bool) -> None:
    """Makes an older version current, in the cloud and here."""
    async with _of_game(owner, game) as (syncing, _, rule):
        _show(await syncing.restore(rule, version), as_json=as_json)


async def show_versions(owner: Account, game: str, *, as_json: bool) -> None:
    """The kept versions of the game's slot."""
    async with _of_game(owner, game) as (syncing, api, rule):
        versions = await api.versions((await syncing.require_slot(rule)).id)
    if as_json:
        write_json([asdict(version) for version in versions])
        return
    for one in versions:
        lock = "  locked" if one.is_locked else ""
        say(
            f"{one.version}  {one.state}  {one.size_bytes:,} bytes  {one.client_modified_at}  "
            f"device {one.device_id}{lock}"
        )


async def lock(owner: Account, game: str, version: int, *, is_locked: bool, as_json: bool) -> None:
    """Keeps a version from being removed for newer ones, or no more."""
    async with _of_game(owner, game) as (syncing, api, rule):
        changed = await api.lock((await syncing.require_slot(rule)).id, version, is_locked=is_locked)
    _say(changed, f"version {changed.version} is {'locked' if is_locked else 'not locked any more'}", as_json=as_json)


async def resolve(owner: Account, game: str, keep: str, *, as_json: bool) -> None:
    """Ends a conflict that the cloud keeps."""
    async with _of_game(owner, game) as (syncing, api, rule):
        slot = await api.resolve(await syncing.require_slot(rule), keep)
    _say(slot, f"version {slot.version} is current; `samovar saves sync` brings it here", as_json=as_json)


async def check_quota(owner: Account, *, as_json: bool) -> None:
    """Shows the space that saves take."""
    async with open_saves(owner) as api:
        quota = await api.quota()
    text = f"{quota.used_bytes:,} of {quota.limit_bytes:,} bytes used, {quota.reserved_bytes:,} reserved"
    _say(quota, text, as_json=as_json)


def new_key(owner: Account, *, as_json: bool) -> None:
    """Has saves encrypted from now on; a key that is there is never replaced."""
    if _book(owner).key() is not None:
        message = "there is a key already, and older saves need it: see `samovar saves key show`"
        raise LauncherError("SAVE_KEY_EXISTS", message, ExitCode.USAGE)
    _book(owner).set_key(SaveKey.new())
    show_key(owner, as_json=as_json)


def show_key(owner: Account, *, as_json: bool) -> None:
    """The key, to be carried to another device."""
    key = _book(owner).key()
    if key is None:
        message = "this device has no key, and saves are not encrypted: `samovar saves key new` makes one"
        raise LauncherError("SAVE_KEY_MISSING", message, ExitCode.USAGE)
    if as_json:
        write_json({"key": key.text(), "key_id": key.id.hex()})
        return
    say(key.text())
    note = "keep it somewhere safe: without it nobody, the platform neither, can read your saves"
    say(note, err=True)


def import_key(owner: Account, source: Path | None, *, as_json: bool) -> None:
    """Takes the key of another device, from a file or stdin."""
    try:
        text = sys.stdin.readline() if source is None else source.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LauncherError("SAVE_KEY_INVALID", f"{source} cannot be read: {error}", ExitCode.USAGE) from None
    key, there = SaveKey.parse(text), _book(owner).key()
    if there is not None and there != key:
        message = f"this device has another key, {there.id.hex()}, that older saves may need; nothing was changed"
        raise LauncherError("SAVE_KEY_EXISTS", message, ExitCode.USAGE)
    _book(owner).set_key(key)
    if as_json:
        write_json({"key_id": key.id.hex()})
    else:
        say(f"saves are encrypted with key {key.id.hex()} from now on")


@asynccontextmanager
async def _of_game(owner: Account, game: str) -> AsyncIterator[tuple[SaveSync, SavesApi, SaveRule]]:
    rule = _book(owner).rule(await _product(owner, game))
    async with open_saves(owner) as api:
        yield _sync(owner, api, None), api, rule


async def _product(owner: Account, game: str) -> UUID:
    async with open_library(owner) as library:
        return (await find_product(library, game))[0]


def _book(owner: Account) -> SaveBook:
    return SaveBook(Environment.read(), owner.gateway_url)


def _sync(owner: Account, api: SavesApi, prefer: str | None) -> SaveSync:
    book = _book(owner)
    return SaveSync(api, book, device_id=owner.device_id, ask=_ask(prefer), key=book.key())


def _ask(prefer: str | None) -> Ask:
    """The choice that was made beforehand; else the person's, where there is one."""

    def ask(sides: Sides) -> Prefer | None:
        if prefer is not None:
            return Prefer(prefer)
        local, cloud = sides.local, sides.cloud
        say(f"here:     {local.modified_at}, {local.size_bytes:,} bytes, {local.files} files", err=True)
        say(f"in cloud: {cloud.client_modified_at}, {cloud.size_bytes:,} bytes, device {cloud.device_id}", err=True)
        if not sys.stdin.isatty():
            return None
        say("keep cloud, local or both (anything else: decide later)?", err=True)
        answer = sys.stdin.readline().strip().lower()
        return Prefer(answer) if answer in set(Prefer) else None

    return ask


def _show(done: Synced, *, as_json: bool) -> None:
    kept = f"; what was here is in {done.kept}" if done.kept else ""
    version = "" if done.version is None else f", version {done.version}"
    _say(done, f"{done.slot}: {done.action}{version}{kept}", as_json=as_json)


def _say(value: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(asdict(value))
    else:
        say(text)


async def sync_around_play(owner: Account, product_id: UUID, tell: Callable[[str], None]) -> None:
    """Syncs a game that has a rule, before or after it is played; whatever fails is said, and the game goes on."""
    book = _book(owner)
    try:
        rule = next((rule for rule in book.rules() if rule.product_id == product_id), None)
        if rule is None:
            return
        async with open_saves(owner) as api:
            done = await _sync(owner, api, None).sync(rule)
        tell(f"saves: {done.action}")
    except LauncherError as failure:
        later = "; they are synced later" if failure.exit_code is ExitCode.NETWORK else ""
        tell(f"saves were not synced: {failure}{later}")
