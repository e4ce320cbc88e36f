"""JWTs checked where they are used: the auth server's key set (RFC 7517), and tokens (RFC 7519) signed with RS256 and nothing
else. Used by the access interceptor and by the gateway. Contract: sections 1 and 5.
"""

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from logging import getLogger
from typing import Any
from uuid import UUID

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from chassis.concurrency.background import background
from chassis.errors import DomainError, Kind

ALGORITHM = "RS256"
SERVICE_SUBJECT_PREFIX = "service:"

KEYS_REFRESH_SECONDS = 30.0
KEYS_MAX_AGE_SECONDS = 60.0
"""A key that left the set is refused within this time."""
KEYS_STALE_LIMIT_SECONDS = 900.0
"""The time for which the last known keys stay in use while the auth server is unreachable: its short outage must not be ours."""
KEYS_RETRY_SECONDS = 2.0
"""The least time between two requests for the set, whatever tokens come in."""
KEYS_TIMEOUT_SECONDS = 3.0
KEYS_LIMIT_BYTES = 256 * 1024

TOKEN_LIMIT_BYTES = 8 * 1024
SERVICE_TOKEN_MAX_LIFE_SECONDS = 300
CLOCK_SKEW_SECONDS = 30
"""The furthest that a token's time of issue may lie in the future; expiry is never extended."""
CACHE_LIMIT_TOKENS = 20_000
RECHECK_SECONDS = 20.0
"""The longest time between two checks of a stream's credential: together with the refresh of the keys and the time that it may
take, less than KEYS_MAX_AGE_SECONDS.
"""
RSA_MIN_BITS = 2048

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+", re.ASCII)
"""RFC 6750, section 2.1."""

_log = getLogger(__name__)


def unauthenticated() -> DomainError:
    """Return the one error for every invalid token: the cause is not revealed to the caller."""
    return DomainError(Kind.UNAUTHENTICATED, "UNAUTHENTICATED")


def expired() -> DomainError:
    return DomainError(Kind.UNAUTHENTICATED, "TOKEN_EXPIRED")


