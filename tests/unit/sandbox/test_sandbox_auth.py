"""Tokens and keys of the Auth stand-in."""

import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from depot.signing import parse_public_keys, public_key
from sandbox.peers import keys
from sandbox.peers.auth import TokenIssuer, key_id

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = UUID("11111111-1111-4111-8111-111111111111")
KEY = generate_private_key(65537, 2048)
OTHER = generate_private_key(65537, 2048)


def issuer(signing: Sequence[RSAPrivateKey] = (KEY, OTHER)) -> TokenIssuer:
    return TokenIssuer(
        lambda: signing, issuer="iss", audience="samovar", client_secrets={"a": "secret", "empty": ""}, now=lambda: NOW
    )


def test_a_user_token_says_what_the_contract_says() -> None:
    token = issuer().issue_token(USER, permissions=["channel:beta"], life=timedelta(minutes=5))
    options = {"verify_exp": False}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience="samovar", options=options)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": key_id(KEY)}
    assert UUID(claims.pop("jti"))
    assert claims == {
        "iss": "iss",
        "aud": "samovar",
        "sub": str(USER),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "roles": ["user"],
        "permissions": ["channel:beta"],
    }


def test_a_service_token_lives_five_minutes() -> None:
    token = issuer().issue_service_token("library-service", audience="catalog-service")
    options = {"verify_exp": False}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["RS256"], audience="catalog-service", options=options)
    assert claims["sub"] == "service:library-service"
    assert claims["exp"] - claims["iat"] == 300
    assert "roles" not in claims


def test_an_expired_token_was_not_issued_in_the_future() -> None:
    token = issuer().issue_token(USER, life=timedelta(seconds=-10))
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iat"] <= claims["exp"] < NOW.timestamp()


def test_all_keys_are_published_and_nothing_private() -> None:
    published = jwt.PyJWKSet.from_dict(dict(issuer().jwks()))
    assert {key.key_id for key in published.keys} == {key_id(KEY), key_id(OTHER)}
    assert KEY.public_key() in [key.key for key in published.keys]
    assert '"d"' not in str(issuer().jwks()).replace("'", '"')


@pytest.mark.parametrize(
    ("client", "secret", "known"),
    [("a", "secret", True), ("a", "Secret", False), ("b", "secret", False), ("empty", "", False), ("", "", False)],
)
def test_a_program_needs_its_secret(client: str, secret: str, known: bool) -> None:  # noqa: FBT001
    assert issuer().is_client(client, secret) is known


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (first,) = keys.token_keys(state)
    publisher_id, publisher = keys.publisher_key(state)
    assert key_id(keys.token_keys(state)[0]) == key_id(first)
    assert keys.publisher_key(state)[0] == publisher_id
    assert parse_public_keys(keys.manifest_public_keys(state)) == {publisher_id: public_key(publisher)}
    assert sorted(path.name for path in state.iterdir()) == ["auth.pem", "publisher.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_more_keys_may_lie_beside_the_signing_one(tmp_path: Path) -> None:
    (old,) = keys.token_keys(tmp_path / "old")
    (signing,) = keys.token_keys(tmp_path / "new")
    (tmp_path / "old" / "auth.pem").rename(tmp_path / "new" / "auth-2025.pem")
    assert [key_id(key) for key in keys.token_keys(tmp_path / "new")] == [key_id(signing), key_id(old)]
