"""From one version to the next, damage and repair, uninstalling: through every process, as a person types it."""

import json
import uuid
from pathlib import Path

from tests.e2e.clients import ITEMS, Api, CommandLine, until
from tests.e2e.conftest import Platform
from tests.e2e.trees import digests, make_tree

DELIVERY = "/api/v1/download-client"


def last_object(out: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(out.strip().splitlines()[-1])
    return found


def next_version(source: Path, first: Path) -> Path:
    """The tree with one byte of the big file changed, one file moved, one dropped, one new."""
    make_tree(source, first.name)
    for path in first.rglob("*"):
        if path.is_file() and not path.is_symlink():
            (source / path.relative_to(first)).write_bytes(path.read_bytes())
    game = source / "bin" / "game"
    data = bytearray(game.read_bytes())
    data[len(data) // 2] ^= 1
    game.write_bytes(data)
    (source / "data" / "same-again.lvl").rename(source / "moved.lvl")
    (source / "data" / "empty").unlink()
    (source / "new").write_text("new")
    return source


async def patched(api: Api, product_id: str, version_id: str) -> dict[str, object]:
    """What `/updates/check` says of the version once its patches are there."""
    resource = {"type": "installedProduct", "id": product_id, "attributes": {"current_version_id": version_id}}

    async def small() -> dict[str, object] | None:
        (found,) = (await api.call("POST", f"{DELIVERY}/updates/check", body={"data": [resource]})).data
        facts: dict[str, object] = found["attributes"]
        return facts if facts["update_size_bytes"] < 10_000 else None

    return await until(small, "no patch is offered")


async def test_a_game_is_updated_verified_repaired_and_uninstalled(
    platform: Platform, samovar: CommandLine, anna: Api, tmp_path: Path
) -> None:
    first = make_tree(tmp_path / "first", "first")
    second = next_version(tmp_path / "second", first)
    disk = tmp_path / "disk"
    old = await samovar.publish(first, "updated-game", "1.0")
    product_id = old["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    item = await anna.owns(product_id)
    await anna.knows(product_id, old["version_id"])
    await samovar.login(anna)
    await samovar.ok("install", product_id, "--to", str(disk), "--json")
    assert digests(disk) == digests(first)
    (disk / "saves" / "mine").write_text("progress")

    new = await samovar.publish(second, "updated-game", "1.1")
    await anna.knows(product_id, new["version_id"])
    await patched(anna, product_id, old["version_id"])
    updated = last_object(await samovar.ok("update", str(disk), "--json"))
    assert updated["version_id"] == new["version_id"]
    assert updated["previous_version_id"] == old["version_id"]
    assert updated["patched_files"] == 1
    assert updated["patch_fallbacks"] == {}
    assert updated["fetched_bytes"] < 10_000, "one byte of the big file changed"
    session = (await anna.get(f"{DELIVERY}/downloads/{updated['session_id']}")).data["attributes"]
    assert (session["status"], session["update_type"]) == ("completed", "delta")
    assert digests(disk) == {**digests(second), "saves/mine": digests(disk)["saves/mine"]}

    game = disk / "bin" / "game"
    game.write_bytes(game.read_bytes()[:-1])
    broken = last_object(await samovar.ok("repair", str(disk), "--json"))
    assert (broken["status"], broken["repaired"]) == ("repaired", 1)
    assert last_object(await samovar.ok("verify", str(disk), "--json"))["status"] == "ok"

    (installation,) = (await anna.get(f"{DELIVERY}/installations?product_id={product_id}")).data
    assert installation["attributes"]["version_id"] == new["version_id"]
    await samovar.ok("uninstall", str(disk), "--json")
    assert digests(disk) == {"saves": "folder", "saves/mine": digests(disk)["saves/mine"]}
    assert (await anna.get(f"{DELIVERY}/installations/{installation['id']}")).codes == ["INSTALLATION_NOT_FOUND"]

    async def gone() -> bool:
        return (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]["installation_status"] == "not_installed"

    await until(gone, "the library still says `installed`")


async def test_installations_are_pinned_by_their_user_alone(
    platform: Platform, samovar: CommandLine, anna: Api, boris: Api, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a")
    published = await samovar.publish(source, "pinned-game", "1.0")
    product_id = published["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    await anna.owns(product_id)
    await anna.knows(product_id, published["version_id"])
    await samovar.login(anna)
    await samovar.ok("install", product_id, "--to", str(tmp_path / "disk"), "--json")
    (installation,) = (await anna.get(f"{DELIVERY}/installations?product_id={product_id}")).data
    path = f"{DELIVERY}/installations/{installation['id']}"
    change = {"data": {"type": "installationUpdate", "attributes": {"is_pinned": True, "auto_update": False}}}
    changed = await anna.call("PATCH", path, body=change)
    assert (changed.data["attributes"]["is_pinned"], changed.data["attributes"]["auto_update"]) == (True, False)
    for method, body in (("GET", None), ("PATCH", change), ("DELETE", None)):
        assert (await boris.call(method, path, body=body)).codes == ["INSTALLATION_NOT_FOUND"]
    assert (await anna.get(path)).data["attributes"]["is_pinned"] is True
    assert (await anna.call("DELETE", path)).status == 204
    assert (await anna.get(f"{DELIVERY}/versions?product_id={uuid.uuid4()}")).codes == ["PRODUCT_NOT_FOUND"]


async def test_updates_are_checked_in_a_list_and_applied_with_a_plan(
    platform: Platform, samovar: CommandLine, boris: Api, tmp_path: Path
) -> None:
    first = make_tree(tmp_path / "first", "first")
    second = next_version(tmp_path / "second", first)
    old = await samovar.publish(first, "checked-game", "1.0")
    product_id = old["product_id"]
    await samovar.buy(platform.user("boris")["user_id"], product_id)
    await boris.owns(product_id)
    new = await samovar.publish(second, "checked-game", "1.1")
    for published in (old, new):
        await boris.knows(product_id, published["version_id"])

    def installed(product: str, version: str) -> dict[str, object]:
        return {"type": "installedProduct", "id": product, "attributes": {"current_version_id": version}}

    stranger = str(uuid.uuid4())
    document = {"data": [installed(product_id, old["version_id"]), installed(stranger, stranger)]}
    available, unknown = (await boris.call("POST", f"{DELIVERY}/updates/check", body=document)).data
    assert (available["id"], unknown["id"]) == (product_id, stranger)
    facts = available["attributes"]
    assert (facts["is_update_available"], facts["latest_version_id"]) == (True, new["version_id"])
    assert facts["update_type"] == "delta"
    assert facts["update_size_bytes"] < 2_000_000
    facts = await patched(boris, product_id, old["version_id"])
    assert unknown["attributes"]["is_update_available"] is False
    wrong = await boris.call("POST", f"{DELIVERY}/updates/check", body={"data": [installed(product_id, "x")]})
    assert (wrong.status, wrong.document["errors"][0]["source"]) == (
        400,
        {"pointer": "/data/0/attributes/current_version_id"},
    )

    applied = await boris.post(
        f"{DELIVERY}/updates/apply", "updateRequest", product_id=product_id, from_version_id=old["version_id"]
    )
    assert applied.status == 202
    assert (applied.data["attributes"]["status"], applied.data["attributes"]["update_type"]) == ("queued", "delta")
    plan = (await boris.get(f"{DELIVERY}/downloads/{applied.data['id']}/plan")).data["attributes"]
    assert plan["fetch_bytes"] == facts["update_size_bytes"]
    actions = {one["path"]: one["action"] for one in plan["files"]}
    assert actions["bin/game"] == "patch"
    patch = next(one["patch"] for one in plan["files"] if one["path"] == "bin/game")
    assert patch["from_path"] == "bin/game"
    query = f"{DELIVERY}/downloads/{applied.data['id']}/plan?action=patch"
    (only,) = (await boris.get(query)).data["attributes"]["files"]
    assert only["patch"] == patch
    assert (await boris.get(f"{DELIVERY}/downloads/{applied.data['id']}/plan?action=unknown")).status == 400
    assert actions["moved.lvl"] == "copy"
    assert actions["data/empty"] == "delete"
    assert actions["data/уровни/1.lvl"] == "keep"
    assert (await boris.call("DELETE", f"{DELIVERY}/downloads/{applied.data['id']}")).status == 204
