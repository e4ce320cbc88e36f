"""The operations on an installed game: update, verify, repair, uninstall. Everything starts from what really lies in the folder.
Called by launcher.cli.commands and by tests.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from launcher.api.download_client import Api, open_api
from launcher.disk.commit import Removed, remove_tree
from launcher.disk.plan import Plan
from launcher.disk.verification import Issue, LocalEntry, damage, inspect_tree
from launcher.disk.workspace import Installed, Workspace, is_game_folder
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.pipeline import Patience, open_threads
from launcher.install.progress import Progress
from launcher.install.sessions import InstallRequest
from launcher.install.verification_reports import report_verification
from launcher.settings import Account

REPORT_TRIES = 3
"""Tries to reach the server for results that are valid without it: a verification, a folder that holds no game."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The content of a folder, and every difference from what was published."""

    product_id: UUID
    version_id: UUID
    files: int
    issues: Sequence[Issue]
    entries: Sequence[LocalEntry] = ()
    reported_id: UUID | None = None
    """The id of the server's verification, if the report succeeded."""
    report_failure: LauncherError | None = None
    """The reason why the report failed."""

    @property
    def damage(self) -> Sequence[Issue]:
        """The issues, except the entries that the user added."""
        return damage(self.issues)


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """The limits of a transfer on the network: see InstallRequest."""

    limit_kbps: int = 0
    parallel: int = 16
    priority: int | None = None


