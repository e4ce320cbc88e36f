"""The object store over S3: OBJECTS_BACKEND=s3. Operations go through the `minio` client in threads; URLs are signed here, without
network. An upload is bound by signed headers to its length, its SHA-256 and a free key, so the store itself refuses anything else.
"""

import asyncio
import base64
import hashlib
import io
import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import getLogger
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import (
    CHECKSUM_HEADER,
    ObjectInfo,
    SignedUpload,
    check_key,
    content_disposition,
    object_not_found,
)
from chassis.objects.s3_signing import SigningKey, presign

CONNECT_TIMEOUT_SECONDS = 3.0
READ_TIMEOUT_SECONDS = 30.0
ATTEMPTS = 3
BACKOFF_SECONDS = 0.2
CONNECTIONS = 32
PART_BYTES = 16 << 20
"""Larger files go up in parts of so much."""

READ_BYTES = 1 << 20
LIST_PAGE = 1_000
RETRY_AFTER_SECONDS = 5
NOT_FOUND_CODES = frozenset({"NoSuchKey", "NoSuchObject", "NotFound", "ResourceNotFound"})

_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)

_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and how to reach it. `public_endpoint` is the host (and port) that clients use, if it is another one."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str
    bucket: str
    use_ssl: bool = True
    public_endpoint: str = ""


@asynccontextmanager
async def open_s3_store(location: S3Location) -> AsyncIterator["S3Store"]:
    """The store in the bucket. Nothing is asked of it before it is needed."""
    with s3_client(location) as client:
        yield S3Store(client, location)


@contextmanager
def s3_client(location: S3Location) -> Iterator[Minio]:
    """The client for what the port has no words for. Its calls block."""
    pool = urllib3.PoolManager(
        maxsize=CONNECTIONS,
        timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
        retries=urllib3.Retry(
            ATTEMPTS - 1, backoff_factor=BACKOFF_SECONDS, status_forcelist=(500, 502, 503, 504), raise_on_status=False
        ),
    )
    try:
        yield Minio(
            location.endpoint,
            access_key=location.access_key,
            secret_key=location.secret_key,
            region=location.region,
            secure=location.use_ssl,
            http_client=pool,
        )
    finally:
        pool.clear()


class S3Store:
    """The ObjectStore adapter; created by `open_s3_store`."""

    def __init__(
        self, client: Minio, location: S3Location, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._bucket = location.bucket
        self._origin = f"http{'s' if location.use_ssl else ''}://{location.public_endpoint or location.endpoint}"
        self._signing_key = SigningKey(location.access_key, location.secret_key, location.region)
        self._now = now

    async def put(self, key: str, content: bytes | Path) -> None:
        await asyncio.to_thread(self._put, check_key(key), content)

    async def get(self, key: str) -> bytes:
        return await asyncio.to_thread(self._get, check_key(key))

    async def head(self, key: str) -> ObjectInfo | None:
        return await asyncio.to_thread(self._head, check_key(key))

    async def sha256(self, key: str) -> str | None:
        return await asyncio.to_thread(self._sha256, check_key(key))

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        last: str | None = None
        while page := await asyncio.to_thread(self._list, prefix, last):
            for info in page:
                yield info
            last = page[-1].key

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, check_key(key))

    async def ping(self) -> None:
        """Raises DomainError when the bucket cannot be reached."""
        await asyncio.to_thread(self._ping)

    def presign_get(self, key: str, *, expires_in_seconds: float, filename: str = "") -> str:
        query = {"response-content-disposition": content_disposition(filename)} if filename else {}
        return self._presign("GET", key, expires_in_seconds, {}, query)

    def presign_put(self, key: str, *, size_bytes: int, sha256: str, expires_in_seconds: float) -> SignedUpload:
        if _SHA256.fullmatch(sha256) is None or size_bytes < 0:
            raise ValueError("an upload is bound to a size and a SHA-256")
        digest = bytes.fromhex(sha256)
        headers = {
            "content-length": str(size_bytes),
            CHECKSUM_HEADER: base64.b64encode(digest).decode("ascii"),
            "if-none-match": "*",
        }
        return SignedUpload(url=self._presign("PUT", key, expires_in_seconds, headers), headers=headers)

    def _presign(
        self,
        method: str,
        key: str,
        expires_in_seconds: float,
        headers: dict[str, str],
        query: dict[str, str] | None = None,
    ) -> str:
        return presign(
            method,
            self._origin,
            f"/{self._bucket}/{check_key(key)}",
            key=self._signing_key,
            now=self._now(),
            expires_in_seconds=expires_in_seconds,
            headers=headers,
            query=query,
        )

    def _put(self, key: str, content: bytes | Path) -> None:
        with _translated(key):
            if isinstance(content, Path):
                self._client.fput_object(
                    bucket_name=self._bucket, object_name=key, file_path=str(content), part_size=PART_BYTES
                )
            else:
                self._client.put_object(
                    bucket_name=self._bucket, object_name=key, data=io.BytesIO(content), length=len(content)
                )

    def _get(self, key: str) -> bytes:
        with _translated(key):
            answer = self._client.get_object(bucket_name=self._bucket, object_name=key)
            try:
                # urllib3 checks the length: a connection that ends early is an error and not a short object.
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            with _translated(key):
                found = self._client.stat_object(bucket_name=self._bucket, object_name=key)
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                return None
            raise
        if found.size is None or found.last_modified is None:
            raise _unavailable()
        return ObjectInfo(key, found.size, f'"{found.etag}"', found.last_modified)

    def _sha256(self, key: str) -> str | None:
        """The checksum that came with the upload; of an object that came without one, of its bytes."""
        try:
            with _translated(key):
                found = self._client.stat_object(
                    bucket_name=self._bucket, object_name=key, extra_headers={"x-amz-checksum-mode": "ENABLED"}
                )
                stored = (found.metadata or {}).get(CHECKSUM_HEADER)
                if stored:
                    return base64.b64decode(stored).hex()
                answer = self._client.get_object(bucket_name=self._bucket, object_name=key)
                try:
                    digest = hashlib.sha256()
                    for piece in answer.stream(READ_BYTES):
                        digest.update(piece)
                    return digest.hexdigest()
                finally:
                    answer.close()
                    answer.release_conn()
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                return None
            raise

    def _list(self, prefix: str, after: str | None) -> Sequence[ObjectInfo]:
        with _translated(prefix):
            found = self._client.list_objects(
                bucket_name=self._bucket, prefix=prefix, recursive=True, start_after=after
            )
            return [
                ObjectInfo(each.object_name, each.size, f'"{each.etag}"', each.last_modified)
                for each in itertools.islice(found, LIST_PAGE)
                if each.object_name and each.size is not None and each.last_modified is not None
            ]

    def _delete(self, key: str) -> None:
        try:
            with _translated(key):
                self._client.remove_object(bucket_name=self._bucket, object_name=key)
        except DomainError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise

    def _ping(self) -> None:
        with _translated(""):
            if not self._client.bucket_exists(bucket_name=self._bucket):
                _log.error("the bucket is missing", extra={"bucket": self._bucket})
                raise _unavailable()


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Translate errors of the store and of the connection to it into DomainError. To callers, a missing bucket or a bad key pair is
    an outage; the log has the store's own message.
    """
    try:
        yield
    except S3Error as error:
        if error.code in NOT_FOUND_CODES:
            raise object_not_found(key) from error
        _log.error("the object store refused", extra={"code": error.code, "said": error.message, "key": key})
        raise _unavailable() from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unavailable() from error


def _unavailable() -> DomainError:
    return DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE", retry_after_seconds=RETRY_AFTER_SECONDS)
