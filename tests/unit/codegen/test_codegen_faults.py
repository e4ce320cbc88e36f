"""A contract that contradicts itself is refused when it is generated, with file, line and rule."""

import re
from pathlib import Path

import contract_compiler
import pytest

from codegen import plugin

HEAD = """syntax = "proto3";
package broken.v1;
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "samovar/options/v1/options.proto";
import "samovar/types/v1/page.proto";
"""
MESSAGES = """
message Thing {
  option (samovar.options.v1.resource) = {type: "thing", self: "/api/v1/things/{id}"};
  string id = 1;
  string name = 2;
}
message Bare {
  option (samovar.options.v1.resource) = {type: "bare"};
  string id = 1;
}
message Body { string name = 1; }
message Loop { repeated Loop more = 1; }
message Request {
  string id = 1;
  repeated string ids = 2;
  int32 number = 3;
  google.protobuf.FieldMask mask = 5;
}
message BodyRequest { string id = 1; Body body = 2; google.protobuf.FieldMask mask = 3; repeated Body bodies = 4; }
message NestedRequest { string id = 1; Body body = 2; }
message LoopRequest { Loop loop = 1; }
message NameRequest { string name = 1; }
message Response { Thing thing = 1; }
message BareResponse { Bare bare = 1; }
message TwoResponse { Thing thing = 1; Bare bare = 2; }
message NoneResponse { string id = 1; }
message PageResponse { repeated Bare bares = 1; samovar.types.v1.PageInfo page = 2; }
message Event {
  string id = 1;
  google.protobuf.Timestamp time = 2;
  oneof payload {
    Thing thing = 3 [(samovar.options.v1.stream_event) = {type: "thing", superseded_by: "name"}];
  }
}
message BadEvent {
  string id = 1;
  google.protobuf.Timestamp time = 2;
  oneof payload {
    Thing thing = 3;
    string text = 4 [(samovar.options.v1.stream_event) = {type: "text"}];
    Bare bare = 5 [(samovar.options.v1.stream_event) = {type: "bare", superseded_by: "name"}];
  }
}
"""
ACCESS = 'option (samovar.options.v1.access) = {roles: ["user"]};'
GET_THING = f"""
  rpc GetThing(NameRequest) returns (Response) {{
    option (google.api.http) = {{get: "/api/v1/things/{{name}}"}};
    {ACCESS}
  }}"""


def _http(binding: str, rest: str = "", access: str = ACCESS) -> str:
    return f"option (google.api.http) = {{{binding}}}; {access}" + (f" option (samovar.options.v1.rest) = {{{rest}}};" if rest else "")


def _rpc(signature: str, options: str) -> str:
    return f"service S {{\n  rpc Broken{signature} {{ {options} }}{GET_THING}\n}}\n"


def _stream(options: str) -> str:
    return f"{ACCESS} option (samovar.options.v1.stream) = {{{options}}};"


