"""`samovar release`: signs releases of the launcher and says who is offered them. Mounted by launcher.cli.main. The keys lie in a
folder of the publisher's; the platform is told through its gateway, by an admin's token (SAMOVAR_GATEWAY, SAMOVAR_TOKEN).
"""

import asyncio
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer
import urllib3

from chassis.errors import DomainError
from chassis.runtime.backends import ObjectSettings
from chassis.settings import load_settings
from depot.terminal import say
from operations.client_repository import Repository

EXIT_FAILED: Final = 1
ANSWER_SECONDS: Final = 30.0
EVERYBODY: Final = 1000
_RELEASES: Final = "/api/v1/download-client/client-releases"
_MEDIA_TYPE: Final = "application/vnd.api+json"

app = typer.Typer(
    help="Releases of the launcher.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


class PlatformName(StrEnum):
    """The operating system of a release."""

    LINUX = "linux"
    MACOS = "macos"
    WINDOWS = "windows"


class ArchName(StrEnum):
    """The processor of a release."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


class ChannelName(StrEnum):
    """The channel of a release."""

    STABLE = "stable"
    BETA = "beta"
    TEST = "test"


class RoleName(StrEnum):
    """The signing roles."""

    ROOT = "root"
    TARGETS = "targets"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


Folder = Annotated[Path, typer.Option("--keys", help="The publisher's folder of keys and metadata.", metavar="DIR")]
Version = Annotated[str, typer.Argument(help="Numbers with dots: 1.4.0.", metavar="VERSION")]
Platform = Annotated[PlatformName, typer.Option(help="What it runs on.")]
Arch = Annotated[ArchName, typer.Option(help="Its processor.")]
Channel = Annotated[ChannelName, typer.Option(help="Its channel.")]
_KEYS: Final = Path("client-keys")


class ReleaseFailed(Exception):
    """The platform refused, or cannot be reached."""


@app.command()
def init(keys: Folder = _KEYS) -> None:
    """Make keys and first metadata where there are none; prints where the root lies that launchers carry."""
    with _ending("init"):
        repository = Repository(keys)
        repository.create()
        _upload(repository)
        say(f"root  {repository.metadata / '1.root.json'}")


@app.command()
def renew(
    keys: Folder = _KEYS,
    roles: Annotated[list[RoleName] | None, typer.Option("--role", help="More than the timestamp.")] = None,
) -> None:
    """Sign the metadata for another while: the timestamp daily. Run by a timer."""
    with _ending("renew"):
        repository = Repository(keys)
        repository.renew(roles=("timestamp", *(role.value for role in roles or ())))
        _upload(repository)


@app.command("replace-key")
def replace_key(role: RoleName, keys: Folder = _KEYS) -> None:
    """Revoke a key and make another in its place: launchers believe the old one no more."""
    with _ending("replace-key"):
        repository = Repository(keys)
        repository.replace_key(role.value)
        _upload(repository)


@app.command()
def add(
    archive: Annotated[Path, typer.Argument(help="The launcher as .tar.gz.", exists=True, dir_okay=False)],
    version: Version,
    platform: Platform = PlatformName.LINUX,
    arch: Arch = ArchName.X86_64,
    channel: Channel = ChannelName.STABLE,
    minimum: Annotated[str, typer.Option(help="Lower versions must be updated at once.", metavar="VERSION")] = "",
    keys: Folder = _KEYS,
) -> None:
    """Sign a release, bring it into the object store and make it known; nobody is offered it before `promote`."""
    with _ending("add"):
        content = archive.read_bytes()
        repository = Repository(keys)
        repository.add(_target_path(platform, arch, channel, version), content)
        _upload(repository)
        attributes = {
            "version": version,
            "platform": platform.value,
            "arch": arch.value,
            "channel": channel.value,
            "target_sha256": sha256(content).hexdigest(),
            "target_size_bytes": len(content),
            **({"minimum_version": minimum} if minimum else {}),
        }
        say(_call("POST", _RELEASES, _document("clientRelease", attributes))["data"]["id"])


@app.command()
def promote(
    version: Version,
    permille: Annotated[int, typer.Option(help="Installations of a thousand.", min=1, max=EVERYBODY)] = EVERYBODY,
    platform: Platform = PlatformName.LINUX,
    arch: Arch = ArchName.X86_64,
    channel: Channel = ChannelName.STABLE,
) -> None:
    """Offer a release to so many installations; raising it keeps who has it."""
    with _ending("promote"):
        _roll_out(version, permille, platform, arch, channel)


@app.command()
def halt(
    version: Version,
    platform: Platform = PlatformName.LINUX,
    arch: Arch = ArchName.X86_64,
    channel: Channel = ChannelName.STABLE,
) -> None:
    """Offer a release to nobody any more; those who have it keep it."""
    with _ending("halt"):
        _roll_out(version, 0, platform, arch, channel)


@app.command()
def rollback(
    version: Version,
    platform: Platform = PlatformName.LINUX,
    arch: Arch = ArchName.X86_64,
    channel: Channel = ChannelName.STABLE,
    keys: Folder = _KEYS,
) -> None:
    """Go back to a release: signed as the way down, offered to everybody, and every higher one halted."""
    with _ending("rollback"):
        newest = _releases(platform, arch, channel)[0]["attributes"]["version"]
        wanted = _release(version, platform, arch, channel)
        repository = Repository(keys)
        repository.mark(_target_path(platform, arch, channel, version), newest)
        _upload(repository)
        _call("POST", f"{_RELEASES}/{wanted['id']}/rollback", _document("clientRollback", {}))
        say(f"back to {version} from {newest}")


def _roll_out(version: str, permille: int, platform: PlatformName, arch: ArchName, channel: ChannelName) -> None:
    wanted = _release(version, platform, arch, channel)
    document = _document("clientRollout", {"rollout_permille": permille})
    _call("POST", f"{_RELEASES}/{wanted['id']}/rollout", document)
    say(f"{version}  {permille} of {EVERYBODY}")


def _releases(platform: PlatformName, arch: ArchName, channel: ChannelName) -> list[Any]:
    found: list[Any] = _call(
        "GET", _RELEASES, query={"platform": platform.value, "arch": arch.value, "channel": channel.value}
    )["data"]
    return found


def _release(version: str, platform: PlatformName, arch: ArchName, channel: ChannelName) -> Mapping[str, Any]:
    for found in _releases(platform, arch, channel):
        if found["attributes"]["version"] == version:
            one: Mapping[str, Any] = found
            return one
    raise ReleaseFailed(f"there is no release {version} on {platform.value} {arch.value} in {channel.value}")


def _target_path(platform: PlatformName, arch: ArchName, channel: ChannelName, version: str) -> str:
    return f"{platform.value}-{arch.value}/{channel.value}/samovar-{version}.tar.gz"


def _document(kind: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": {"type": kind, "attributes": dict(attributes)}}


def _call(
    method: str, path: str, document: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
) -> Any:
    gateway, token = os.environ.get("SAMOVAR_GATEWAY", ""), os.environ.get("SAMOVAR_TOKEN", "").strip()
    if not gateway or not token:
        raise ReleaseFailed("set SAMOVAR_GATEWAY and SAMOVAR_TOKEN (an admin's)")
    headers = {"Authorization": f"Bearer {token}", "Accept": _MEDIA_TYPE, "Accept-Language": "en"}
    if document is not None:
        headers |= {"Content-Type": _MEDIA_TYPE, "Idempotency-Key": str(uuid.uuid4())}
    with urllib3.PoolManager() as pool:
        response = pool.request(
            method,
            f"{gateway.rstrip('/')}{path}{'?' + urlencode(query) if query else ''}",
            body=None if document is None else json.dumps(document).encode(),
            headers=headers,
            redirect=False,
            timeout=ANSWER_SECONDS,
        )
    try:
        answer = json.loads(response.data or b"{}")
        if response.status < 300:
            return answer
        raise ReleaseFailed("; ".join(f"{error['code']}: {error['title']}" for error in answer["errors"]))
    except (ValueError, KeyError, TypeError):
        raise ReleaseFailed(f"the gateway answered {response.status}") from None


def _upload(repository: Repository) -> None:
    async def upload() -> None:
        async with load_settings(ObjectSettings).open_object_store() as store:
            await repository.upload(store)

    asyncio.run(upload())


@contextmanager
def _ending(command: str) -> Iterator[None]:
    """A failure is one line and an exit code."""
    try:
        yield
    except (ReleaseFailed, DomainError, OSError, KeyError, ValueError, urllib3.exceptions.HTTPError) as error:
        text = str(error) if not isinstance(error, KeyError) else f"there is no {error}"
        say(f"samovar release {command}: {text}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
