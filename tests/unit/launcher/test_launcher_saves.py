"""Cloud saves on a device: what a sync decides, packing and unpacking, and whole syncs of two devices against a cloud in memory."""

import errno
import hashlib
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from launcher.api.saves_api import CloudSlot
from launcher.failures import ExitCode, LauncherError
from launcher.saves import archive as archives
from launcher.saves.archive import KEPT_COPIES, pack, unpack
from launcher.saves.plan import Action, Base, CloudSide, decide
from launcher.saves.rules import SaveBook, SaveRule
from launcher.saves.sync import Prefer, SaveSync
from launcher.settings import Environment

PRODUCT = uuid4()
KNOWN, OLDER = Base("slot", 2, "two"), Base("slot", 1, "one")
SAME, CHANGED = CloudSide("slot", 2, "two"), CloudSide("slot", 3, "three")


@pytest.mark.parametrize(
    ("base", "local", "cloud", "expected"),
    [
        (KNOWN, "two", SAME, Action.NOTHING),
        (KNOWN, "two", CHANGED, Action.PULL),
        (KNOWN, "two", None, Action.DELETED_IN_CLOUD),
        (KNOWN, "mine", SAME, Action.PUSH),
        (KNOWN, "mine", CHANGED, Action.CONFLICT),
        (KNOWN, "three", CHANGED, Action.ADOPT),
        (KNOWN, "mine", None, Action.PUSH),
        (KNOWN, None, SAME, Action.PULL),
        (KNOWN, None, CHANGED, Action.PULL),
        (KNOWN, None, None, Action.FORGET),
        (None, "two", SAME, Action.ADOPT),
        (None, "mine", SAME, Action.CONFLICT),
        (None, "mine", None, Action.PUSH),
        (None, None, SAME, Action.PULL),
        (None, None, None, Action.NOTHING),
        (OLDER, "one", CHANGED, Action.PULL),
        (OLDER, "mine", CHANGED, Action.CONFLICT),
        (OLDER, None, CHANGED, Action.PULL),
        (OLDER, "mine", None, Action.PUSH),
        # The cloud was put back from a backup, or the slot was deleted and made anew: the base is as good as lost.
        (Base("slot", 5, "five"), "five", SAME, Action.CONFLICT),
        (Base("another", 2, "two"), "two", CHANGED, Action.CONFLICT),
    ],
)
def test_each_cell_has_its_outcome(base, local, cloud, expected):
    assert decide(base, local, cloud) is expected


class MemoryCloud:
    """A cloud with one slot: the server's rule, and every version's bytes."""

    def __init__(self) -> None:
        self.versions: list[bytes] = []
        self.current = 0
        self.conflict: int | None = None
        self.moved: list[bytes] = []

    def slot(self) -> CloudSlot:
        content = self.versions[self.current - 1]
        sha256 = hashlib.sha256(content).hexdigest()
        return CloudSlot("slot", str(PRODUCT), "saves", self.current, self.conflict, len(content), sha256, "", "", None)

    async def slots(self, product_id=None):
        return [self.slot()] if self.current else []

    async def upload(self, content, attributes):
        data = content.read_bytes()
        assert hashlib.sha256(data).hexdigest() == attributes["file_hash_sha256"]
        self.versions.append(data)
        if attributes.get("base_version", 0) != self.current:
            self.conflict = len(self.versions)
            raise LauncherError("SAVEGAME_VERSION_CONFLICT", "", ExitCode.DENIED)
        self.current = len(self.versions)
        return self.slot()

    async def download(self, savegame_id, version, target):
        target.write_bytes(self.versions[version - 1])

    async def restore(self, savegame_id, version):
        self.versions.append(self.versions[version - 1])
        self.current = len(self.versions)
        return self.slot()

    async def resolve(self, slot, keep):
        assert (keep, slot.conflict_version) == ("both", self.conflict)
        self.moved.append(self.versions[self.conflict - 1])
        self.conflict = None
        return self.slot()


