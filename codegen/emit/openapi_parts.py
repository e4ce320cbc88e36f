"""The parts that all our OpenAPI documents share: they follow from the gateway and not from any one method."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from chassis.errors.reasons import ReasonSpec
from codegen.emit.examples import UUID
from codegen.emit.json_schemas import Json

MEDIA_TYPES = ("application/vnd.api+json", "application/json")
"""JSON:API, and the same document as plain JSON."""

INFO: Json = {
    "version": "v1",
    "description": (
        "REST by [JSON:API 1.1](https://jsonapi.org/format/1.1/), generated from the protos. Answers are "
        "`application/vnd.api+json`, or `application/json` when that is preferred or was sent. Wherever there is GET, there is "
        "HEAD. Texts of errors are Russian, English when `Accept-Language` prefers it. WebSockets and events are described in "
        "`/api/v1/asyncapi.json`. `If-Match` and `If-None-Match` are honoured by the operations that list them; others that change "
        "something refuse what they cannot compare, 412. A W3C `traceparent` goes on to the services; answers above 1 KiB are "
        "compressed for those who take it."
    ),
}

SECURITY_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The user's access token; an operation names the role that the token must carry.",
    }
}

HEADERS: Json = {
    "X-Request-ID": {
        "description": "The request's id: the client's own, or a new one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Content-Language": {
        "description": "Language of the texts.",
        "required": True,
        "schema": {"type": "string", "enum": ["ru", "en"]},
    },
    "Location": {
        "description": "Where the new resource is; equal to `data.links.self`.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {"description": "Version of the answer.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to authenticate.", "required": True, "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "The answer is that to an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
    },
    "X-RateLimit-Limit": {
        "description": "Requests of this class that the user has per minute; absent where none are counted.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Remaining": {
        "description": "How many of them are left.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-RateLimit-Reset": {
        "description": "Seconds until all of them are there again.",
        "schema": {"type": "integer", "minimum": 0},
    },
}

HEADER_PARAMETERS: Sequence[Json] = (
    {
        "name": "Accept-Language",
        "in": "header",
        "description": "Preferred languages of texts, `ru` or `en`.",
        "schema": {"type": "string"},
        "example": "en",
    },
    {
        "name": "X-Request-ID",
        "in": "header",
        "description": "The request's id in answers and logs. One that is too long or not plain is replaced.",
        "schema": {"type": "string"},
        "example": UUID,
    },
    {
        "name": "X-Request-Timeout",
        "in": "header",
        "description": "Seconds after which the answer is of no use; no more than the platform's own deadline counts.",
        "schema": {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,9})?$"},
        "example": "2.5",
    },
)

IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of an answer that the client has: 304 if it is still the same.",
    "schema": {"type": "string"},
    "example": '"0190b7a65f3c7c1e"',
}
IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "Makes a repeated request safe: the answer to the first one with this key that was carried out is given to the "
        "others, for 24 hours. A key belongs to its user and operation."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "example": UUID,
}

_TAG = r'(W/)?"[!#-~]*"'
IF_MATCH: Json = {
    "name": "If-Match",
    "in": "header",
    "schema": {"type": "string", "pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)?$"},
    "example": '"1"',
}
"""The header of the methods that take it: entity tags of the state to change, or `*`."""
IF_MATCH_SAID = (
    "The `ETag` of what a GET of this address answered, whatever its media type, language and coding: 412 if it is another now. "
    "`*` for any state, 412 if there is nothing."
)
IF_NONE_MATCH_OF_CHANGE: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": (
        "`*`: only if there is nothing at this address yet. Or the tags of states that must not be there. 412 otherwise."
    ),
    "schema": IF_MATCH["schema"],
    "example": '"0190b7a65f3c7c1e"',
}

_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

ERRORS: Json = {
    "type": "object",
    "description": "Everything that is wrong, at once.",
    "required": ["errors", "meta"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id", "status", "code", "title", "detail"],
                "properties": {
                    "id": {"type": "string", "format": "uuid", "description": "Of this one occurrence."},
                    "status": {"type": "string", "pattern": "^[45][0-9]{2}$", "description": "HTTP status."},
                    "code": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]*$", "description": "What programs go by."},
                    "title": {"type": "string", "description": "Short text for people."},
                    "detail": {"type": "string", "description": "Whole text for people."},
                    "source": {
                        "type": "object",
                        "description": "Where in the request.",
                        "properties": {
                            "pointer": {"type": "string", "format": "json-pointer"},
                            "parameter": {"type": "string"},
                            "header": {"type": "string"},
                        },
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                    "meta": {"type": "object", "description": "The values that the texts name."},
                },
            },
        },
        "meta": {
            "type": "object",
            "required": ["trace_id"],
            "properties": {"trace_id": {"type": "string", "description": "For whoever reads the logs."}},
        },
    },
}

_LINK: Json = {"type": "string", "format": "uri-reference"}
SELF_LINK: Json = {"type": "object", "required": ["self"], "properties": {"self": _LINK}}
_LINK_OR_NONE: Json = {"type": ["string", "null"], "format": "uri-reference"}
PAGE_LINKS: Json = {
    "type": "object",
    "required": ["self", "first", "prev", "next", "last"],
    "properties": {
        "self": _LINK,
        "first": _LINK,
        "prev": _LINK_OR_NONE,
        "next": _LINK_OR_NONE,
        "last": _LINK,
    },
}
JSONAPI: Json = {
    "type": "object",
    "required": ["version"],
    "properties": {"version": {"type": "string", "const": "1.1"}},
}
CURSOR_LINKS: Json = {
    "type": "object",
    "required": ["self", "first", "prev", "next"],
    "properties": {"self": _LINK, "first": _LINK, "prev": _LINK_OR_NONE, "next": _LINK_OR_NONE},
}
_COUNT: Json = {"type": "integer", "minimum": 0}
PAGE_META: Json = {
    "type": "object",
    "required": ["total_items", "current_page", "per_page", "total_pages"],
    "properties": {"total_items": _COUNT, "current_page": _COUNT, "per_page": _COUNT, "total_pages": _COUNT},
}
CURSOR_META: Json = {
    "type": "object",
    "required": ["per_page"],
    "properties": {"per_page": _COUNT, "total_items": _COUNT},
}


def header_references(*names: str) -> Iterator[tuple[str, Json]]:
    for name in names:
        yield name, {"$ref": f"#/components/headers/{name}"}


def page_example(path: str) -> Json:
    """Links and meta of a page that is the only one."""
    only = f"{path}?page=1"
    return {
        "links": {"self": path, "first": only, "prev": None, "next": None, "last": only},
        "meta": {"total_items": 1, "current_page": 1, "per_page": 20, "total_pages": 1},
    }


def cursor_example(path: str) -> Json:
    """Links and meta of a page that is the only one."""
    links = {"self": path, "first": path, "prev": None, "next": None}
    return {"links": links, "meta": {"per_page": 20, "total_items": 1}}


def list_parameter(name: str, said: str, values: Sequence[str], *, at_most: int = 0) -> Json:
    """A query parameter of JSON:API's: names with commas between them."""
    schema: Json = {"type": "array", "items": {"type": "string", "enum": list(values)}}
    if at_most:
        schema |= {"minItems": 1, "maxItems": at_most}
    return {"name": name, "in": "query", "description": said, "style": "form", "explode": False, "schema": schema}


