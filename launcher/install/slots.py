"""Whose downloads are whose, in words: titles of games, devices, and what holds the slots that another one waits for. Used by
launcher.install.installation and launcher.cli.downloads.
"""

from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from depot.paths import shown
from launcher.api.download_client import Api
from launcher.api.library_api import ItemFilter, open_library
from launcher.api.resources import HOLDING, Session
from launcher.failures import LauncherError
from launcher.settings import Account

TITLE_TRIES = 1
"""Titles are for people and optional: nothing waits for them."""


async def describe_holders(owner: Account, api: Api) -> str:
    """Return the games and devices that hold the user's slots; empty when they cannot be determined."""
    holders: list[Session] = []
    with suppress(LauncherError):
        for status in sorted(HOLDING):
            holders += [one async for one in api.downloads(status=status)]
    titles = await titles_of(owner) if holders else {}
    return ", ".join(f"{called(one, titles)} {where(one, owner.device_id)}" for one in holders)


async def titles_of(owner: Account) -> Mapping[UUID, str]:
    """Titles of the user's games by product, as far as they are known, fit to be printed."""
    try:
        async with open_library(owner, max_tries=TITLE_TRIES) as library:
            entries = await library.items(ItemFilter(include_hidden=True))
    except LauncherError:
        return {}
    return {entry.product_id: shown(entry.title)[1:-1] for entry in entries if entry.title}


def called(session: Session, titles: Mapping[UUID, str]) -> str:
    """The game's title, else its product's id."""
    return titles.get(session.product_id, str(session.product_id))


def where(session: Session, device_id: UUID) -> str:
    """On which device, and there in which folder."""
    if session.device_id is None:
        return "on a device without a name"
    if session.device_id != device_id:
        return f"on device {str(session.device_id)[:8]}"
    return f"on this device in {shown(session.installation_path)}" if session.installation_path else "on this device"
