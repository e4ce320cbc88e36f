"""A game of two platforms whose newest version is withdrawn: through every process, as a person types it."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.clients import Api, CommandLine, until
from tests.e2e.conftest import Platform
from tests.e2e.trees import digests, make_tree

DELIVERY = "/api/v1/download-client"
GAME = "withdrawn-game"


async def test_a_withdrawn_version_is_gone_back_from_and_an_installed_folder_is_not_published(
    platform: Platform, samovar: CommandLine, anna: Api, tmp_path: Path
) -> None:
    first, second, disk = make_tree(tmp_path / "first", "one"), make_tree(tmp_path / "second", "two"), tmp_path / "disk"

    async def last(*words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await samovar.ok(*words, "--json")).strip().splitlines()[-1])
        return found

    old = await samovar.publish(first, GAME, "1.0")
    product_id = old["product_id"]
    windows = await last("publish", str(first), "--product", GAME, "--version", "1.0", "--platform", "windows")
    new = await samovar.publish(second, GAME, "1.1")
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    await anna.owns(product_id)
    for version in (old, windows, new):
        await anna.knows(product_id, version["version_id"])
    await samovar.login(anna)

    code, _, err = await samovar.run("install", product_id, "--to", str(disk))
    assert (code, "platform is needed" in err) == (2, True)
    await samovar.ok("install", product_id, "--to", str(disk), "--platform", "linux", "--json")
    assert digests(disk) == digests(second)
    nothing = await last("update", str(disk))
    assert (nothing["status"], nothing["version_id"]) == ("up_to_date", new["version_id"])
    assert (await last("install", product_id, "--to", str(disk)))["version_id"] == new["version_id"]

    code, _, err = await samovar.run("publish", str(disk), "--product", GAME, "--version", "1.2")
    assert (code, "'.samovar' lies in .samovar, the launcher's own folder" in err) == (1, True)

    assert (await samovar.ok("withdraw", GAME, "1.1")).split() == [new["version_id"]]
    installed = {
        "type": "installedProduct",
        "id": product_id,
        "attributes": {"current_version_id": new["version_id"]},
    }

    async def is_known() -> bool:
        (found,) = (await anna.call("POST", f"{DELIVERY}/updates/check", body={"data": [installed]})).data
        return bool(found["attributes"]["is_rollback"])

    await until(is_known, "the withdrawal is not known")
    code, _, err = await samovar.run(
        "install", product_id, "--to", str(tmp_path / "new"), "--version", new["version_id"]
    )
    assert (code, "VERSION_NOT_AVAILABLE" in err) == (4, True)
    back = await last("update", str(disk))
    assert (back["version_id"], back["previous_version_id"]) == (old["version_id"], new["version_id"])
    assert digests(disk) == digests(first)
    assert (await last("update", str(disk)))["status"] == "up_to_date"
    code, _, err = await samovar.run("publish", str(second), "--product", GAME, "--version", "1.1")
    assert (code, "This version can no longer be downloaded" in err) == (1, True)
    assert await last("downloads") == []
    await samovar.ok("uninstall", str(disk), "--json")
