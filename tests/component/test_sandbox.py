"""The sandbox as its users see it: gRPC levers and Catalog, HTTP Auth and objects, events on the log. In this process, on a real
PostgreSQL.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import grpc
import jwt
import pytest
from account.v1 import events_pb2 as account_events
from catalog.v1 import events_pb2 as catalog_events
from catalog.v1 import product_pb2, product_pb2_grpc
from content.v1 import manifest_pb2 as content
from payment.v1 import events_pb2 as payment_events
from samovar.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc

from chassis.auth.tokens import open_key_set, service_tokens, user_tokens
from chassis.bus.factory import open_event_bus
from chassis.cloudevents.events import CloudEvent, decode, from_wire
from chassis.errors.wire import from_rpc_error
from chassis.objects import signed_urls
from chassis.objects.directory_store import DirectoryStore
from chassis.postgres.migrations import downgrade, upgrade
from depot import manifest as manifests
from depot import signing
from sandbox.client import PlatformAway, sandbox_stub
from sandbox.ids import manifest_url, product_id_of
from sandbox.peers import keys
from sandbox.peers.main import RunningSandbox, build, migrate
from sandbox.peers.settings import SandboxSettings
from sandbox.publishing.publisher import Signer, Version, publish_tree

NewDatabase = Callable[..., Awaitable[str]]

SECRETS = {"sandbox-cli": "cli secret", "library-service": "library secret", "download-service": "download secret"}
OBJECTS_KEY = "objects key"
CDN_KEY = "cdn key"
USER = "11111111-1111-4111-8111-111111111111"
EVENT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox and what the supervisor would write of it."""

    running: RunningSandbox
    settings: SandboxSettings
    facts: Mapping[str, Any]

    @property
    def url(self) -> str:
        return str(self.facts["sandbox_http_url"])

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(Path(self.settings.objects_directory), f"{self.url}/objects", OBJECTS_KEY)

    @asynccontextmanager
    async def levers(self) -> AsyncIterator[sandbox_pb2_grpc.SandboxServiceStub]:
        async with sandbox_stub(self.facts) as stub:
            yield stub

    @asynccontextmanager
    async def catalog(self) -> AsyncIterator[product_pb2_grpc.ProductServiceStub]:
        async with grpc.aio.insecure_channel(self.facts["sandbox_grpc_addr"]) as channel:
            yield product_pb2_grpc.ProductServiceStub(channel)

    async def as_service(self, name: str) -> tuple[tuple[str, str]]:
        async with self.levers() as levers:
            request = sandbox_pb2.IssueTokenRequest(service=name, audience="catalog-service")
            token = (await levers.IssueToken(request)).token
        return (("x-service-authorization", f"Bearer {token}"),)

    async def events(self, topic: str, key: str, count: int) -> list[CloudEvent]:
        """Waits for that many events of a key."""
        found: list[CloudEvent] = []
        dsn = self.settings.events_postgres_dsn.get_secret_value()
        async with (
            asyncio.timeout(EVENT_SECONDS),
            open_event_bus("postgres", postgres_dsn=dsn) as bus,
            bus.subscribe(f"test-{uuid4()}", [topic]) as reader,
        ):
            while len(found) < count:
                for record in await reader.poll(max_records=100, wait_seconds=5):
                    if record.key == key:
                        found.append(from_wire(record.value, topic=topic))
                    await reader.commit(record)
        return found


