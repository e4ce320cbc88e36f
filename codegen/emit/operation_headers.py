"""The headers that an operation reads and that its answers carry: all follow from the endpoint's form. For codegen.emit.openapi."""

from collections.abc import Iterator

from samovar.options.v1 import options_pb2

from codegen.emit import openapi_parts as parts
from codegen.emit.json_schemas import Json
from codegen.read.endpoints import Endpoint

RATE_LIMIT_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


def request_headers(endpoint: Endpoint) -> Iterator[Json]:
    """Parameters of the operation that are headers."""
    yield from parts.HEADER_PARAMETERS
    if endpoint.is_tagged_read:
        yield parts.IF_NONE_MATCH
    if takes_key(endpoint):
        yield parts.IDEMPOTENCY_KEY
    if endpoint.if_match_field is not None:
        said = endpoint.if_match_field.comment
        yield {**parts.IF_MATCH, "description": said} if said else parts.IF_MATCH
    elif endpoint.is_conditional:
        yield {**parts.IF_MATCH, "description": parts.IF_MATCH_SAID, "example": "*"}
    if endpoint.is_conditional:
        yield parts.IF_NONE_MATCH_OF_CHANGE


def success_headers(endpoint: Endpoint) -> dict[str, Json]:
    """Headers of the operation's success."""
    names = ["X-Request-ID"]
    if endpoint.data is not None:
        names.append("Content-Language")
        rest = endpoint.method.rest
        names += ["Location"] if rest is not None and rest.location else []
        names += ["ETag"] if endpoint.is_tagged_read or endpoint.etag_field is not None else []
    names += ["Idempotency-Replayed"] if takes_key(endpoint) else []
    names += RATE_LIMIT_HEADERS if is_counted(endpoint) else ()
    return dict(parts.header_references(*names))


def not_modified(endpoint: Endpoint) -> dict[str, Json]:
    """Return, by status, the answer to If-None-Match when the client has the current state; empty where there are no tags."""
    if not endpoint.is_tagged_read:
        return {}
    names = ["X-Request-ID", "ETag", *(RATE_LIMIT_HEADERS if is_counted(endpoint) else ())]
    return {"304": {"description": "The client has it already.", "headers": dict(parts.header_references(*names))}}


def takes_key(endpoint: Endpoint) -> bool:
    """True where Idempotency-Key counts: a key is its user's, signed links age, and a read may be repeated anyway."""
    access = endpoint.method.access or options_pb2.Access()
    is_write = endpoint.verb == "POST" and access.rate_class != options_pb2.RATE_CLASS_READ
    return is_write and not access.public and not _signs_urls(endpoint)


def is_counted(endpoint: Endpoint) -> bool:
    """Return True when requests count against the user's rate limit."""
    access = endpoint.method.access or options_pb2.Access()
    return not access.public and access.rate_class != options_pb2.RATE_CLASS_NONE


def _signs_urls(endpoint: Endpoint) -> bool:
    return endpoint.method.rest is not None and endpoint.method.rest.signed_urls
