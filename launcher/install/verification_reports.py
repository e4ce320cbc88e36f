"""Tells the server what a verification found on this disk, in batches, so that the user's other clients see it and a repair is a
session of its own. Used by launcher.install.maintenance.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from launcher.api.download_client import MAX_HASH_FILES, Api
from launcher.api.resources import VerificationEntry
from launcher.disk.verification import LocalEntry
from launcher.failures import LauncherError

MAX_BATCH_BYTES = 1_000_000
"""The approximate limit of a batch's document: the gateway accepts 2 MiB."""
MAX_PATH_CHARACTERS = 4096
_ENTRY_BYTES = 200
_CHUNK_BYTES = 70


async def report_verification(
    api: Api, product_id: UUID, version_id: UUID, device_id: UUID, entries: Sequence[LocalEntry]
) -> VerificationEntry:
    """Lists what lies on the disk, and answers what the server makes of it.

    Raises:
        LauncherError: the server is unavailable, does not know the version, or denies it.
    """
    verification = await api.create_verification(
        {
            "product_id": str(product_id),
            "version_id": str(version_id),
            "device_id": str(device_id),
            "is_whole_tree": True,
        }
    )
    for files, is_last in batches(entries):
        try:
            verification = await api.submit_hashes(verification.id, files, is_last=is_last)
        except LauncherError as refusal:
            # The answer to the last batch was lost, and its key with it: the server has everything.
            if not (is_last and refusal.code == "INVALID_STATE_TRANSITION"):
                raise
            verification = await api.verification(verification.id)
    return verification


def batches(entries: Sequence[LocalEntry]) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """Documents of the entries, MAX_HASH_FILES at most and not too long together, and whether they are the last: there is always
    one that is. Names that are no text are left out: no manifest has them.
    """
    batch: list[dict[str, Any]] = []
    size_bytes = 0
    for entry in entries:
        if not _is_text(entry):
            continue
        cost = _ENTRY_BYTES + 4 * len(entry.path) + _CHUNK_BYTES * len(entry.chunk_sha256s)
        if batch and (len(batch) == MAX_HASH_FILES or size_bytes + cost > MAX_BATCH_BYTES):
            yield batch, False
            batch, size_bytes = [], 0
        batch.append(_document(entry))
        size_bytes += cost
    yield batch, True


def _document(entry: LocalEntry) -> dict[str, Any]:
    document: dict[str, Any] = {"path": entry.path, "size_bytes": entry.size_bytes}
    if entry.type != "file":
        document["type"] = entry.type
    if entry.sha256 is not None:
        document["sha256"] = entry.sha256.hex()
    if entry.mode is not None:
        document["mode"] = entry.mode
    if entry.link_target is not None:
        document["link_target"] = entry.link_target
    if entry.chunk_sha256s:
        document["chunk_sha256s"] = [sha256.hex() for sha256 in entry.chunk_sha256s]
    return document


def _is_text(entry: LocalEntry) -> bool:
    try:
        (entry.path + (entry.link_target or "")).encode()
    except UnicodeEncodeError:
        return False
    return len(entry.path) <= MAX_PATH_CHARACTERS