@pytest.fixture
async def sandbox(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Sandbox]:
    settings = SandboxSettings(
        drain_seconds=0,
        sandbox_grpc_port=0,
        sandbox_http_port=0,
        sandbox_state_dir=tmp_path / "state",
        sandbox_client_secrets=SECRETS,
        postgres_dsn=await new_database("sandbox"),
        events_postgres_dsn=await new_database("events"),
        objects_directory=str(tmp_path / "objects"),
        objects_base_url="http://127.0.0.1/objects",
        objects_signing_key=OBJECTS_KEY,
        cdn_link_secret_key=CDN_KEY,
    )
    await migrate(settings)
    async with build(settings) as running:
        url = f"http://127.0.0.1:{running.http_port}"
        facts = {
            "sandbox_grpc_addr": f"127.0.0.1:{running.grpc_port}",
            "sandbox_http_url": url,
            "auth_token_url": f"{url}/oauth/token",
            "cli_client_secret": SECRETS["sandbox-cli"],
        }
        yield Sandbox(running, settings, facts)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def make_product(sandbox: Sandbox, slug: str = "game", **fields: Any) -> str:
    product_id = str(product_id_of(slug))
    titles = product_pb2.LocalizedText(ru="Игра", en="Game")
    async with sandbox.levers() as levers:
        product = product_pb2.Product(product_id=product_id, titles=titles, **fields)
        await levers.PutProduct(sandbox_pb2.PutProductRequest(product=product))
    return product_id


async def refusal(call: Awaitable[Any]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return from_rpc_error(raised.value).reason


async def test_a_user_token_is_good_by_the_published_keys(sandbox: Sandbox) -> None:
    async with sandbox.levers() as levers:
        request = sandbox_pb2.IssueTokenRequest(user_id=USER, roles=["user", "admin"], permissions=["channel:beta"])
        token = (await levers.IssueToken(request)).token
    async with open_key_set(f"{sandbox.url}/.well-known/jwks.json") as key_set:
        verifier = user_tokens(key_set, issuer="https://auth.samovar.local", audience="samovar")
        claims = await verifier.verify(token)
    assert claims.user_id == UUID(USER)
    assert claims.roles == {"user", "admin"}
    assert claims.permissions == {"channel:beta"}
    assert claims.expires_at - claims.issued_at == timedelta(hours=1)


async def test_a_negative_life_gives_an_expired_token(sandbox: Sandbox) -> None:
    async with sandbox.levers() as levers:
        token = (await levers.IssueToken(sandbox_pb2.IssueTokenRequest(user_id=USER, ttl_seconds=-5))).token
    async with open_key_set(f"{sandbox.url}/.well-known/jwks.json") as key_set:
        verifier = user_tokens(key_set, issuer="https://auth.samovar.local", audience="samovar")
        with pytest.raises(Exception, match="TOKEN_EXPIRED"):
            await verifier.verify(token)


async def test_a_second_key_in_the_state_folder_is_published_at_once(
    sandbox: Sandbox, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    keys.token_keys(tmp_path / "other")
    (tmp_path / "other" / "auth.pem").rename(sandbox.settings.sandbox_state_dir / "auth-old.pem")
    async with http.get(f"{sandbox.url}/.well-known/jwks.json") as answer:
        published = (await answer.json())["keys"]
    assert len({key["kid"] for key in published}) == 2
    assert all(set(key) == {"kty", "use", "alg", "kid", "n", "e"} for key in published)


@pytest.mark.parametrize("where", ["header", "form"])
async def test_a_program_gets_a_service_token_for_its_secret(
    sandbox: Sandbox, http: aiohttp.ClientSession, where: str
) -> None:
    form = {"grant_type": "client_credentials", "audience": "catalog-service"}
    headers = {}
    if where == "header":
        headers["Authorization"] = aiohttp.encode_basic_auth("library-service", "library secret")
    else:
        form |= {"client_id": "library-service", "client_secret": "library secret"}
    async with http.post(f"{sandbox.url}/oauth/token", data=form, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        body = await answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 300
    async with open_key_set(f"{sandbox.url}/.well-known/jwks.json") as key_set:
        verifier = service_tokens(key_set, issuer="https://auth.samovar.local", service="catalog-service")
        assert (await verifier.verify(body["access_token"])).service == "library-service"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": "stranger"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"audience": ""}, 400, "invalid_request"),
    ],
)
async def test_a_bad_request_for_a_token_is_refused_as_rfc_6749_says(
    sandbox: Sandbox, http: aiohttp.ClientSession, change: Mapping[str, str], status: int, error: str
) -> None:
    good = {
        "grant_type": "client_credentials",
        "client_id": "library-service",
        "client_secret": "library secret",
        "audience": "x",
    }
    async with http.post(f"{sandbox.url}/oauth/token", data={**good, **change}) as answer:
        assert answer.status == status
        assert await answer.json() == {"error": error}


async def test_the_levers_refuse_everybody_but_the_command_line(sandbox: Sandbox) -> None:
    buying = sandbox_pb2.BuyRequest(user_id=USER, product_ids=[str(uuid4())])
    user = jwt.encode({"sub": USER}, "x" * 32, algorithm="HS256")
    async with grpc.aio.insecure_channel(sandbox.facts["sandbox_grpc_addr"]) as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        assert await refusal(stub.Buy(buying)) == "UNAUTHENTICATED"
        assert await refusal(stub.Buy(buying, metadata=(("authorization", f"Bearer {user}"),))) == "UNAUTHENTICATED"
        library = await sandbox.as_service("library-service")
        assert await refusal(stub.Buy(buying, metadata=library)) == "PERMISSION_DENIED"


async def test_a_wrong_secret_of_the_command_line_is_said_plainly(sandbox: Sandbox) -> None:
    async with sandbox_stub({**sandbox.facts, "cli_client_secret": "wrong"}) as stub:
        with pytest.raises(PlatformAway, match="answered 401"):
            await stub.ListProducts(sandbox_pb2.ListProductsRequest())


async def test_a_purchase_becomes_an_event(sandbox: Sandbox) -> None:
    user_id = str(uuid4())
    game, dlc = await make_product(sandbox, "game"), await make_product(sandbox, "dlc", product_type="dlc")
    async with sandbox.levers() as levers:
        request = sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[game, dlc, game])
        order_id = (await levers.Buy(request)).order_id
    (event,) = await sandbox.events("com.platform.payment.events.v1", user_id, 1)
    assert event.type == "com.platform.payment.purchase.completed.v1"
    assert event.source == "platform.sandbox"
    assert event.subject == order_id
    bought = decode(event, payment_events.PurchaseCompleted)
    assert bought.order_id == order_id
    assert [(item.product_id, item.product_type, item.quantity) for item in bought.items] == [
        (game, "game", 1),
        (dlc, "dlc", 1),
    ]