UNARY = "(Request) returns (Response)"
BARE = "(NestedRequest) returns (BareResponse)"
CASES = {
    "access-missing": (UNARY, _http('get: "/api/v1/x/{id}"', access="")),
    "access-empty": (UNARY, _http('get: "/api/v1/x/{id}"', access="option (samovar.options.v1.access) = {};")),
    "client-streaming": ("(stream Request) returns (Response)", ACCESS),
    "stream-on-unary": (UNARY, _stream('path: "/api/v1/ws/x", id_field: "id", time_field: "time"')),
    "http-on-stream": ("(Request) returns (stream Response)", _http('get: "/api/v1/x/{id}"')),
    "rest-without-http": (UNARY, ACCESS + " option (samovar.options.v1.rest) = {location: true};"),
    "http-path": (UNARY, _http('get: "/api/v1/{id=things/*}"')),
    "http-response-body": (UNARY, _http('get: "/api/v1/x/{id}", response_body: "thing"')),
    "path-parameter": (UNARY, _http('get: "/api/v1/x/{other}"')),
    "path-parameter of a list": (UNARY, _http('get: "/api/v1/x/{ids}"')),
    "path-parameter twice": (UNARY, _http('get: "/api/v1/x/{id}/{id}"')),
    "http-body on a GET": (UNARY, _http('get: "/api/v1/x/{id}", body: "*"')),
    "http-body unknown": (UNARY, _http('post: "/api/v1/x/{id}", body: "nothing"')),
    "http-body of a scalar": (UNARY, _http('post: "/api/v1/x/{id}", body: "number"')),
    "http-body of a list": ("(BodyRequest) returns (Response)", _http('post: "/api/v1/x/{id}", body: "bodies"')),
    "http-body taken by the path": (UNARY, _http('post: "/api/v1/x/{id}", body: "id"')),
    "update-mask on a PUT": (UNARY, _http('put: "/api/v1/x/{id}", body: "*"', 'update_mask_field: "mask"')),
    "update-mask missing": ("(BodyRequest) returns (Response)", _http('patch: "/api/v1/x/{id}", body: "body"')),
    "update-mask unknown": (
        "(BodyRequest) returns (Response)",
        _http('patch: "/api/v1/x/{id}", body: "body"', 'update_mask_field: "other"'),
    ),
    "update-mask of another type": (
        "(BodyRequest) returns (Response)",
        _http('patch: "/api/v1/x/{id}", body: "*"', 'update_mask_field: "body"'),
    ),
    "if-match on a GET": (UNARY, _http('get: "/api/v1/x/{id}"', 'if_match_field: "ids"')),
    "if-match unknown": (UNARY, _http('put: "/api/v1/x/{id}", body: "*"', 'if_match_field: "other"')),
    "if-match of one string": (UNARY, _http('put: "/api/v1/x/{number}", body: "*"', 'if_match_field: "id"')),
    "etag unknown": (UNARY, _http('put: "/api/v1/x/{id}", body: "*"', 'etag_field: "other"')),
    "etag of a collection": ("(NameRequest) returns (PageResponse)", _http('get: "/api/v1/x"', 'etag_field: "id"')),
    "query-parameter": (BARE, _http('get: "/api/v1/x/{id}"')),
    "data-field ambiguous": ("(NameRequest) returns (TwoResponse)", _http('get: "/api/v1/x"')),
    "data-field missing": ("(NameRequest) returns (NoneResponse)", _http('get: "/api/v1/x"')),
    "data-field unknown": ("(NameRequest) returns (TwoResponse)", _http('get: "/api/v1/x"', 'data_field: "third"')),
    "page-fields": ("(NameRequest) returns (PageResponse)", _http('get: "/api/v1/x"')),
    "success-status": ("(NameRequest) returns (Response)", _http('get: "/api/v1/x"', "success_status: 404")),
    "success-status with content": ("(NameRequest) returns (Response)", _http('get: "/api/v1/x"', "success_status: 204")),
    "location": ("(NameRequest) returns (BareResponse)", _http('post: "/api/v1/x", body: "*"', "location: true")),
    "route-twice": ("(NameRequest) returns (Response)", _http('get: "/api/v1/things/{name}"')),
    "recursive-request": ("(LoopRequest) returns (Response)", _http('post: "/api/v1/x", body: "*"')),
    "stream-path": ("(Request) returns (stream Event)", _stream('path: "/api/{id}", id_field: "id", time_field: "time"')),
    "stream-field id": ("(Request) returns (stream Event)", _stream('path: "/api/v1/ws/x", id_field: "no", time_field: "time"')),
    "stream-field time": ("(Request) returns (stream Event)", _stream('path: "/api/v1/ws/x", id_field: "id", time_field: "id"')),
    "stream-field resume": (
        "(Request) returns (stream Event)",
        _stream('path: "/api/v1/ws/x", id_field: "id", time_field: "time", resume_field: "number"'),
    ),
    "stream-event": ("(Request) returns (stream BadEvent)", _stream('path: "/api/v1/ws/x", id_field: "id", time_field: "time"')),
    "stream-events": ("(Request) returns (stream Thing)", _stream('path: "/api/v1/ws/x", id_field: "id", time_field: "name"')),
}
RESOURCES = {
    "resource-type": 'option (samovar.options.v1.resource) = {self: ""}; string id = 1;',
    "resource-type-twice": 'option (samovar.options.v1.resource) = {type: "thing"}; string id = 1;',
    "resource-id missing": 'option (samovar.options.v1.resource) = {type: "x"}; string name = 1;',
    "resource-id of a number": 'option (samovar.options.v1.resource) = {type: "x", id_field: "no"}; int32 no = 1;',
    "resource-self without a route": 'option (samovar.options.v1.resource) = {type: "x", self: "/api/v1/no/{id}"}; string id = 1;',
    "resource-self unknown": 'option (samovar.options.v1.resource) = {type: "x", self: "/api/v1/things/{no}"}; string id = 1;',
    "attribute-name": 'option (samovar.options.v1.resource) = {type: "x"}; string id = 1; string type = 2;',
    "relationship of a number": (
        'option (samovar.options.v1.resource) = {type: "x"}; string id = 1;'
        ' int32 no = 2 [(samovar.options.v1.relationship) = {name: "a", type: "b"}];'
    ),
    "relationship without a type": (
        'option (samovar.options.v1.resource) = {type: "x"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "a"}];'
    ),
    "relationship named like an attribute": (
        'option (samovar.options.v1.resource) = {type: "x"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "no", type: "b"}];'
    ),
    "foreign-message": 'option (samovar.options.v1.resource) = {type: "x"}; string id = 1; samovar.types.v1.PageInfo page = 2;',
}


