"""Encryption of a packed save with the user's own key, in blocks: AES-256-GCM (NIST SP 800-38D) by `cryptography`. The server sees
bytes and learns no key.

A sealed file is MAGIC, the key's id, a nonce's prefix of its own, then blocks of BLOCK_BYTES with a tag each. A block's number and
whether it is the last are in its nonce, so that blocks cannot be left out, moved or added; the head is authenticated with each.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from launcher.failures import ExitCode, LauncherError

MAGIC: Final = b"SAMOVAR-SAVE-1\n"
KEY_BYTES: Final = 32
ID_BYTES: Final = 8
PREFIX_BYTES: Final = 7
BLOCK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
HEAD_BYTES: Final = len(MAGIC) + ID_BYTES + PREFIX_BYTES
WORD: Final = "samovar-save-key:"


@dataclass(frozen=True, slots=True)
class SaveKey:
    """A user's key; its id is shown and stored with what it sealed."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "SaveKey":
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> "SaveKey":
        """Read a key. Raises: LauncherError: the text is not a valid key."""
        try:
            secret = base64.urlsafe_b64decode(text.strip().removeprefix(WORD).encode("ascii"))
        except ValueError:
            secret = b""
        if not text.strip().startswith(WORD) or len(secret) != KEY_BYTES:
            message = f"that is no key: one line that begins with {WORD}, as `samovar saves key show` prints it"
            raise LauncherError("SAVE_KEY_INVALID", message, ExitCode.USAGE)
        return cls(secret)

    @property
    def id(self) -> bytes:
        return hashlib.sha256(b"samovar save key id" + self.secret).digest()[:ID_BYTES]

    def text(self) -> str:
        """The key in one line, to be carried to another device."""
        return WORD + base64.urlsafe_b64encode(self.secret).decode()


def is_sealed(path: Path) -> bool:
    """Return True when the file is encrypted. Blocks."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def seal(source: Path, target: Path, key: SaveKey) -> None:
    """Writes the source encrypted. The same bytes seal differently each time. Blocks."""
    cipher, prefix = AESGCM(key.secret), os.urandom(PREFIX_BYTES)
    head = MAGIC + key.id + prefix
    with source.open("rb") as plain, target.open("wb") as output:
        output.write(head)
        block, number = plain.read(BLOCK_BYTES), 0
        while True:
            following = plain.read(BLOCK_BYTES)
            output.write(cipher.encrypt(_nonce(prefix, number, is_last=not following), block, head))
            if not following:
                return
            block, number = following, number + 1


def unseal(source: Path, target: Path, key: SaveKey | None) -> None:
    """Writes the source decrypted; of a damaged one nothing is of use. Blocks.

    Raises:
        LauncherError: SAVE_KEY_MISSING, SAVE_KEY_WRONG; SAVE_UNREADABLE, it was damaged or tampered with.
    """
    with source.open("rb") as sealed, target.open("wb") as output:
        head = sealed.read(HEAD_BYTES)
        key_id, prefix = head[len(MAGIC) : len(MAGIC) + ID_BYTES], head[len(MAGIC) + ID_BYTES :]
        if key is None:
            message = (
                f"the save is encrypted with key {key_id.hex()}, and this device has none: run `samovar saves key show` "
                "on the device that has it, and `samovar saves key import` here"
            )
            raise LauncherError("SAVE_KEY_MISSING", message, ExitCode.DENIED)
        if key.id != key_id:
            message = f"the save is encrypted with key {key_id.hex()}; the key of this device is {key.id.hex()}"
            raise LauncherError("SAVE_KEY_WRONG", message, ExitCode.DENIED)
        _unseal_blocks(sealed, output, AESGCM(key.secret), head, prefix)


def _unseal_blocks(sealed: BinaryIO, output: BinaryIO, cipher: AESGCM, head: bytes, prefix: bytes) -> None:
    block, number = sealed.read(BLOCK_BYTES + TAG_BYTES), 0
    while True:
        following = sealed.read(BLOCK_BYTES + TAG_BYTES)
        try:
            output.write(cipher.decrypt(_nonce(prefix, number, is_last=not following), block, head))
        except (InvalidTag, ValueError):
            message = "the encrypted save was damaged or changed; restore another version"
            raise LauncherError("SAVE_UNREADABLE", message, ExitCode.CORRUPT) from None
        if not following:
            return
        block, number = following, number + 1


def _nonce(prefix: bytes, number: int, *, is_last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([is_last])


def key_of(stored: Mapping[str, object]) -> SaveKey | None:
    """The profile's key; None: saves are not encrypted."""
    text = stored.get("key")
    return SaveKey.parse(str(text)) if text else None