async def test_a_refund_happens_once(sandbox: Sandbox) -> None:
    user_id, game = str(uuid4()), await make_product(sandbox)
    async with sandbox.levers() as levers:
        order_id = (await levers.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[game]))).order_id
        refund_id = (await levers.Refund(sandbox_pb2.RefundRequest(order_id=order_id))).refund_id
        again = (await levers.Refund(sandbox_pb2.RefundRequest(order_id=order_id))).refund_id
        await levers.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[game]))
    assert again == refund_id
    events = await sandbox.events("com.platform.payment.events.v1", user_id, 3)
    assert [event.type.split(".")[3] for event in events] == ["purchase", "refund", "purchase"]
    refunded = decode(events[1], payment_events.RefundCompleted)
    assert (refunded.order_id, refunded.refund_id) == (order_id, refund_id)
    assert [item.product_id for item in refunded.items] == [game]


async def test_what_cannot_be_bought_or_refunded_is_said(sandbox: Sandbox) -> None:
    async with sandbox.levers() as levers:
        unknown = sandbox_pb2.BuyRequest(user_id=USER, product_ids=[str(uuid4())])
        assert await refusal(levers.Buy(unknown)) == "PRODUCT_NOT_FOUND"
        odd = sandbox_pb2.BuyRequest(user_id=USER, product_ids=["panda"])
        assert await refusal(levers.Buy(odd)) == "VALIDATION_ERROR"
        assert await refusal(levers.Refund(sandbox_pb2.RefundRequest(order_id=str(uuid4())))) == "INVALID_ARGUMENT"