def _errors(folder: Path, source: str) -> list[str]:
    path = folder / "broken" / "v1" / "broken.proto"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    response = plugin.answer(contract_compiler.request(folder, ["broken/v1/broken.proto"], folder))
    return response.error.splitlines()


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_names_file_line_and_rule(name: str, tmp_path: Path) -> None:
    source = HEAD + MESSAGES + _rpc(*CASES[name])
    errors = _errors(tmp_path, source)
    rule = name.split()[0]
    ours = [error for error in errors if re.match(rf"broken/v1/broken\.proto:\d+: {rule}: \S", error)]
    assert ours, errors
    lines = [int(error.split(":")[1]) for error in ours]
    assert all(0 < line <= source.count("\n") for line in lines)


def test_the_line_is_that_of_the_method(tmp_path: Path) -> None:
    source = HEAD + MESSAGES + _rpc(*CASES["access-missing"])
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "rpc Broken" in text)
    assert _errors(tmp_path, source)[1].startswith(f"broken/v1/broken.proto:{line}: access-missing: Broken ")


@pytest.mark.parametrize("name", RESOURCES)
def test_a_bad_resource_names_file_line_and_rule(name: str, tmp_path: Path) -> None:
    messages = f"message X {{ {RESOURCES[name]} }}\nmessage XResponse {{ X x = 1; }}\n"
    source = HEAD + MESSAGES + messages + _rpc("(NameRequest) returns (XResponse)", _http('get: "/api/v1/x"'))
    errors = _errors(tmp_path, source)
    assert any(f": {name.split()[0]}: " in error for error in errors), errors


def test_a_message_named_like_a_function_of_the_runtime_is_refused(tmp_path: Path) -> None:
    body = (
        "message Struct { string text = 1; }\n"
        "message StructRequest { string name = 1; Struct own = 2; google.protobuf.Struct free = 3; }\n"
    )
    rpc = _rpc("(StructRequest) returns (Response)", _http('post: "/api/v1/x", body: "*"'))
    errors = _errors(tmp_path, HEAD + MESSAGES + body + rpc)
    assert any("name-clash: " in error and "fill_struct" in error for error in errors), errors


def test_two_methods_of_one_name_in_one_file_are_refused(tmp_path: Path) -> None:
    rpc = "service T { rpc GetThing(NameRequest) returns (Response) { " + _http('get: "/api/v1/t/{name}"') + " } }\n"
    errors = _errors(tmp_path, HEAD + MESSAGES + rpc + _rpc("Two(NameRequest) returns (Response)", _http('get: "/api/v1/two"')))
    assert any(": method-name: " in error for error in errors), errors


def test_all_contradictions_are_told_at_once(tmp_path: Path) -> None:
    errors = _errors(tmp_path, HEAD + MESSAGES + _rpc(UNARY, _http('get: "/api/v1/x/{other}"', "success_status: 99", access="")))
    rules = {error.split(": ")[1] for error in errors[1:]}
    assert {"access-missing", "path-parameter", "success-status"} <= rules


def test_a_contract_without_contradictions_passes(tmp_path: Path) -> None:
    """The frame that the broken ones are made with is sound itself."""
    assert _errors(tmp_path, HEAD + MESSAGES + _rpc("(NameRequest) returns (Response)", _http('get: "/api/v1/x"'))) == []
