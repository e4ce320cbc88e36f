"""Cloud saves through the gateway, as a launcher sees them: contract section 2, "Saves". The bytes travel to and from the store."""

import asyncio
import hashlib
import uuid
from typing import Any

import aiohttp
import pytest

from tests.e2e.clients import Answer, Api, Shop, assert_error

SAVES = "/api/v1/library/savegames"
QUOTA_BYTES = 1 << 30
LIMIT_BYTES = 50 << 20


class Device:
    """A device of a user's that plays one game."""

    def __init__(self, api: Api, product_id: str) -> None:
        self.api = api
        self.product_id = product_id
        self.id = str(uuid.uuid4())

    async def sign(
        self, content: bytes, *, slot: str = "slot", base: int | None = None, size: int | None = None
    ) -> Answer:
        return await self.api.post(
            f"{SAVES}/upload-url",
            "savegameUploadRequest",
            product_id=self.product_id,
            save_slot_name=slot,
            file_size_bytes=len(content) if size is None else size,
            file_hash_sha256=hashlib.sha256(content).hexdigest(),
            client_modified_at="1980-01-01T00:00:00Z",
            device_id=self.id,
            **({} if base is None else {"base_version": base}),
        )

    async def put(self, signed: Answer, content: bytes, **headers: str) -> int:
        target = signed.data["attributes"]
        async with self.api.http.put(
            target["upload_url"], data=content, headers={**target["headers"], **headers}
        ) as done:
            return done.status

    async def confirm(self, signed: Answer) -> Answer:
        return await self.api.post(
            f"{SAVES}/confirm-upload", "savegameUploadConfirmation", internal_save_id=signed.data["id"]
        )

    async def push(self, content: bytes, **attributes: Any) -> Answer:
        signed = await self.sign(content, **attributes)
        assert signed.status == 200, signed.document
        assert await self.put(signed, content) == 200
        return await self.confirm(signed)

    async def pull(self, savegame_id: str, version: int | None = None) -> bytes:
        signed = await self.api.post(
            f"{SAVES}/download-url",
            "savegameDownloadRequest",
            savegame_id=savegame_id,
            **({} if version is None else {"version": version}),
        )
        assert signed.status == 200, signed.document
        async with self.api.http.get(signed.data["attributes"]["download_url"]) as answer:
            content = await answer.read()
        assert hashlib.sha256(content).hexdigest() == signed.data["attributes"]["file_hash_sha256"]
        return content


@pytest.fixture
async def device(new_user, shop: Shop) -> Device:
    api, product_id = await new_user(), await shop.new_product("Игра")
    await shop.buy(api.user_id, product_id)
    await api.owns(product_id)
    return Device(api, product_id)


async def test_a_save_travels_from_one_device_to_another(device):
    other = Device(device.api, device.product_id)
    saved = await device.push(b"level 1", slot="Слот Ё/1".replace("/", "-"))
    assert saved.status == 200, saved.document
    assert await other.pull(saved.data["id"]) == b"level 1"
    grown = await other.push(b"level 2", slot="слот ё-1", base=1)
    assert (grown.data["id"], grown.data["attributes"]["version"]) == (saved.data["id"], 2)
    assert grown.data["attributes"]["device_id"] == other.id
    assert await device.pull(saved.data["id"], 1) == b"level 1"
    assert await device.pull(saved.data["id"]) == b"level 2"


async def test_a_conflict_is_409_with_both_numbers_and_ends_as_the_user_wants(device):
    other = Device(device.api, device.product_id)
    saved = await device.push(b"level 1")
    await device.push(b"level 2", base=1)
    refused = await other.push(b"level 1, but otherwise", base=1)
    assert_error(refused, 409, "SAVEGAME_VERSION_CONFLICT")
    meta = refused.document["errors"][0]["meta"]
    assert (meta["current_version"], meta["conflict_version"]) == ("2", "3")
    address = f"{SAVES}/{saved.data['id']}"
    assert (await device.api.get(address)).data["attributes"]["conflict_version"] == 3
    versions = (await device.api.get(f"{address}/versions")).data
    assert [(one["attributes"]["version"], one["attributes"]["state"]) for one in versions] == [
        (3, "conflict"),
        (2, "current"),
        (1, "kept"),
    ]
    resolved = await other.api.post(f"{address}/resolve-conflict", "savegameConflictResolution", keep="local")
    assert resolved.data["attributes"]["version"] == 4
    assert await device.pull(saved.data["id"]) == b"level 1, but otherwise"


async def test_the_store_takes_nothing_but_the_bytes_that_were_announced_and_those_once(device):
    signed = await device.sign(b"level 1")
    assert await device.put(signed, b"level 2") in {400, 403}
    longer = b"level 1 and more"
    assert await device.put(signed, longer, **{"content-length": str(len(longer))}) in {400, 403}
    assert await device.put(signed, b"level 1", **{"x-amz-checksum-sha256": ""}) in {400, 403}
    assert_error(await device.confirm(signed), 404, "SAVEGAME_UPLOAD_NOT_FOUND")
    assert await device.put(signed, b"level 1") == 200
    assert await device.put(signed, b"level 1") == 412
    assert (await device.confirm(signed)).status == 200


async def test_a_user_whose_saves_take_up_the_quota_is_told_422(device):
    """Reservations count: 21 of 50 MB are more than there is room for, in whatever order they come."""
    wanted = QUOTA_BYTES // LIMIT_BYTES + 1
    answers = await asyncio.gather(
        *(device.sign(b"x", slot=f"slot {number}", size=LIMIT_BYTES) for number in range(wanted))
    )
    assert sorted(answer.status for answer in answers) == [200] * (wanted - 1) + [422]
    (refused,) = (answer for answer in answers if answer.status == 422)
    assert_error(refused, 422, "USER_QUOTA_EXCEEDED")
    quota = (await device.api.get(f"{SAVES}/quota")).data["attributes"]
    assert quota == {"used_bytes": 0, "reserved_bytes": (wanted - 1) * LIMIT_BYTES, "limit_bytes": QUOTA_BYTES}


async def test_devices_see_over_the_socket_what_becomes_of_a_slot(device, platform, http: aiohttp.ClientSession):
    url = f"{platform.ready['gateway_url']}/api/v1/ws/library-updates"
    async with http.ws_connect(url, headers={"Authorization": f"Bearer {device.api.token}"}) as socket:
        saved = await device.push(b"level 1")
        await device.push(b"other")
        seen: list[str] = []
        async with asyncio.timeout(60):
            while len(seen) < 4:
                event = await socket.receive_json()
                if event["event_type"] == "savegame.sync.status":
                    assert event["payload"]["savegame_id"] == saved.data["id"]
                    seen.append(event["payload"]["status"])
    assert seen == ["sync_started", "sync_completed", "sync_started", "conflict"]
