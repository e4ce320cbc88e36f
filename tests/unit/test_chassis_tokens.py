"""Key sets and tokens: what is usable, what is remembered, and how often the auth server is asked."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from chassis.auth.service_tokens import RENEW_AT_SHARE, RETRY_SECONDS, ServiceTokenSource, _Token
from chassis.auth.tokens import (
    CLOCK_SKEW_SECONDS,
    KEYS_MAX_AGE_SECONDS,
    KEYS_REFRESH_SECONDS,
    KEYS_RETRY_SECONDS,
    KEYS_STALE_LIMIT_SECONDS,
    KEYS_TIMEOUT_SECONDS,
    RECHECK_SECONDS,
    TOKEN_LIMIT_BYTES,
    KeySet,
    TokenVerifier,
    bearer,
    parse_key_set,
    service_tokens,
)
from chassis.errors import DomainError, Kind

USER = "6f1c4b1e-8f0a-4b7e-9d63-2f6a3f3b9a11"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@cache
def key(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(kid: str, *, bits: int = 2048, **changes: Any) -> dict[str, Any]:
    return {**json.loads(RSAAlgorithm.to_jwk(key(kid, bits).public_key())), "kid": kid, **changes}


def token(kid: str = "k1", *, issued: datetime = NOON, seconds: int = 600, **claims: Any) -> str:
    body = {"iss": "i", "aud": "a", "sub": USER, "iat": issued, "exp": issued + timedelta(seconds=seconds), **claims}
    return jwt.encode(body, key(kid, 2048), algorithm="RS256", headers={"kid": kid})


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1000)


class Answers(KeySet):
    """A key set whose fetch is a list in memory; everything else is the real one."""

    def __init__(self, clock: Clock, *kids: str) -> None:
        super().__init__("http://auth.test", None, monotonic=clock.monotonic)  # type: ignore[arg-type]
        self.kids = list(kids)
        self.fetches = 0
        self.fails = False

    async def _fetch(self):
        self.fetches += 1
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("away")
        return parse_key_set(json.dumps({"keys": [jwk(kid) | {"kid": kid[:2]} for kid in self.kids]}).encode())


def verifier(clock: Clock, keys: KeySet) -> TokenVerifier:
    return TokenVerifier(keys, issuer="i", audience="a", now=clock.now)


async def reason_of(call) -> str:
    with pytest.raises(DomainError) as caught:
        await call
    return caught.value.reason


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0"},
        {"kty": "EC", "kid": "x", "crv": "P-256", "x": "AA", "y": "AA"},
        jwk("x", use="enc"),
        jwk("x", alg="RS512"),
        {name: value for name, value in jwk("x").items() if name != "kid"},
        {"kty": "RSA", "kid": "x"},
        {"kty": "RSA", "kid": "x", "n": "!!", "e": "AQAB"},
        json.loads(RSAAlgorithm.to_jwk(key("x", 2048))) | {"kid": "x"},
        jwk("short", bits=1024),
        "text",
    ],
)
def test_a_key_that_must_not_be_used_is_passed_over(entry):
    keys = parse_key_set(json.dumps({"keys": [entry, jwk("good")]}).encode())
    assert list(keys) == ["good"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"keys": {}}'])
def test_what_is_no_key_set_is_refused(body):
    with pytest.raises(ValueError):  # noqa: PT011  json's own and ours
        parse_key_set(body)


async def test_unknown_keys_do_not_make_us_ask_for_the_set_again_and_again():
    clock = Clock()
    keys = Answers(clock, "k1")
    check = verifier(clock, keys)
    for _ in range(50):
        assert await reason_of(check.verify(token("stranger"))) == "UNAUTHENTICATED"
    assert keys.fetches == 1
    clock.seconds += KEYS_RETRY_SECONDS
    assert await reason_of(check.verify(token("stranger"))) == "UNAUTHENTICATED"
    assert keys.fetches == 2


async def test_many_callers_wait_for_one_fetch():
    clock = Clock()
    keys = Answers(clock, "k1")
    check = verifier(clock, keys)
    good = token()
    claims = await asyncio.gather(*(check.verify(good) for _ in range(30)))
    assert {str(each.user_id) for each in claims} == {USER}
    assert keys.fetches == 1


async def test_a_remembered_token_is_refused_when_it_expires():
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    good = token(seconds=50)
    await check.verify(good)
    clock.seconds += 49
    await check.verify(good)
    clock.seconds += 1
    assert await reason_of(check.verify(good)) == "TOKEN_EXPIRED"
    assert await reason_of(check.verify(good)) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
async def test_clocks_may_differ_by_half_a_minute_and_expiry_is_never_stretched(claim: str):
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    await check.verify(token(**{claim: NOON + timedelta(seconds=CLOCK_SKEW_SECONDS)}))
    ahead = token(**{claim: NOON + timedelta(seconds=CLOCK_SKEW_SECONDS + 1)})
    assert await reason_of(check.verify(ahead)) == "UNAUTHENTICATED"
    assert await reason_of(check.verify(token(issued=NOON - timedelta(seconds=60), seconds=60))) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_a_good_signature_by_another_algorithm_counts_for_nothing(algorithm: str):
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    claims = {"iss": "i", "aud": "a", "sub": USER, "iat": NOON, "exp": NOON + timedelta(seconds=600)}
    signed = jwt.encode(claims, key("k1", 2048), algorithm=algorithm, headers={"kid": "k1"})
    assert await reason_of(check.verify(signed)) == "UNAUTHENTICATED"


async def test_a_remembered_token_is_refused_once_its_key_has_left():
    clock = Clock()
    keys = Answers(clock, "k1", "k2")
    check = verifier(clock, keys)
    good = token()
    await check.verify(good)
    keys.kids.remove("k1")
    await check.verify(good)
    clock.seconds += KEYS_MAX_AGE_SECONDS
    assert await reason_of(check.verify(good)) == "UNAUTHENTICATED"


async def test_a_remembered_token_is_refused_once_another_key_has_its_kid():
    clock = Clock()
    keys = Answers(clock, "k1")
    check = verifier(clock, keys)
    good = token()
    credential = await check.accept(good)
    keys.kids = ["k1-of-somebody-else"]  # its kid is k1, too
    clock.seconds += KEYS_RETRY_SECONDS
    await keys.refresh()
    assert await reason_of(check.verify(good)) == "UNAUTHENTICATED"
    with pytest.raises(DomainError):
        credential.check()


async def test_a_remembered_token_is_known_again_after_the_same_keys_were_fetched():
    clock = Clock()
    keys = Answers(clock, "k1", "k2")
    check = verifier(clock, keys)
    credential = await check.accept(token())
    clock.seconds += KEYS_MAX_AGE_SECONDS / 2
    await keys.refresh()
    assert await check.accept(token()) is credential
    credential.check()


async def test_no_token_is_kept():
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    good = token()
    credential = await check.accept(good)
    assert good not in repr(check._accepted)
    assert good not in repr(credential)
    assert len(check._accepted) == 1


def test_a_stream_ends_within_the_promise_after_its_key_left():
    assert RECHECK_SECONDS <= 30
    assert KEYS_REFRESH_SECONDS + KEYS_TIMEOUT_SECONDS + RECHECK_SECONDS < KEYS_MAX_AGE_SECONDS


async def test_a_credential_is_looked_at_until_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chassis.auth.tokens.RECHECK_SECONDS", 0.001)
    clock = Clock()
    keys = Answers(clock, "k1", "k2")
    credential = await verifier(clock, keys).accept(token())
    refused: asyncio.Queue[DomainError] = asyncio.Queue()
    with credential.watched(refused.put_nowait):
        keys.kids.remove("k1")
        clock.seconds += KEYS_RETRY_SECONDS
        await keys.refresh()
        async with asyncio.timeout(30):
            assert (await refused.get()).reason == "UNAUTHENTICATED"
    assert refused.empty()


@pytest.mark.parametrize(
    ("after_seconds", "reason"),
    [(600, "TOKEN_EXPIRED"), (KEYS_STALE_LIMIT_SECONDS + 1, "SERVICE_UNAVAILABLE")],
)
async def test_a_credential_ends_when_its_token_would(after_seconds: float, reason: str):
    """Also while the auth server cannot be asked: the last known keys serve streams for as long as they serve calls."""
    clock = Clock()
    life_seconds = 600 if reason == "TOKEN_EXPIRED" else 3600
    credential = await verifier(clock, Answers(clock, "k1")).accept(token(seconds=life_seconds))
    clock.seconds += after_seconds - 1.5
    credential.check()
    clock.seconds += 1.5
    with pytest.raises(DomainError) as caught:
        credential.check()
    assert caught.value.reason == reason


async def test_a_token_that_is_too_long_is_not_even_looked_at():
    clock = Clock()
    keys = Answers(clock, "k1")
    assert await reason_of(verifier(clock, keys).verify("x" * (TOKEN_LIMIT_BYTES + 1))) == "UNAUTHENTICATED"
    assert keys.fetches == 0


@pytest.mark.parametrize("text", ["", " ", "a b", "ё", "\ud800", "a\x00b", "a\nb", "²"])
async def test_what_is_no_token_is_refused_and_not_kept(text: str):
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    for _ in range(2):
        assert await reason_of(check.verify(text)) == "UNAUTHENTICATED"
    assert not check._accepted


async def test_before_the_first_key_set_nothing_can_be_said():
    clock = Clock()
    keys = Answers(clock, "k1")
    keys.fails = True
    with pytest.raises(DomainError) as caught:
        await verifier(clock, keys).verify(token())
    assert caught.value.kind is Kind.UNAVAILABLE
    with pytest.raises(DomainError):
        await keys.check()


async def test_a_service_token_lives_five_minutes_at_most():
    clock = Clock()
    check = service_tokens(Answers(clock, "k1"), issuer="i", service="a", now=clock.now)
    assert (await check.verify(token(sub="service:gateway", seconds=300))).service == "gateway"
    assert await reason_of(check.verify(token(sub="service:gateway", seconds=301))) == "UNAUTHENTICATED"


async def test_a_token_for_several_audiences_counts_for_each():
    clock = Clock()
    check = verifier(clock, Answers(clock, "k1"))
    assert (await check.verify(token(aud=["b", "a"]))).service is None
    assert await reason_of(check.verify(token(aud=["b", "c"]))) == "UNAUTHENTICATED"


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic abc", "abc"])
def test_only_bearer_is_a_bearer(value):
    with pytest.raises(DomainError):
        bearer(value)


def test_the_scheme_is_blind_to_case():
    assert bearer("bEARER abc") == "abc"


class Endpoint(ServiceTokenSource):
    """A source whose endpoint is in memory; everything else is the real one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("http://auth.test", client_id="c", client_secret="s", session=None, monotonic=clock.monotonic)  # type: ignore[arg-type]
        self._clock = clock
        self.fetches = 0
        self.fails = False

    async def _fetch(self, audience):
        self.fetches += 1
        await asyncio.sleep(0)
        if self.fails:
            raise OSError("away")
        at = self._clock.seconds
        return _Token(f"{audience}-{self.fetches}", at + RENEW_AT_SHARE * 300, at + 300)


