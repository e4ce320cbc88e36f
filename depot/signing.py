"""Detached Ed25519 signatures over the stored bytes of a manifest (RFC 8032), and the public keys that are trusted. The publisher
signs; Download and the launcher verify, each with its own pinned keys.
"""

import base64
import binascii
import re
from collections.abc import Mapping

from content.v1 import manifest_pb2 as content
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from depot.errors import ManifestSignatureInvalid

__all__ = ["ManifestSignatureInvalid", "format_public_keys", "parse_public_keys", "public_key", "sign", "verify"]

_PUBLIC_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def sign(stored: bytes, key_id: str, private_key: Ed25519PrivateKey) -> content.ManifestSignature:
    """Signs exactly these bytes. The same bytes and key give the same signature."""
    return content.ManifestSignature(key_id=key_id, signature=private_key.sign(stored))


def verify(stored: bytes, signature: content.ManifestSignature, keys: Mapping[str, bytes]) -> None:
    """The bytes are as the holder of a trusted key signed them.

    Raises:
        ManifestSignatureInvalid: unknown key, or a signature that does not fit the bytes.
    """
    key = keys.get(signature.key_id)
    if key is None:
        raise ManifestSignatureInvalid("it is signed by a key that is not trusted")
    if len(signature.signature) != _SIGNATURE_BYTES:
        raise ManifestSignatureInvalid("its signature is not 64 bytes long")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature.signature, stored)
    except (InvalidSignature, ValueError):
        raise ManifestSignatureInvalid("its signature does not fit its bytes") from None


def public_key(private_key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes that others need to verify."""
    return private_key.public_key().public_bytes_raw()


def parse_public_keys(text: str) -> Mapping[str, bytes]:
    """Reads MANIFEST_PUBLIC_KEYS: `key_id=base64,key_id2=base64`, each key 32 bytes.

    Raises:
        ValueError: says which member is wrong.
    """
    keys: dict[str, bytes] = {}
    for member in filter(None, (part.strip() for part in text.split(","))):
        key_id, equals, encoded = member.partition("=")
        if not equals or not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"{member[:40]!r} is not key_id=base64")
        if key_id in keys:
            raise ValueError(f"the key {key_id!r} is there twice")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"the key {key_id!r} is not base64") from None
        if len(key) != _PUBLIC_KEY_BYTES:
            raise ValueError(f"the key {key_id!r} is {len(key)} bytes long, not {_PUBLIC_KEY_BYTES}")
        keys[key_id] = key
    return keys


def format_public_keys(keys: Mapping[str, bytes]) -> str:
    """The form that parse_public_keys reads."""
    return ",".join(f"{key_id}={base64.b64encode(key).decode()}" for key_id, key in keys.items())
