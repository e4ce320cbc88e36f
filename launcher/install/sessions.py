"""The download session that an installation belongs to: taken up again where there is one, started otherwise, and awaited until it
holds a slot. Used by launcher.install.installation.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from launcher.api.download_client import Api, exit_code_of
from launcher.api.resources import HOLDING, LIVE, Session, SessionStatus
from launcher.disk.workspace import State, is_at_work, is_same_folder
from launcher.failures import ExitCode, LauncherError

VERSION_NOT_AVAILABLE = "VERSION_NOT_AVAILABLE"
FIRST_POLL_SECONDS = 0.2
MAX_POLL_SECONDS = 2.0
_UPDATE_ATTRIBUTES = ("product_id", "installation_path", "device_id", "priority")
"""The attributes of a download request that a request for an update has too."""
_REPAIR_ATTRIBUTES = ("installation_path", "priority")


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """The request of the user.

    `limit_kbps` in kilobits (1,000 bit) a second, 0 = none; `parallel` = chunks in flight, which also bounds what a kill costs.
    """

    product_id: UUID
    directory: Path
    version_id: UUID | None = None
    platform: str | None = None
    priority: int | None = None
    limit_kbps: int = 0
    parallel: int = 16
    from_version_id: UUID | None = None
    """The version in place, when an update replaces it."""
    is_rollback: bool = False
    """Return to an older version; without `version_id` to the previous one."""
    verification_id: UUID | None = None
    """The server's verification of this folder, whose damage is to be repaired."""
    may_overwrite: bool = False
    """Unknown content at the game's paths is replaced instead of kept beside."""
    is_newest: bool = False
    """`version_id` is what the server called the newest, not what the user named."""


async def obtain_session(
    api: Api, request: InstallRequest, *, device_id: UUID, known: State | None, free_bytes: int | None
) -> Session:
    """Return the live session of this installation: `known` of an interrupted run, another live one of this folder, or a new one.

    Raises:
        LauncherError: refused; or another version, or another folder, is being downloaded to on this device.
    """
    session = await _known_session(api, request, known)
    if session is not None:
        return await revive(api, session)
    attributes = _attributes(request, device_id, free_bytes)
    try:
        return await _start(api, request, attributes)
    except LauncherError as refusal:
        if refusal.code != "DOWNLOAD_ALREADY_ACTIVE":
            raise
        session = await _live_session(api, request.product_id, device_id)
        if session is None:
            raise
    if await _is_elsewhere(request, session):
        # It belongs to another folder, where no launcher is working: the user wants the game here now.
        with suppress(LauncherError):
            await api.cancel(session.id)
        return await _start(api, request, attributes)
    if request.is_rollback or request.version_id not in {None, session.version_id}:
        raise _busy(f"version {session.version_id} is being downloaded to this device: finish or cancel it first")
    return await revive(api, session)


def _attributes(request: InstallRequest, device_id: UUID, free_bytes: int | None) -> dict[str, object]:
    """Return the attributes of a download request."""
    attributes: dict[str, object] = {
        "product_id": str(request.product_id),
        "installation_path": str(request.directory),
        "device_id": str(device_id),
    }
    if free_bytes is not None:
        attributes["client_free_space_bytes"] = free_bytes
    if request.version_id is not None:
        attributes["version_id"] = str(request.version_id)
    if request.platform is not None:
        attributes["platform"] = request.platform
    if request.priority is not None:
        attributes["priority"] = request.priority
    return attributes


async def _is_elsewhere(request: InstallRequest, session: Session) -> bool:
    """Return True when a live session of this device belongs to another folder.

    Raises:
        LauncherError: a launcher is at work there: one session cannot bring a game to two folders.
    """
    path = session.installation_path
    if path is None or await asyncio.to_thread(is_same_folder, Path(path), request.directory):
        return False
    if await asyncio.to_thread(is_at_work, Path(path)):
        raise _busy(f"the game is being downloaded to {path} on this device: finish or cancel that first")
    return True


def _busy(message: str) -> LauncherError:
    return LauncherError("DOWNLOAD_ALREADY_ACTIVE", message, ExitCode.DENIED)