class Device:
    def __init__(self, cloud: MemoryCloud, root: Path) -> None:
        self.folder = root / "saves"
        self.rule = SaveRule(PRODUCT, self.folder, ("*.sav",))
        environment = Environment(root / "config", root, "", "", "", "en")
        self.book = SaveBook(environment, "http://gateway")
        self.choice: Prefer | None = None
        self.cloud = SaveSync(cloud, self.book, device_id=uuid4(), ask=lambda _: self.choice)

    def save(self, text: str, name: str = "game.sav") -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def saved(self) -> dict[str, str]:
        return {p.relative_to(self.folder).as_posix(): p.read_text() for p in self.folder.rglob("*") if p.is_file()}

    async def sync(self) -> str:
        return (await self.cloud.sync(self.rule)).action


@pytest.fixture
def cloud() -> MemoryCloud:
    return MemoryCloud()


@pytest.fixture
def devices(cloud, tmp_path) -> tuple[Device, Device]:
    return Device(cloud, tmp_path / "a"), Device(cloud, tmp_path / "b")


async def test_a_save_goes_from_one_device_to_another_and_back(devices):
    a, b = devices
    a.save("1"), a.save("x", "глава/2.sav"), a.save("not a save", "log.txt")
    assert [await a.sync(), await a.sync(), await b.sync(), await b.sync()] == ["push", "nothing", "pull", "nothing"]
    assert b.saved() == {"game.sav": "1", "глава/2.sav": "x"}
    b.save("2")
    assert [await b.sync(), await a.sync()] == ["push", "pull"]
    assert a.saved() == {"game.sav": "2", "глава/2.sav": "x", "log.txt": "not a save"}


async def test_a_conflict_changes_nothing_until_somebody_decides(devices, cloud):
    a, b = devices
    a.save("1")
    await a.sync()
    b.save("other")
    with pytest.raises(LauncherError) as caught:
        await b.sync()
    assert caught.value.exit_code is ExitCode.SAVE_CONFLICT
    assert (b.saved(), len(cloud.versions)) == ({"game.sav": "other"}, 1)


async def test_keeping_both_has_the_clouds_here_and_this_one_in_a_slot_of_its_own(devices, cloud):
    a, b = devices
    a.save("1")
    await a.sync()
    b.save("other")
    b.choice = Prefer.BOTH
    done = await b.cloud.sync(b.rule)
    assert (done.action, b.saved(), len(cloud.moved)) == ("kept_both", {"game.sav": "1"}, 1)
    assert (Path(done.kept) / "game.sav").read_text() == "other"
    assert await b.sync() == "nothing"


@pytest.mark.parametrize(("choice", "here"), [(Prefer.CLOUD, "1"), (Prefer.LOCAL, "other")])
async def test_the_side_that_is_preferred_is_current_everywhere(devices, choice, here):
    a, b = devices
    a.save("1")
    await a.sync()
    b.save("other")
    b.choice = choice
    await b.sync()
    await a.sync()
    assert a.saved() == b.saved() == {"game.sav": here}


async def test_a_lost_base_is_no_reason_to_overwrite(devices):
    a, _ = devices
    a.save("1")
    await a.sync()
    a.save("2")
    a.book.set_base(a.rule, None)
    with pytest.raises(LauncherError, match="changed here and in the cloud"):
        await a.sync()


async def test_files_that_are_gone_come_back_and_nothing_is_deleted_in_the_cloud(devices, cloud):
    a, _ = devices
    a.save("1")
    await a.sync()
    (a.folder / "game.sav").unlink()
    assert await a.sync() == "pull"
    assert (a.saved(), len(cloud.versions)) == ({"game.sav": "1"}, 1)


async def test_a_push_of_nothing_is_said(devices):
    a, _ = devices
    a.save("1", "game.txt")
    with pytest.raises(LauncherError, match=r"no file named by '\*\.sav'"):
        await a.cloud.push(a.rule)


