"""The signed metadata of the launcher's releases (The Update Framework): made, renewed, and keys replaced. A folder holds keys,
metadata and targets; `upload` brings the public part into the object store, the timestamp last. Used by operations.client_releases.

Who has the keys of `root` and `targets` can release; those of `snapshot` and `timestamp` are the ones that lie on a server.
`root` needs two of its keys, so that one that is lost or stolen changes nothing.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from chassis.objects.object_store import ObjectStore

PREFIX: Final = "client-releases"
KEYS_OF_ROLE: Final[Mapping[str, int]] = {"root": 2, "targets": 1, "snapshot": 1, "timestamp": 1}
"""Keys of each role, all of which must sign."""
LIFE: Final[Mapping[str, timedelta]] = {
    "root": timedelta(days=365),
    "targets": timedelta(days=90),
    "snapshot": timedelta(days=30),
    "timestamp": timedelta(days=3),
}
"""The timestamp is renewed daily: a server that shows old releases is noticed after three days."""


class Repository:
    """The metadata in a folder. One process at a time changes them."""

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._folder, self._now = folder, now
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self._keys = folder / "keys"

    def create(self) -> bytes:
        """Creates keys and first metadata if there are none; returns the trusted root, which launchers carry."""
        for path in (self.metadata, self.targets, self._keys):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (self.metadata / "1.root.json").exists():
            root = Root(version=1, consistent_snapshot=True)
            for role, number in KEYS_OF_ROLE.items():
                for signer in [self._make_key(role) for _ in range(number)]:
                    root.add_key(signer.public_key, role)
                root.roles[role].threshold = number
            self._sign("root", Metadata(root))
        if not (self.metadata / "timestamp.json").exists():
            self._sign("targets", Metadata(Targets(version=1)))
            self._publish(1, 1, 1)
        return (self.metadata / "1.root.json").read_bytes()

    def add(self, path: str, content: bytes, custom: Mapping[str, Any] | None = None) -> TargetFile:
        """Signs a target; it is there when the timestamp is. What was released stays what it is: again is no change.

        Raises:
            ValueError: other bytes were released at this path.
        """
        target = TargetFile.from_data(path, content, ["sha256"])
        known: TargetFile | None = self._newest("targets").signed.targets.get(path)
        if known is not None:
            if known.hashes != target.hashes:
                raise ValueError(f"{path} was released with other content: give it another version")
            return known
        target.unrecognized_fields["custom"] = dict(custom or {})
        place = self.targets / _named_by_hash(path, target.hashes["sha256"])
        _write(place, content)
        self._change_targets({path: target})
        return target

    def mark(self, path: str, rollback_from: str) -> None:
        """Signs that those who have up to a version may go down to this target. Raises: KeyError: there is no such target."""
        target = self._newest("targets").signed.targets[path]
        target.unrecognized_fields["custom"] = {**(target.custom or {}), "rollback_from": rollback_from}
        self._change_targets({path: target})

    def renew(self, *, roles: Sequence[str] = ("timestamp",)) -> None:
        """Gives metadata another life: the timestamp daily, the others before they expire."""
        if "root" in roles:
            self._replace_root(self._newest("root"), ())
        if "targets" in roles:
            self._change_targets({})
            return
        targets, snapshot, timestamp = (self._version(role) for role in ("targets", "snapshot", "timestamp"))
        self._publish(targets, snapshot + ("snapshot" in roles), timestamp + 1)

    def replace_key(self, role: str) -> None:
        """Revokes the first key of a role and makes a new one; all that the role signed is signed anew."""
        before = self._newest("root")
        revoked = self._newest("root").signed.roles[role].keyids[0]
        root = before.signed
        signers_before = self._signers("root", root.roles["root"].keyids)
        root.revoke_key(revoked, role)
        root.add_key(self._make_key(role).public_key, role)
        # Those who know the root before must believe this one: its keys sign too.
        self._replace_root(before, signers_before)
        if role != "root":
            self.renew(roles=("targets", "snapshot", "timestamp") if role == "targets" else ("snapshot", "timestamp"))

    async def upload(self, store: ObjectStore) -> None:
        """Brings metadata and targets into the store; whoever reads meanwhile sees what was before, or all of it."""
        for path in sorted(self.targets.rglob("*")):
            key = f"{PREFIX}/targets/{path.relative_to(self.targets).as_posix()}"
            if path.is_file() and await store.head(key) is None:
                await store.put(key, path)
        for path in sorted(self.metadata.glob("[0-9]*.json")):
            key = f"{PREFIX}/metadata/{path.name}"
            if await store.head(key) is None:
                await store.put(key, path)
        await store.put(f"{PREFIX}/metadata/timestamp.json", self.metadata / "timestamp.json")

    def _change_targets(self, changed: Mapping[str, TargetFile]) -> None:
        targets = self._newest("targets")
        targets.signed.targets.update(changed)
        targets.signed.version += 1
        self._sign("targets", targets)
        self._publish(targets.signed.version, self._version("snapshot") + 1, self._version("timestamp") + 1)

    def _publish(self, targets: int, snapshot: int, timestamp: int) -> None:
        """Signs a snapshot, if it is a new one, and the timestamp that makes it count."""
        if not (self.metadata / f"{snapshot}.snapshot.json").exists():
            self._sign(
                "snapshot", Metadata(Snapshot(version=snapshot, meta={"targets.json": MetaFile(version=targets)}))
            )
        content = (self.metadata / f"{snapshot}.snapshot.json").read_bytes()
        meta = MetaFile.from_data(snapshot, content, ["sha256"])
        self._sign("timestamp", Metadata(Timestamp(version=timestamp, snapshot_meta=meta)))

    def _replace_root(self, root: Metadata[Any], more_signers: Sequence[CryptoSigner]) -> None:
        root.signed.version += 1
        self._sign("root", root, more_signers)

    def _sign(self, role: str, metadata: Metadata[Any], more_signers: Sequence[CryptoSigner] = ()) -> None:
        signed: Signed = metadata.signed
        signed.expires = (self._now() + LIFE[role]).replace(microsecond=0)
        root = signed if isinstance(signed, Root) else self._newest("root").signed
        metadata.signatures.clear()
        signers = {signer.public_key.keyid: signer for signer in more_signers}
        signers |= {signer.public_key.keyid: signer for signer in self._signers(role, root.roles[role].keyids)}
        for signer in signers.values():
            metadata.sign(signer, append=True)
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        _write(self.metadata / name, metadata.to_bytes())

    def _newest(self, role: str) -> Metadata[Any]:
        if role == "timestamp":
            return Metadata.from_file(str(self.metadata / "timestamp.json"))
        newest = max(int(path.name.split(".")[0]) for path in self.metadata.glob(f"[0-9]*.{role}.json"))
        return Metadata.from_file(str(self.metadata / f"{newest}.{role}.json"))

    def _version(self, role: str) -> int:
        version: int = self._newest(role).signed.version
        return version

    def _make_key(self, role: str) -> CryptoSigner:
        signer = CryptoSigner.generate_ed25519()
        _write(self._keys / f"{role}-{signer.public_key.keyid}.pem", signer.private_bytes)
        return signer

    def _signers(self, role: str, key_ids: Sequence[str]) -> list[CryptoSigner]:
        found = []
        for key_id in key_ids:
            pem = (self._keys / f"{role}-{key_id}.pem").read_bytes()
            key = serialization.load_pem_private_key(pem, password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise TypeError(f"the key {key_id} is not an Ed25519 key")
            found.append(CryptoSigner(key))
        return found


def _named_by_hash(path: str, sha256: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256}.{name}" if folder else f"{sha256}.{name}"


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
