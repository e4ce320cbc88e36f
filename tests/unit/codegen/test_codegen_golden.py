"""What the plugin writes, compared with committed files. To renew them: `RENEW_GOLDEN=1 ./taskw test -- tests/unit/codegen`."""

import os
from collections.abc import Mapping
from pathlib import Path

from codegen import plugin
from tests.unit.codegen import contract_compiler
from tests.unit.codegen.contract_compiler import EXAMPLE, EXAMPLE_FILES

GOLDEN = Path(__file__).parent / "example" / "golden"


def test_generated_code_is_the_golden_one(example_sources: Mapping[str, str]) -> None:
    """A change of the generator shows in review as a change of what it writes."""
    if os.environ.get("RENEW_GOLDEN"):
        for old in GOLDEN.rglob("*.golden"):
            old.unlink()
        for name, content in example_sources.items():
            path = GOLDEN / f"{name}.golden"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    golden = {
        str(path.relative_to(GOLDEN)).removesuffix(".golden"): path.read_text()
        for path in sorted(GOLDEN.rglob("*.golden"))
    }
    assert dict(example_sources) == golden


def test_generation_is_deterministic(example_sources: Mapping[str, str], tmp_path: Path) -> None:
    """The same contract gives the same bytes, whatever the order that protoc names the files in."""
    again = contract_compiler.generate(EXAMPLE, tuple(reversed(EXAMPLE_FILES)), tmp_path, "package=example_rest")
    assert dict(again) == dict(example_sources)


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    response = plugin.answer(contract_compiler.request(EXAMPLE, EXAMPLE_FILES, tmp_path, "colour=blue"))
    assert response.error == "unknown options: colour"
    assert not response.file


def test_generated_code_has_short_lines(example_sources: Mapping[str, str]) -> None:
    """Generated code is meant to be read."""
    long = [
        (name, line)
        for name, text in example_sources.items()
        if name.endswith(".py")
        for line in text.splitlines()
        if len(line) > 140
    ]
    assert long == []
