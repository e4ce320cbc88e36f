"""The Download Service as typed calls, by the gateway's REST. Used by launcher.install.sessions, launcher.install.reporter,
launcher.install.links and the commands. What the Library Service does is launcher.api.library_api.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from launcher.api.backoff import FIRST_DELAY_SECONDS
from launcher.api.resources import (
    CdnReport,
    InstallationEntry,
    ItemReport,
    Link,
    ManifestReference,
    PatchOffer,
    Session,
    SessionStatus,
    UpdateAvailability,
    VerificationEntry,
    installation_entry_of,
    link_of,
    manifest_reference_of,
    plan_page_of,
    session_of,
    update_availability_of,
    verification_entry_of,
)
from launcher.api.rest import MAX_TRIES, Rest, document_of, new_key, open_rest, read_answer
from launcher.failures import ExitCode, LauncherError
from launcher.settings import Account

DOWNLOADS = "/api/v1/download-client/downloads"
INSTALLATIONS = "/api/v1/download-client/installations"
UPDATES = "/api/v1/download-client/updates"
VERIFICATIONS = "/api/v1/download-client/verifications"
MAX_LINK_IDS = 1000
MAX_REPORT_ITEMS = 1000
MAX_HASH_FILES = 1000
PLAN_FILES = 1000
MAX_PLAN_PAGES = 1000


class Api:
    """One user's view of the Download Service, by the gateway."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def start_download(self, attributes: Mapping[str, Any]) -> Session:
        """Queues a download; safe to repeat by its Idempotency-Key."""
        document = document_of("downloadRequest", attributes)
        return await self._rest.one("POST", DOWNLOADS, session_of, document, new_key())

    async def check_update(self, product_id: UUID, version_id: UUID) -> UpdateAvailability:
        """Return the update availability of one installed product."""
        installed = {
            "type": "installedProduct",
            "id": str(product_id),
            "attributes": {"current_version_id": str(version_id)},
        }
        answer = await self._rest.call("POST", f"{UPDATES}/check", document={"data": [installed]})
        return read_answer(lambda: update_availability_of(answer["data"][0]))

    async def apply_update(self, attributes: Mapping[str, Any]) -> Session:
        """Queues a download over a version in place; safe to repeat by its Idempotency-Key."""
        document = document_of("updateRequest", attributes)
        return await self._rest.one("POST", f"{UPDATES}/apply", session_of, document, new_key())

    async def rollback(self, attributes: Mapping[str, Any]) -> Session:
        """Queues the way back to an older version; safe to repeat by its Idempotency-Key."""
        document = document_of("rollbackRequest", attributes)
        return await self._rest.one("POST", f"{UPDATES}/rollback", session_of, document, new_key())

    async def create_verification(self, attributes: Mapping[str, Any]) -> VerificationEntry:
        """Begins a verification; safe to repeat by its Idempotency-Key."""
        document = document_of("verificationRequest", attributes)
        return await self._rest.one("POST", VERIFICATIONS, verification_entry_of, document, new_key())

    async def verification(self, verification_id: UUID) -> VerificationEntry:
        return await self._rest.one("GET", f"{VERIFICATIONS}/{verification_id}", verification_entry_of)

    async def submit_hashes(
        self, verification_id: UUID, files: Sequence[Mapping[str, Any]], *, is_last: bool
    ) -> VerificationEntry:
        """One batch of at most MAX_HASH_FILES; a batch that comes twice says the same twice."""
        document = document_of("verificationHashes", {"files": list(files), "is_last": is_last})
        path = f"{VERIFICATIONS}/{verification_id}/hashes"
        return await self._rest.one("POST", path, verification_entry_of, document, new_key())

    async def repair_verification(self, verification_id: UUID, attributes: Mapping[str, Any]) -> Session:
        """Queues a download of what the verification found damaged; safe to repeat by its Idempotency-Key."""
        document = document_of("repairRequest", attributes)
        return await self._rest.one(
            "POST", f"{VERIFICATIONS}/{verification_id}/repair", session_of, document, new_key()
        )

    async def item_ids(self, session_id: UUID) -> frozenset[UUID]:
        """The files that a session brings."""
        path = f"{DOWNLOADS}/{session_id}/items"
        return frozenset([item async for item in self._rest.pages(path, {}, lambda resource: UUID(resource["id"]))])

    async def download(self, session_id: UUID) -> Session:
        return await self._rest.one("GET", f"{DOWNLOADS}/{session_id}", session_of)

    async def downloads(
        self, product_id: UUID | None = None, *, status: SessionStatus | None = None
    ) -> AsyncIterator[Session]:
        """The user's sessions, of a product or all, newest first."""
        query = {} if product_id is None else {"product_id": str(product_id)}
        if status is not None:
            query["status"] = status.value
        async for session in self._rest.pages(DOWNLOADS, query, session_of):
            yield session

    async def pause(self, session_id: UUID) -> Session:
        return await self._rest.one("POST", f"{DOWNLOADS}/{session_id}/pause", session_of)

    async def resume(self, session_id: UUID) -> Session:
        return await self._rest.one("POST", f"{DOWNLOADS}/{session_id}/resume", session_of)

    async def retry(self, session_id: UUID) -> Session:
        return await self._rest.one("POST", f"{DOWNLOADS}/{session_id}/retry", session_of)

    async def cancel(self, session_id: UUID) -> None:
        await self._rest.call("DELETE", f"{DOWNLOADS}/{session_id}")

    async def manifest(self, session_id: UUID) -> ManifestReference:
        return await self._rest.one("GET", f"{DOWNLOADS}/{session_id}/manifest", manifest_reference_of)

    async def patches(self, session_id: UUID) -> Sequence[PatchOffer]:
        """The files of a session's plan that are had by patches."""
        query = {"action": "patch", "limit": str(PLAN_FILES)}
        found: list[PatchOffer] = []
        for _ in range(MAX_PLAN_PAGES):
            answer = await self._rest.call("GET", f"{DOWNLOADS}/{session_id}/plan", query=query)
            offers, after = read_answer(partial(plan_page_of, answer))
            found += offers
            if after is None:
                break
            query["after"] = after
        return found

    async def installations(self, device_id: UUID, product_id: UUID | None = None) -> AsyncIterator[InstallationEntry]:
        """Yield the installations on the device that the server knows."""
        query = {"device_id": str(device_id)} | ({} if product_id is None else {"product_id": str(product_id)})
        async for entry in self._rest.pages(INSTALLATIONS, query, installation_entry_of):
            yield entry

    async def remove_installation(self, installation_id: UUID) -> None:
        """The product is gone from the device; said twice, it is gone all the same."""
        try:
            await self._rest.call("DELETE", f"{INSTALLATIONS}/{installation_id}")
        except LauncherError as refusal:
            if refusal.code != "INSTALLATION_NOT_FOUND":  # another client, or an earlier try, was quicker
                raise

    async def report_uninstalled(self, product_id: UUID, device_id: UUID) -> bool:
        """The product is gone from the device; False when the server knew of no installation there."""
        found = [entry async for entry in self.installations(device_id, product_id)]
        for entry in found:
            await self.remove_installation(entry.id)
        return bool(found)

    async def links(self, session_id: UUID, ids: Sequence[str]) -> Sequence[Link]:
        """Signed links to chunks, at most MAX_LINK_IDS."""
        answer = await self._rest.call(
            "POST", f"{DOWNLOADS}/{session_id}/links", document=document_of("linkRequest", {"ids": list(ids)})
        )
        return read_answer(lambda: [link_of(resource) for resource in answer["data"]])

    async def report(
        self, session_id: UUID, sequence: int, items: Sequence[ItemReport], cdn: Sequence[CdnReport]
    ) -> Session:
        """Report the work since the last report; return the session's current state."""
        attributes = {
            "sequence": sequence,
            "items": [item.document() for item in items],
            "cdn": [report.document() for report in cdn],
        }
        document = document_of("downloadReport", attributes)
        return await self._rest.one("POST", f"{DOWNLOADS}/{session_id}/report", session_of, document)


