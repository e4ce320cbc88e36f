"""Files whose word is taken: of this user, and nobody else's to write."""

import json
import os
from pathlib import Path

import pytest

from depot.trust import MAX_PLATFORMS, NotOwn, config_home, read_own, trusted_platforms, trusting, write_own


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    return folder


def test_what_was_written_reads_back_and_is_private(home: Path) -> None:
    write_own(home / "new" / "file", {"a": 1})
    assert json.loads(read_own(home / "new" / "file") or b"") == {"a": 1}
    assert (home / "new").stat().st_mode & 0o777 == 0o700
    assert (home / "new" / "file").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (home / "new").iterdir()] == ["file"], "no draft is left"


def test_what_is_missing_is_nothing(home: Path) -> None:
    assert read_own(home / "none") is None
    assert read_own(home / "none" / "none") is None


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o700, 0o620), (0o700, 0o602), (0o770, 0o600), (0o707, 0o600)])
def test_what_others_can_write_is_refused(home: Path, folder_mode: int, mode: int) -> None:
    write_own(home / "file", {})
    (home / "file").chmod(mode)
    home.chmod(folder_mode)
    with pytest.raises(NotOwn, match="can be written by other users"):
        read_own(home / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", ["file", "."])
def test_what_belongs_to_another_user_is_refused(home: Path, name: str) -> None:
    write_own(home / "file", {})
    os.chown(home / name, 4242, -1)
    with pytest.raises(NotOwn, match="another user"):
        read_own(home / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_link_is_as_trusted_as_the_file_that_it_leads_to(home: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("{}")
    os.chown(theirs, 4242, -1)
    (home / "file").symlink_to(theirs)
    with pytest.raises(NotOwn):
        read_own(home / "file")


def test_a_platform_is_trusted_while_it_runs(home: Path) -> None:
    with trusting(home, ["http://a", "http://b"], "k=1"), trusting(home, ["http://c"], "k=2"):
        assert trusted_platforms(home) == {"http://a": "k=1", "http://b": "k=1", "http://c": "k=2"}
    assert trusted_platforms(home) == {}
    with trusting(home, ["http://a"], "old=1"):
        with trusting(home, ["http://a"], "new=1"):
            assert trusted_platforms(home) == {"http://a": "new=1"}
        assert trusted_platforms(home) == {}


def test_platforms_that_were_killed_do_not_pile_up(home: Path) -> None:
    killed = [trusting(home, [f"http://{number}"], "k=1") for number in range(MAX_PLATFORMS * 2)]
    for one in killed:
        one.__enter__()
    assert list(trusted_platforms(home)) == [f"http://{number}" for number in range(MAX_PLATFORMS, MAX_PLATFORMS * 2)]


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\udcff"])
def test_a_note_that_makes_no_sense_trusts_nobody(home: Path, text: str) -> None:
    (home / "platforms.json").write_text(text, errors="surrogateescape")
    (home / "platforms.json").chmod(0o600)
    assert trusted_platforms(home) == {}


def test_the_profile_is_where_the_environment_says(tmp_path: Path) -> None:
    assert config_home({"SAMOVAR_CONFIG_HOME": "/c", "XDG_CONFIG_HOME": "/x"}) == Path("/c")
    assert config_home({"XDG_CONFIG_HOME": "/x"}) == Path("/x/samovar")
    assert config_home({}) == Path.home() / ".config" / "samovar"