class KeySet:
    """The public keys of the auth server by `kid`. `run` keeps them fresh; without it they are fetched on use.

    Raises (from `key` and `current`): nothing for unknown keys, which are None; DomainError UNAVAILABLE while no key was ever seen.
    """

    def __init__(
        self,
        jwks_url: str,
        session: aiohttp.ClientSession,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = jwks_url
        self._session = session
        self._monotonic = monotonic
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failing = False
        self._lock = asyncio.Lock()

    def is_fresh(self) -> bool:
        return self._fetched_at is not None and self._monotonic() - self._fetched_at < KEYS_MAX_AGE_SECONDS

    def holds(self, kid: str) -> bool:
        """True if `kid` was in the set when it was last fetched, which is recent."""
        return self.is_fresh() and kid in self._keys

    def last_known(self, kid: str) -> RSAPublicKey | None:
        """The key as it was last fetched, without asking; None for one that is not in the set.

        A key is the same object for as long as it is the same key: one that took over another's `kid` is another object.

        Raises:
            DomainError: UNAVAILABLE while no set is known that could still be used.
        """
        self._refuse_if_unusable()
        return self._keys.get(kid)

    async def key(self, kid: str) -> RSAPublicKey | None:
        """The key, after fetching the set if it is old or does not know `kid` (which is how a new key becomes known)."""
        # While the auth server does not answer, one caller at a time finds that out; the others go on with what is known.
        is_known = self._failing and self._lock.locked() and kid in self._keys
        if not is_known and not self.holds(kid):
            await self.refresh()
        return self.last_known(kid)

    async def refresh(self) -> None:
        """Fetches the set, unless that was just tried. A failure is logged and leaves the known keys."""
        asked_at = self._monotonic()
        async with self._lock:
            # A caller that waited for another's attempt uses its outcome.
            if self._tried_at is not None and (
                self._tried_at >= asked_at or self._monotonic() - self._tried_at < KEYS_RETRY_SECONDS
            ):
                return
            self._tried_at = self._monotonic()
            try:
                fetched = await self._fetch()
            except Exception as error:  # noqa: BLE001  a document may be wrong in any way, and the known keys are good
                self._failing = True
                _log.warning("key set cannot be fetched", extra={"url": self._url, "error": repr(error)})
                return
            known = self._keys
            self._keys = {kid: known[kid] if known.get(kid) == key else key for kid, key in fetched.items()}
            self._failing = False
            self._fetched_at = self._monotonic()

    async def run(self) -> None:
        """Keeps the set fresh until it is cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(KEYS_REFRESH_SECONDS if self.is_fresh() else KEYS_RETRY_SECONDS)

    async def check(self) -> None:
        """Check for readiness: raises when no usable keys are known."""
        if not self.is_fresh():
            await self.refresh()
        self._refuse_if_unusable()

    def _refuse_if_unusable(self) -> None:
        if self._fetched_at is None or self._monotonic() - self._fetched_at > KEYS_STALE_LIMIT_SECONDS:
            raise DomainError(Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")

    async def _fetch(self) -> Mapping[str, RSAPublicKey]:
        timeout = aiohttp.ClientTimeout(total=KEYS_TIMEOUT_SECONDS)
        async with self._session.get(self._url, timeout=timeout, allow_redirects=False) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = b""
            async for part in response.content.iter_any():
                body += part
                if len(body) > KEYS_LIMIT_BYTES:
                    raise ValueError("key set too large")
        return parse_key_set(body)


def parse_key_set(body: bytes) -> Mapping[str, RSAPublicKey]:
    """The usable keys of a JWKS document: RSA, meant for RS256 signatures, long enough, named. Others are passed over.

    Raises:
        ValueError: it is not a JWKS document.
    """
    document = json.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JWKS document")  # noqa: TRY004  the document is wrong, not the caller
    keys = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("use", "sig") != "sig" or entry.get("alg", ALGORITHM) != ALGORITHM or "d" in entry:
            continue
        try:
            key = RSAAlgorithm.from_jwk(entry)
        except (jwt.InvalidKeyError, TypeError, ValueError):
            continue
        if isinstance(key, RSAPublicKey) and key.key_size >= RSA_MIN_BITS:
            keys[entry["kid"]] = key
    return keys


@asynccontextmanager
async def open_key_set(jwks_url: str) -> AsyncIterator[KeySet]:
    """A key set that refreshes itself while the block runs."""
    async with aiohttp.ClientSession() as session:
        keys = KeySet(jwks_url, session)
        async with background(keys.run()):
            yield keys


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token. Exactly one of `user_id` and `service` is set."""

    user_id: UUID | None
    service: str | None
    roles: frozenset[str]
    permissions: frozenset[str]
    token_id: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Credential:
    """A token that was found good, without the token: for whatever outlives the request that it came with."""

    claims: Claims
    _kid: str
    _key: RSAPublicKey
    expires_at_unix: float
    _keys: KeySet
    _unix_now: Callable[[], float]

    def is_current(self) -> bool:
        """True while the very key that signed it is in a set that was fetched recently. Says nothing about the expiry."""
        return self._keys.is_fresh() and self._keys.last_known(self._kid) is self._key

    def check(self) -> None:
        """Returns if the token is still valid by the keys that are known: no request is sent.

        Raises:
            DomainError: UNAUTHENTICATED (TOKEN_EXPIRED past its time), or UNAVAILABLE when the keys are known no longer.
        """
        if self._unix_now() >= self.expires_at_unix:
            raise expired()
        if self._keys.last_known(self._kid) is not self._key:
            raise unauthenticated()

    @contextmanager
    def watched(self, refuse: Callable[[DomainError], None]) -> Iterator[None]:
        """Checks the credential while the block runs: at its expiry, and every RECHECK_SECONDS until then. `refuse` is called once,
        from the event loop, with what `check` raised. A timer and no task, because there are many streams.
        """
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            try:
                self.check()
            except DomainError as error:
                refuse(error)
            else:
                timer = loop.call_later(self._next_look_seconds(), look)

        timer = loop.call_later(self._next_look_seconds(), look)
        try:
            yield
        finally:
            timer.cancel()

    def _next_look_seconds(self) -> float:
        return min(RECHECK_SECONDS, max(0.0, self.expires_at_unix - self._unix_now()))


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TokenVerifier:
    """Checks tokens of one issuer for one audience. Good ones are remembered until they expire or their key goes, by their SHA-256:
    a dump of the process's memory holds no list of tokens.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        audience: str,
        max_life_seconds: int | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._max_life_seconds = max_life_seconds
        self._unix_now = time.time if now is _utc_now else lambda: now().timestamp()
        self._accepted: OrderedDict[bytes, Credential] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """Return the claims of the token after all its checks. Raises: as `accept`."""
        return (await self.accept(token)).claims

    async def accept(self, token: str) -> Credential:
        """The token as a credential, if all of it holds.

        Raises:
            DomainError: UNAUTHENTICATED (reason TOKEN_EXPIRED for a good token past its time, UNAUTHENTICATED for anything else),
                or UNAVAILABLE while the auth server's keys were never seen.
        """
        if len(token) > TOKEN_LIMIT_BYTES:
            raise unauthenticated()
        # Bytes of a header that are not valid text arrive as surrogates.
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._accepted.get(digest)
        if known is not None and known.is_current():
            if self._unix_now() >= known.expires_at_unix:
                del self._accepted[digest]
                raise expired()
            self._accepted.move_to_end(digest)
            return known
        # Whatever comes of it, what was known of the token counts no more.
        self._accepted.pop(digest, None)
        # A lenient base64 reader would skip all other characters; they must not reach a log or the metadata of a call.
        if not _TOKEN.fullmatch(token):
            raise unauthenticated()
        accepted = await self._check(token)
        self._accepted[digest] = accepted
        self._accepted.move_to_end(digest)
        if len(self._accepted) > CACHE_LIMIT_TOKENS:
            self._accepted.popitem(last=False)
        return accepted

    async def _check(self, token: str) -> Credential:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise unauthenticated() from error
        kid = header.get("kid")
        # The algorithm is ours to choose (RFC 8725, 3.1): a token that asks for another is refused before any key is looked up.
        if header.get("alg") != ALGORITHM or not isinstance(kid, str) or "crit" in header:
            raise unauthenticated()
        key = await self._keys.key(kid)
        if key is None:
            raise unauthenticated()
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "exp", "iat"],
                    # Times are checked below, against the injected clock.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.InvalidTokenError, ValueError) as error:
            raise unauthenticated() from error
        claims = self._read(payload)
        return Credential(claims, kid, key, claims.expires_at.timestamp(), self._keys, self._unix_now)

    def _read(self, payload: Mapping[str, Any]) -> Claims:
        now = self._unix_now()
        issued_at = _number(payload["iat"])
        expires_at = _number(payload["exp"])
        not_before = _number(payload.get("nbf", issued_at))
        if max(issued_at, not_before) > now + CLOCK_SKEW_SECONDS:
            raise unauthenticated()
        if self._max_life_seconds is not None and expires_at - issued_at > self._max_life_seconds:
            raise unauthenticated()
        user_id, service = _subject(payload["sub"])
        token_id = payload.get("jti", "")
        if not isinstance(token_id, str):
            raise unauthenticated()
        if expires_at <= now:
            raise expired()
        try:
            times = datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise unauthenticated() from error
        return Claims(
            user_id=user_id,
            service=service,
            roles=_names(payload.get("roles", [])),
            permissions=_names(payload.get("permissions", [])),
            token_id=token_id,
            issued_at=times[0],
            expires_at=times[1],
        )


def user_tokens(keys: KeySet, *, issuer: str, audience: str, now: Callable[[], datetime] = _utc_now) -> TokenVerifier:
    """The verifier of users' tokens. That the subject is a user is checked where the token is used."""
    return TokenVerifier(keys, issuer=issuer, audience=audience, now=now)


def service_tokens(keys: KeySet, *, issuer: str, service: str, now: Callable[[], datetime] = _utc_now) -> TokenVerifier:
    """The verifier of the tokens that other programs show to `service`."""
    return TokenVerifier(
        keys, issuer=issuer, audience=service, max_life_seconds=SERVICE_TOKEN_MAX_LIFE_SECONDS, now=now
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unauthenticated()
    return float(value)


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise unauthenticated()
    return frozenset(value)


def _subject(value: object) -> tuple[UUID | None, str | None]:
    if not isinstance(value, str):
        raise unauthenticated()
    if value.startswith(SERVICE_SUBJECT_PREFIX):
        name = value.removeprefix(SERVICE_SUBJECT_PREFIX)
        if not name:
            raise unauthenticated()
        return None, name
    try:
        return UUID(value), None
    except ValueError as error:
        raise unauthenticated() from error


def bearer(value: str) -> str:
    """The token of an `Authorization: Bearer …` value (RFC 6750).

    Raises:
        DomainError: UNAUTHENTICATED for any other scheme.
    """
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated()
    return token.strip()
