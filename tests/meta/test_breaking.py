"""The contract is guarded: `./taskw breaking` refuses an incompatible edit and lets a compatible one pass."""

import os
import re
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from codegen import accept
from codegen.breaking import breakages, read_image
from codegen.generate import ROOT, tool

ITEMS = Path("proto/library/v1/items.proto")


def copied(folder: Path) -> Path:
    """A copy of the contract that may be edited."""
    shutil.copytree(ROOT / "proto", folder / "proto")
    shutil.copy(ROOT / "buf.yaml", folder / "buf.yaml")
    return folder


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    return copied(tmp_path)


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


def _edit(contract: Path, pattern: str, replacement: str, file: Path = ITEMS) -> None:
    text = (contract / file).read_text()
    edited = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert edited != text
    (contract / file).write_text(edited)


def _breakages(contract: Path) -> list[str]:
    """What the second half of the task finds, in this process, against the contract of today."""
    images = [
        subprocess.run([tool("buf"), "build", "-o", "-"], cwd=folder, check=True, capture_output=True).stdout
        for folder in (ROOT, contract)
    ]
    was, now = map(read_image, images)
    return [str(one) for one in breakages(was, now)]


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


OPTION_EDITS = {
    "address": (
        "library/v1/categories",
        'get: "/api/v1/library/categories"',
        'get: "/api/v1/folders"',
        "no such endpoint",
    ),
    "method": ("library/v1/categories", 'patch: "/api', 'put: "/api', "no such endpoint"),
    "status": ("library/v1/categories", "success_status: 201", "success_status: 202", "success was 201 and is 202"),
    "location": ("library/v1/categories", "\n      location: true", "", "no Location any more"),
    "role": ("library/v1/items", 'roles: ."user".', 'roles: ["admin"]', "role 'user' may not call it"),
    "type of data": ("library/v1/items", 'type: "libraryItem"', 'type: "game"', "was 'libraryItem' and is 'game'"),
    "type of requests": ("library/v1/items", '"libraryItemUpdate"', '"changes"', "'libraryItemUpdate' is not taken"),
    "self link": ("library/v1/items", 'self: "/api/v1/library/items/', 'self: "/api/v1/item/', "the self link was"),
    "relationship": ("library/v1/items", 'name: "product"', 'name: "game"', "relationship 'product' is gone"),
    "length": ("library/v1/items", "max_len: 4000", "max_len: 100", "'notes' had maxLength 4000 and has maxLength 100"),
    "range": ("library/v1/items", "gte: 1\n    lte: 5", "gte: 2\n    lte: 5", "'user_rating' had minimum 1"),
    "requirement": (
        "library/v1/items",
        r"optional bool is_hidden = 1 \[",
        "optional bool is_hidden = 1 [(buf.validate.field).required = true, ",
        "'is_hidden' has become required",
    ),
    "rule inside a list": ("download/v1/downloads", "max_items: 1000", "max_items: 10", "and has maxItems 10"),
    "entity tag": ("library/v1/game_settings", 'etag_field: "version"', "", "entity tag is not given"),
    "stream's address": ("download/v1/downloads", 'path: "/api/v1/ws/', 'path: "/api/v2/ws/', "no such stream"),
    "stream's event": ("download/v1/downloads", '"downloadStatusChanged"', '"changed"', "does not come any more"),
    "topic": ("library/v1/events", "topic: .com.platform.library", 'topic: "com.platform.libraries', "its topic was"),
    "error": ("samovar/errors/v1/errors", "http: 404", "http: 410", "was HTTP 404, gRPC 5 and is 410, 5"),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All of them made at once, but for the stream's, which would hide each other: building takes its time."""
    lines: list[str] = []
    for last in (False, True):
        folder = copied(tmp_path_factory.mktemp("contract"))
        for name, (file, pattern, replacement, _) in OPTION_EDITS.items():
            if (name == "stream's event") == last:
                _edit(folder, pattern, replacement, Path("proto") / f"{file}.proto")
        lines += _breakages(folder)
    return lines


@pytest.mark.parametrize("edit", OPTION_EDITS.values(), ids=OPTION_EDITS.keys())
def test_an_incompatible_edit_of_options_is_found(found: list[str], edit: tuple[str, str, str, str]) -> None:
    """What is said by options breaks clients as well, and buf does not see it."""
    file, _, _, message = edit
    assert any(line.startswith(f"{file}.proto: ") and message in line for line in found), found


def test_the_task_refuses_what_only_options_say(contract: Path) -> None:
    _edit(contract, 'roles: ."user".', 'roles: ["admin"]')
    result = _breaking(contract)
    assert result.returncode == 100, result.stderr
    assert "library/v1/items.proto: /library.v1.LibraryService/ListItems: role 'user' may not call it" in result.stdout
    assert "breaking:accept" in result.stdout


def test_compatible_edits_of_options_are_none(contract: Path) -> None:
    _edit(contract, 'roles: ."user".', 'roles: ["user", "admin"]')
    _edit(contract, "max_len: 4000", "max_len: 5000")
    _edit(contract, "gte: 1\n    lte: 5", "gte: 0\n    lte: 10")
    _edit(contract, '"libraryItemUpdate"', '"libraryItemUpdate", "game"')
    _edit(
        contract, r'reasons: \["LIBRARY_ITEM_NOT_FOUND"\]', 'reasons: ["LIBRARY_ITEM_NOT_FOUND", "CATEGORY_NOT_FOUND"]'
    )
    _edit(
        contract, r"^  bool is_favorite = 13;", "  bool is_favorite = 13;\n  // New.\n  optional string nickname = 900;"
    )
    assert _breakages(contract) == []


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
