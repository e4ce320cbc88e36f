"""docs/adding-an-rpc.md works as it stands: its proto makes a route, and nothing in the gateway is touched for it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from codegen.generate import ROOT, own_files, tool
from tests.unit.codegen import contract_compiler

ITEMS = "library/v1/items.proto"


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A copy of the contract with the document's example in it."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copy(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    method, messages = re.findall(
        r"^```proto\n(.*?)^```", (ROOT / "docs/adding-an-rpc.md").read_text(), re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "proto" / ITEMS
    before, brace, after = path.read_text().partition("\n}\n")
    assert "service LibraryService" in before
    path.write_text(f"{before}\n\n{method.rstrip()}{brace}{after}\n{messages}")
    return tmp_path


def test_the_documents_example_makes_a_route(contract: Path, tmp_path: Path) -> None:
    proto = contract / "proto"
    generated = contract_compiler.generate(proto, own_files(proto), tmp_path)
    assert 'path="/api/v1/library/summary"' in generated["rest/routes.py"]
    assert "def library_summary_resource(message: pb.LibrarySummary)" in generated["rest/library/v1/items.py"]
    assert all(name.startswith("rest/") for name in generated)


@pytest.mark.parametrize("command", [["lint"], ["format", "--diff", "--exit-code"]], ids=["lint", "format"])
def test_the_documents_example_is_in_good_form(contract: Path, command: list[str]) -> None:
    result = subprocess.run([tool("buf"), *command], cwd=contract, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
