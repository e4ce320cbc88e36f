"""The sandbox's private keys: created on first use in its state folder, readable by their owner only. The Auth stand-in signs
tokens with the RSA key, the publisher signs manifests with the Ed25519 key.
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from depot.signing import format_public_keys, public_key

RSA_KEY_BITS = 2048
RSA_PUBLIC_EXPONENT = 65537
KEYS_KEPT = 16
_SIGNING_KEY = "auth.pem"
_OTHER_KEYS = "auth-*.pem"
_PUBLISHER_KEY = "publisher.pem"

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


def token_keys(state_dir: Path) -> tuple[RSAPrivateKey, ...]:
    """Return the keys whose tokens are valid, the one that signs first. More may lie beside it as `auth-<name>.pem`."""
    signing = _load_or_make(state_dir / _SIGNING_KEY, lambda: generate_private_key(RSA_PUBLIC_EXPONENT, RSA_KEY_BITS))
    others = (_load(path) for path in sorted(state_dir.glob(_OTHER_KEYS)))
    return tuple(key for key in (signing, *others) if isinstance(key, RSAPrivateKey))


def publisher_key(state_dir: Path) -> tuple[str, Ed25519PrivateKey]:
    """The id and the key that manifests are signed with. The id is derived from the public key, so a new key has a new id."""
    key = _load_or_make(state_dir / _PUBLISHER_KEY, Ed25519PrivateKey.generate)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{state_dir / _PUBLISHER_KEY} is not an Ed25519 key")
    return f"sandbox-{hashlib.sha256(public_key(key)).hexdigest()[:12]}", key


def manifest_public_keys(state_dir: Path) -> str:
    """Return the value that MANIFEST_PUBLIC_KEYS of Download and of launchers needs to trust this sandbox's publisher."""
    key_id, key = publisher_key(state_dir)
    return format_public_keys({key_id: public_key(key)})


def _load_or_make(path: Path, make: Callable[[], PrivateKey]) -> PrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        pem = make().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails where another process was first: then its key counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return _load(path)


def _load(path: Path) -> PrivateKey:
    found = path.stat()
    return _parsed(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=KEYS_KEPT)
def _parsed(path: Path, _inode: int, _size_bytes: int, _modified_ns: int) -> PrivateKey:
    """The file's key, read once for as long as the file is the same: to check an RSA key takes 70 ms of a processor, and several
    programs that start at once ask for tokens and keys all the time.
    """
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise TypeError(f"{path} is neither an RSA nor an Ed25519 key")
    return key
