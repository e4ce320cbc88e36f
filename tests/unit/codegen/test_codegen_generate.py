"""The generator's command line, and the pages it writes for people."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from samovar.options.v1 import options_pb2

from codegen.emit.options import OPTIONS_FILE, options_page
from codegen.generate import DOCS, HEADER, MARK, PROTO, Job, own_files, read_job, work
from tests.unit.codegen import contract_compiler


def test_without_arguments_it_generates_the_platforms_own() -> None:
    assert read_job([]) == (Job(), False)
    assert read_job(["--check"]) == (Job(), True)
    assert Job().is_ours


def test_a_contract_of_ones_own_has_folders_of_its_own(tmp_path: Path) -> None:
    job, check = read_job(
        ["--proto", str(tmp_path), "--out", str(tmp_path / "gen"), "--package", "own", "--title", "My API"]
    )
    assert job == Job(tmp_path, tmp_path / "gen", None, "own", "My API")
    assert not job.is_ours
    assert not check


@pytest.mark.parametrize(
    "arguments",
    [
        ["--proto", "x"],
        ["--out", "x"],
        ["--proto", "x", "--out", "y", "--package", "a-b"],
        ["--title", "a,b"],
        ["--proto", "x", "--out", "y"],
        ["--proto", "x", "--out", "y", "--package", "gateway"],
        ["--proto", "x", "--out", "y", "--package", "class"],
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        read_job(arguments)
    assert refused.value.code == 2
    assert "codegen.generate" in capsys.readouterr().err


def test_a_folder_with_something_else_in_it_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "work" / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    with pytest.raises(SystemExit, match="was not generated"):
        work(Job(contract_compiler.EXAMPLE, precious.parent, None), check=False)
    assert precious.read_text() == "mine"
    assert (PROTO.parent / "gen" / MARK).read_text() == HEADER


def test_vendored_protos_are_not_the_contracts_own(tmp_path: Path) -> None:
    for name in ("a/v1/a.proto", "third_party/b/b.proto", "a/third_party/c.proto"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert own_files(tmp_path) == ["a/third_party/c.proto", "a/v1/a.proto"]


def test_every_option_and_every_field_of_one_is_described(tmp_path: Path) -> None:
    page = options_page(contract_compiler.request(PROTO, [OPTIONS_FILE], tmp_path))
    assert (DOCS / "options.md").read_text() == page
    file = descriptor_pb2.FileDescriptorProto()
    options_pb2.DESCRIPTOR.CopyToProto(file)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| `")}
    for option in file.extension:
        assert f"`({file.package}.{option.name})`" in rows
    for message in file.message_type:
        assert f"\n### {message.name}\n" in page
        for field in message.field:
            assert f"`{field.name}`" in rows
    assert [line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")] == []