def error_example(code: str, reason: ReasonSpec) -> Json:
    """One error as a document; `{name}` in its text stands for what a real one says."""
    error = {
        "id": UUID,
        "status": str(reason.http),
        "code": code,
        "title": reason.title["en"],
        "detail": reason.detail["en"],
    }
    return {"summary": reason.title["en"], "value": {"errors": [error], "meta": {"trace_id": _TRACE_ID}}}


def error_response(status: int, codes: Mapping[str, ReasonSpec]) -> Json:
    """The answer that carries errors with these codes."""
    listed = "\n".join(f"* `{code}`: {reason.title['en']}" for code, reason in codes.items())
    headers = dict(header_references("X-Request-ID", "Content-Language"))
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers |= header_references("Retry-After")
    if "IDEMPOTENCY_KEY_IN_USE" in codes:
        headers["Retry-After"] = {key: value for key, value in HEADERS["Retry-After"].items() if key != "required"}
    if "RATE_LIMIT_EXCEEDED" in codes:
        headers |= header_references("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    if status == HTTPStatus.UNAUTHORIZED:
        headers |= header_references("WWW-Authenticate")
    named = {"properties": {"errors": {"items": {"properties": {"code": {"enum": list(codes)}}}}}}
    content: dict[str, Any] = {
        "schema": {"allOf": [{"$ref": "#/components/schemas/errors"}, named]},
        "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
    }
    return {
        "description": f"{HTTPStatus(status).phrase}.\n\n{listed}",
        "headers": headers,
        "content": dict.fromkeys(MEDIA_TYPES, content),
    }
