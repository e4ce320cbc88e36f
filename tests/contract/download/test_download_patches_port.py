"""Patches: requested, claimed by one builder at a time, noted once, read by plans and links; the same over every adapter."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from download_svc.patches.domain import Patch, StagedPatch
from download_svc.versions.domain import Version
from tests.contract.download.conftest import Ports
from tests.unit.download.rig import digest, file_entry, make_manifest

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


async def publish(ports: Ports, product_id: UUID | None = None) -> Version:
    manifest = make_manifest(product_id or uuid4(), uuid4(), {}, others=[file_entry("a", 4000, "new")])
    return await ports.publish(manifest)


async def request(ports: Ports, *versions: Version) -> None:
    async with ports.begin() as tx:
        for version in versions:
            await tx.patches.request(version)
        await tx.commit()


def patch(version: Version, name: str = "one", *, path: str = "a", is_useless: bool = False) -> Patch:
    sha256 = digest("patch", version.version_id, name)
    return Patch(
        version.product_id,
        uuid4(),
        version.version_id,
        path,
        digest("old", name),
        3000,
        file_entry("a", 4000).sha256 or b"",
        "hdiff13-zstd",
        None if is_useless else StagedPatch(sha256, 77, f"staging/{sha256.hex()}"),
    )


async def claim(ports: Ports, now: datetime, until: datetime) -> UUID | None:
    async with ports.begin() as tx:
        build = await tx.patches.claim(now, until)
        await tx.commit()
    return build.version_id if build else None


async def claim_all(ports: Ports, now: datetime, until: datetime) -> list[UUID]:
    found = []
    while (version_id := await claim(ports, now, until)) is not None:
        found.append(version_id)
    return found


async def finish_all(ports: Ports) -> None:
    """What other tests left in a shared database."""
    for version_id in await claim_all(ports, datetime(2050, 1, 1, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)):
        async with ports.begin() as tx:
            await tx.patches.finish(version_id, NOW)
            await tx.commit()


async def test_a_version_is_claimed_by_one_until_its_lease_ends_or_it_is_done(ports: Ports) -> None:
    await finish_all(ports)
    one, two = await publish(ports), await publish(ports)
    await request(ports, one, two)
    await request(ports, one)
    claimed = await asyncio.gather(*(claim(ports, NOW, LATER) for _ in range(4)))
    assert sorted(filter(None, claimed)) == sorted([one.version_id, two.version_id])
    assert await claim_all(ports, LATER - timedelta(seconds=1), LATER) == []
    async with ports.begin() as tx:
        await tx.patches.extend(one.version_id, LATER + timedelta(minutes=1))
        await tx.patches.finish(two.version_id, NOW)
        await tx.commit()
    assert await claim_all(ports, LATER, LATER) == []
    assert await claim_all(ports, LATER + timedelta(minutes=1), LATER + timedelta(minutes=2)) == [one.version_id]


async def test_what_is_released_comes_after_what_is_new_and_what_failed_after_its_time(ports: Ports) -> None:
    await finish_all(ports)
    old, failed = await publish(ports), await publish(ports)
    await request(ports, old, failed)
    await claim_all(ports, NOW, LATER)
    async with ports.begin() as tx:
        await tx.patches.release(old.version_id, NOW)
        await tx.patches.set_aside(failed.version_id, until=LATER, reason="bad\0row" * 1000)
        await tx.commit()
    new = await publish(ports)
    await request(ports, new)
    assert await claim_all(ports, NOW, LATER) == [new.version_id, old.version_id]
    assert failed.version_id in await claim_all(ports, LATER, LATER + timedelta(minutes=1))


async def test_the_first_note_of_a_pair_stands_and_only_offers_count(ports: Ports) -> None:
    version = await publish(ports)
    await request(ports, version)
    useless = patch(version, "two", is_useless=True)
    first, again = patch(version), patch(version)
    for one in (first, useless, again):
        async with ports.begin() as tx:
            await tx.patches.add(one)
            await tx.commit()
    product_id = version.product_id
    assert await ports.patches.revisions({product_id, uuid4()}) == {product_id: 1}
    tos = {first.to_sha256, b"x" * 32}
    assert set(await ports.patches.tried(product_id, tos)) == {
        (first.from_sha256, first.to_sha256),
        (useless.from_sha256, useless.to_sha256),
    }
    [found] = await ports.patches.offered(product_id, tos)
    assert first.staged is not None
    assert (found.sha256, found.size_bytes, found.relative_path) == (first.staged.sha256, 77, "a")
    assert (found.from_sha256, found.from_size_bytes, found.to_sha256) == (first.from_sha256, 3000, first.to_sha256)
    assert await ports.patches.offered(uuid4(), tos) == []
    assert await ports.patches.offered(product_id, set()) == []


async def test_a_version_has_the_patches_that_give_its_files(ports: Ports) -> None:
    version = await publish(ports)
    elsewhere = await publish(ports, version.product_id)
    await request(ports, version)
    own, moved = patch(version), patch(version, "two", path="other")
    async with ports.begin() as tx:
        await tx.patches.add(own)
        await tx.patches.add(moved)
        await tx.commit()
    assert own.staged is not None
    assert moved.staged is not None
    asked = {own.staged.sha256, moved.staged.sha256, b"x" * 32}

    async def found(product_id: UUID, version_id: UUID) -> list[bytes]:
        return [one.sha256 for one in await ports.patches.of_version(product_id, version_id, asked)]

    assert await found(version.product_id, version.version_id) == [own.staged.sha256]
    assert await found(version.product_id, elsewhere.version_id) == [own.staged.sha256], "it has the same file"
    assert await found(uuid4(), version.version_id) == []
    assert await found(version.product_id, uuid4()) == []