async def update(
    account: Account,
    directory: Path,
    *,
    version_id: UUID | None = None,
    is_rollback: bool = False,
    may_overwrite: bool = False,
    pace: TransferOptions | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult:
    """Brings the game in the folder to `version_id` (None = the newest), from whatever version it is. With `is_rollback` back to an
    older one (None = the one before). Where the version in place was withdrawn, the newest that can be had may be an older one.

    An interrupted run in the folder goes on. Otherwise, with nothing newer, nothing is touched and the result's status is
    `up_to_date`: what is damaged is mended by `repair`. Fetches only chunks that no file in the folder holds. Until everything is
    fetched and checked the old version stays playable; an interrupted update goes on where it stopped. Unknown content at a path of
    the version is kept beside, unless `may_overwrite`.

    Raises:
        LauncherError: NOT_INSTALLED, or as `install`.
    """
    started = time.monotonic()
    is_newest = version_id is None
    installed, plan, is_interrupted = await asyncio.to_thread(_look, directory)
    was_withdrawn = False
    if plan is not None and not is_rollback and version_id is None:
        async with open_api(account) as api:
            known = await api.check_update(plan.product_id, plan.version_id)
        was_withdrawn = known.is_update_available and known.is_rollback
        if not is_interrupted:  # an interrupted run continues with the version that it was started for
            is_in_place = known.latest_version_id is not None and not known.is_update_available
            version_id = plan.version_id if is_in_place else known.latest_version_id
    if plan is not None and not is_rollback and not is_interrupted and version_id == plan.version_id:
        return _up_to_date(plan, time.monotonic() - started)
    request = _request(directory, installed, version_id=version_id, is_rollback=is_rollback or was_withdrawn, pace=pace)
    request = replace(request, is_newest=is_newest, may_overwrite=may_overwrite)
    result = await install(account, request, progress=progress, patience=patience)
    return replace(result, was_withdrawn=was_withdrawn)


async def verify(directory: Path, account: Account | None = None) -> Verification:
    """Hashes every file of the folder against the manifest of the installed version, and reports the result to the account's
    server. Without an account or a network the result is valid all the same. Changes nothing.

    Raises:
        LauncherError: NOT_INSTALLED, FOLDER_IN_USE, or the disk cannot be read.
    """
    stop = threading.Event()

    def work() -> Verification:
        workspace = Workspace.open_to_read(directory)
        if workspace is None:
            raise _not_installed(directory)
        try:
            plan = _installed_plan(workspace, directory)
            found = inspect_tree(workspace, plan, stop)
            return Verification(plan.product_id, plan.version_id, len(plan.files), found.issues, found.entries)
        finally:
            workspace.close()

    async with open_threads() as threads:
        try:
            verification = await threads.run(work)
        finally:
            stop.set()
    return verification if account is None else await _reported(account, verification)


async def _reported(account: Account, found: Verification) -> Verification:
    try:
        async with open_api(account, max_tries=REPORT_TRIES) as api:
            told = await report_verification(api, found.product_id, found.version_id, account.device_id, found.entries)
    except LauncherError as failure:
        return replace(found, report_failure=failure)
    return replace(found, reported_id=told.id)


async def repair(
    account: Account,
    directory: Path,
    verification: Verification,
    *,
    pace: TransferOptions | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult | None:
    """Makes what `verification` found damaged as published again; fetches only the damaged chunks. None = nothing was damaged.

    When the damage was reported to the server, the repair is a session of just the damaged files.

    Raises:
        LauncherError: as `install`.
    """
    if not verification.damage:
        return None
    installed, _, _ = await asyncio.to_thread(_look, directory)
    request = _request(directory, installed, version_id=verification.version_id, pace=pace)
    # What differs at the installed version's paths is what the user asks to be mended.
    request = replace(request, verification_id=verification.reported_id, may_overwrite=True)
    return await install(account, request, progress=progress, patience=patience)


async def uninstall(account: Account, directory: Path, *, delete_changed: bool = False) -> tuple[Installed, Removed]:
    """Removes what was installed and the launcher's own folder; what the user added stays, and so does what has other content than
    was placed there, unless `delete_changed`. Returns what it was, and what went and what stayed. An installation that was
    interrupted is dropped, and its download cancelled.

    The disk comes first, then the server, then the launcher's notes: whatever is interrupted or refused is simply called again. The
    server is notified of a folder that is gone all the same.

    Raises:
        LauncherError: NOT_INSTALLED, FOLDER_IN_USE, the server is unavailable, or the disk refuses.
    """
    if not await asyncio.to_thread(is_game_folder, directory):
        try:
            return await _forget_gone(account, directory), Removed(0)
        except LauncherError as failure:
            if failure.exit_code is ExitCode.NETWORK and await asyncio.to_thread(directory.is_dir):
                raise _not_installed(directory) from None
            raise
    stop = threading.Event()
    workspace = await asyncio.to_thread(Workspace.open, directory)
    try:
        installed, state = await asyncio.to_thread(lambda: (workspace.installed(), workspace.state()))
        if installed is None and state is None:
            raise _not_installed(directory)
        removed = await asyncio.to_thread(
            lambda: remove_tree(workspace, workspace.kept_plans(), stop, delete_changed=delete_changed)
        )
        async with open_api(account) as api:
            if state is not None:
                await end_download(api, state.session_id)
            if installed is not None:
                await api.report_uninstalled(installed.product_id, account.device_id)
        await asyncio.to_thread(workspace.remove_own)
        return installed or Installed(state.product_id, None), removed  # type: ignore[union-attr]  # one of them is known
    finally:
        stop.set()
        await asyncio.to_thread(workspace.close)


async def _forget_gone(account: Account, directory: Path) -> Installed:
    """Has the server delete its installation record of this folder of this device."""
    async with open_api(account, max_tries=REPORT_TRIES) as api:
        entries = [one async for one in api.installations(account.device_id) if one.is_at(directory)]
        sessions = [one async for one in api.downloads() if one.is_at(account.device_id, directory) and one.is_live]
        for session in sessions:
            await end_download(api, session.id)
        for entry in entries:
            await api.remove_installation(entry.id)
    if entries:
        return Installed(entries[0].product_id, entries[0].version_id)
    if sessions:
        return Installed(sessions[0].product_id, None)
    raise _not_installed(directory)


def drop_interrupted(directory: Path, session_id: UUID) -> bool:
    """Removes what an interrupted run of this download left in a folder; what is installed there stays. False = there was nothing.
    Blocks.

    Raises:
        LauncherError: a launcher is at work there, or the disk refuses.
    """
    if not is_game_folder(directory):
        return False
    workspace = Workspace.open(directory)
    try:
        state = workspace.state()
        if state is None or state.session_id != session_id:
            return False
        workspace.discard()
        if workspace.installed() is None:
            workspace.remove_own()
        return True
    finally:
        workspace.close()


async def end_download(api: Api, session_id: UUID) -> None:
    """Cancels a download, unless it has ended or failed."""
    try:
        await api.cancel(session_id)
    except LauncherError as refusal:
        if refusal.code not in {"INVALID_STATE_TRANSITION", "DOWNLOAD_NOT_FOUND"}:
            raise


def _request(
    directory: Path,
    installed: Installed,
    *,
    version_id: UUID | None,
    is_rollback: bool = False,
    pace: TransferOptions | None = None,
) -> InstallRequest:
    pace = pace or TransferOptions()
    return InstallRequest(
        product_id=installed.product_id,
        directory=directory,
        version_id=version_id,
        priority=pace.priority,
        limit_kbps=pace.limit_kbps,
        parallel=pace.parallel,
        from_version_id=installed.version_id,
        is_rollback=is_rollback,
    )


def _look(directory: Path) -> tuple[Installed, Plan | None, bool]:
    """Return the installed version in the folder, its plan if it is known, and True if a run there was interrupted. Blocks."""
    workspace = Workspace.open(directory)
    try:
        installed = _known(workspace, directory)
        return installed, workspace.installed_plan(), workspace.state() is not None
    finally:
        workspace.close()


def _up_to_date(plan: Plan, seconds: float) -> InstallResult:
    return InstallResult(
        status="up_to_date",
        files=len(plan.files),
        bytes=plan.total_bytes,
        seconds=round(seconds, 3),
        fetched_bytes=0,
        resumed_bytes=0,
        session_id=None,
        version_id=str(plan.version_id),
        previous_version_id=str(plan.version_id),
    )


def _known(workspace: Workspace, directory: Path) -> Installed:
    installed = workspace.installed()
    if installed is None:
        raise _not_installed(directory)
    return installed


def _installed_plan(workspace: Workspace, directory: Path) -> Plan:
    plan = workspace.installed_plan()
    if plan is None:
        raise _not_installed(directory)
    return plan


def _not_installed(directory: Path) -> LauncherError:
    message = f"no finished installation is known in {directory}; `samovar install --to` makes one of whatever is there"
    return LauncherError("NOT_INSTALLED", message, ExitCode.USAGE)