@asynccontextmanager
async def open_api(
    account: Account,
    *,
    first_delay_seconds: float = FIRST_DELAY_SECONDS,
    outage_seconds: float = 0.0,
    max_tries: int = MAX_TRIES,
) -> AsyncIterator[Api]:
    """The gateway as this account sees it (`open_rest`)."""
    async with open_rest(
        account, first_delay_seconds=first_delay_seconds, outage_seconds=outage_seconds, max_tries=max_tries
    ) as rest:
        yield Api(rest)


def exit_code_of(code: str) -> ExitCode:
    """The exit code that an error code of the platform stands for, where it comes without an HTTP status."""
    if code in {"FILE_HASH_MISMATCH", "MANIFEST_INVALID", "MANIFEST_SIGNATURE_INVALID"}:
        return ExitCode.CORRUPT
    if code == "INSUFFICIENT_CLIENT_DISK_SPACE":
        return ExitCode.DISK
    if code in {"CDN_ERROR", "CDN_LINK_GENERATION_FAILED", "SERVICE_UNAVAILABLE"}:
        return ExitCode.NETWORK
    if code.endswith(("_DENIED", "_NOT_FOUND", "_NOT_AVAILABLE")):
        return ExitCode.DENIED
    return ExitCode.UNEXPECTED
