"""Idempotency-Key through the gateway with a real store. Contract: section 1."""

import asyncio
import base64
import json
import uuid
from contextlib import asynccontextmanager

import pytest
from rest.routes import ROUTES

from chassis.errors import DomainError, Kind
from chassis.quota.redis_store import open_redis_store
from gateway.quota.idempotency import UNKEPT, Answer, Idempotency, make_claim
from gateway.quota.redis_answers import RedisAnswers
from tests.component.gateway.gateway_rig import (
    DOWNLOAD_PATH,
    DOWNLOADS_PATH,
    ITEM,
    ITEM_PATH,
    PRODUCT,
    WAIT_SECONDS,
    GatewayRig,
    gateway_rig,
    soon,
)
from tests.component.rpc_rig import user_token
from tests.conftest import valkey_server

MAX_ANSWER_BYTES = 2048
USER_BYTES = 64 * 1024


@asynccontextmanager
async def keeping(valkey_url: str, max_answer_bytes: int = MAX_ANSWER_BYTES):
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        idempotency = Idempotency(RedisAnswers(store, user_bytes=USER_BYTES), max_answer_bytes=max_answer_bytes)
        async with gateway_rig(idempotency=idempotency) as rig:
            # A user of the test's own: tests share the Valkey.
            rig.token = user_token(sub=str(uuid.uuid4()))
            yield rig


@pytest.fixture
async def rig(valkey_url):
    async with keeping(valkey_url) as made:
        yield made


def start(**attributes):
    return {"data": {"type": "downloadRequest", "attributes": {"product_id": PRODUCT, **attributes}}}


async def post(rig: GatewayRig, key: str | None = "k-1", body=None, path=DOWNLOADS_PATH, **headers):
    if key is not None:
        headers["Idempotency-Key"] = key
    return await rig.call("POST", path, body=start() if body is None else body, **headers)


async def test_a_repeated_request_gets_the_first_answer_and_reaches_no_service(rig: GatewayRig):
    first, second = await post(rig), await post(rig)
    assert (first.status, second.status) == (202, 202)
    assert second.document == first.document
    for name in ("Location", "Content-Type", "Content-Language", "Cache-Control", "Vary"):
        assert second.headers[name] == first.headers[name]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert len(rig.download.requests) == 1


async def test_another_request_with_the_same_key_is_refused(rig: GatewayRig):
    await post(rig)
    for answer in (
        await post(rig, body=start(priority=7), Accept_Language="en"),
        await rig.call("POST", DOWNLOADS_PATH, raw=b"{}", Idempotency_Key="k-1", Accept_Language="en"),
    ):
        assert (answer.status, answer.codes) == (422, ["IDEMPOTENCY_KEY_REUSED"])
        assert answer.sources == [{"header": "Idempotency-Key"}]
        assert answer.errors[0]["title"] == "Idempotency key reused"
    assert len(rig.download.requests) == 1


async def test_keys_count_per_user_and_route(rig: GatewayRig):
    await post(rig)
    assert (await post(rig, token=user_token(sub=str(uuid.uuid4())))).status == 202
    assert (await post(rig, key="k-2")).status == 202
    assert (await post(rig, key=None)).status == 202
    assert (await rig.call("POST", f"{DOWNLOAD_PATH}/pause", Idempotency_Key="k-1")).status == 200
    assert len(rig.download.requests) == 5
    other = await rig.call("POST", f"{DOWNLOADS_PATH}/{ITEM}/pause", Idempotency_Key="k-1")
    assert (other.status, other.codes) == (422, ["IDEMPOTENCY_KEY_REUSED"])


async def test_while_the_first_request_runs_the_second_is_told_to_wait(rig: GatewayRig):
    rig.download.hangs = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(post(rig))
        while not rig.download.requests:
            await asyncio.sleep(0.01)
        second = await post(rig)
        other = await post(rig, body=start(priority=7))
        rig.download.hangs.set()
    assert (second.status, second.codes) == (409, ["IDEMPOTENCY_KEY_IN_USE"])
    assert int(second.headers["Retry-After"]) >= 1
    assert other.codes == ["IDEMPOTENCY_KEY_REUSED"]
    assert first.result().status == 202
    assert (await post(rig)).headers["Idempotency-Replayed"] == "true"