async def test_an_account_is_deleted_once_and_buys_nothing_more(sandbox: Sandbox) -> None:
    user_id, game = str(uuid4()), await make_product(sandbox)
    async with sandbox.levers() as levers:
        for _ in range(2):
            await levers.DeleteUser(sandbox_pb2.DeleteUserRequest(user_id=user_id))
        await levers.DeleteUser(sandbox_pb2.DeleteUserRequest(user_id=USER))
        buying = sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[game])
        assert await refusal(levers.Buy(buying)) == "PERMISSION_DENIED"
    (event,) = await sandbox.events("com.platform.account.events.v1", user_id, 1)
    assert decode(event, account_events.UserDeleted).user_id == user_id


async def test_a_sale_becomes_an_event(sandbox: Sandbox) -> None:
    game = await make_product(sandbox)
    async with sandbox.levers() as levers:
        request = sandbox_pb2.SetPriceRequest(product_id=game, discount_percent=40, duration_seconds=3600)
        sale_id = (await levers.SetPrice(request)).sale_id
    product_event, sale_event = await sandbox.events("com.platform.catalog.events.v1", game, 2)
    sale = decode(sale_event, catalog_events.PriceUpdated)
    assert (sale.sale_id, sale.discount_percent) == (sale_id, 40)
    assert sale_event.time < sale.ends_at.ToDatetime(UTC) <= datetime.now(UTC) + timedelta(hours=1)
    assert decode(product_event, catalog_events.ProductUpdated).titles.ru == "Игра"


async def test_a_product_changes_and_says_what_changed(sandbox: Sandbox) -> None:
    achievement = product_pb2.Achievement(
        achievement_meta_id=str(uuid4()),
        names=product_pb2.LocalizedText(ru="Первый", en="First"),
        total_progress_needed=3,
        is_hidden=True,
    )
    game = await make_product(sandbox, price_minor_units=49_900)
    async with sandbox.levers() as levers:
        changed = product_pb2.Product(product_id=game, titles=product_pb2.LocalizedText(en="New"))
        for _ in range(2):
            await levers.PutProduct(sandbox_pb2.PutProductRequest(product=changed, achievements=[achievement]))
        bad = product_pb2.Product(product_id=game, product_type="toaster")
        assert await refusal(levers.PutProduct(sandbox_pb2.PutProductRequest(product=bad))) == "VALIDATION_ERROR"
        listed = (await levers.ListProducts(sandbox_pb2.ListProductsRequest())).products
    assert [(one.titles.ru, one.titles.en, one.price_minor_units, one.currency) for one in listed] == [
        ("Игра", "New", 49_900, "RUB")
    ]
    await make_product(sandbox, "game", price_minor_units=1)
    _, second, third = await sandbox.events("com.platform.catalog.events.v1", game, 3)
    assert decode(second, catalog_events.ProductUpdated).updated_fields == ["title_en"]
    assert decode(third, catalog_events.ProductUpdated).updated_fields == ["title_en", "price_minor_units"]
    metadata = await sandbox.as_service("library-service")
    async with sandbox.catalog() as catalog:
        request = product_pb2.ListAchievementsRequest(product_id=game)
        (kept,) = (await catalog.ListAchievements(request, metadata=metadata)).achievements
    assert kept.names == achievement.names
    assert (kept.total_progress_needed, kept.is_hidden) == (3, True)


