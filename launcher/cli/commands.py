"""The work behind the launcher's commands, with everything heavy imported. Loaded by launcher.cli.app when a command runs."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from depot.signing import parse_public_keys
from depot.terminal import say
from launcher.api.library_api import open_library
from launcher.cli.display import keep_showing, open_display, write_json
from launcher.cli.naming import find_product
from launcher.cli.watching import LIBRARY_UPDATES, follow
from launcher.disk.commit import Removed
from launcher.disk.workspace import Installed
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.maintenance import TransferOptions, Verification, repair, uninstall, update, verify
from launcher.install.progress import Progress
from launcher.install.sessions import InstallRequest
from launcher.settings import Account

MAX_SHOWN_FALLBACKS = 5
"""Files whose patch was of no use that are named one by one."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The user's request to `install`: the product by id or title, the rest as in InstallRequest."""

    product: str
    directory: Path
    version_id: UUID | None
    platform: str | None
    limit_kbps: int
    parallel: int
    priority: int | None
    may_overwrite: bool = False


def checked_keys(keys: str) -> str:
    """The keys, if they are written right."""
    try:
        parse_public_keys(keys)
    except ValueError as error:
        raise LauncherError("INVALID_ARGUMENT", f"--trust-keys: {error}", ExitCode.USAGE) from None
    return keys


async def check_token(owner: Account) -> None:
    """The gateway is there and takes the token."""
    async with open_library(owner) as api:
        await api.check_token()


async def install_game(owner: Account, wish: Wish, *, as_json: bool) -> InstallResult:
    """Installs and shows how it gets on."""
    async with open_library(owner) as api:
        product_id, title = await find_product(api, wish.product)
    request = InstallRequest(
        product_id=product_id,
        directory=wish.directory,
        version_id=wish.version_id,
        platform=wish.platform,
        priority=wish.priority,
        limit_kbps=wish.limit_kbps,
        parallel=wish.parallel,
        may_overwrite=wish.may_overwrite,
    )
    async with _showing(title, as_json=as_json) as progress:
        return await install(owner, request, progress=progress)


async def update_game(
    owner: Account,
    directory: Path,
    version_id: UUID | None,
    pace: TransferOptions,
    *,
    is_rollback: bool,
    may_overwrite: bool,
    as_json: bool,
) -> InstallResult:
    """Updates or goes back, and shows how it gets on."""
    async with _showing(directory.name, as_json=as_json) as progress:
        return await update(
            owner,
            directory,
            version_id=version_id,
            is_rollback=is_rollback,
            may_overwrite=may_overwrite,
            pace=pace,
            progress=progress,
        )


async def verify_game(owner: Account | None, directory: Path) -> Verification:
    """Compares the folder with what was published."""
    return await verify(directory, owner)


async def repair_game(
    owner: Account, directory: Path, pace: TransferOptions, *, as_json: bool
) -> tuple[Verification, InstallResult | None]:
    """Verifies, then repairs what is damaged and shows how it gets on."""
    verification = await verify(directory, owner)
    if not verification.damage:
        return verification, None
    async with _showing(directory.name, as_json=as_json) as progress:
        return verification, await repair(owner, directory, verification, pace=pace, progress=progress)


async def uninstall_game(owner: Account, directory: Path, *, delete_changed: bool) -> tuple[Installed, Removed]:
    """Removes the game from the folder and notifies the server."""
    return await uninstall(owner, directory, delete_changed=delete_changed)


async def watch_library(owner: Account, count: int | None, *, as_json: bool) -> None:
    """Shows each event of the user's library as it comes: `count` of them, or without end."""
    shown = 0
    async with aclosing(follow(owner, LIBRARY_UPDATES)) as events:
        async for event in events:
            if as_json:
                write_json(
                    {"event": event.type, "id": event.id, "timestamp": event.timestamp, "payload": event.payload}
                )
            else:
                figures = "  ".join(f"{name}={value}" for name, value in event.payload.items())
                say(f"{event.timestamp}  {event.type}  {figures}")
            shown += 1
            if shown == count:
                return


def show_verification(found: Verification, *, as_json: bool) -> None:
    """One JSON object, or a line per path that is not as published."""
    if found.report_failure is not None:
        say(f"samovar: the server was not told: {found.report_failure}", err=True)
    if as_json:
        write_json(_verification_document(found))
        return
    for issue in found.issues:
        say(f"{issue.kind.value:>10} {issue.path}")
    say(f"{found.files} files checked, {len(found.damage)} damaged")


def show_repair(found: Verification, result: InstallResult | None, *, as_json: bool) -> None:
    """Shows the damage, and the work that repaired it."""
    if as_json:
        fetched = result.fetched_bytes if result else 0
        write_json(
            _verification_document(found)
            | {"status": "repaired" if result else "ok", "repaired": len(found.damage), "fetched_bytes": fetched}
        )
        return
    text = f"{len(found.damage)} repaired, {result.fetched_bytes:,} bytes fetched" if result else "nothing is damaged"
    say(text)


def show_uninstalled(installed: Installed, removed: Removed, *, as_json: bool) -> None:
    """Shows what was removed, and the game's files that stayed."""
    if as_json:
        figures = {"removed_files": removed.count, "left": list(removed.left)}
        write_json({"status": "uninstalled", "product_id": str(installed.product_id), **figures})
        return
    _show_left(removed.left)
    say(f"uninstalled: {removed.count} files removed")


def _verification_document(found: Verification) -> dict[str, object]:
    return {
        "status": "damaged" if found.damage else "ok",
        "product_id": str(found.product_id),
        "version_id": str(found.version_id),
        "files": found.files,
        "issues": [{"path": issue.path, "kind": issue.kind.value} for issue in found.issues],
        "verification_id": str(found.reported_id) if found.reported_id else None,
    }


@asynccontextmanager
async def _showing(title: str, *, as_json: bool) -> AsyncIterator[Progress]:
    """A progress that is shown while somebody fills it."""
    progress = Progress()
    with open_display(title, as_json=as_json) as display:
        showing = asyncio.create_task(keep_showing(display, progress))
        try:
            yield progress
        finally:
            showing.cancel()
            with suppress(asyncio.CancelledError):
                await showing


def show_result(result: InstallResult, *, as_json: bool) -> None:
    """The last line."""
    if as_json:
        write_json(asdict(result))
        return
    if result.status == "up_to_date":
        say(f"nothing new: version {result.version_id} is in place (`samovar repair` mends what is damaged)")
        return
    if result.was_withdrawn:
        say(f"version {result.previous_version_id} was withdrawn: went back to {result.version_id}")
    for kept in result.kept:
        say(f"kept: your {kept.path} is {kept.kept_as} now")
    _show_left(result.left)
    say(
        f"{result.status}: {result.files} files, {result.bytes:,} bytes in {result.seconds:.1f} s "
        f"({result.fetched_bytes:,} fetched, {result.resumed_bytes:,} were there, {result.reused_bytes:,} copied)"
    )
    if result.patched_files:
        say(f"{result.patched_files} files had by patches")
    for path, reason in list(result.patch_fallbacks.items())[:MAX_SHOWN_FALLBACKS]:
        say(f"fetched by chunks: {path} ({reason})")
    if len(result.patch_fallbacks) > MAX_SHOWN_FALLBACKS:
        say(f"fetched by chunks: {len(result.patch_fallbacks) - MAX_SHOWN_FALLBACKS} more files")


def _show_left(paths: Iterable[str]) -> None:
    for path in paths:
        say(f"left: {path} was changed since it was installed")
