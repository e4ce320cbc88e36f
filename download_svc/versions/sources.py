"""Manifests as published: fetched by URL or from Catalog, checked (depot), kept in the object store, and read into values.

Contract section 3, Manifests. Called by the consumer of Catalog's events through the port ManifestSource.
"""

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from logging import getLogger
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
from content.v1 import manifest_pb2 as content
from google.protobuf.message import DecodeError

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import ObjectStore
from depot import manifest as manifests
from depot import signing
from depot.errors import ManifestInvalid, ManifestSignatureInvalid
from download_svc.versions.domain import Announcement, Version
from download_svc.versions.manifests import Chunk, Entry, EntryType, Manifest, Platform, StoredManifest

MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_SIGNATURE_BYTES = 4 * 1024
FETCH_SECONDS = 30.0
READ_BYTES = 256 * 1024
MANIFEST_LINK_SECONDS = 600

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOO_MANY_REQUESTS = 429
_PLATFORMS = {platform: content.Platform.Value(f"PLATFORM_{platform.name}") for platform in Platform}
_ENTRY_TYPES: Mapping[int, EntryType] = {
    content.ENTRY_TYPE_FILE: EntryType.FILE,
    content.ENTRY_TYPE_SYMLINK: EntryType.SYMLINK,
    content.ENTRY_TYPE_DIRECTORY: EntryType.DIRECTORY,
}

_log = getLogger(__name__)

Signed = tuple[bytes, content.ManifestSignature]
"""Stored bytes and the signature over them."""


class FallbackSource(Protocol):
    """Where manifests come from that no URL gives: infrastructure.catalog."""

    async def get(self, product_id: UUID, version_id: UUID) -> Signed: ...


def origin_of(url: str) -> str | None:
    """`scheme://host:port` of an http(s) URL, the port always said; None for any other URL, or one with a user name in it."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


class PublishedManifests:
    """Fetches and checks manifests; keeps a copy of the checked bytes under a key that names them."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        catalog: FallbackSource,
        objects: ObjectStore,
        *,
        public_keys: Mapping[str, bytes],
        origins: Collection[str],
        allow_http: bool,
    ) -> None:
        self._http = http
        self._catalog = catalog
        self._objects = objects
        self._public_keys = public_keys
        self._origins = frozenset(filter(None, map(origin_of, origins)))
        self._schemes = frozenset({"https", "http"} if allow_http else {"https"})

    async def fetch(self, announcement: Announcement) -> Manifest:
        stored, signature = await self._published(announcement)
        manifest = await asyncio.to_thread(_checked, stored, signature, self._public_keys, announcement)
        await self._objects.put(manifest.stored.key, stored)
        return manifest

    async def _published(self, announcement: Announcement) -> Signed:
        url = announcement.manifest_url
        if origin_of(url) in self._origins and urlsplit(url).scheme in self._schemes:
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    stored = await self._get(url, MAX_MANIFEST_BYTES)
                    signature = await self._get(_signature_url(url), MAX_SIGNATURE_BYTES)
            except TimeoutError as error:
                raise DomainError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") from error
            if stored is not None and signature is not None:
                return stored, _signature(signature)
            # The origin does not give it to us (a redirect counts as that); Catalog is the other place a manifest can come from.
            _log.warning("manifest not at its address", extra={"version_id": str(announcement.version_id)})
        return await self._catalog.get(announcement.product_id, announcement.version_id)

    async def _get(self, url: str, limit_bytes: int) -> bytes | None:
        """The body, exactly as sent; None when the origin answers that we do not get it."""
        try:
            async with self._http.get(
                url, allow_redirects=False, headers={"Accept-Encoding": "identity"}, timeout=aiohttp.ClientTimeout(None)
            ) as response:
                if response.status >= 500 or response.status == _TOO_MANY_REQUESTS:
                    raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
                if response.status != 200:
                    return None
                body = bytearray()
                async for part in response.content.iter_chunked(READ_BYTES):
                    body += part
                    if len(body) > limit_bytes:
                        raise ManifestInvalid(f"what lies at its address is larger than {limit_bytes} bytes")
                return bytes(body)
        except aiohttp.InvalidURL as error:
            raise ManifestInvalid("its address is not a URL") from error
        except aiohttp.ClientError as error:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE") from error


class StoredManifests:
    """The kept copies, read whole."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def entries(self, version: Version) -> Sequence[Entry]:
        try:
            stored = await self._objects.get(version.manifest.key)
        except DomainError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            # It was kept before its version was, so if it is missing, that is the store's fault and not the caller's.
            _log.error("a kept manifest is not there", extra={"manifest_sha256": version.manifest.sha256.hex()})
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE") from error
        return await asyncio.to_thread(_entries, stored, version.manifest.sha256)


class StoredManifestLinks:
    """Signed links to the kept copies."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def link(self, key: str, now: datetime) -> tuple[str, datetime]:
        url = self._objects.presign_get(key, expires_in_seconds=MANIFEST_LINK_SECONDS)
        return url, now + timedelta(seconds=MANIFEST_LINK_SECONDS)


def _entries(stored: bytes, sha256: bytes) -> Sequence[Entry]:
    """CPU-bound; runs in a thread."""
    if hashlib.sha256(stored).digest() != sha256:
        _log.error("a kept manifest is damaged", extra={"manifest_sha256": sha256.hex()})
        raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    return tuple(map(_entry, manifests.parse(stored).entries))


def _signature_url(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=parts.path + ".sig").geturl()


def _signature(serialized: bytes) -> content.ManifestSignature:
    try:
        return content.ManifestSignature.FromString(serialized)
    except DecodeError:
        raise ManifestSignatureInvalid("its signature is not a content.v1.ManifestSignature") from None


def _checked(
    stored: bytes,
    signature: content.ManifestSignature,
    public_keys: Mapping[str, bytes],
    announcement: Announcement,
) -> Manifest:
    """Signature first: nothing is parsed that a trusted key has not signed. CPU-bound; runs in a thread."""
    if len(stored) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"it is larger than {MAX_MANIFEST_BYTES} bytes")
    signing.verify(stored, signature, public_keys)
    message = manifests.parse(stored)
    manifests.check(
        message,
        product_id=announcement.product_id,
        version_id=announcement.version_id,
        platform=_PLATFORMS[announcement.platform],
    )
    sha256 = hashlib.sha256(stored).digest()
    key = f"manifests/{announcement.product_id}/{announcement.version_id}/{sha256.hex()}"
    return Manifest(
        product_id=announcement.product_id,
        version_id=announcement.version_id,
        platform=announcement.platform,
        entries=tuple(map(_entry, message.entries)),
        stored=StoredManifest(key, sha256, len(stored), signature.key_id, signature.signature),
    )


def _entry(entry: content.Entry) -> Entry:
    if entry.type == content.ENTRY_TYPE_FILE:
        chunks = tuple(
            Chunk(chunk.sha256, chunk.size_bytes, chunk.stored_sha256, chunk.stored_size_bytes)
            for chunk in entry.chunks
        )
        return Entry(entry.path, EntryType.FILE, entry.size_bytes, entry.sha256, entry.mode, None, chunks)
    kind = _ENTRY_TYPES[entry.type]
    return Entry(entry.path, kind, link_target=entry.link_target if kind is EntryType.SYMLINK else None)
