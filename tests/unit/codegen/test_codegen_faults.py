"""A contract that contradicts itself is refused when it is generated, with file, line and rule."""

import ast
import re
from pathlib import Path

import pytest

from codegen import plugin
from tests.unit.codegen import contract_compiler

HEAD = """syntax = "proto3";
package broken.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/source_context.proto";
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
message PagedRequest { int32 page = 1; int32 limit = 2; }
message MetaResponse { repeated Bare bares = 1; samovar.types.v1.PageInfo page = 2; int32 total_items = 3; }
message Book {
  option (samovar.options.v1.resource) = {type: "book", self: "/api/v1/books/{id}"};
  string id = 1;
  string author_id = 2 [(samovar.options.v1.relationship) = {
    name: "author", type: "thing", self: "/api/v1/books/{id}/relationships/author", related: "/api/v1/books/{id}/author"
  }];
  repeated string part_ids = 3 [(samovar.options.v1.relationship) = {name: "parts", type: "thing"}];
}
message BookResponse { Book book = 1; Thing author = 2; Bare bare = 3; }
message OneBookResponse { Book book = 1; }
message ViewRequest {
  string id = 1;
  repeated string include = 2;
  Order order = 3;
  Bent bent = 4;
  string one = 5 [(samovar.options.v1.filter) = "same"];
  string two = 6 [(samovar.options.v1.filter) = "same"];
}
message IncludingRequest { string id = 1; repeated string paths = 2; string name = 3; }
message LinkRequest {
  string id = 1;
  string author_id = 2 [(samovar.options.v1.relationship) = {name: "author", type: "thing"}];
  repeated string part_ids = 3 [(samovar.options.v1.relationship) = {name: "parts", type: "thing"}];
  string bare_id = 4 [(samovar.options.v1.relationship) = {name: "author", type: "bare"}];
  string text = 5;
}
message TwoIdsRequest { repeated string ids = 1; repeated string more = 2; }
message IdsRequest { repeated string ids = 1; }
message ThingsResponse { repeated Thing things = 1; }
message CursorResponse { repeated Bare bares = 1; samovar.types.v1.CursorInfo cursors = 2; }
message PagesResponse { repeated Bare bares = 1; samovar.types.v1.CursorInfo cursors = 2; samovar.types.v1.PageInfo page = 3; }
enum Order {
  ORDER_UNSPECIFIED = 0;
  ORDER_NAME = 1;
}
enum Bent {
  BENT_UNSPECIFIED = 0;
  BENT_UP = 1 [(samovar.options.v1.sort_key) = "name"];
  BENT_DOWN = 2 [(samovar.options.v1.sort_key) = "name"];
}
message TokenRequest { string id = 1; string token = 2; }
message ResumeRequest { string id = 1; string from_id = 2; }
message Named { google.protobuf.Any any = 1; }
message NamedRequest { Named named = 1; }
message EndEvent {
  oneof payload {
    Thing thing = 3 [(samovar.options.v1.stream_event) = {type: "stream.end"}];
  }
}
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
BAD_EVENTS = """
message Unnamed { option (samovar.options.v1.event) = {topic: "t"}; string user_id = 1; }
message First { option (samovar.options.v1.event) = {type: "e", topic: "t"}; string user_id = 1; }
message Second { option (samovar.options.v1.event) = {type: "e", topic: "t"}; string user_id = 1; }
message Keyless { option (samovar.options.v1.event) = {type: "k", topic: "t", key_field: "key"}; string user_id = 1; }
message Subjectless {
  option (samovar.options.v1.event) = {type: "s", topic: "t", subject_field: "ids"};
  repeated string ids = 1;
}
"""
BAD_REASONS = """
enum Reason {
  REASON_UNSPECIFIED = 0;
  REASON_THING_NOT_HERE = 1 [(samovar.options.v1.error) = {
    http: 404, code: NOT_FOUND, title: {ru: "а", en: "a"}, detail: {ru: "а", en: "a"}
  }];
  REASON_ITEM_NOT_HERE = 2 [(samovar.options.v1.error) = {
    http: 200, code: OK, title: {ru: "а", en: "a"}, detail: {ru: "а"}
  }];
}
enum OtherReason {
  OTHER_REASON_UNSPECIFIED = 0;
  OTHER_REASON_THING_NOT_HERE = 1 [(samovar.options.v1.error) = {
    http: 404, code: NOT_FOUND, title: {ru: "а", en: "a"}, detail: {ru: "а", en: "a"}
  }];
  OTHER_REASON_INTERNAL_ERROR = 2 [(samovar.options.v1.error) = {
    http: 500, code: INTERNAL, title: {ru: "а", en: "a"}, detail: {ru: "а", en: "a"}
  }];
}
"""
ACCESS = 'option (samovar.options.v1.access) = {roles: ["user"]};'
GET_THING = f"""
  rpc GetBook(NameRequest) returns (OneBookResponse) {{
    option (google.api.http) = {{get: "/api/v1/books/{{name}}"}};
    {ACCESS}
  }}
  rpc GetBookAuthor(NameRequest) returns (Response) {{
    option (google.api.http) = {{get: "/api/v1/books/{{name}}/author"}};
    {ACCESS}
  }}
  rpc LinkBookAuthor(NameRequest) returns (OneBookResponse) {{
    option (google.api.http) = {{get: "/api/v1/books/{{name}}/relationships/author"}};
    {ACCESS}
    option (samovar.options.v1.rest) = {{relationship: "author"}};
  }}
  rpc Things(IdsRequest) returns (ThingsResponse) {{ {ACCESS} }}
  rpc TwoIds(TwoIdsRequest) returns (ThingsResponse) {{ {ACCESS} }}
  rpc Others(IdsRequest) returns (PageResponse) {{ {ACCESS} }}
  rpc Secret(IdsRequest) returns (ThingsResponse) {{
    option (samovar.options.v1.access) = {{roles: ["admin"]}};
  }}
  rpc GetThing(NameRequest) returns (Response) {{
    option (google.api.http) = {{get: "/api/v1/things/{{name}}"}};
    {ACCESS}
  }}"""


def _http(binding: str, rest: str = "", access: str = ACCESS) -> str:
    return f"option (google.api.http) = {{{binding}}}; {access}" + (
        f" option (samovar.options.v1.rest) = {{{rest}}};" if rest else ""
    )


def _service(*methods: tuple[str, str]) -> str:
    """A service with the methods `Broken0`, `Broken1`, …, each in a line of its own."""
    lines = [f"  rpc Broken{index}{signature} {{ {options} }}" for index, (signature, options) in enumerate(methods)]
    return "\n".join(["service S {", *lines, GET_THING, "}"]) + "\n"


def _stream(options: str) -> str:
    return f"{ACCESS} option (samovar.options.v1.stream) = {{{options}}};"


def _include(include: str, rest: str = 'data_field: "book"') -> tuple[str, str]:
    return "(IncludingRequest) returns (BookResponse)", _http(
        'get: "/api/v1/@/{id}"', f"includes: [{{{include}}}], {rest}"
    )


def _link(
    verb: str, body: str, name: str = "author", response: str = "OneBookResponse", path: str = ""
) -> tuple[str, str]:
    path = path or f"/api/v1/@/{{id}}/relationships/{name}"
    sent = f', body: "{body}"' if body else ""
    return f"(LinkRequest) returns ({response})", _http(f'{verb}: "{path}"{sent}', f'relationship: "{name}"')


AUTHOR = 'path: "author", response_field: "author"'
UNARY = "(Request) returns (Response)"
BARE = "(NestedRequest) returns (BareResponse)"
CASES = {
    "access-missing": (UNARY, _http('get: "/api/v1/@/{id}"', access="")),
    "access-empty": (UNARY, _http('get: "/api/v1/@/{id}"', access="option (samovar.options.v1.access) = {};")),
    "client-streaming": ("(stream Request) returns (Response)", ACCESS),
    "stream-on-unary": (UNARY, _stream('path: "/api/v1/ws/@", id_field: "id", time_field: "time"')),
    "http-on-stream": ("(Request) returns (stream Response)", _http('get: "/api/v1/@/{id}"')),
    "rest-without-http": (UNARY, ACCESS + " option (samovar.options.v1.rest) = {location: true};"),
    "error-reason": (UNARY, ACCESS + ' option (samovar.options.v1.errors) = {reasons: ["NO_SUCH_REASON"]};'),
    "http-path": (UNARY, _http('get: "/api/v1/{id=things/**}"')),
    "http-path of an unbound star": (UNARY, _http('get: "/api/v1/@/*"')),
    "http-path of a bad verb": (UNARY, _http('get: "/api/v1/@/{id}:do-it"')),
    "http-path without a slash": (UNARY, _http('get: "api/v1/@"')),
    "http-path with a part of a segment": (UNARY, _http('get: "/api/v1/@/x-{id}"')),
    "http-path of a custom method": (UNARY, _http('custom: {kind: "LIST", path: "/api/v1/@"}')),
    "path-parameter of segments": (UNARY, _http('get: "/api/v1/@/{number=things/*}"')),
    "path-parameter of segments twice": (UNARY, _http('get: "/api/v1/@/{id=a/*}/{id=b/*}"')),
    "path-parameter in a message": ("(NestedRequest) returns (Response)", _http('get: "/api/v1/@/{body.other}"')),
    "path-reserved": ("(NameRequest) returns (Response)", _http('get: "/healthz"')),
    "path-reserved below the page": ("(NameRequest) returns (Response)", _http('get: "/api/v1/docs/{name}"')),
    "path-reserved by a stream": ("(Request) returns (stream Event)", _stream('path: "/api/v1/openapi.json"')),
    "meta-field": ("(PagedRequest) returns (MetaResponse)", _http('get: "/api/v1/@"')),
    "http-response-body": (UNARY, _http('get: "/api/v1/@/{id}", response_body: "thing"')),
    "path-parameter": (UNARY, _http('get: "/api/v1/@/{other}"')),
    "path-parameter of a list": (UNARY, _http('get: "/api/v1/@/{ids}"')),
    "path-parameter twice": (UNARY, _http('get: "/api/v1/@/{id}/{id}"')),
    "http-body on a GET": (UNARY, _http('get: "/api/v1/@/{id}", body: "*"')),
    "http-body unknown": (UNARY, _http('post: "/api/v1/@/{id}", body: "nothing"')),
    "http-body of a scalar": (UNARY, _http('post: "/api/v1/@/{id}", body: "number"')),
    "http-body of a list": ("(BodyRequest) returns (Response)", _http('post: "/api/v1/@/{id}", body: "bodies"')),
    "http-body taken by the path": (UNARY, _http('post: "/api/v1/@/{id}", body: "id"')),
    "update-mask on a PUT": (UNARY, _http('put: "/api/v1/@/{id}", body: "*"', 'update_mask_field: "mask"')),
    "update-mask missing": ("(BodyRequest) returns (Response)", _http('patch: "/api/v1/@/{id}", body: "body"')),
    "update-mask unknown": (
        "(BodyRequest) returns (Response)",
        _http('patch: "/api/v1/@/{id}", body: "body"', 'update_mask_field: "other"'),
    ),
    "update-mask of another type": (
        "(BodyRequest) returns (Response)",
        _http('patch: "/api/v1/@/{id}", body: "*"', 'update_mask_field: "body"'),
    ),
    "if-match on a GET": (UNARY, _http('get: "/api/v1/@/{id}"', 'if_match_field: "ids"')),
    "if-match unknown": (UNARY, _http('put: "/api/v1/@/{id}", body: "*"', 'if_match_field: "other"')),
    "if-match of one string": (UNARY, _http('put: "/api/v1/@/{number}", body: "*"', 'if_match_field: "id"')),
    "etag unknown": (UNARY, _http('put: "/api/v1/@/{id}", body: "*"', 'etag_field: "other"')),
    "etag of a collection": ("(NameRequest) returns (PageResponse)", _http('get: "/api/v1/@"', 'etag_field: "id"')),
    "query-parameter": (BARE, _http('get: "/api/v1/@/{id}"')),
    "data-field ambiguous": ("(NameRequest) returns (TwoResponse)", _http('get: "/api/v1/@"')),
    "data-field missing": ("(NameRequest) returns (NoneResponse)", _http('get: "/api/v1/@"')),
    "data-field unknown": ("(NameRequest) returns (TwoResponse)", _http('get: "/api/v1/@"', 'data_field: "third"')),
    "page-fields": ("(NameRequest) returns (PageResponse)", _http('get: "/api/v1/@"')),
    "success-status": ("(NameRequest) returns (Response)", _http('get: "/api/v1/@"', "success_status: 404")),
    "success-status with content": (
        "(NameRequest) returns (Response)",
        _http('get: "/api/v1/@"', "success_status: 204"),
    ),
    "location": ("(NameRequest) returns (BareResponse)", _http('post: "/api/v1/@", body: "*"', "location: true")),
    "route-twice": ("(NameRequest) returns (Response)", _http('get: "/api/v1/things/{name}"')),
    "recursive-request": ("(LoopRequest) returns (Response)", _http('post: "/api/v1/@", body: "*"')),
    "include of nothing": (
        "(IncludingRequest) returns (NoneResponse)",
        _http('get: "/api/v1/@/{id}"', f"includes: [{{{AUTHOR}}}], no_content: true"),
    ),
    "include without what it begins with": _include('path: "author.company", response_field: "author"'),
    "include of no relationship": _include('path: "editor", response_field: "author"'),
    "include from nowhere": _include('path: "author"'),
    "include from two places": _include(AUTHOR + ', batch_method: "broken.v1.S/Things"'),
    "include of another type": _include('path: "author", response_field: "bare"'),
    "include twice": _include(AUTHOR, f'includes: [{{{AUTHOR}}}], data_field: "book", include_field: "paths"'),
    "include without a field that says what": _include(AUTHOR),
    "include with a field that cannot": _include(AUTHOR, 'data_field: "book", include_field: "name"'),
    "include with a field for nothing": _include(
        'path: "author", batch_method: "broken.v1.S/Things"', 'data_field: "book", include_field: "paths"'
    ),
    "include by no method": _include('path: "author", batch_method: "broken.v1.S/None"'),
    "include by ids that are not clear": _include('path: "author", batch_method: "broken.v1.S/TwoIds"'),
    "include by a method of other things": _include('path: "author", batch_method: "broken.v1.S/Others"'),
    "include by a method that the user may not call": _include('path: "author", batch_method: "broken.v1.S/Secret"'),
    "include beside a parameter of that name": (
        "(ViewRequest) returns (OneBookResponse)",
        _http('get: "/api/v1/@/{id}"', 'includes: [{path: "author", batch_method: "broken.v1.S/Things"}]'),
    ),
    "sort of no enum": ("(ViewRequest) returns (BareResponse)", _http('get: "/api/v1/@"', 'sort_field: "id"')),
    "filter twice": ("(ViewRequest) returns (BareResponse)", _http('get: "/api/v1/@"')),
    "page-fields of cursors": ("(NameRequest) returns (CursorResponse)", _http('get: "/api/v1/@"')),
    "page-fields of two sorts": ("(NameRequest) returns (PagesResponse)", _http('get: "/api/v1/@"')),
    "relationship-endpoint by PUT": _link("put", "author_id"),
    "relationship-endpoint without a body": _link("patch", "*"),
    "relationship-endpoint of another field": _link("patch", "text"),
    "relationship-endpoint that adds to one": _link("post", "author_id"),
    "relationship-endpoint that answers something else": _link("get", "", response="BareResponse"),
    "relationship-endpoint at no link": _link("patch", "author_id"),
    "relationship-endpoint of a relationship without a link": _link("get", "", "parts"),
    "relationship-endpoint of another type": _link("patch", "bare_id", path="/api/v1/books/{id}/relationships/author"),
    "stream-path without a slash": (
        "(Request) returns (stream Event)",
        _stream('path: "api", id_field: "id", time_field: "time"'),
    ),
    "stream-path": (
        "(Request) returns (stream Event)",
        _stream('path: "/api/{id=things/*}", id_field: "id", time_field: "time"'),
    ),
    "path-parameter of a stream": ("(Request) returns (stream Event)", _stream('path: "/api/v1/ws/@/{other}"')),
    "query-parameter of a stream": ("(BodyRequest) returns (stream Event)", _stream('path: "/api/v1/ws/@/{id}"')),
    "stream-parameter": ("(TokenRequest) returns (stream Event)", _stream('path: "/api/v1/ws/@/{id}"')),
    "stream-field resume in the path": (
        "(ResumeRequest) returns (stream Event)",
        _stream('path: "/api/v1/ws/@/{from_id}", id_field: "id", resume_field: "from_id"'),
    ),
    "stream-field resume without ids": (
        "(ResumeRequest) returns (stream Event)",
        _stream('path: "/api/v1/ws/@/{id}", resume_field: "from_id"'),
    ),
    "stream-events beside a oneof": (
        "(NameRequest) returns (stream Event)",
        _stream('path: "/api/v1/ws/@", event: {type: "event"}'),
    ),
    "stream-event without a type": (
        "(NameRequest) returns (stream Thing)",
        _stream('path: "/api/v1/ws/@", event: {superseded_by: "name"}'),
    ),
    "stream-event of the gateway": ("(NameRequest) returns (stream EndEvent)", _stream('path: "/api/v1/ws/@"')),
    "any": ("(NamedRequest) returns (Response)", _http('post: "/api/v1/@", body: "*"')),
    "stream-field id": (
        "(Request) returns (stream Event)",
        _stream('path: "/api/v1/ws/@", id_field: "no", time_field: "time"'),
    ),
    "stream-field time": (
        "(Request) returns (stream Event)",
        _stream('path: "/api/v1/ws/@", id_field: "id", time_field: "id"'),
    ),
    "stream-field resume": (
        "(Request) returns (stream Event)",
        _stream('path: "/api/v1/ws/@", id_field: "id", time_field: "time", resume_field: "number"'),
    ),
    "stream-event": (
        "(Request) returns (stream BadEvent)",
        _stream('path: "/api/v1/ws/@", id_field: "id", time_field: "time"'),
    ),
    "stream-events": (
        "(Request) returns (stream Thing)",
        _stream('path: "/api/v1/ws/@", id_field: "id", time_field: "name"'),
    ),
}
RESOURCES = {
    "resource-type": 'option (samovar.options.v1.resource) = {self: ""}; string id = 1;',
    "resource-type-twice": 'option (samovar.options.v1.resource) = {type: "thing"}; string id = 1;',
    "resource-id missing": 'option (samovar.options.v1.resource) = {type: "@"}; string name = 1;',
    "resource-id of a number": 'option (samovar.options.v1.resource) = {type: "@", id_field: "no"}; int32 no = 1;',
    "resource-self without a route": 'option (samovar.options.v1.resource) = {type: "@", self: "/api/v1/no/{id}"}; string id = 1;',
    "resource-self unknown": 'option (samovar.options.v1.resource) = {type: "@", self: "/api/v1/things/{no}"}; string id = 1;',
    "attribute-name": 'option (samovar.options.v1.resource) = {type: "@"}; string id = 1; string type = 2;',
    "relationship of a number": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' int32 no = 2 [(samovar.options.v1.relationship) = {name: "a", type: "b"}];'
    ),
    "relationship without a type": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "a"}];'
    ),
    "relationship named like an attribute": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "no", type: "b"}];'
    ),
    "relationship-link that nothing serves": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "a", type: "b", self: "/api/v1/no/{id}"}];'
    ),
    "relationship-link to what is not there": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "a", type: "b", related: "/api/v1/no/{id}"}];'
    ),
    "relationship-link of an unknown field": (
        'option (samovar.options.v1.resource) = {type: "@"}; string id = 1;'
        ' string no = 2 [(samovar.options.v1.relationship) = {name: "a", type: "b", related: "/api/v1/things/{no_such}"}];'
    ),
    "foreign-message": 'option (samovar.options.v1.resource) = {type: "@"}; string id = 1; google.protobuf.SourceContext at = 2;',
}
NAMES = """syntax = "proto3";
{package}
import "google/api/annotations.proto";
import "samovar/options/v1/options.proto";
message Request {{ string id = 1; }}
message Thing {{
  option (samovar.options.v1.resource) = {{type: "thing"}};
  string id = 1;
  {thing}
}}
service S {{
  rpc Get(Request) returns (Thing) {{
    option (google.api.http) = {{get: "/api/v1/x"}};
    option (samovar.options.v1.access) = {{public: true}};
  }}
}}
"""
FILES = {
    "file-name of a keyword": ("class/v1/x.proto", "package a.v1;", ""),
    "file-name of a digit": ("a/v1/1st.proto", "package a.v1;", ""),
    "file-name with a dot": ("a.b/v1/x.proto", "package a.v1;", ""),
    "file-name of the routes": ("routes.proto", "package a.v1;", ""),
    "package-hides the platform": ("gateway/v1/x.proto", "package gateway.v1;", ""),
    "package-hides the objects": ("depot/v1/x.proto", "package depot.v1;", ""),
    "package-hides Python": ("email/v1/x.proto", "package email.v1;", ""),
    "package-hides a library": ("grpc/v1/x.proto", "package grpc.v1;", ""),
    "package-missing": ("a/v1/x.proto", "", ""),
    "field-name": ("a/v1/x.proto", "package a.v1;", "optional string HasField = 2;"),
    "message-name": ("a/v1/x.proto", "package a.v1;", "message None { string x = 1; } None none = 2;"),
}


def _errors(folder: Path, source: str) -> list[str]:
    path = folder / "broken" / "v1" / "broken.proto"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    response = plugin.answer(contract_compiler.request(folder, ["broken/v1/broken.proto"], folder))
    return response.error.splitlines()


@pytest.fixture(scope="module")
def all_errors(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One contract with every contradiction in it."""
    methods = [
        (signature, options.replace("@", f"m{index}")) for index, (signature, options) in enumerate(CASES.values())
    ]
    messages = MESSAGES
    for index, fields in enumerate(RESOURCES.values()):
        messages += f"message X{index} {{ {fields.replace('@', f'x{index}')} }}\nmessage X{index}Response {{ X{index} x = 1; }}\n"
        methods.append((f"(NameRequest) returns (X{index}Response)", _http(f'get: "/api/v1/x{index}"')))
    return _errors(tmp_path_factory.mktemp("broken"), HEAD + messages + BAD_REASONS + BAD_EVENTS + _service(*methods))


