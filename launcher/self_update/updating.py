"""An update of the launcher from the check to the proof. Used by launcher.cli.self_update_app; blocks but for the question."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from launcher.failures import ExitCode, LauncherError
from launcher.self_update.metadata import Believer, Target
from launcher.self_update.versions import ROOT_METADATA, Versions, checked_version

DESCRIPTION: Final = "samovar-client.json"
CHANNELS: Final = ("stable", "beta", "test")


@dataclass(frozen=True, slots=True)
class Client:
    """A launcher that updates itself: where it lies, and what it asks for."""

    root: Path
    installation_id: UUID
    platform: str
    arch: str
    channel: str
    gateway_url: str
    repository_url: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The release that the server advises. It is not trusted: only the signed metadata are."""

    version: str
    is_available: bool
    is_mandatory: bool


def read_client(start: Path) -> Client | None:
    """The installation that a file of the launcher belongs to; None where it was installed in another way.

    Raises:
        LauncherError: its description cannot be read.
    """
    for folder in start.resolve().parents:
        path = folder / DESCRIPTION
        if folder.parent.name != "versions" and path.is_file():
            try:
                values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                return Client(
                    folder,
                    UUID(values["installation_id"]),
                    *(str(values[name]) for name in ("platform", "arch", "channel", "gateway_url", "repository_url")),
                )
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                message = f"{path} cannot be read: {error}"
                raise LauncherError("CLIENT_INSTALLATION_BROKEN", message, ExitCode.DISK) from None
    return None


def target_path(client: Client, channel: str, version: str) -> str:
    """Return the name of a release in the metadata. It prevents that one platform or channel gets what was signed for another."""
    return f"{client.platform}-{client.arch}/{channel}/samovar-{checked_version(version)}.tar.gz"


def numbers(version: str) -> tuple[int, ...]:
    """A version for comparing: 1.2 is 1.2.0."""
    found = [int(part) for part in checked_version(version).split(".")]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def update(
    client: Client,
    advice: Advice,
    *,
    channel: str,
    limit_kbps: int = 0,
    say: Callable[[str], None] = lambda _: None,
    believer: Believer | None = None,
) -> str:
    """Brings the installation to the version that was advised, and returns the one that runs.

    Raises:
        LauncherError: it cannot be had, believed or run; then the installed version is untouched.
    """
    versions = Versions(client.root)
    with versions.locked():
        installed = versions.current()
        if not advice.is_available or numbers(advice.version) == numbers(installed):
            return installed
        root = (versions.folder(installed) / ROOT_METADATA).read_bytes()
        believer = believer or Believer(client.root / "metadata", client.repository_url, root, limit_kbps=limit_kbps)
        target = believer.find(target_path(client, channel, advice.version))
        _check_direction(installed, advice.version, target)
        say(f"downloading {advice.version} ({target.size_bytes / 1e6:.1f} MB)")
        archive = versions.draft()
        believer.fetch(target, archive)
        versions.unpack(archive, advice.version, target.sha256)
        versions.switch(advice.version)
        return advice.version


def _check_direction(installed: str, wanted: str, target: Target) -> None:
    """The way down is only open where it was signed."""
    if numbers(wanted) > numbers(installed):
        return
    if target.rollback_from is None or numbers(installed) > numbers(target.rollback_from):
        message = f"the server wants to go back from {installed} to {wanted}, which nobody signed"
        raise LauncherError("CLIENT_DOWNGRADE_REFUSED", message, ExitCode.CORRUPT)
