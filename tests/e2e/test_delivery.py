"""From a publisher to a disk, through every process."""

import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
from library.v1 import items_pb2, items_pb2_grpc

from tests.e2e.clients import DOWNLOADS, ITEMS, WAIT_SECONDS, Api, CommandLine, Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests, make_tree

INSTALLED = ("queued", "initializing", "downloading", "verifying", "completed")


async def test_a_game_travels_from_its_publisher_to_a_disk_byte_for_byte(
    platform: Platform, samovar: CommandLine, anna: Api, tmp_path: Path
) -> None:
    source = make_tree(tmp_path / "source", "delivery")
    published = await samovar.publish(source, "travel-game", "1.0")
    product_id = published["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    item = await anna.owns(product_id)
    assert item["attributes"]["installation_status"] == "not_installed"
    assert item["attributes"]["acquisition_type"] == "purchase"

    await anna.knows(product_id, published["version_id"])
    await samovar.login(anna)
    async with anna.watching() as heard:
        out = await samovar.ok("install", product_id, "--to", str(tmp_path / "disk"), "--json")
        final = json.loads(out.strip().splitlines()[-1])
        assert final["status"] == "completed"
        assert digests(tmp_path / "disk") == digests(source)

        sessions = (await anna.get(f"{DOWNLOADS}?product_id={product_id}")).data
        assert [one["attributes"]["status"] for one in sessions] == ["completed"]
        assert sessions[0]["attributes"]["progress_percentage"] == 100.0

        async def told() -> bool:
            return "completed" in heard.statuses(sessions[0]["id"])

        await until(told, "the WebSocket did not tell of the end")
        told_statuses = heard.statuses(sessions[0]["id"])
        in_order = [one for one in INSTALLED if one in told_statuses]
        assert in_order == [one for one in told_statuses if one in INSTALLED], told_statuses
        kinds = [one["event_type"] for one in heard.envelopes]
        assert "downloadProgressUpdate" in kinds, kinds

    async def installed() -> bool:
        attributes = (await anna.get(f"{ITEMS}/{item['id']}")).data["attributes"]
        return attributes["installation_status"] == "installed" and attributes["installed_version_id"] is not None

    await until(installed, "the library does not say `installed`")


async def test_an_item_is_filtered_changed_and_shown_in_both_languages(
    platform: Platform, samovar: CommandLine, anna: Api, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a")
    words = ("publish", str(source), "--product", "texts-game", "--version", "1", "--platform", "linux", "--json")
    out = await samovar.ok(*words, "--title-ru", "Ёлка", "--title-en", "Fir Tree")
    product_id = json.loads(out.strip().splitlines()[-1])["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    item = await anna.owns(product_id)
    path = f"{ITEMS}/{item['id']}"

    russian, english = await anna.get(path), await anna.get(path, Accept_Language="en")
    assert russian.data["attributes"]["title"] == "Ёлка"
    assert english.data["attributes"]["title"] == "Fir Tree"
    assert russian.data["links"]["self"].endswith(path)

    change = {"data": {"type": "libraryItemUpdate", "attributes": {"user_rating": 5, "is_hidden": True, "notes": "да"}}}
    changed = await anna.call("PATCH", path, body=change)
    assert changed.status == 200
    assert changed.data["attributes"]["user_rating"] == 5
    clear = {"data": {"type": "libraryItem", "id": item["id"], "attributes": {"user_rating": None}}}
    cleared = (await anna.call("PATCH", path, body=clear)).data["attributes"]
    assert cleared["user_rating"] is None
    assert cleared["notes"] == "да"

    listed = await anna.get(f"{ITEMS}?limit=100")
    assert product_id not in [one["attributes"]["product_id"] for one in listed.data]
    found = await anna.get(f"{ITEMS}?include_hidden=true&search=%D1%91%D0%BB%D0%BA")
    assert [one["id"] for one in found.data] == [item["id"]]
    assert found.document["meta"]["total_items"] == 1
    shown = await anna.call("PATCH", path, body={"data": {"type": "libraryItem", "attributes": {"is_hidden": False}}})
    assert shown.status == 200


async def test_pages_link_to_each_other(platform: Platform, anna: Api, shop: Shop) -> None:
    ids = [await shop.new_product() for _ in range(3)]
    for product_id in ids:
        await shop.buy(platform.user("anna")["user_id"], product_id)
    for product_id in ids:
        await anna.owns(product_id)
    first = await anna.get(f"{ITEMS}?page[number]=1&page[size]=2&sort_by=added_at_desc")
    assert first.document["meta"]["per_page"] == 2
    assert first.document["meta"]["total_items"] >= 3
    following = first.document["links"]["next"]
    assert "sort_by=added_at_desc" in following
    second = await anna.get(following.removeprefix(anna.url))
    assert second.document["meta"]["current_page"] == 2
    assert not {one["id"] for one in first.data} & {one["id"] for one in second.data}


async def test_a_refund_takes_the_game_away(platform: Platform, shop: Shop, boris: Api) -> None:
    product_id = await shop.new_product()
    order_id = await shop.buy(platform.user("boris")["user_id"], product_id)
    item = await boris.owns(product_id)
    await shop.refund(order_id)

    async def gone() -> bool:
        return (await boris.get(f"{ITEMS}/{item['id']}")).status == 404

    await until(gone, "the item is still there after the refund")


async def test_pause_resume_and_cancel_move_a_session(
    samovar: CommandLine, new_user: Callable[[], Awaitable[Api]], tmp_path: Path
) -> None:
    boris = await new_user()
    source = make_tree(tmp_path / "source", "moves")
    product_id = (await samovar.publish(source, "moves-game", "1.0"))["product_id"]
    await samovar.buy(boris.user_id, product_id)
    await boris.owns(product_id)
    started = await boris.startable(product_id)
    assert started.status == 202
    path = f"{DOWNLOADS}/{started.data['id']}"
    assert started.headers["Location"].endswith(path)
    assert (await boris.start(product_id)).codes == ["DOWNLOAD_ALREADY_ACTIVE"]
    paused = await boris.post(f"{path}/pause")
    assert paused.data["attributes"]["status"] == "paused"
    assert (await boris.post(f"{path}/pause")).codes == ["INVALID_STATE_TRANSITION"]
    resumed = await boris.post(f"{path}/resume")
    assert resumed.data["attributes"]["status"] in {"queued", "initializing"}
    assert (await boris.call("DELETE", path)).status == 204
    again = await boris.call("DELETE", path)
    assert again.status == 409
    assert again.codes == ["INVALID_STATE_TRANSITION"]
    assert (await boris.get(path)).data["attributes"]["status"] == "cancelled"


async def test_only_as_many_sessions_run_as_there_are_slots(
    samovar: CommandLine, new_user: Callable[[], Awaitable[Api]], tmp_path: Path
) -> None:
    boris = await new_user()  # whose slots no other test holds
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"slots")
    product_id = (await samovar.publish(source, "slots-game", "1.0"))["product_id"]
    await samovar.buy(boris.user_id, product_id)
    await boris.owns(product_id)
    devices = [str(uuid.uuid4()) for _ in range(5)]
    first = await boris.startable(product_id, device_id=devices[0])
    sessions = [first, *[await boris.start(product_id, device_id=device) for device in devices[1:]]]
    paths = [f"{DOWNLOADS}/{session.data['id']}" for session in sessions]

    async def statuses() -> list[str]:
        return [(await boris.get(path)).data["attributes"]["status"] for path in paths]

    assert await statuses() == ["initializing"] * 3 + ["queued"] * 2
    await boris.call("DELETE", paths[0])
    assert await statuses() == ["cancelled"] + ["initializing"] * 3 + ["queued"]
    for path in paths[1:]:
        assert (await boris.call("DELETE", path)).status == 204


async def test_a_game_client_reads_the_library_over_grpc_with_its_users_token(platform: Platform) -> None:
    user = platform.user("anna")
    async with grpc.aio.insecure_channel(platform.ready["library_grpc_addr"]) as channel:
        stub = items_pb2_grpc.LibraryServiceStub(channel)
        answer = await stub.ListItems(
            items_pb2.ListItemsRequest(), metadata=[("authorization", f"Bearer {user['token']}")], timeout=WAIT_SECONDS
        )
    assert answer.page.per_page == 20