def _of(errors: list[str], rule: str, name: str) -> list[str]:
    return [error for error in errors if re.match(rf"broken/v1/broken\.proto:[1-9]\d*: {rule}: .*\b{name}\b", error)]


@pytest.mark.parametrize("case", CASES)
def test_a_contradiction_names_file_line_rule_and_method(case: str, all_errors: list[str]) -> None:
    name = {"recursive-request": "Loop", "any": "Any"}.get(case, f"Broken{list(CASES).index(case)}")
    assert _of(all_errors, case.split(maxsplit=1)[0], name), all_errors


@pytest.mark.parametrize(
    ("rule", "reason", "count"),
    [
        ("reason-twice", "THING_NOT_HERE", 1),
        ("reason-twice", "INTERNAL_ERROR", 1),
        ("reason-codes", "ITEM_NOT_HERE", 1),
        ("reason-texts", "ITEM_NOT_HERE", 1),
    ],
)
def test_a_bad_error_reason_names_file_line_rule_and_reason(
    rule: str, reason: str, count: int, all_errors: list[str]
) -> None:
    assert len(_of(all_errors, rule, reason)) == count, all_errors


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("event-type", "Unnamed"),
        ("event-type-twice", "Second"),
        ("event-field", "Keyless"),
        ("event-field", "Subjectless"),
    ],
)
def test_a_bad_event_names_file_line_rule_and_message(rule: str, message: str, all_errors: list[str]) -> None:
    assert len(_of(all_errors, rule, message)) == 1, all_errors