async def test_a_service_token_is_kept_per_audience_and_renewed_before_it_expires():
    clock = Clock()
    source = Endpoint(clock)
    assert await asyncio.gather(*(source.token("a") for _ in range(5))) == ["a-1"] * 5
    assert await source.token("b") == "b-2"
    clock.seconds += 224
    assert await source.token("a") == "a-1"
    clock.seconds += 1
    assert source.cached("a") is None
    assert await source.token("a") == "a-3"


async def test_the_last_token_serves_while_auth_is_away_and_until_it_expires():
    clock = Clock()
    source = Endpoint(clock)
    await source.token("a")
    source.fails = True
    clock.seconds += 299
    assert await source.token("a") == "a-1"
    asked = source.fetches
    assert await source.token("a") == "a-1"
    assert source.fetches == asked  # not asked again within RETRY_SECONDS
    clock.seconds += max(1.0, RETRY_SECONDS)
    with pytest.raises(DomainError) as caught:
        await source.token("a")
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize("wrong", [5, None, ["a"], {}, "", "é", "AA"])
def test_a_key_of_wrong_numbers_is_passed_over(wrong: object) -> None:
    for member in ("n", "e"):
        entry = {**jwk("bad"), member: wrong}
        assert set(parse_key_set(json.dumps({"keys": [entry, jwk("good")]}).encode())) == {"good"}