async def test_a_published_version_is_announced_and_can_be_fetched(
    sandbox: Sandbox, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    game = await make_product(sandbox)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "data.bin").write_bytes(b"samovar" * 1000)
    key_id, key = keys.publisher_key(sandbox.settings.sandbox_state_dir)
    version = Version(UUID(game), uuid4(), content.PLATFORM_LINUX)
    await publish_tree(tree, version, store=sandbox.store, signer=Signer(key_id, key), now=lambda: datetime.now(UTC))
    version_id = str(version.version_id)
    url = manifest_url(sandbox.url, game, version_id)
    announcement = sandbox_pb2.AnnounceVersionRequest(
        product_id=game,
        version_id=version_id,
        version_name="1.0",
        platform=content.PLATFORM_LINUX,
        file_manifest_url=url,
        total_size_bytes=7000,
        is_critical=True,
        channel="beta",
    )
    async with sandbox.levers() as levers:
        for _ in range(2):
            await levers.AnnounceVersion(announcement)
        announcement.is_critical = False
        await levers.AnnounceVersion(announcement)
    _, first, second = await sandbox.events("com.platform.catalog.events.v1", game, 3)
    assert first.subject == version_id
    published = decode(first, catalog_events.VersionPublished)
    assert (published.platform, published.channel, published.is_critical) == (content.PLATFORM_LINUX, "beta", True)
    assert not decode(second, catalog_events.VersionPublished).is_critical
    assert second.data["releaseDate"] == first.data["releaseDate"]

    async with http.get(published.file_manifest_url) as answer:
        stored = await answer.read()
    async with http.get(published.file_manifest_url + ".sig") as answer:
        signature = content.ManifestSignature.FromString(await answer.read())
    trusted = signing.parse_public_keys(keys.manifest_public_keys(sandbox.settings.sandbox_state_dir))
    assert signing.verify(stored, signature, trusted) is None
    manifests.check(manifests.parse(stored), product_id=game, version_id=version_id, platform=content.PLATFORM_LINUX)
    metadata = await sandbox.as_service("download-service")
    async with sandbox.catalog() as catalog:
        request = product_pb2.GetVersionManifestRequest(product_id=game, version_id=version_id)
        answer = await catalog.GetVersionManifest(request, metadata=metadata)
        product = (await catalog.GetProduct(product_pb2.GetProductRequest(product_id=game), metadata=metadata)).product
    assert (answer.manifest, answer.signature) == (stored, signature)
    assert [(one.version_id, one.version_name) for one in product.versions] == [(version_id, "1.0")]


async def test_a_version_is_withdrawn_by_its_name_or_id_once_and_for_good(sandbox: Sandbox) -> None:
    game = await make_product(sandbox)
    ids = {name: str(uuid4()) for name in ("linux", "windows", "other")}

    def announcement(name: str) -> sandbox_pb2.AnnounceVersionRequest:
        return sandbox_pb2.AnnounceVersionRequest(
            product_id=game,
            version_id=ids[name],
            version_name="2.0" if name == "other" else "1.0",
            platform=content.PLATFORM_WINDOWS if name == "windows" else content.PLATFORM_LINUX,
            file_manifest_url="https://manifests.test/1",
        )

    async with sandbox.levers() as levers:
        for name in ids:
            await levers.AnnounceVersion(announcement(name))

        async def withdraw(version: str) -> set[str]:
            request = sandbox_pb2.WithdrawVersionRequest(product_id=game, version=version)
            return set((await levers.WithdrawVersion(request)).version_ids)

        for _ in range(2):
            assert await withdraw("1.0") == {ids["linux"], ids["windows"]}
        assert await withdraw(ids["other"].upper()) == {ids["other"]}
        assert await refusal(withdraw("3.0")) == "VERSION_NOT_FOUND"
        assert await refusal(levers.AnnounceVersion(announcement("linux"))) == "VERSION_NOT_AVAILABLE"
        (product,) = (await levers.ListProducts(sandbox_pb2.ListProductsRequest())).products
    assert [version.is_withdrawn for version in product.versions] == [True] * 3
    heard = await sandbox.events("com.platform.catalog.events.v1", game, 7)
    withdrawn = [decode(event, catalog_events.VersionWithdrawn) for event in heard if "withdrawn" in event.type]
    assert {one.version_id for one in withdrawn} == set(ids.values())
    assert len(withdrawn) == 3


