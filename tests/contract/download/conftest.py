"""The database ports of the Download Service over every adapter: memory, and a migrated PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from chassis.postgres.database import Database, open_database
from chassis.postgres.migrations import upgrade
from download_svc.installations.application import InstallationReader
from download_svc.installations.postgres import PostgresInstallationReader
from download_svc.patches.application import PatchReader
from download_svc.patches.postgres import PostgresPatchReader
from download_svc.postgres import transactions
from download_svc.sessions.application import SessionReader
from download_svc.sessions.domain import Session
from download_svc.sessions.postgres import PostgresSessionReader
from download_svc.transaction import Begin
from download_svc.updates.announcements import AnnouncementReader
from download_svc.updates.application import UpdateReader
from download_svc.updates.postgres import PostgresUpdateReader
from download_svc.updates.postgres_announcements import PostgresAnnouncementReader
from download_svc.verifications.domain import VerificationReader
from download_svc.verifications.postgres import PostgresVerificationReader
from download_svc.versions.application import VersionReader
from download_svc.versions.domain import Version
from download_svc.versions.manifests import Manifest
from download_svc.versions.postgres import PostgresVersionReader
from tests.fakes.download.records import (
    MemoryAnnouncementReader,
    MemoryPatchReader,
    MemoryUpdateReader,
    MemoryVerificationReader,
)
from tests.fakes.download.store import MemoryInstallationReader, MemorySessionReader, MemoryStore, MemoryVersionReader
from tests.unit.download.rig import file_references, make_items, make_version


@dataclass(frozen=True)
class Ports:
    """One adapter's ports; `database` is None for memory."""

    begin: Begin
    sessions: SessionReader
    versions: VersionReader
    installations: InstallationReader
    updates: UpdateReader
    verifications: VerificationReader
    announcements: AnnouncementReader
    patches: PatchReader
    database: Database | None

    async def publish(self, manifest: Manifest, **version: object) -> Version:
        made = make_version(manifest, **version)  # type: ignore[arg-type]
        async with self.begin() as tx:
            await tx.versions.add(made, manifest)
            await tx.commit()
        return made

    async def add(self, session: Session, manifest: Manifest) -> None:
        async with self.begin() as tx:
            await tx.sessions.add(session, file_references(manifest), list(make_items(session, manifest)))
            await tx.commit()


@pytest.fixture(scope="session")
def migrated(new_database, postgres_url) -> str:
    """DSN of a migrated database that the tests of this folder share; their users and products are their own."""

    async def prepare() -> str:
        dsn = await new_database("download")
        await upgrade(dsn, "download_svc")
        return dsn

    with asyncio.Runner() as runner:
        return runner.run(prepare())


@pytest.fixture(params=["memory", "postgres"])
def adapter_dsn(request: pytest.FixtureRequest) -> str | None:
    """Asked for outside of any event loop: the database is migrated in one of its own."""
    return request.getfixturevalue("migrated") if request.param == "postgres" else None


@pytest.fixture
async def ports(adapter_dsn: str | None) -> AsyncIterator[Ports]:
    if adapter_dsn is None:
        store = MemoryStore()
        yield Ports(
            store.begin,
            MemorySessionReader(store),
            MemoryVersionReader(store),
            MemoryInstallationReader(store),
            MemoryUpdateReader(store),
            MemoryVerificationReader(store),
            MemoryAnnouncementReader(store),
            MemoryPatchReader(store),
            None,
        )
        return
    async with open_database(adapter_dsn) as database:
        yield Ports(
            transactions(database),
            PostgresSessionReader(database),
            PostgresVersionReader(database),
            PostgresInstallationReader(database),
            PostgresUpdateReader(database),
            PostgresVerificationReader(database),
            PostgresAnnouncementReader(database),
            PostgresPatchReader(database),
            database,
        )
