"""The Auth stand-in: RS256 tokens of users and programs, and the JWKS (RFC 7517) that they are checked with. Offered over HTTP by
sandbox.http and over gRPC by the levers.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

DEFAULT_ROLES = ("user",)
USER_TOKEN_LIFE = timedelta(hours=1)
SERVICE_TOKEN_LIFE = timedelta(minutes=5)
"""Services refuse service tokens that live longer (contract section 5)."""


class TokenIssuer:
    """Signs tokens. `keys` gives the keys as they are now, the signing one first: a key that was removed is gone at once."""

    def __init__(
        self,
        keys: Callable[[], Sequence[RSAPrivateKey]],
        *,
        issuer: str,
        audience: str,
        client_secrets: Mapping[str, str],
        now: Callable[[], datetime],
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._client_secrets = client_secrets
        self._now = now

    def issue_token(
        self,
        user_id: UUID,
        *,
        roles: Sequence[str] = DEFAULT_ROLES,
        permissions: Sequence[str] = (),
        life: timedelta = USER_TOKEN_LIFE,
    ) -> str:
        """A user's token. A negative life gives one that has expired already."""
        claims = {"sub": str(user_id), "aud": self._audience, "roles": list(roles), "permissions": list(permissions)}
        return self._signed(claims, life)

    def issue_service_token(self, service: str, *, audience: str, life: timedelta = SERVICE_TOKEN_LIFE) -> str:
        """A program's token, good at the one service that it names."""
        return self._signed({"sub": f"service:{service}", "aud": audience}, life)

    def is_client(self, client_id: str, secret: str) -> bool:
        """The program knows its secret."""
        expected = self._client_secrets.get(client_id, "")
        return bool(expected) and hmac.compare_digest(expected.encode(), secret.encode())

    def jwks(self) -> Mapping[str, object]:
        """The public halves of all keys."""
        return {"keys": [_jwk(key) for key in self._keys()]}

    def _signed(self, claims: Mapping[str, object], life: timedelta) -> str:
        key = self._keys()[0]
        now = self._now()
        expires = now + life
        times = {"iat": int(min(now, expires).timestamp()), "exp": int(expires.timestamp())}
        whole = {"iss": self._issuer, "jti": str(uuid4()), **claims, **times}
        return jwt.encode(whole, key, algorithm="RS256", headers={"kid": key_id(key)})


def key_id(key: RSAPrivateKey) -> str:
    """The key's thumbprint (RFC 7638)."""
    numbers = _public_numbers(key)
    canonical = json.dumps({"e": numbers["e"], "kty": "RSA", "n": numbers["n"]}, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _jwk(key: RSAPrivateKey) -> Mapping[str, str]:
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id(key), **_public_numbers(key)}


def _public_numbers(key: RSAPrivateKey) -> Mapping[str, str]:
    numbers = key.public_key().public_numbers()
    return {name: _base64url(n.to_bytes((n.bit_length() + 7) // 8)) for name, n in (("n", numbers.n), ("e", numbers.e))}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
