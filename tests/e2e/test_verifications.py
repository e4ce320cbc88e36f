"""Verifications, repairs, rollbacks and lists of updates through every process, as REST clients and the command line see them."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import ITEMS, Answer, Api, CommandLine, until
from tests.e2e.conftest import Platform
from tests.e2e.trees import digests, make_tree

DELIVERY = "/api/v1/download-client"
VERIFICATIONS = f"{DELIVERY}/verifications"
NewUser = Callable[[], Awaitable[Api]]


@dataclass(frozen=True)
class Bought:
    """A published version that a user owns."""

    user: Api
    product_id: str
    version_id: str
    source: Path

    def files(self) -> dict[str, dict[str, Any]]:
        """Every file as a client that has it right lists it."""
        return {
            path.relative_to(self.source).as_posix(): {
                "path": path.relative_to(self.source).as_posix(),
                "size_bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "mode": 0o755 if path.stat().st_mode & 0o100 else 0o644,
            }
            for path in sorted(self.source.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }

    async def create(self, **attributes: Any) -> Answer:
        asked = {"product_id": self.product_id, "version_id": self.version_id, **attributes}
        return await self.user.post(VERIFICATIONS, "verificationRequest", **asked)

    async def submit(self, link: str, files: list[dict[str, Any]], *, is_last: bool = True) -> Answer:
        return await self.user.post(f"{link}/hashes", "verificationHashes", files=files, is_last=is_last)

    async def verified(self, files: list[dict[str, Any]], **attributes: Any) -> str:
        """The path of a verification of these files, complete."""
        link = (await self.create(**attributes)).headers["Location"]
        assert (await self.submit(link, files)).status == 202
        return link


def last_object(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


@pytest.fixture
async def bought(samovar: CommandLine, new_user: NewUser, tmp_path: Path) -> Bought:
    source = make_tree(tmp_path / "source", "verified")
    user = await new_user()
    published = await samovar.publish(source, f"verified-{uuid.uuid4()}", "1.0")
    await samovar.buy(user.user_id, published["product_id"])
    await user.owns(published["product_id"])
    await user.knows(published["product_id"], published["version_id"])
    return Bought(user, published["product_id"], published["version_id"], source)


async def test_a_verification_finds_what_is_wrong_and_its_repair_brings_only_that(bought: Bought, boris: Api) -> None:
    user, device_id, files = bought.user, str(uuid.uuid4()), bought.files()
    created = await bought.create(device_id=device_id)
    link = created.headers["Location"]
    assert (created.status, created.data["links"]["self"], link) == (202, link, f"{VERIFICATIONS}/{created.data['id']}")
    assert created.data["attributes"]["status"] == "pending"
    files["bin/game"]["sha256"] = "0" * 64
    files["data/empty"]["mode"] = 0o755
    files["mine"] = {"path": "mine", "size_bytes": 3}
    del files["data/уровни/1.lvl"]
    listed = list(files.values())
    first = await bought.submit(link, listed[:5], is_last=False)
    assert (first.status, first.data["attributes"]["status"]) == (202, "in_progress")
    assert first.data["attributes"]["checked_files_count"] == 5
    last = (await bought.submit(link, listed[5:])).data["attributes"]
    assert (last["status"], last["corrupted_files_count"], last["completed_at"] is not None) == (
        "completed_errors",
        3,
        True,
    )
    page = await user.get(f"{link}/issues?limit=3")
    assert page.document["meta"]["total_items"] == 4
    rest = await user.get(page.document["links"]["next"].removeprefix(user.url))
    assert {one["attributes"]["path"]: one["attributes"]["kind"] for one in page.data + rest.data} == {
        "bin/game": "corrupted",
        "data/empty": "wrong_mode",
        "data/уровни/1.lvl": "missing",
        "mine": "extra",
    }
    extra = (await user.get(f"{link}/issues?kind=extra")).data
    assert [one["id"] for one in extra] == [str(uuid.uuid5(uuid.UUID(created.data["id"]), "mine"))]

    for method, path, body in (
        ("GET", link, None),
        ("GET", f"{link}/issues", None),
        ("POST", f"{link}/hashes", {"data": {"type": "verificationHashes", "attributes": {"files": []}}}),
        ("POST", f"{link}/repair", {"data": {"type": "repairRequest", "attributes": {}}}),
    ):
        answer = await boris.call(method, path, body=body)
        assert (answer.status, answer.codes) == (404, ["VERIFICATION_NOT_FOUND"])

    repair = await user.post(f"{link}/repair", "repairRequest", installation_path="/games/it")
    assert (repair.status, repair.data["type"]) == (202, "downloadSession")
    assert repair.headers["Location"] == f"{DELIVERY}/downloads/{repair.data['id']}"
    session = repair.data["attributes"]
    assert (session["device_id"], session["from_version_id"]) == (device_id, bought.version_id)
    assert session["total_size_bytes"] == sum(
        (bought.source / path).stat().st_size for path in ("bin/game", "data/empty", "data/уровни/1.lvl")
    )
    again = await asyncio.gather(*(user.post(f"{link}/repair", "repairRequest") for _ in range(3)))
    assert [one.codes for one in again] == [["DOWNLOAD_ALREADY_ACTIVE"]] * 3
    assert (await user.get(link)).data["attributes"]["download_session_id"] == repair.data["id"]
    plan = (await user.get(f"{DELIVERY}/downloads/{repair.data['id']}/plan")).data["attributes"]
    actions = {one["path"]: one["action"] for one in plan["files"]}
    assert (actions["bin/game"], actions["data/empty"], actions["data/уровни/2.lvl"]) == ("chunks", "keep", "keep")
    items = (await user.get(f"{DELIVERY}/downloads/{repair.data['id']}/items?limit=100")).data
    done = [{"item_id": one["id"], "status": "completed", "downloaded_bytes": 0} for one in items]
    report = await user.post(
        f"{DELIVERY}/downloads/{repair.data['id']}/report", "downloadReport", sequence=1, items=done
    )
    assert report.data["attributes"]["status"] == "completed"
    mended = (await user.get(link)).data["attributes"]
    assert (mended["status"], mended["repaired_files_count"]) == ("completed_ok", 3)


async def test_a_verification_is_refused_in_words(bought: Bought, boris: Api) -> None:
    user, right = bought.user, list(bought.files().values())
    unknown = await bought.create(version_id=str(uuid.uuid4()))
    assert (unknown.status, unknown.codes) == (404, ["VERSION_NOT_FOUND"])
    stranger = Bought(boris, bought.product_id, bought.version_id, bought.source)
    denied = await stranger.create()
    assert (denied.status, denied.codes) == (403, ["PRODUCT_ACCESS_DENIED"])
    assert (await user.with_token(None).post(VERIFICATIONS, "verificationRequest")).status == 401
    for attributes in ({"product_id": "x"}, {"device_id": "x"}, {"is_whole_tree": "yes"}):
        wrong = await bought.create(**attributes)
        assert wrong.status == 400, wrong.document
        assert wrong.document["errors"][0]["source"]["pointer"] == f"/data/attributes/{next(iter(attributes))}"
    link = (await bought.create()).headers["Location"]
    for files in ([{"path": "", "size_bytes": 1}], [{"path": "a", "size_bytes": -1}], [{"path": "a", "sha256": "0"}]):
        assert (await bought.submit(link, files)).status == 400
    many = [{"path": str(number), "size_bytes": 0} for number in range(1001)]
    assert (await bought.submit(link, many)).codes == ["VALIDATION_ERROR"]
    early = await user.post(f"{link}/repair", "repairRequest")
    assert (early.status, early.codes) == (409, ["INVALID_STATE_TRANSITION"])
    wrong_type = await user.post(f"{link}/hashes", "hashes", files=[])
    assert (wrong_type.status, wrong_type.codes) == (409, ["RESOURCE_TYPE_CONFLICT"])
    assert (await user.get(f"{link}/issues?kind=odd")).status == 400
    assert (await bought.submit(link, right)).data["attributes"]["status"] == "completed_ok"
    for refused in (await bought.submit(link, right), await user.post(f"{link}/repair", "repairRequest")):
        assert (refused.status, refused.codes) == (409, ["INVALID_STATE_TRANSITION"])
        assert refused.document["errors"][0]["title"]
    missing = await bought.verified(right[1:])
    full = await user.post(f"{missing}/repair", "repairRequest", client_free_space_bytes=1)
    assert (full.status, full.codes) == (507, ["INSUFFICIENT_CLIENT_DISK_SPACE"])


@pytest.mark.long
async def test_the_command_line_verifies_repairs_and_goes_back(
    platform: Platform, samovar: CommandLine, bought: Bought, tmp_path: Path
) -> None:
    user, disk = bought.user, tmp_path / "disk"
    await samovar.login(user)
    await samovar.ok("install", bought.product_id, "--to", str(disk), "--json")
    item = await user.owns(bought.product_id)

    async def library_says(status: str) -> None:
        async def it_does() -> bool:
            shown = (await user.get(f"{ITEMS}/{item['id']}")).data["attributes"]
            return bool(shown["installation_status"] == status)

        await until(it_does, f"the library does not say {status}")

    await library_says("installed")
    game = disk / "bin" / "game"
    game.write_bytes(b"!" + game.read_bytes()[1:])
    code, out, _ = await samovar.run("verify", str(disk), "--json")
    found = last_object(out)
    assert (code, found["issues"]) == (6, [{"path": "bin/game", "kind": "corrupted"}])
    link = f"{VERIFICATIONS}/{found['verification_id']}"
    told = (await user.get(link)).data["attributes"]
    assert (told["status"], told["corrupted_files_count"]) == ("completed_errors", 1)
    assert [one["attributes"]["path"] for one in (await user.get(f"{link}/issues")).data] == ["bin/game"]
    await library_says("repair_needed")
    repaired = last_object(await samovar.ok("repair", str(disk), "--json"))
    assert (repaired["status"], repaired["repaired"]) == ("repaired", 1)
    assert repaired["fetched_bytes"] < game.stat().st_size
    mended = (await user.get(f"{VERIFICATIONS}/{repaired['verification_id']}")).data["attributes"]
    assert (mended["status"], mended["repaired_files_count"]) == ("completed_ok", 1)
    plan = (await user.get(f"{DELIVERY}/downloads/{mended['download_session_id']}/plan")).data["attributes"]
    assert plan["fetch_bytes"] == repaired["fetched_bytes"], "the server's plan is what was fetched, to the byte"
    await library_says("installed")
    assert digests(disk) == digests(bought.source)
    no_one = last_object(await samovar.ok("verify", str(disk), "--offline", "--json"))
    assert (no_one["status"], no_one["verification_id"]) == ("ok", None)

    second = make_tree(tmp_path / "second", "verified-second")
    async with user.watching() as heard:
        new = await samovar.publish(second, bought.product_id, "2.0")

        async def offered() -> bool:
            return "updateAvailable" in [one["event_type"] for one in heard.envelopes]

        await until(offered, "the new version is not offered")
    (offer,) = (await user.get(f"{DELIVERY}/updates?status=available")).data
    assert offer["attributes"]["to_version_id"] == new["version_id"]
    updated = last_object(await samovar.ok("update", str(disk), "--json"))
    assert updated["version_id"] == new["version_id"]
    back = last_object(await samovar.ok("update", str(disk), "--rollback", "--json"))
    assert (back["version_id"], back["previous_version_id"]) == (bought.version_id, new["version_id"])
    assert digests(disk) == digests(bought.source)
    code, _, err = await samovar.run("update", str(disk), "--rollback")
    assert (code, "VERSION_NOT_FOUND" in err) == (4, True)
    history = (await user.get(f"{DELIVERY}/updates/history?product_id={bought.product_id}")).data
    assert [one["attributes"]["applied_version_id"] for one in history] == [bought.version_id, new["version_id"]]
    assert {one["attributes"]["status"] for one in history} == {"success"}


async def test_lists_of_updates_are_the_users_own_and_rollbacks_are_refused_in_words(
    bought: Bought, boris: Api
) -> None:
    user = bought.user
    for path in ("updates", "updates/history"):
        page = await user.get(f"{DELIVERY}/{path}?page=1&limit=5")
        assert (page.status, page.data, page.document["meta"]["total_items"]) == (200, [], 0)
        for query in ("limit=101", "page=0", "product_id=x"):
            assert (await user.get(f"{DELIVERY}/{path}?{query}")).status == 400
        assert (await user.with_token(None).get(f"{DELIVERY}/{path}")).status == 401
    assert (await user.get(f"{DELIVERY}/updates?status=odd")).status == 400

    async def rollback(who: Api = user, **attributes: Any) -> list[str]:
        asked = {"product_id": bought.product_id, **attributes}
        return (await who.post(f"{DELIVERY}/updates/rollback", "rollbackRequest", **asked)).codes

    here = {"from_version_id": bought.version_id}
    assert await rollback() == ["INSTALLATION_NOT_FOUND"]
    assert await rollback(boris) == ["INSTALLATION_NOT_FOUND"]
    assert await rollback(**here) == ["VERSION_NOT_FOUND"]
    assert await rollback(**here, to_version_id=str(uuid.uuid4())) == ["VERSION_NOT_FOUND"]
    assert await rollback(**here, to_version_id=bought.version_id) == ["INVALID_ARGUMENT"]
    assert await rollback(to_version_id="x") == ["VALIDATION_ERROR"]