def test_every_rule_of_the_generator_has_a_case_here() -> None:
    """Rules are the words that faults are added with: the second argument, or the first of a resolver's own."""
    rules = set()
    for file in sorted((contract_compiler.ROOT / "codegen").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                place = {"add": 1, "_fault": 0}.get(node.func.attr)
                told = node.args[place] if place is not None and len(node.args) > place else None
                if (
                    isinstance(told, ast.Constant)
                    and isinstance(told.value, str)
                    and re.fullmatch("[a-z0-9-]+", told.value)
                ):
                    rules.add(told.value)
    assert len(rules) >= 30
    tested = Path(__file__).read_text()
    assert [rule for rule in sorted(rules) if not re.search(rf'"{rule}[ "]|\b{rule}: ', tested)] == []


@pytest.mark.parametrize("case", RESOURCES)
def test_a_bad_resource_names_file_line_rule_and_message(case: str, all_errors: list[str]) -> None:
    name = "SourceContext" if case == "foreign-message" else f"X{list(RESOURCES).index(case)}"
    rule = case.split(maxsplit=1)[0]
    assert _of(all_errors, rule, name), all_errors


@pytest.mark.parametrize(("field", "enum"), [("order", "Order"), ("bent", "Bent")])
def test_an_order_without_keys_of_its_own_is_refused_at_the_enum(tmp_path: Path, field: str, enum: str) -> None:
    method = ("(ViewRequest) returns (BareResponse)", _http('get: "/api/v1/x"', f'sort_field: "{field}"'))
    errors = _errors(tmp_path, HEAD + MESSAGES.replace('"same"', '""') + _service(method))
    assert _of(errors, "sort", enum), errors


@pytest.mark.parametrize("case", FILES)
def test_a_name_that_python_cannot_have_names_file_line_and_rule(tmp_path: Path, case: str) -> None:
    name, package, thing = FILES[case]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NAMES.format(package=package, thing=thing))
    response = plugin.answer(contract_compiler.request(tmp_path, [name], tmp_path))
    rule = case.split(maxsplit=1)[0]
    assert re.search(rf"^{re.escape(name)}:[1-9]\d*: {rule}: ", response.error, re.MULTILINE), response.error


