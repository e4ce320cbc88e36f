"""The contract is guarded: `./taskw breaking` refuses an incompatible edit and lets a compatible one pass."""

import os
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from codegen import accept
from codegen.generate import ROOT, tool

ITEMS = Path("proto/library/v1/items.proto")


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A copy of the contract that may be edited."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copy(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    return tmp_path


def _breaking(contract: Path) -> subprocess.CompletedProcess[str]:
    """What the task does, by its own words, in the copy."""
    task = re.search(r"^  breaking:\n(?:    .*\n)*?    cmd: (.+)$", (ROOT / "Taskfile.yml").read_text(), re.MULTILINE)
    assert task is not None
    path = f"{Path(tool('buf')).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", task[1]],
        cwd=contract,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )


def _edit(contract: Path, pattern: str, replacement: str) -> None:
    text = (contract / ITEMS).read_text()
    edited = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert edited != text
    (contract / ITEMS).write_text(edited)


def test_the_contract_agrees_with_its_image(contract: Path) -> None:
    result = _breaking(contract)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"^  bool is_favorite = 13;", "  string is_favorite = 13;"),
        (r"^  bool is_favorite = 13;", "  bool is_loved = 13;"),
        (r"^  bool is_favorite = 13;", ""),
        (r"^  INSTALLATION_STATUS_ERROR = 6;", "  INSTALLATION_STATUS_BROKEN = 6;"),
        (r"rpc GetItem\(GetItemRequest\)", "rpc FetchItem(GetItemRequest)"),
    ],
    ids=["type changed", "field renamed", "field removed", "enum value renamed", "method renamed"],
)
def test_an_incompatible_edit_is_refused(contract: Path, pattern: str, replacement: str) -> None:
    _edit(contract, pattern, replacement)
    result = _breaking(contract)
    assert result.returncode == 100
    assert "library/v1/items.proto:" in result.stdout


def test_a_compatible_edit_passes(contract: Path) -> None:
    _edit(
        contract, r"^  bool is_favorite = 13;", "  bool is_favorite = 13;\n  // New.\n  optional string nickname = 900;"
    )
    result = _breaking(contract)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_renewal_adds_a_dated_line(tmp_path: Path) -> None:
    changes = tmp_path / "CHANGES.md"
    accept.add_line(changes, "first", date(2026, 1, 2))
    accept.add_line(changes, "second", date(2026, 1, 3))
    assert changes.read_text() == accept.HEAD + "* 2026-01-02: first\n* 2026-01-03: second\n"


@pytest.mark.parametrize("words", [[], [""], ["  "]])
def test_a_renewal_without_a_reason_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["accept", *words])
    image = (ROOT / accept.IMAGE).read_bytes()
    with pytest.raises(SystemExit) as stopped:
        accept.main()
    assert "what broke and why" in str(stopped.value)
    assert (ROOT / accept.IMAGE).read_bytes() == image
