"""What a hostile or mistaken client gets: the contract's error, never a stack trace, and nothing changes."""

import json
import uuid
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
from content.v1 import manifest_pb2
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from samovar.sandbox.v1 import sandbox_pb2

from chassis.objects import signed_urls
from chassis.runtime.backends import EventSettings, ObjectSettings
from depot import manifest as manifests
from depot import signing
from depot.chunks import manifest_key, signature_key
from sandbox.client import sandbox_stub
from sandbox.peers import keys
from tests.e2e.clients import DOWNLOADS, ITEMS, Api, CommandLine, Shop, assert_error, until
from tests.e2e.conftest import IssueToken
from tests.e2e.running import Platform
from tests.e2e.trees import make_tree


@pytest.fixture
async def session(platform: Platform, samovar: CommandLine, anna: Api, tmp_path: Path) -> dict[str, str]:
    """A live download of anna's, on a device of its own; cancelled at the end by nobody: slots are counted elsewhere."""
    source = make_tree(tmp_path / "source", "bad-input")
    product_id = (await samovar.publish(source, "bad-input-game", "1.0"))["product_id"]
    await samovar.buy(platform.user("anna")["user_id"], product_id)
    await anna.owns(product_id)
    started = await anna.startable(product_id, device_id=str(uuid.uuid4()))
    assert started.status == 202
    yield {"id": started.data["id"], "product_id": product_id, "path": f"{DOWNLOADS}/{started.data['id']}"}
    await anna.call("DELETE", f"{DOWNLOADS}/{started.data['id']}")


async def test_no_token_and_a_wrong_one_are_401(anna: Api) -> None:
    for token in (None, "not-a-token", anna.token[:-6] + "AAAAAA"):
        assert_error(await anna.with_token(token).get(ITEMS), 401, "UNAUTHENTICATED")


async def test_an_expired_token_is_401_token_expired(issue_token: IssueToken, anna: Api) -> None:
    expired = await issue_token(user_id=anna.user_id, ttl_seconds=-3600)
    assert_error(await anna.with_token(expired).get(ITEMS), 401, "TOKEN_EXPIRED")


