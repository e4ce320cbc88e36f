"""The object store that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.objects.object_store import ObjectStore

if TYPE_CHECKING:
    from chassis.objects.s3_store import S3Location


@asynccontextmanager
async def open_object_store(
    backend: str, *, directory: str = "", base_url: str = "", signing_key: str = "", s3: "S3Location | None" = None
) -> AsyncIterator[ObjectStore]:
    """The store that OBJECTS_BACKEND names: `directory` (needs OBJECTS_DIRECTORY, OBJECTS_BASE_URL, OBJECTS_SIGNING_KEY) or `s3`
    (needs its location).

    Raises:
        ValueError: an unknown backend, or a setting that it needs is empty.
    """
    if backend == "directory":
        needed = {"OBJECTS_DIRECTORY": directory, "OBJECTS_BASE_URL": base_url, "OBJECTS_SIGNING_KEY": signing_key}
        for name, value in needed.items():
            if not value:
                raise ValueError(f"{name} is needed when OBJECTS_BACKEND is directory")
        from chassis.objects.directory_store import DirectoryStore  # noqa: PLC0415 - the adapters import this module

        yield DirectoryStore(Path(directory), base_url, signing_key)
    elif backend == "s3":
        from chassis.objects.s3_store import open_s3_store  # noqa: PLC0415 - the adapters import this module

        if s3 is None:
            raise ValueError("S3_ENDPOINT is needed when OBJECTS_BACKEND is s3")
        async with open_s3_store(s3) as store:
            yield store
    else:
        raise ValueError(f"OBJECTS_BACKEND: {backend!r} is not one of directory, s3")
