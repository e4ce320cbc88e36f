"""What can be done with a game that is installed: update, verify, repair, uninstall. Everything starts from what really lies in the
folder. Called by launcher.cli.commands and by tests.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from launcher.api.download_client import open_api
from launcher.disk.commit import remove_tree
from launcher.disk.plan import Plan
from launcher.disk.verification import Issue, LocalEntry, damage, inspect_tree
from launcher.disk.workspace import Installed, Workspace
from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.pipeline import Patience, open_threads
from launcher.install.progress import Progress
from launcher.install.sessions import InstallRequest
from launcher.install.verification_reports import report_verification
from launcher.settings import Account

REPORT_TRIES = 3
"""A verification that nobody can be told of is one all the same: its user does not wait long for the server."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a folder holds, and everything in it that is not as published."""

    product_id: UUID
    version_id: UUID
    files: int
    issues: Sequence[Issue]
    entries: Sequence[LocalEntry] = ()
    reported_id: UUID | None = None
    """The server's verification, where it could be told."""
    report_failure: LauncherError | None = None
    """Why it could not be."""

    @property
    def damage(self) -> Sequence[Issue]:
        """Without what the user added."""
        return damage(self.issues)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a transfer may use the line: see InstallRequest."""

    limit_kbps: int = 0
    parallel: int = 16
    priority: int | None = None


async def update(
    account: Account,
    directory: Path,
    *,
    version_id: UUID | None = None,
    is_rollback: bool = False,
    verification_id: UUID | None = None,
    pace: Pace | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult:
    """Brings the game in the folder to a version (None = the newest), from whatever version and in whatever state it is. With
    `is_rollback` back to an older one (None = the one before); with `verification_id` only what that found damaged is brought.

    Fetches only chunks that no file in the folder holds. Until everything is fetched and checked the old version stays playable; an
    interrupted update goes on where it stopped.

    Raises:
        LauncherError: NOT_INSTALLED, or as `install`.
    """
    pace = pace or Pace()
    installed = await _installed(directory)
    request = InstallRequest(
        product_id=installed.product_id,
        directory=directory,
        version_id=version_id,
        priority=pace.priority,
        limit_kbps=pace.limit_kbps,
        parallel=pace.parallel,
        from_version_id=installed.version_id,
        is_rollback=is_rollback,
        verification_id=verification_id,
    )
    return await install(account, request, progress=progress, patience=patience)


async def verify(directory: Path, account: Account | None = None) -> Verification:
    """Hashes every file of the folder against the manifest of what is installed there, and tells the server of an account what it
    found. Without one, or without a network, the finding stands all the same. Changes nothing.

    Raises:
        LauncherError: NOT_INSTALLED, FOLDER_IN_USE, or the disk cannot be read.
    """
    stop = threading.Event()

    def work() -> Verification:
        workspace = Workspace.open(directory)
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
    pace: Pace | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult | None:
    """Makes what `verification` found damaged as published again; fetches only the damaged chunks. None = nothing was damaged.

    Where the server was told of the damage, the repair is a session of just that.

    Raises:
        LauncherError: as `install`.
    """
    if not verification.damage:
        return None
    return await update(
        account,
        directory,
        version_id=verification.version_id,
        verification_id=verification.reported_id,
        pace=pace,
        progress=progress,
        patience=patience,
    )


async def uninstall(account: Account, directory: Path) -> tuple[Installed, int]:
    """Removes what was installed and the launcher's own folder; what the user added stays. Answers what it was, and how many files
    and links went. The server is told first: what is interrupted after that is simply called again.

    Raises:
        LauncherError: NOT_INSTALLED, FOLDER_IN_USE, the server is away, or the disk refuses.
    """
    installed = await _installed(directory)
    async with open_api(account) as api:
        await api.report_uninstalled(installed.product_id, account.device_id)

    def work() -> tuple[Installed, int]:
        workspace = Workspace.open(directory)
        try:
            installed = _known(workspace, directory)
            removed = remove_tree(workspace, workspace.kept_plans())
            workspace.remove_own()
            return installed, removed
        finally:
            workspace.close()

    return await asyncio.to_thread(work)


async def _installed(directory: Path) -> Installed:
    def work() -> Installed:
        workspace = Workspace.open(directory)
        try:
            return _known(workspace, directory)
        finally:
            workspace.close()

    return await asyncio.to_thread(work)


def _known(workspace: Workspace, directory: Path) -> Installed:
    installed = workspace.installed()
    if installed is None:
        raise _not_installed(directory)
    return installed


def _installed_plan(workspace: Workspace, directory: Path) -> Plan:
    installed = _known(workspace, directory)
    for plan in workspace.kept_plans():
        if plan.version_id == installed.version_id:
            return plan
    raise _not_installed(directory)


def _not_installed(directory: Path) -> LauncherError:
    message = f"no finished installation is known in {directory}; `samovar install --to` makes one of whatever is there"
    return LauncherError("NOT_INSTALLED", message, ExitCode.USAGE)