async def test_a_token_by_another_key_is_401(anna: Api) -> None:
    header, claims = jwt.get_unverified_header(anna.token), jwt.decode(anna.token, options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for key_id in (header["kid"], "unknown"):
        forged = jwt.encode(claims, stranger, "RS256", {"kid": key_id})
        assert_error(await anna.with_token(forged).get(ITEMS), 401, "UNAUTHENTICATED")


async def test_a_token_without_the_role_is_403_and_a_services_token_is_no_users(
    issue_token: IssueToken, anna: Api
) -> None:
    other = await issue_token(user_id=anna.user_id, roles=["guest"])
    assert_error(await anna.with_token(other).get(ITEMS), 403, "PERMISSION_DENIED")
    service = await issue_token(service="gateway", audience="library-service")
    assert_error(await anna.with_token(service).get(ITEMS), 401, "UNAUTHENTICATED")


async def test_another_users_download_is_404_whatever_is_asked_of_it(session: dict[str, str], boris: Api) -> None:
    path = session["path"]
    assert_error(await boris.get(path), 404, "DOWNLOAD_NOT_FOUND")
    assert_error(await boris.get(f"{path}/items"), 404, "DOWNLOAD_NOT_FOUND")
    assert_error(await boris.get(f"{path}/manifest"), 404, "DOWNLOAD_NOT_FOUND")
    for verb in ("pause", "resume", "retry"):
        assert_error(await boris.post(f"{path}/{verb}"), 404, "DOWNLOAD_NOT_FOUND")
    assert_error(await boris.post(f"{path}/links", "linkRequest", ids=["0" * 64]), 404, "DOWNLOAD_NOT_FOUND")
    assert_error(await boris.post(f"{path}/report", "downloadReport", sequence=1), 404, "DOWNLOAD_NOT_FOUND")
    assert_error(await boris.call("DELETE", path), 404, "DOWNLOAD_NOT_FOUND")


async def test_another_users_item_is_404(platform: Platform, shop: Shop, anna: Api, boris: Api) -> None:
    product_id = await shop.new_product()
    await shop.buy(platform.user("anna")["user_id"], product_id)
    path = f"{ITEMS}/{(await anna.owns(product_id))['id']}"
    change = {"data": {"type": "libraryItem", "attributes": {"is_hidden": True}}}
    assert_error(await boris.get(path), 404, "LIBRARY_ITEM_NOT_FOUND")
    assert_error(await boris.call("PATCH", path, body=change), 404, "LIBRARY_ITEM_NOT_FOUND")
    assert (await anna.get(path)).data["attributes"]["is_hidden"] is False


async def test_a_bad_uuid_and_a_bad_value_are_400_all_at_once(anna: Api) -> None:
    assert_error(await anna.get(f"{ITEMS}/not-a-uuid"), 400, "VALIDATION_ERROR")
    answer = await anna.start("not-a-uuid", priority=11, device_id="nor-this")
    assert_error(answer, 400, "VALIDATION_ERROR")
    pointers = {error["source"]["pointer"] for error in answer.document["errors"]}
    assert pointers == {f"/data/attributes/{name}" for name in ("product_id", "priority", "device_id")}


async def test_a_body_that_is_not_json_or_not_a_document_is_400(anna: Api) -> None:
    for raw in (b"{", b"", b"\xff\xfe", b"NaN", b'{"data":{"type":"a","type":"b"}}'):
        assert_error(await anna.call("POST", DOWNLOADS, raw=raw), 400, "MALFORMED_JSON")
    for raw in (b"[]", b"{}", b'{"data":[]}', b'{"data":{"attributes":{}}}'):
        assert (await anna.call("POST", DOWNLOADS, raw=raw)).status in {400, 409}


async def test_wrong_types_media_parameters_and_methods_are_told_apart(anna: Api) -> None:
    wrong_type = {"data": {"type": "libraryItem", "attributes": {"product_id": str(uuid.uuid4())}}}
    assert_error(await anna.call("POST", DOWNLOADS, body=wrong_type), 409, "RESOURCE_TYPE_CONFLICT")
    own_id = {"data": {"type": "downloadRequest", "id": str(uuid.uuid4()), "attributes": {}}}
    assert_error(await anna.call("POST", DOWNLOADS, body=own_id), 403, "CLIENT_ID_NOT_SUPPORTED")
    answer = await anna.call("POST", DOWNLOADS, raw=b"<a/>", Content_Type="text/xml")
    assert_error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert_error(await anna.get(ITEMS, Accept="text/html"), 406, "NOT_ACCEPTABLE")
    assert_error(await anna.get(f"{ITEMS}?colour=red"), 400, "INVALID_QUERY_PARAMETER")
    assert_error(await anna.get(f"{ITEMS}?limit=101"), 400, "VALIDATION_ERROR")
    assert_error(await anna.get("/api/v1/nothing"), 404, "ROUTE_NOT_FOUND")
    refused = await anna.call("PUT", ITEMS)
    assert_error(refused, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in refused.headers["Allow"]


async def test_a_game_that_is_not_owned_is_403(samovar: CommandLine, boris: Api, session: dict[str, str]) -> None:
    assert_error(await boris.start(session["product_id"]), 403, "PRODUCT_ACCESS_DENIED")


async def _first_link(anna: Api, session: dict[str, str]) -> str:
    items = (await anna.get(f"{session['path']}/items?limit=100")).data
    big = next(one for one in items if one["attributes"]["relative_path"] == "bin/game")
    links = await anna.post(f"{session['path']}/links", "linkRequest", ids=[big["attributes"]["file_metadata_id"]])
    assert links.status == 200, links.document
    return links.data[0]["attributes"]["candidates"][0]["url"]


async def test_a_tampered_link_is_403_and_so_is_one_past_its_time(
    platform: Platform, anna: Api, session: dict[str, str]
) -> None:
    url = await _first_link(anna, session)
    async with anna.http.get(url) as answer:
        assert answer.status == 200
    flipped = url[:-1] + ("0" if url[-1] != "0" else "1")
    other_path = url.replace(urlsplit(url).path.rsplit("/", 1)[1], "ab" * 32)
    later = url.replace("expires=", "expires=9", 1)
    for bad in (flipped, other_path, later, url.split("?")[0]):
        async with anna.http.get(bad) as answer:
            assert answer.status == 403, bad
    key = json.loads((platform.home / "secrets.json").read_text())["cdn_link_secret_key"]
    bare = urlsplit(url)._replace(query="").geturl()
    past = signed_urls.sign(bare, key=key, expires_at=datetime.now(UTC) - timedelta(seconds=5))
    async with anna.http.get(past) as answer:
        assert answer.status == 403
        assert "Traceback" not in await answer.text()


async def test_a_chunk_of_another_game_is_404_and_no_link_is_signed(anna: Api, session: dict[str, str]) -> None:
    mine = urlsplit(await _first_link(anna, session)).path.rsplit("/", 1)[1]
    answer = await anna.post(f"{session['path']}/links", "linkRequest", ids=[mine, "ab" * 32])
    assert_error(answer, 404, "FILE_NOT_FOUND")
    assert "data" not in answer.document


async def _dead_letters(platform: Platform, version_id: str) -> list[str]:
    settings = EventSettings(**{name.lower(): value for name, value in platform.private["events"].items()})
    async with (
        settings.open_event_bus("test") as bus,
        aclosing(bus.scan("com.platform.catalog.events.v1.dlq")) as found,
    ):
        letters = [f"{letter.headers} {letter.value!r}" async for letter in found]
    return [letter for letter in letters if version_id in letter]


@pytest.mark.parametrize("fault", ["stranger", "other product"])
async def test_a_manifest_that_is_not_to_be_trusted_leaves_its_version_unknown(
    platform: Platform, shop: Shop, anna: Api, fault: str
) -> None:
    product_id, version_id = await shop.new_product(), str(uuid.uuid4())
    manifest = manifest_pb2.Manifest(
        format=1,
        product_id=str(uuid.uuid4()) if fault == "other product" else product_id,
        version_id=version_id,
        platform=manifest_pb2.PLATFORM_LINUX,
    )
    manifest.created_at.FromDatetime(datetime.now(UTC))
    stored = manifests.serialise(manifest)
    key_id, private_key = keys.publisher_key(platform.home / "state")
    if fault == "stranger":
        private_key = ed25519.Ed25519PrivateKey.generate()
    signature = signing.sign(stored, key_id, private_key)
    objects = ObjectSettings(**{name.lower(): value for name, value in platform.private["objects"].items()})
    async with objects.open_object_store() as store:
        await store.put(manifest_key(product_id, version_id), stored)
        await store.put(signature_key(product_id, version_id), signature.SerializeToString())
    await shop.buy(platform.user("anna")["user_id"], product_id)
    await anna.owns(product_id)
    async with sandbox_stub(platform.private) as stub:
        await stub.AnnounceVersion(
            sandbox_pb2.AnnounceVersionRequest(
                product_id=product_id,
                version_id=version_id,
                version_name="1",
                platform=manifest_pb2.PLATFORM_LINUX,
                file_manifest_url=f"{platform.private['sandbox_http_url']}/objects/content/{product_id}/manifests/{version_id}.manifest",
            )
        )

    async def dead() -> list[str]:
        return await _dead_letters(platform, version_id)

    letters = await until(dead, "the event is in no dead letters")
    assert ("MANIFEST_SIGNATURE_INVALID" if fault == "stranger" else "MANIFEST_INVALID") in letters[0]
    assert_error(await anna.start(product_id, version_id=version_id), 404, "VERSION_NOT_FOUND")