async def test_a_key_is_free_again_when_the_first_requests_deadline_is_over(rig: GatewayRig):
    rig.download.hangs = asyncio.Event()
    while not rig.download.requests:  # on a busy machine its time may be over before it is there
        assert (await soon(post(rig, X_Request_Timeout="0.3"))).status in {504, 409}
    rig.download.hangs = None
    async with asyncio.timeout(WAIT_SECONDS):
        while (await post(rig)).status != 202:
            await asyncio.sleep(0.05)
    assert len(rig.download.requests) == 2


@pytest.mark.parametrize(
    ("kind", "reason", "status"),
    [
        (Kind.ALREADY_EXISTS, "DOWNLOAD_ALREADY_ACTIVE", 409),
        (Kind.NOT_FOUND, "PRODUCT_NOT_FOUND", 404),
        (Kind.INVALID_ARGUMENT, "VALIDATION_ERROR", 400),
        (Kind.UNAUTHENTICATED, "TOKEN_EXPIRED", 401),
        (Kind.PERMISSION_DENIED, "PRODUCT_ACCESS_DENIED", 403),
        (Kind.RESOURCE_EXHAUSTED, "DOWNLOAD_QUEUE_FULL", 429),
        (Kind.INTERNAL, "INTERNAL_ERROR", 500),
        (Kind.UNAVAILABLE, "CDN_ERROR", 502),
        (Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504),
    ],
)
async def test_an_error_is_not_kept_and_frees_the_key(rig: GatewayRig, kind, reason, status):
    rig.download.error = DomainError(kind, reason)
    first = await post(rig)
    assert (first.status, first.codes) == (status, [reason])
    rig.download.error = None
    second = await post(rig)
    assert second.status == 202
    assert "Idempotency-Replayed" not in second.headers


async def test_what_the_gateway_refuses_leaves_nothing_in_redis(valkey_url):
    async with keeping(valkey_url) as rig, open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        user = user_of(rig.token)
        for number in range(10):
            answer = await post(rig, key=f"k-{number}", body={"data": {"type": "other" * 300}})
            assert answer.status == 409
        assert await store.link.call("KEYS", f"*{user}*") == []


async def test_a_post_that_only_reads_minds_no_key(rig: GatewayRig):
    routes = [route for route in ROUTES if route.method == "POST" and route.access.rate_class == "read"]
    assert routes
    for route in routes:
        assert (await post(rig, key="a" * 500, body={}, path=route.path)).codes != ["INVALID_ARGUMENT"]


@pytest.mark.parametrize("key", ["", " ", "a" * 129, "ключ", "a\tb"])
async def test_a_key_that_is_none_is_refused_by_the_headers_name(rig: GatewayRig, key):
    answer = await post(rig, key=key)
    assert (answer.status, answer.codes) == (400, ["INVALID_ARGUMENT"])
    assert answer.sources == [{"header": "Idempotency-Key"}]
    assert (await post(rig, key="a" * 128)).status == 202


async def test_signed_links_are_made_anew_and_other_methods_mind_no_key(rig: GatewayRig):
    links = {"data": {"type": "linkRequest", "attributes": {"ids": ["0" * 64]}}}
    for _ in range(2):
        assert (await post(rig, body=links, path=f"{DOWNLOAD_PATH}/links")).status == 200
    assert len(rig.download.requests) == 2
    change = {"data": {"type": "libraryItem", "id": ITEM, "attributes": {"is_hidden": True}}}
    for key in ("k-1", "k-1", "a" * 500):
        assert (await rig.call("PATCH", ITEM_PATH, body=change, Idempotency_Key=key)).status == 200
    assert len(rig.library.requests) == 3


async def test_who_may_not_ask_learns_nothing_from_a_key(rig: GatewayRig):
    await post(rig)
    assert (await post(rig, token=None)).status == 401


async def test_answers_that_are_too_long_are_not_kept(valkey_url):
    async with keeping(valkey_url, max_answer_bytes=100) as rig:
        assert [(await post(rig)).status for _ in range(2)] == [202, 202]
        assert len(rig.download.requests) == 2


async def test_without_the_store_requests_are_just_served():
    before = UNKEPT._value.get()
    with valkey_server() as url:
        pass
    async with keeping(url) as rig:
        assert [(await post(rig)).status for _ in range(2)] == [202, 202]
        assert len(rig.download.requests) == 2
    assert UNKEPT._value.get() == before + 2


# --- the store ---


def claim_of(user: uuid.UUID, body: bytes = b"1"):
    return make_claim(user_id=user, route="/r", key="k", target="/r?a=1", body=body)