async def _start(api: Api, request: InstallRequest, attributes: dict[str, object]) -> Session:
    """Start a repair or an update when a version is in place, else a download. The files are the same in each case, but the server
    and the user's other clients see which it is.
    """
    over = {name: attributes[name] for name in _UPDATE_ATTRIBUTES if name in attributes}
    if request.is_rollback:
        return await api.rollback(_over(request, over))
    if request.verification_id is not None:
        repair = {name: over[name] for name in _REPAIR_ATTRIBUTES if name in over}
        try:
            return await api.repair_verification(request.verification_id, repair)
        except LauncherError as refusal:
            # The damage that the server knows may be repaired by now, or the verification was deleted: the version is completed.
            if refusal.code not in {"INVALID_STATE_TRANSITION", "VERIFICATION_NOT_FOUND"}:
                raise
    elif request.from_version_id not in {None, request.version_id}:
        try:
            return await api.apply_update(_over(request, over))
        except LauncherError as refusal:
            # It is the newest already, or the server no longer knows the installation: then the version is simply completed.
            if refusal.code not in {"INVALID_ARGUMENT", "VERSION_NOT_FOUND"}:
                raise
    return await api.start_download(attributes)


def _over(request: InstallRequest, attributes: dict[str, object]) -> dict[str, object]:
    """Return the attributes that say which version replaces which."""
    named = {"from_version_id": request.from_version_id, "to_version_id": request.version_id}
    return attributes | {name: str(version) for name, version in named.items() if version is not None}


async def wait_for_slot(api: Api, session: Session, waiting: Callable[[Session], Awaitable[None]]) -> Session:
    """Returns when the session may fetch. Until then `waiting` is called at each check.

    Raises:
        LauncherError: it was paused, cancelled, failed or, by another launcher of this device, completed meanwhile.
    """
    delay_seconds = FIRST_POLL_SECONDS
    while session.status not in HOLDING:
        check_running(session)
        if session.is_lapsed:  # it had its slot while this device slept
            session = await revive(api, session)
            continue
        if session.status is SessionStatus.COMPLETED:
            message = "another launcher completed this download meanwhile; run the command again for this folder"
            raise LauncherError("INVALID_STATE_TRANSITION", message, ExitCode.DENIED)
        await waiting(session)
        await asyncio.sleep(delay_seconds)
        delay_seconds = min(delay_seconds * 2, MAX_POLL_SECONDS)
        session = await api.download(session.id)
    return session


def check_running(session: Session) -> None:
    """Check that neither another client nor the server has stopped the session.

    Raises:
        LauncherError: this installation must stop.
    """
    if session.status is SessionStatus.PAUSED and not session.is_lapsed:
        message = "the download was paused; run the command again to go on"
        raise LauncherError("DOWNLOAD_PAUSED", message, ExitCode.PAUSED)
    if session.status is SessionStatus.CANCELLED:
        raise LauncherError("DOWNLOAD_CANCELLED", "the download was cancelled", ExitCode.CANCELLED)
    if session.status is SessionStatus.ERROR:
        code = session.error_code or "INTERNAL_ERROR"
        raise LauncherError(code, f"the download failed: {session.error_message or code}", exit_code_of(code))


async def _known_session(api: Api, request: InstallRequest, known: State | None) -> Session | None:
    """Return the session of an interrupted run of this installation, if it can continue.

    Raises:
        LauncherError: the interrupted run went the other way.
    """
    if known is None:
        return None
    try:
        session = await api.download(known.session_id)
    except LauncherError as refusal:
        if refusal.code != "DOWNLOAD_NOT_FOUND":
            raise
        return None
    if session.product_id != request.product_id or session.status not in LIVE | {SessionStatus.ERROR}:
        return None
    if session.error_code == VERSION_NOT_AVAILABLE:
        return None  # withdrawn: another version is needed
    if known.is_rollback != request.is_rollback and session.status in LIVE:
        way = "a rollback" if known.is_rollback else "an installation"
        raise _busy(f"{way} of version {session.version_id} was begun in this folder: finish or cancel it first")
    fits = known.is_rollback == request.is_rollback and request.version_id in {None, session.version_id}
    return session if fits else None


async def _live_session(api: Api, product_id: UUID, device_id: UUID) -> Session | None:
    async for session in api.downloads(product_id):
        if session.device_id == device_id and session.status in LIVE:
            return session
    return None


async def revive(api: Api, session: Session) -> Session:
    """Queues a paused or failed session again. Another client may have been quicker: then it is as that client left it."""
    try:
        if session.status is SessionStatus.PAUSED:
            return await api.resume(session.id)
        if session.status is SessionStatus.ERROR:
            return await api.retry(session.id)
    except LauncherError as refusal:
        if refusal.code != "INVALID_STATE_TRANSITION":
            raise
        return await api.download(session.id)
    return session
