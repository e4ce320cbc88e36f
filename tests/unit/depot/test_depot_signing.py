"""Signatures and the list of trusted keys."""

import base64

import pytest
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from depot.signing import ManifestSignatureInvalid, format_public_keys, parse_public_keys, public_key, sign, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = {"studio": public_key(KEY)}


@given(st.binary(max_size=200))
def test_a_signature_by_a_trusted_key_passes(stored: bytes) -> None:
    assert verify(stored, sign(stored, "studio", KEY), TRUSTED) is None


def test_signing_twice_gives_the_same_signature() -> None:
    assert sign(b"x", "studio", KEY) == sign(b"x", "studio", KEY)


@pytest.mark.parametrize(
    "signature",
    [
        sign(b"manifest", "studio", STRANGER),
        sign(b"manifest", "unknown", KEY),
        sign(b"other bytes", "studio", KEY),
        content.ManifestSignature(),
        content.ManifestSignature(key_id="studio"),
        content.ManifestSignature(key_id="studio", signature=bytes(63)),
        content.ManifestSignature(key_id="studio", signature=bytes(64)),
    ],
    ids=["stranger", "unknown key", "other bytes", "empty", "no signature", "short", "zeros"],
)
def test_any_other_signature_is_refused(signature: content.ManifestSignature) -> None:
    with pytest.raises(ManifestSignatureInvalid) as refused:
        verify(b"manifest", signature, TRUSTED)
    assert refused.value.reason == "MANIFEST_SIGNATURE_INVALID"


def test_one_of_several_keys_is_enough() -> None:
    keys = {"old": public_key(STRANGER), **TRUSTED}
    assert verify(b"x", sign(b"x", "old", STRANGER), keys) is None
    assert verify(b"x", sign(b"x", "studio", KEY), keys) is None


def test_public_keys_survive_the_trip_through_a_setting() -> None:
    keys = {"old": public_key(STRANGER), **TRUSTED}
    assert parse_public_keys(format_public_keys(keys)) == keys
    assert parse_public_keys("") == {}
    assert parse_public_keys(f" {format_public_keys(TRUSTED)} , ") == TRUSTED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("studio", "not key_id=base64"),
        ("=AAAA", "not key_id=base64"),
        ("stu dio=AAAA", "not key_id=base64"),
        ("studio=***", "not base64"),
        ("studio=" + base64.b64encode(bytes(31)).decode(), "31 bytes"),
        (",".join(["studio=" + base64.b64encode(bytes(32)).decode()] * 2), "twice"),
    ],
)
def test_a_bad_list_of_keys_names_the_member(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_public_keys(text)