async def test_a_restored_version_is_here_and_what_it_replaced_is_kept(devices):
    a, _ = devices
    for text in ("1", "2"):
        a.save(text)
        await a.sync()
    done = await a.cloud.restore(a.rule, 1)
    assert (a.saved(), (Path(done.kept) / "game.sav").read_text()) == ({"game.sav": "1"}, "2")
    assert await a.sync() == "nothing"


def test_the_same_files_give_the_same_bytes_whatever_their_times(tmp_path):
    packed = []
    for time in (-62_135_596_800, 0, 1_700_000_000, 253_402_300_799):
        (tmp_path / "saves").mkdir(exist_ok=True)
        (tmp_path / "saves" / "a.sav").write_text("1")
        os.utime(tmp_path / "saves" / "a.sav", (time, time))
        packed.append(pack(tmp_path / "saves", ("*",), tmp_path))
    assert len({each.sha256 for each in packed}) == 1
    assert packed[2].modified_at.year == 2023
    assert packed[1].modified_at is None


def test_a_link_or_two_names_that_differ_in_case_are_refused_and_nothing_is_packed(tmp_path):
    saves = tmp_path / "saves"
    saves.mkdir()
    (saves / "a.sav").write_text("1")
    (saves / "A.sav").write_text("2")
    with pytest.raises(LauncherError, match="case"):
        pack(saves, ("*",), tmp_path)
    (saves / "A.sav").unlink()
    (saves / "b.sav").symlink_to("/etc/passwd")
    with pytest.raises(LauncherError, match="link"):
        pack(saves, ("*",), tmp_path)


def test_a_pattern_may_hold_a_space(tmp_path):
    saves = tmp_path / "my saves"
    saves.mkdir()
    (saves / "slot 1.sav").write_text("1")
    assert pack(saves, ("slot *.sav",), tmp_path).files == 1
    assert pack(saves, ("slot*.bin",), tmp_path) is None


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../x", "a\\b", "a\nb", ""])
def test_an_archive_that_leaves_the_folder_is_refused(tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "saves").mkdir()
    (tmp_path / "saves" / "a.sav").write_text("1")
    with pytest.raises(LauncherError):
        unpack(tmp_path / "bad.tar", tmp_path / "saves", ("*",))
    assert (tmp_path / "saves" / "a.sav").read_text() == "1"


@pytest.mark.parametrize("place", ["copyfileobj", "copy2"])
def test_a_full_disk_leaves_every_old_file_where_it_was(tmp_path, monkeypatch, place):
    new, old = tmp_path / "new", tmp_path / "saves"
    for folder, text in ((new, "2"), (old, "1")):
        folder.mkdir()
        (folder / "a.sav").write_text(text)
    packed = pack(new, ("*",), tmp_path)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archives.shutil, place, full)
    with pytest.raises(LauncherError) as caught:
        unpack(packed.path, old, ("*",))
    assert caught.value.exit_code is ExitCode.DISK
    assert (old / "a.sav").read_text() == "1"


def test_replaced_saves_are_kept_up_to_a_bound(tmp_path):
    saves = tmp_path / "saves"
    saves.mkdir()
    for number in range(KEPT_COPIES + 3):
        (saves / "a.sav").write_text(str(number))
        unpack(pack(saves, ("*",), tmp_path).path, saves, ("*",))
    kept = sorted((tmp_path / ".saves.samovar").iterdir())
    assert len(kept) == KEPT_COPIES
    assert (kept[-1] / "a.sav").read_text() == str(KEPT_COPIES + 2)


def test_rules_and_bases_last_and_a_moved_folder_has_no_base(devices):
    a, _ = devices
    a.book.set_rule(a.rule)
    a.book.set_base(a.rule, KNOWN)
    assert a.book.rule(PRODUCT) == a.rule
    assert a.book.base(a.rule) == KNOWN
    assert a.book.base(replace(a.rule, folder=Path("/elsewhere"))) is None
    with pytest.raises(LauncherError, match="samovar saves rule"):
        a.book.rule(uuid4())
