"""The user's downloads, on this device and others: shown, held back, resumed, ended. Loaded by launcher.cli.downloads_app when a
command runs.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from depot.terminal import say
from launcher.api.download_client import Api, open_api
from launcher.api.resources import LIVE, Session, SessionStatus
from launcher.cli.display import write_json
from launcher.cli.library_display import print_table
from launcher.cli.naming import only
from launcher.failures import LauncherError
from launcher.install.maintenance import drop_interrupted, end_download
from launcher.install.slots import called, titles_of, where
from launcher.settings import Account

STOPPED = LIVE | {SessionStatus.ERROR}
"""The statuses that `downloads` shows: active ones, and those that can be resumed."""


async def show_downloads(owner: Account, *, with_ended: bool, as_json: bool) -> None:
    """The user's downloads, newest first."""
    async with open_api(owner) as api:
        found = [one async for one in api.downloads() if with_ended or one.status in STOPPED]
    titles = await titles_of(owner)
    if as_json:
        write_json([_document(one, titles, owner) for one in found])
        return
    rows = [
        (
            called(one, titles),
            str(one.id),
            _state(one),
            f"{one.progress_percentage:.0f} %",
            where(one, owner.device_id),
        )
        for one in found
    ]
    print_table(
        ("Title", "Download", "Status", "Done", "Where"), rows, id_column=1, empty="nothing is being downloaded"
    )


async def pause_download(owner: Account, wanted: str, *, as_json: bool) -> None:
    """Holds a download back; its slot goes to the next."""
    async with open_api(owner) as api:
        one = await api.pause((await _find(owner, api, wanted)).id)
    await _show(owner, one, "paused", as_json=as_json)


async def resume_download(owner: Account, wanted: str, *, as_json: bool) -> None:
    """Queues a download again that was paused or failed. A launcher has to fetch it."""
    async with open_api(owner) as api:
        one = await _find(owner, api, wanted)
        one = await (api.retry(one.id) if one.status is SessionStatus.ERROR else api.resume(one.id))
    await _show(owner, one, "queued again: run its install or update where its folder is, to go on", as_json=as_json)


async def cancel_download(owner: Account, wanted: str, *, as_json: bool) -> None:
    """Ends a download, and removes what was fetched for it if it lies on this device. One that failed has ended already."""
    async with open_api(owner) as api:
        one = await _find(owner, api, wanted)
        await end_download(api, one.id)
        one = await api.download(one.id)
    if one.device_id == owner.device_id and one.installation_path:
        # A launcher that is working there receives the cancellation and cleans up itself; if the disk fails, the next run does.
        with suppress(LauncherError):
            await asyncio.to_thread(drop_interrupted, Path(one.installation_path), one.id)
    await _show(owner, one, "ended", as_json=as_json)


async def _find(owner: Account, api: Api, wanted: str) -> Session:
    """Return the download with this id, this product's id, or this title of the game."""
    found = [one async for one in api.downloads() if one.status in STOPPED]
    titles: Mapping[UUID, str] = {}
    with suppress(ValueError):
        wanted = str(UUID(wanted))
    if not any(wanted in {str(one.id), str(one.product_id)} for one in found):
        titles = await titles_of(owner)
        found = [one for one in found if wanted.casefold() in titles.get(one.product_id, "").casefold()]
    return only(
        wanted,
        found,
        ids=lambda one: (one.product_id, one.id),
        called=lambda one: titles.get(one.product_id),
        missing=("DOWNLOAD_NOT_FOUND", f"no download of yours is called {wanted!r}"),
    )


async def _show(owner: Account, one: Session, done: str, *, as_json: bool) -> None:
    titles = await titles_of(owner)
    if as_json:
        write_json(_document(one, titles, owner))
        return
    say(f"{called(one, titles)} {where(one, owner.device_id)}: {done}")


def _state(one: Session) -> str:
    reasons: Sequence[str] = [text for text in (one.pause_reason, one.error_code) if text]
    return f"{one.status.value} ({', '.join(reasons)})" if reasons else one.status.value


def _document(one: Session, titles: Mapping[UUID, str], owner: Account) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "product_id": str(one.product_id),
        "title": titles.get(one.product_id),
        "version_id": str(one.version_id),
        "status": one.status.value,
        "pause_reason": one.pause_reason,
        "error_code": one.error_code,
        "progress_percentage": one.progress_percentage,
        "queue_position": one.queue_position,
        "device_id": str(one.device_id) if one.device_id else None,
        "is_this_device": one.device_id == owner.device_id,
        "installation_path": one.installation_path,
    }
