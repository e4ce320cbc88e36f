"""Installations: kept, changed, shown in pages, removed; the same over every adapter."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from download_svc.installations.domain import Installation, InstallationChanges, KeptInstallation
from download_svc.paging import PageRequest
from download_svc.versions.manifests import Platform
from tests.contract.download.conftest import Ports

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def installation(user_id: UUID, **changes: UUID | str | None) -> Installation:
    values = {
        "user_id": user_id,
        "device_id": uuid4(),
        "product_id": uuid4(),
        "version_id": uuid4(),
        "platform": Platform.LINUX,
        "installation_path": "/games/one",
    }
    return Installation(**{**values, **changes})  # type: ignore[arg-type]


async def put(ports: Ports, one: Installation, now: datetime = NOW) -> int:
    async with ports.begin() as tx:
        remaining = await tx.installations.put(one, now)
        await tx.commit()
    return remaining


async def shown(ports: Ports, user_id: UUID, **filters: UUID) -> list[KeptInstallation]:
    return list((await ports.installations.page(user_id, PageRequest(1, 100), **filters)).items)


async def test_a_new_version_keeps_what_the_user_decided_and_where_it_lies(ports: Ports) -> None:
    one = installation(uuid4())
    assert await put(ports, one) == 1
    (kept,) = await shown(ports, one.user_id)
    async with ports.begin() as tx:
        await tx.installations.save(kept.changed(InstallationChanges(is_pinned=True), NOW))
        await tx.commit()
    later = NOW + timedelta(hours=1)
    newer = installation(one.user_id, device_id=one.device_id, product_id=one.product_id, installation_path=None)
    assert await put(ports, newer, later) == 1
    (kept,) = await shown(ports, one.user_id)
    assert kept.is_pinned
    assert kept.installation.version_id == newer.version_id
    assert kept.installation.installation_path == "/games/one"
    assert (kept.created_at, kept.updated_at) == (NOW, later)
    assert await ports.installations.get(one.user_id, kept.id) == kept


async def test_pages_are_filtered_ordered_by_the_last_change_and_the_users_own(ports: Ports) -> None:
    user_id, product_id = uuid4(), uuid4()
    for hour in range(3):
        await put(ports, installation(user_id, product_id=product_id), NOW + timedelta(hours=hour))
    other = installation(user_id, device_id=None)
    await put(ports, other, NOW - timedelta(hours=1))
    everything = await shown(ports, user_id)
    assert [kept.updated_at for kept in everything] == sorted((kept.updated_at for kept in everything), reverse=True)
    assert len(await shown(ports, user_id, product_id=product_id)) == 3
    device_id = everything[0].installation.device_id
    assert device_id is not None
    assert await shown(ports, user_id, device_id=device_id) == everything[:1]
    page = await ports.installations.page(user_id, PageRequest(2, 3))
    assert ([kept.installation for kept in page.items], page.total) == ([other], 4)
    assert await shown(ports, uuid4()) == []
    assert await ports.installations.get(uuid4(), everything[0].id) is None


async def test_removing_counts_the_devices_that_are_left_and_a_rollback_removes_nothing(ports: Ports) -> None:
    user_id, product_id = uuid4(), uuid4()
    for _ in range(2):
        await put(ports, installation(user_id, product_id=product_id))
    first, second = await shown(ports, user_id)
    async with ports.begin() as tx:
        assert await tx.installations.remove(first) == 1
    assert len(await shown(ports, user_id)) == 2
    async with ports.begin() as tx:
        assert await tx.installations.get(uuid4(), first.id) is None, "another user's"
        assert await tx.installations.remove(first) == 1
        await tx.commit()
    assert await shown(ports, user_id) == [second]
