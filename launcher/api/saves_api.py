"""Cloud saves as typed calls, by the gateway's REST; the bytes go to and from the object store by the URLs that it signs. Used by
launcher.saves.sync and the commands.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

from launcher.api.rest import Resource, Rest, document_of, new_key, open_rest, read_answer
from launcher.failures import ExitCode, LauncherError
from launcher.settings import Account

SAVES = "/api/v1/library/savegames"
READ_BYTES = 1 << 20
TRANSFER_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)


@dataclass(frozen=True, slots=True)
class CloudSlot:
    """A `savegame`: the slot and its current version."""

    id: str
    product_id: str
    name: str
    version: int
    conflict_version: int | None
    size_bytes: int
    sha256: str
    client_modified_at: str
    server_uploaded_at: str
    device_id: str | None


@dataclass(frozen=True, slots=True)
class CloudVersion:
    """A `savegameVersion`."""

    version: int
    state: str
    is_locked: bool
    size_bytes: int
    sha256: str
    client_modified_at: str
    device_id: str | None


@dataclass(frozen=True, slots=True)
class Quota:
    """A `savegameQuota`."""

    used_bytes: int
    reserved_bytes: int
    limit_bytes: int


class SavesApi:
    """One user's saves, by the gateway and the object store."""

    def __init__(self, rest: Rest, http: aiohttp.ClientSession) -> None:
        self._rest = rest
        self._http = http

    async def slots(self, product_id: UUID | None = None) -> Sequence[CloudSlot]:
        query = {} if product_id is None else {"product_id": str(product_id)}
        return [slot async for slot in self._rest.pages(SAVES, query, _slot_of)]

    async def versions(self, savegame_id: str) -> Sequence[CloudVersion]:
        return [one async for one in self._rest.pages(f"{SAVES}/{savegame_id}/versions", {}, _version_of)]

    async def quota(self) -> Quota:
        return await self._rest.one("GET", f"{SAVES}/quota", lambda one: Quota(**_ints(one["attributes"])))

    async def upload(self, content: Path, attributes: Mapping[str, Any]) -> CloudSlot:
        """Puts the file into the store and has it confirmed.

        Raises:
            LauncherError: SAVEGAME_VERSION_CONFLICT: it is kept in the cloud as the other side; or what else was refused.
        """
        document = document_of("savegameUploadRequest", attributes)
        target = await self._rest.one("POST", f"{SAVES}/upload-url", _target_of, document, new_key())
        await self._put(target["attributes"]["upload_url"], target["attributes"]["headers"], content)
        document = document_of("savegameUploadConfirmation", {"internal_save_id": target["id"]})
        return await self._rest.one("POST", f"{SAVES}/confirm-upload", _slot_of, document)

    async def download(self, savegame_id: str, version: int, target: Path) -> None:
        """The bytes of a version into a file; what is not as announced is refused."""
        document = document_of("savegameDownloadRequest", {"savegame_id": savegame_id, "version": version})
        signed = await self._rest.one("POST", f"{SAVES}/download-url", _target_of, document)
        attributes, digest, size = signed["attributes"], hashlib.sha256(), 0
        try:
            async with self._http.get(attributes["download_url"], allow_redirects=False) as answer:
                if answer.status != 200:
                    raise _store_failure(answer.status)
                with target.open("wb") as output:
                    async for piece in answer.content.iter_chunked(READ_BYTES):
                        size += len(piece)
                        if size > int(attributes["file_size_bytes"]):
                            break
                        digest.update(piece)
                        output.write(piece)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(error) from None
        if digest.hexdigest() != attributes["file_hash_sha256"]:
            raise LauncherError("FILE_HASH_MISMATCH", "the store sent other bytes than were saved", ExitCode.CORRUPT)

    async def restore(self, savegame_id: str, version: int) -> CloudSlot:
        return await self._rest.one(
            "POST", f"{SAVES}/{savegame_id}/versions/{version}/restore", _slot_of, None, new_key()
        )

    async def lock(self, savegame_id: str, version: int, *, is_locked: bool) -> CloudVersion:
        word = "lock" if is_locked else "unlock"
        return await self._rest.one("POST", f"{SAVES}/{savegame_id}/versions/{version}/{word}", _version_of)

    async def resolve(self, slot: CloudSlot, keep: str) -> CloudSlot:
        attributes: dict[str, Any] = {"keep": keep}
        if slot.conflict_version is not None:
            attributes["conflict_version"] = slot.conflict_version
        document = document_of("savegameConflictResolution", attributes)
        return await self._rest.one("POST", f"{SAVES}/{slot.id}/resolve-conflict", _slot_of, document, new_key())

    async def _put(self, url: str, headers: Mapping[str, str], content: Path) -> None:
        try:
            with content.open("rb") as body:
                async with self._http.put(url, data=body, headers=headers, allow_redirects=False) as answer:
                    # 412: the same bytes are there already, of a try whose answer was lost; confirming compares them.
                    if answer.status not in {200, 204, 412}:
                        raise _store_failure(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _unreachable(error) from None


@asynccontextmanager
async def open_saves(account: Account) -> AsyncIterator[SavesApi]:
    """The saves as this account sees them. The token goes to the gateway only."""
    async with (
        open_rest(account) as rest,
        aiohttp.ClientSession(timeout=TRANSFER_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield SavesApi(rest, http)


def _slot_of(resource: Resource) -> CloudSlot:
    attributes = resource["attributes"]
    conflict = attributes.get("conflict_version")
    return CloudSlot(
        id=str(resource["id"]),
        product_id=str(attributes["product_id"]),
        name=str(attributes["save_slot_name"]),
        version=int(attributes["version"]),
        conflict_version=None if conflict is None else int(conflict),
        size_bytes=int(attributes["file_size_bytes"]),
        sha256=str(attributes["file_hash_sha256"]),
        client_modified_at=str(attributes.get("client_modified_at", "")),
        server_uploaded_at=str(attributes.get("server_uploaded_at", "")),
        device_id=attributes.get("device_id"),
    )


def _version_of(resource: Resource) -> CloudVersion:
    attributes = resource["attributes"]
    return CloudVersion(
        version=int(attributes["version"]),
        state=str(attributes["state"]),
        is_locked=bool(attributes.get("is_locked")),
        size_bytes=int(attributes["file_size_bytes"]),
        sha256=str(attributes["file_hash_sha256"]),
        client_modified_at=str(attributes.get("client_modified_at", "")),
        device_id=attributes.get("device_id"),
    )


def _target_of(resource: Resource) -> Resource:
    return read_answer(lambda: {"id": str(resource["id"]), "attributes": dict(resource["attributes"])})


def _ints(attributes: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(attributes[name]) for name in ("used_bytes", "reserved_bytes", "limit_bytes")}


def _store_failure(status: int) -> LauncherError:
    code = ExitCode.NETWORK if status >= 500 else ExitCode.DENIED
    return LauncherError("SAVE_STORE_REFUSED", f"the store of saves answered {status}; sync again", code)


def _unreachable(error: Exception) -> LauncherError:
    text = str(error) or type(error).__name__
    return LauncherError("SERVICE_UNAVAILABLE", f"the store of saves cannot be reached: {text}", ExitCode.NETWORK)