def test_two_files_of_one_module_are_refused(tmp_path: Path) -> None:
    files = ["a/v1/my-x.proto", "a/v1/my_x.proto"]
    for number, name in enumerate(files):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f'syntax = "proto3"; package a.v1; message M{number} {{ string x = 1; }}')
    response = plugin.answer(contract_compiler.request(tmp_path, files, tmp_path))
    assert re.search(r"^a/v1/my_x\.proto:1: file-name: a/v1/my-x\.proto ", response.error, re.MULTILINE), response.error


def test_the_line_is_that_of_the_method(tmp_path: Path) -> None:
    source = HEAD + MESSAGES + _service(CASES["access-missing"])
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "rpc Broken" in text)
    assert _errors(tmp_path, source)[1].startswith(f"broken/v1/broken.proto:{line}: access-missing: Broken0 ")


def test_a_message_named_like_a_function_of_the_runtime_is_refused(tmp_path: Path) -> None:
    messages = (
        "message Struct { string text = 1; }\n"
        "message StructRequest { string name = 1; Struct own = 2; google.protobuf.Struct free = 3; }\n"
    )
    service = _service(("(StructRequest) returns (Response)", _http('post: "/api/v1/x", body: "*"')))
    errors = _errors(tmp_path, HEAD + MESSAGES + messages + service)
    assert any("name-clash: " in error and "fill_struct" in error for error in errors), errors