async def test_what_catalog_does_not_know_is_said(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    game, nothing = await make_product(sandbox), str(uuid4())
    metadata = await sandbox.as_service("download-service")
    async with sandbox.catalog() as catalog:
        request = product_pb2.GetProductRequest(product_id=nothing)
        assert await refusal(catalog.GetProduct(request, metadata=metadata)) == "PRODUCT_NOT_FOUND"
        manifest = product_pb2.GetVersionManifestRequest(product_id=game, version_id=nothing)
        assert await refusal(catalog.GetVersionManifest(manifest, metadata=metadata)) == "VERSION_NOT_FOUND"
        batch = product_pb2.GetProductsBatchRequest(product_ids=[nothing, game])
        found = (await catalog.GetProductsBatch(batch, metadata=metadata)).products
        assert [product.product_id for product in found] == [game]
    async with sandbox.levers() as levers:
        announcement = sandbox_pb2.AnnounceVersionRequest(
            product_id=nothing, version_id=nothing, version_name="1", platform=content.PLATFORM_LINUX
        )
        assert await refusal(levers.AnnounceVersion(announcement)) == "PRODUCT_NOT_FOUND"
        announcement.platform = content.PLATFORM_UNSPECIFIED
        assert await refusal(levers.AnnounceVersion(announcement)) == "VALIDATION_ERROR"
    async with http.get(manifest_url(sandbox.url, game, nothing)) as answer:
        assert answer.status == 404
    async with http.get(f"{sandbox.url}/manifests/../state/auth.pem") as answer:
        assert answer.status == 404


async def test_chunks_are_had_by_signed_links_only(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    chunk_key = f"content/{uuid4()}/chunks/ab/{hashlib.sha256(b'x').hexdigest()}"
    await sandbox.store.put(chunk_key, b"0123456789")
    plain = f"{sandbox.url}/cdn/{chunk_key}"
    soon, past = datetime.now(UTC) + timedelta(minutes=1), datetime.now(UTC) - timedelta(seconds=1)
    link = signed_urls.sign(plain, key=CDN_KEY, expires_at=soon)
    async with http.get(link) as answer:
        assert (answer.status, await answer.read()) == (200, b"0123456789")
    async with http.get(link, headers={"Range": "bytes=2-4"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"234")
    refused = {
        "unsigned": plain,
        "tampered": link.replace("/ab/", "/ac/"),
        "expired": signed_urls.sign(plain, key=CDN_KEY, expires_at=past),
        "prolonged": signed_urls.sign(plain, key=CDN_KEY, expires_at=past).replace("expires=", "expires=9"),
        "other key": signed_urls.sign(plain, key="stranger", expires_at=soon),
        "key of the other mount": signed_urls.sign(plain, key=OBJECTS_KEY, expires_at=soon),
    }
    for why, url in refused.items():
        async with http.get(url) as answer:
            assert answer.status == 403, why
            assert json.loads(await answer.read())["errors"][0]["code"] == "PERMISSION_DENIED"
    async with http.put(signed_urls.sign(plain, key=CDN_KEY, expires_at=soon, method="PUT"), data=b"x") as answer:
        assert answer.status == 405


async def test_the_store_takes_signed_uploads(sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
    data = b"a save"
    upload = sandbox.store.presign_put(
        "saves/a", size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), expires_in_seconds=60
    )
    async with http.put(upload.url, data=data, headers=upload.headers) as answer:
        assert answer.status == 200
    async with http.get(sandbox.store.presign_get("saves/a", expires_in_seconds=60)) as answer:
        assert await answer.read() == data


async def test_migrations_go_back_and_forth(new_database: NewDatabase) -> None:
    dsn = await new_database("sandbox_migrations")
    await upgrade(dsn, "sandbox")
    await downgrade(dsn, "sandbox")
    for _ in range(2):  # a second time there is nothing to do
        assert await upgrade(dsn, "sandbox") is None
