"""Settings: file and environment together, and all that is wrong with them at once."""

import subprocess
import sys

import pytest
from pydantic import SecretStr

from chassis.settings import BadSettings, ProgramSettings, load_settings, read_settings


class Settings(ProgramSettings):
    postgres_dsn: str
    slots: int = 3
    providers: tuple[dict[str, str], ...] = ()
    key: SecretStr


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("SAMOVAR_CONFIG", *(field.upper() for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(monkeypatch, tmp_path):
    file = tmp_path / "samovar.yaml"
    file.write_text("POSTGRES_DSN: postgresql://file\nslots: 5\nproviders: [{name: origin}]\nkey: k\nunheard: 1\n")
    monkeypatch.setenv("SAMOVAR_CONFIG", str(file))
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://environment")
    settings = read_settings(Settings)
    assert settings.postgres_dsn == "postgresql://environment"
    assert settings.slots == 5
    assert settings.providers == ({"name": "origin"},)
    assert settings.log_level == "INFO"


def test_every_problem_is_named_and_no_value_is_shown(monkeypatch):
    monkeypatch.setenv("SLOTS", "hunter2")
    monkeypatch.setenv("PROVIDERS", "hunter2[")
    monkeypatch.setenv("WORKERS", "0")
    with pytest.raises(BadSettings) as caught:
        read_settings(Settings)
    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert sorted(names) == ["KEY", "POSTGRES_DSN", "PROVIDERS", "SLOTS", "WORKERS"]
    assert "hunter2" not in str(caught.value)


def test_settings_that_need_each_other_are_named(monkeypatch):
    for name, value in {
        "POSTGRES_DSN": "d",
        "KEY": "k",
        "SERVICE_TOKENS_ENABLED": "true",
        "AUTH_TOKEN_URL": "http://auth",
        "GRPC_TLS_CERT_FILE": "cert.pem",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        read_settings(Settings)
    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert names == ["AUTH_JWKS_URL", "AUTH_TOKEN_URL", "GRPC_TLS_CERT_FILE"]


def test_an_empty_variable_counts_as_absent(monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "d")
    monkeypatch.setenv("KEY", "k")
    monkeypatch.setenv("SLOTS", "")
    assert read_settings(Settings).slots == 3


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", None])
def test_a_file_that_cannot_be_used_is_one_line(monkeypatch, tmp_path, content):
    file = tmp_path / "samovar.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SAMOVAR_CONFIG", str(file))
    with pytest.raises(BadSettings) as caught:
        read_settings(Settings)
    assert len(caught.value.problems) == 1
    assert str(file) in caught.value.problems[0]


def test_secrets_are_not_in_what_is_printed(monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "d")
    monkeypatch.setenv("KEY", "hunter2")
    settings = read_settings(Settings)
    assert "hunter2" not in repr(settings)
    assert settings.key.get_secret_value() == "hunter2"


def test_settings_do_not_change(monkeypatch):
    monkeypatch.setenv("POSTGRES_DSN", "d")
    monkeypatch.setenv("KEY", "k")
    settings = read_settings(Settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.slots = 4


def test_bad_settings_stop_the_start_with_code_two(monkeypatch, capsys):
    monkeypatch.setenv("SLOTS", "many")
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["POSTGRES_DSN", "SLOTS", "KEY"]


def test_the_chassis_loads_nothing_of_grpc_to_read_settings():
    code = "import chassis.settings, sys; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
