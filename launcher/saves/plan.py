"""Decides what a sync does, by three states: the common one after the last sync, the one on the disk, and the one in the cloud.

Nothing here deletes: files that are missing, and a slot that was deleted from another device, lose nobody's save. Clocks decide
nothing.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Base:
    """The common state of this device and the cloud after the last sync: the slot, its version, the packed bytes' SHA-256."""

    savegame_id: str
    version: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CloudSide:
    """The current version of the slot in the cloud."""

    savegame_id: str
    version: int
    sha256: str


class Action(StrEnum):
    """The action that a sync takes."""

    NOTHING = "nothing"
    PUSH = "push"
    PULL = "pull"
    ADOPT = "adopt"
    """Both sides are the same already: it is only noted."""
    FORGET = "forget"
    """Both sides are gone: what was noted is, too."""
    DELETED_IN_CLOUD = "deleted_in_cloud"
    """The slot was deleted from another device; the files here stay until the user decides."""
    CONFLICT = "conflict"


def decide(base: Base | None, local_sha256: str | None, cloud: CloudSide | None) -> Action:
    """The action for one slot; None is a side that has nothing.

    A base of another slot, or newer than the cloud (which was put back from a backup), is as good as lost.
    """
    if base and cloud and (base.savegame_id != cloud.savegame_id or base.version > cloud.version):
        base = None
    if cloud is None:
        return _without_cloud(base, local_sha256)
    if local_sha256 == cloud.sha256:
        return Action.NOTHING if base and base.version == cloud.version else Action.ADOPT
    if local_sha256 is None or (base and local_sha256 == base.sha256):
        return Action.PULL
    return Action.PUSH if base and base.version == cloud.version else Action.CONFLICT


def _without_cloud(base: Base | None, local_sha256: str | None) -> Action:
    if local_sha256 is None:
        return Action.FORGET if base else Action.NOTHING
    return Action.DELETED_IN_CLOUD if base and local_sha256 == base.sha256 else Action.PUSH
