"""The command line: what is refused before anything is asked of a server, and that help needs nobody else."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from launcher.cli.main import app
from launcher.failures import EXIT_CODES_HELP


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    env = {"SAMOVAR_CONFIG_HOME": str(tmp_path), "SAMOVAR_HOME": str(tmp_path / "none"), "SAMOVAR_TOKEN": "t"}
    return CliRunner(env=env | {"COLUMNS": "400", "MANIFEST_PUBLIC_KEYS": "", "SAMOVAR_GATEWAY": ""})


@pytest.mark.parametrize(
    "arguments",
    [
        ["install"],
        ["install", "Game"],
        ["install", "Game", "--to", "x", "--version", "1.0"],
        ["install", "Game", "--to", "x", "--platform", "amiga"],
        ["install", "Game", "--to", "x", "--priority", "11"],
        ["install", "Game", "--to", "x", "--limit", "-1"],
        ["install", "Game", "--to", "x", "--parallel", "0"],
        ["install", "8d0bb4ae-5b4e-4c55-9f0b-3f1f5a3b0d6e", "--to", "x"],
        ["login", "--gateway", "ftp://x"],
        ["login", "--trust-keys", "a=b"],
        ["no-such-command"],
        ["library", "--sort", "luck"],
        ["library", "lst"],
        ["library", "set", "Game", "--rating", "6"],
        ["library", "set", "Game"],
        ["categories", "create"],
        ["categories", "assign", "Game"],
        ["categories", "assign", "Game", "Hot", "--only", "--remove"],
        ["play", "Game", "--for", "-1"],
        ["achievements"],
        ["achievements", "progress", "Game", "Champion"],
        ["achievements", "progress", "Game", "Champion", "--to", "1", "--by", "1"],
        ["wishlist", "add", "Game"],
        ["wishlist", "order"],
        ["settings", "put", "Game", "[]"],
        ["settings", "patch", "Game", "no-such-file"],
    ],
)
def test_wrong_usage_is_exit_2_with_a_word_why(runner: CliRunner, arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.strip()


def test_help_names_every_command_and_the_exit_codes_without_the_sandbox(runner: CliRunner) -> None:
    before = {name for name in sys.modules if name.split(".")[0] == "sandbox"}
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    own = ("login", "library", "categories", "play", "achievements", "wishlist", "settings", "install")
    for command in (*own, "up", "reset", "publish", "sandbox"):
        assert command in result.stdout
    assert {name for name in sys.modules if name.split(".")[0] == "sandbox"} == before
    assert EXIT_CODES_HELP in " ".join(runner.invoke(app, ["install", "--help"]).stdout.split())


@pytest.mark.parametrize("group", ["library", "categories", "achievements", "wishlist"])
def test_a_group_lists_when_no_command_is_named_and_helps_when_asked(runner: CliRunner, group: str) -> None:
    helped = runner.invoke(app, [group, "--help"])
    assert (helped.exit_code, "Without a command: list" in helped.stdout) == (0, True)
    assert EXIT_CODES_HELP in " ".join(helped.stdout.split())
    listed = runner.invoke(app, [group, "--no-such-option"])
    assert f"samovar {group} list" in listed.stderr


@pytest.mark.parametrize("command", ["up", "reset", "publish", "sandbox"])
def test_what_stands_behind_a_mounted_command_speaks_for_itself(runner: CliRunner, command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"samovar {command}" in result.stdout
