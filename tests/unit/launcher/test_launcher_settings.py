"""Where the launcher's knowledge comes from: environment before profile before the local platform."""

import json
import stat
from pathlib import Path

import pytest

from depot.trust import trusting
from launcher.failures import ExitCode, LauncherError
from launcher.settings import (
    DEFAULT_GATEWAY_URL,
    Environment,
    Profile,
    account,
    default_gateway_url,
    device_id,
    read_profile,
    write_profile,
)


def environment(home: Path, **values: str) -> Environment:
    return Environment.read({"SAMOVAR_CONFIG_HOME": str(home / "c"), "SAMOVAR_HOME": str(home / "p"), **values})


def test_a_profile_reads_back_and_is_for_its_user_only(tmp_path: Path) -> None:
    here = environment(tmp_path)
    path = write_profile(here, Profile("http://gateway/", "secret", "k=v"))
    assert read_profile(here) == Profile("http://gateway", "secret", "k=v")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "secret" not in repr(read_profile(here))


def test_nobody_signed_in_is_exit_3(tmp_path: Path) -> None:
    with pytest.raises(LauncherError) as refused:
        account(environment(tmp_path))
    assert refused.value.exit_code is ExitCode.NOT_SIGNED_IN


def test_the_environment_overrules_the_profile(tmp_path: Path) -> None:
    write_profile(environment(tmp_path), Profile("http://gateway", "secret", "k=v"))
    given = environment(
        tmp_path, SAMOVAR_TOKEN="other", SAMOVAR_GATEWAY="http://there/", MANIFEST_PUBLIC_KEYS="e=f", LANG="ru_RU.UTF-8"
    )
    found = account(given)
    assert (found.token, found.gateway_url, found.trusted_keys) == ("other", "http://there", "e=f")
    assert found.language == "ru"
    assert "other" not in repr(found)


def test_the_local_platform_gives_its_keys_at_its_own_gateway_only(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    described = {"gateway_url": "http://127.0.0.1:8080", "manifest_public_keys": "local=key"}
    (tmp_path / "p" / "platform.json").write_text(json.dumps(described))
    assert account(environment(tmp_path, SAMOVAR_TOKEN="t")).trusted_keys == "local=key"
    assert account(environment(tmp_path, SAMOVAR_TOKEN="t", SAMOVAR_GATEWAY="https://store")).trusted_keys == ""


def test_the_devices_id_is_made_once(tmp_path: Path) -> None:
    assert device_id(environment(tmp_path)) == device_id(environment(tmp_path))


def test_settings_that_are_no_json_are_named(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir(mode=0o700)
    (tmp_path / "c" / "profile.json").write_text("{")
    with pytest.raises(LauncherError, match=r"profile\.json"):
        account(environment(tmp_path))


@pytest.mark.parametrize("keys_of", ["folder", "profile"])
def test_a_platform_file_in_the_current_folder_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys_of: str
) -> None:
    planted = {"gateway_url": "http://evil.example", "manifest_public_keys": "evil=key"}
    (tmp_path / ".samovar").mkdir()
    (tmp_path / ".samovar" / "platform.json").write_text(json.dumps(planted))
    monkeypatch.chdir(tmp_path)
    here = Environment.read({"SAMOVAR_CONFIG_HOME": str(tmp_path / "c"), "SAMOVAR_TOKEN": "t"})
    assert default_gateway_url(here) == DEFAULT_GATEWAY_URL
    assert account(here).gateway_url == DEFAULT_GATEWAY_URL
    if keys_of == "folder":
        planted["gateway_url"] = DEFAULT_GATEWAY_URL
        (tmp_path / ".samovar" / "platform.json").write_text(json.dumps(planted))
        assert account(here).trusted_keys == ""
    else:
        with trusting(tmp_path / "c", [DEFAULT_GATEWAY_URL], "mine=key"):
            assert account(here).trusted_keys == "mine=key"
            there = Environment.read({"SAMOVAR_CONFIG_HOME": str(tmp_path / "c"), "SAMOVAR_TOKEN": "t"})
            write_profile(there, Profile("http://elsewhere", "t"))
            assert account(there).trusted_keys == "", "of exactly this gateway"


@pytest.mark.parametrize("name", ["c/profile.json", "c/platforms.json", "p/platform.json", "c", "p"])
def test_settings_that_others_can_write_are_refused(tmp_path: Path, name: str) -> None:
    here = environment(tmp_path)
    write_profile(here, Profile("http://gateway", "secret"))
    for path in (tmp_path / "c" / "platforms.json", tmp_path / "p" / "platform.json"):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text("{}")
        path.chmod(0o600)
    assert account(here).token == "secret"
    (tmp_path / name).chmod(0o777)
    with pytest.raises(LauncherError, match=name) as refused:
        account(here)
    assert (refused.value.code, refused.value.exit_code) == ("SETTINGS_NOT_YOURS", ExitCode.USAGE)
