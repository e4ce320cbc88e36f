"""The store of saves' bytes, over any object store: the request that it signs binds them. Source: contract section 2, "Saves"."""

from datetime import timedelta
from uuid import UUID

from chassis.objects.object_store import ObjectStore
from library_svc.ids import UserId
from library_svc.saves.application import UploadTarget
from library_svc.saves.domain import user_prefix


class StoredSaves:
    """The SaveObjects over an ObjectStore."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def presign_upload(self, object_key: str, *, size_bytes: int, sha256: str, life: timedelta) -> UploadTarget:
        signed = self._store.presign_put(
            object_key, size_bytes=size_bytes, sha256=sha256, expires_in_seconds=life.total_seconds()
        )
        return UploadTarget(signed.url, signed.method, signed.headers)

    def presign_download(self, object_key: str, *, filename: str, life: timedelta) -> str:
        return self._store.presign_get(object_key, expires_in_seconds=life.total_seconds(), filename=filename)

    async def is_there(self, object_key: str, *, size_bytes: int, sha256: str) -> bool | None:
        info = await self._store.head(object_key)
        if info is None:
            return None
        return info.size_bytes == size_bytes and await self._store.sha256(object_key) == sha256

    async def remove(self, object_key: str) -> None:
        await self._store.delete(object_key)


class ErasedSaves:
    """The bytes of an erased user's saves: every object under the user's prefix, whether a version names it or not."""

    name = "savegames"

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def erase(self, user_id: UUID) -> int:
        """Remove the objects and return how many there were. Raises: DomainError."""
        keys = [info.key async for info in self._store.list(user_prefix(UserId(user_id)))]
        for key in keys:
            await self._store.delete(key)
        return len(keys)