def test_two_methods_of_one_name_in_one_file_are_refused(tmp_path: Path) -> None:
    other = "service T { rpc GetThing(NameRequest) returns (Response) { " + _http('get: "/api/v1/t/{name}"') + " } }\n"
    errors = _errors(tmp_path, HEAD + MESSAGES + other + _service())
    assert any(": method-name: " in error for error in errors), errors


def test_a_contract_without_contradictions_passes(tmp_path: Path) -> None:
    """The frame that the broken ones are made with is sound itself."""
    sound = ("(NameRequest) returns (Response)", _http('get: "/api/v1/x"'))
    assert _errors(tmp_path, HEAD + MESSAGES + _service(sound)) == []


def test_a_proto2_message_cannot_be_shown(tmp_path: Path) -> None:
    old = tmp_path / "broken" / "v1" / "old.proto"
    old.parent.mkdir(parents=True)
    old.write_text('syntax = "proto2";\npackage broken.v1;\nmessage Old { optional string name = 1; }\n')
    source = (
        f'{HEAD}import "broken/v1/old.proto";\n{MESSAGES}\n'
        'message Shown { option (samovar.options.v1.resource) = {type: "shown"}; string id = 1; Old old = 2; }\n'
        "message ShownResponse { Shown shown = 1; }\n"
        + _service(("(NameRequest) returns (ShownResponse)", _http('get: "/api/v1/x"')))
    )
    (old.parent / "broken.proto").write_text(source)
    files = ["broken/v1/broken.proto", "broken/v1/old.proto"]
    response = plugin.answer(contract_compiler.request(tmp_path, files, tmp_path))
    assert re.search(r"^broken/v1/broken\.proto:\d+: proto2: broken\.v1\.Old", response.error, re.MULTILINE)
