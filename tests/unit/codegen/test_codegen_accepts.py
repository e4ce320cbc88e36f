"""What the generator accepts loads and runs, however its files are named and wherever its messages come from."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen.generate import GEN, ROOT, Job, generate

HEAD = """syntax = "proto3";
import "google/api/annotations.proto";
import "samovar/options/v1/options.proto";
"""
SERVICE = """
service {name}Service {{
  option (samovar.options.v1.service_defaults) = {{access: {{public: true}}}};
  rpc Get{name}(Get{name}Request) returns ({name}) {{
    option (google.api.http) = {{get: "/{path}/{{id}}"}};
  }}
}}
message Get{name}Request {{ string id = 1; }}
message {name} {{
  option (samovar.options.v1.resource) = {{type: "{path}" self: "/{path}/{{id}}"}};
  string id = 1;
  {fields}
}}
"""
FILES = {
    # In no folder, with a dash, and named like what generated code calls its variables.
    "message.proto": "package things.v1;"
    + SERVICE.format(name="Thing", path="things", fields="Part part = 2;")
    + "message Part { string from = 1; string class = 2; }",
    "my-shop/v1/odd-names.proto": 'package shop.v1; import "message.proto"; import "google/type/money.proto";'
    ' import "acme/common/colour.proto"; import "google/type/dayofweek.proto";'
    + SERVICE.format(
        name="Offer",
        path="offers",
        fields="things.v1.Part part = 2; google.type.Money price = 3;"
        " acme.common.Colour colour = 4; google.type.DayOfWeek day = 5;",
    ),
    # Two files whose names are one when the slashes go, both needed in a third.
    "a/b_c.proto": "package one.v1; message First { string x = 1; }",
    "a_b/c.proto": "package two.v1; message Second { string x = 1; }",
    "both/v1/both.proto": 'package both.v1; import "a/b_c.proto"; import "a_b/c.proto";'
    + SERVICE.format(name="Both", path="both", fields="one.v1.First first = 2; two.v1.Second second = 3;"),
    # Messages without a package.
    "bare/v1/bare.proto": "message Bare { string x = 1; }",
    "more/v1/more.proto": 'package more.v1; import "bare/v1/bare.proto";'
    + SERVICE.format(name="More", path="more", fields="Bare bare = 2;"),
    # Somebody else's, beside our own.
    "third_party/acme/common/colour.proto": "package acme.common; message Colour { string name = 1; }",
}
USE = """
import importlib
from odd_rest.routes import ROUTES
from gateway.generated import backends_of, load_generated
assert backends_of(load_generated("odd_rest")) == ["both", "more", "shop", "things"]
shown = {}
for route in ROUTES:
    problems = []
    assert route.decode({"id": "1"}, (), None, problems).id == "1" and not problems
    message = route.response_type(id="1")
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None:
            getattr(message, field.name).SetInParent()
    shown[route.path] = route.encode(message).data["attributes"]
assert shown["/things/{id}"] == {"part": {"from": "", "class": ""}}
assert shown["/offers/{id}"]["price"] == {"currency_code": "", "units": 0, "nanos": 0}
assert shown["/offers/{id}"]["colour"] == {"name": ""}
assert shown["/both/{id}"] == {"first": {"x": ""}, "second": {"x": ""}}
assert shown["/more/{id}"] == {"bare": {"x": ""}}
"""


def lay(folder: Path, files: dict[str, str]) -> Job:
    for name, content in files.items():
        path = folder / "proto" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + content)
    (folder / "gen").mkdir()
    return Job(folder / "proto", folder / "gen", None, "odd_rest", "Odd")


def test_odd_names_and_others_messages_are_generated_and_run(tmp_path: Path) -> None:
    job = lay(tmp_path, FILES)
    generate(job, job.out)
    path = os.pathsep.join(map(str, (job.out, ROOT, GEN)))
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_does_not_load_is_said_when_it_is_generated(tmp_path: Path) -> None:
    """A file that protobuf already knows from the platform cannot be declared a second time in one program."""
    files = {
        "samovar/types/v1/page.proto": "package samovar.types.v1; message Own { string x = 1; }",
        "own/v1/own.proto": 'package own.v1; import "samovar/types/v1/page.proto";'
        + SERVICE.format(name="Own", path="own", fields="samovar.types.v1.Own own = 2;"),
    }
    job = lay(tmp_path, files)
    with pytest.raises(SystemExit, match="does not load"):
        generate(job, job.out)


def test_what_is_refused_is_told_by_its_rule_and_not_by_another_tool(tmp_path: Path) -> None:
    job = lay(tmp_path, {"class/v1/x.proto": "package a.v1;" + SERVICE.format(name="X", path="x", fields="")})
    with pytest.raises(SystemExit, match=r"class/v1/x\.proto:1: file-name: 'class'"):
        generate(job, job.out)