async def test_answers_are_kept_for_the_time_asked_and_running_requests_for_theirs(valkey_url):
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        answers, claim = RedisAnswers(store, user_bytes=USER_BYTES), claim_of(uuid.uuid4())
        assert await answers.claim(claim, running_seconds=60) is None
        key = f"idempotency:{claim.slot}"
        assert 30_000 < await store.link.call("PTTL", key) <= 60_000
        answer = Answer(201, {"Location": "/x"}, b'{"data":null}')
        await answers.keep(claim, answer, kept_seconds=86_400)
        assert 86_340_000 < await store.link.call("PTTL", key) <= 86_400_000
        again = await answers.claim(claim_of(uuid.uuid4()), running_seconds=60)
        assert again is None
        earlier = await answers.claim(claim, running_seconds=60)
        assert earlier is not None
        assert (earlier.fingerprint, earlier.answer) == (claim.fingerprint, answer)


async def test_who_has_lost_the_slot_neither_fills_nor_frees_it(valkey_url):
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        answers, user = RedisAnswers(store, user_bytes=USER_BYTES), uuid.uuid4()
        slow, quick = claim_of(user), claim_of(user)
        assert await answers.claim(quick, running_seconds=60) is None
        await answers.release(slow)
        await answers.keep(slow, Answer(500, {}, b"slow"), kept_seconds=10)
        earlier = await answers.claim(slow, running_seconds=60)
        assert earlier is not None
        assert earlier.answer is None
        await answers.release(quick)
        assert await answers.claim(slow, running_seconds=60) is None


async def test_of_many_at_once_exactly_one_gets_the_slot(valkey_url):
    user = uuid.uuid4()
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        answers = RedisAnswers(store, user_bytes=USER_BYTES)
        found = await asyncio.gather(*(answers.claim(claim_of(user), running_seconds=60) for _ in range(20)))
    assert found.count(None) == 1


async def test_one_user_keeps_so_many_bytes_and_the_oldest_go_first(valkey_url):
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        answers, user, other = RedisAnswers(store, user_bytes=USER_BYTES), uuid.uuid4(), uuid.uuid4()
        body = b"x" * 6_000
        await keep(answers, other, "theirs", body)
        for number in range(60):
            await keep(answers, user, f"k-{number}", body)
            names = await store.link.call("KEYS", f"*{user}*")
            taken = sum([await store.link.call("MEMORY", "USAGE", name) for name in names])
            assert taken < 1.5 * USER_BYTES
        kept = [number for number in range(60) if await is_kept(answers, user, f"k-{number}")]
        assert kept == list(range(60 - len(kept), 60))
        assert 8 <= len(kept) <= 10
        assert await is_kept(answers, other, "theirs")
        for name in names:
            assert await store.link.call("PTTL", name) > 0


async def test_an_answer_that_was_made_anew_is_not_thrown_out_in_the_old_ones_place(valkey_url):
    async with open_redis_store(valkey_url, answer_seconds=WAIT_SECONDS) as store:
        answers, user = RedisAnswers(store, user_bytes=USER_BYTES), uuid.uuid4()
        await keep(answers, user, "again", b"x" * 20_000, kept_seconds=0.001)
        async with asyncio.timeout(WAIT_SECONDS):
            while await is_kept(answers, user, "again"):
                await asyncio.sleep(0.01)
        await keep(answers, user, "again", b"y" * 20_000)
        for number in range(2):  # no room for the first any more
            await keep(answers, user, f"k-{number}", b"x" * 20_000)
        assert await is_kept(answers, user, "again")
        for number in range(2, 4):
            await keep(answers, user, f"k-{number}", b"x" * 20_000)
        assert not await is_kept(answers, user, "again")


def named(user: uuid.UUID, key: str):
    return make_claim(user_id=user, route="/r", key=key, target="/r", body=b"")


async def keep(answers: RedisAnswers, user: uuid.UUID, key: str, body: bytes, *, kept_seconds: float = 60.0) -> None:
    claim = named(user, key)
    assert await answers.claim(claim, running_seconds=60) is None
    await answers.keep(claim, Answer(200, {}, body), kept_seconds=kept_seconds)


async def is_kept(answers: RedisAnswers, user: uuid.UUID, key: str) -> bool:
    claim = named(user, key)
    if await answers.claim(claim, running_seconds=60) is not None:
        return True
    await answers.release(claim)
    return False


def user_of(token: str) -> str:
    """The user that a token of the tests is for."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
