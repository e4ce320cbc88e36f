"""What can be done with a game that is installed: update, verify, repair, uninstall. Everything starts from what really lies in the
folder. Called by launcher.commands and by tests.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from launcher.api import open_api
from launcher.failures import ExitCode, LauncherError
from launcher.install import InstallResult, Patience, install
from launcher.ledger import Progress
from launcher.pipeline import open_threads
from launcher.placement import remove_tree
from launcher.plan import Plan
from launcher.sessions import InstallRequest
from launcher.settings import Account
from launcher.verification import Issue, damage, verify_tree
from launcher.workspace import Installed, Workspace


@dataclass(frozen=True, slots=True)
class Verification:
    """What a folder holds, and everything in it that is not as published."""

    product_id: UUID
    version_id: UUID
    files: int
    issues: Sequence[Issue]

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
    pace: Pace | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult:
    """Brings the game in the folder to a version (None = the newest), from whatever version and in whatever state it is.

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
    )
    return await install(account, request, progress=progress, patience=patience)


async def verify(directory: Path) -> Verification:
    """Hashes every file of the folder against the manifest of what is installed there. Needs no network and changes nothing.

    Raises:
        LauncherError: NOT_INSTALLED, FOLDER_IN_USE, or the disk cannot be read.
    """
    stop = threading.Event()

    def work() -> Verification:
        workspace = Workspace.open(directory)
        try:
            plan = _installed_plan(workspace, directory)
            return Verification(plan.product_id, plan.version_id, len(plan.files), verify_tree(workspace, plan, stop))
        finally:
            workspace.close()

    async with open_threads() as threads:
        try:
            return await threads.run(work)
        finally:
            stop.set()


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

    Raises:
        LauncherError: as `install`.
    """
    if not verification.damage:
        return None
    return await update(
        account, directory, version_id=verification.version_id, pace=pace, progress=progress, patience=patience
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
