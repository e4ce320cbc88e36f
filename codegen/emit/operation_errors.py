"""The errors that an endpoint can return: those of the gateway follow from the endpoint's form, its own are in its proto."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from samovar.options.v1 import options_pb2

from chassis.errors.reasons import ReasonSpec
from codegen.emit.operation_headers import is_counted, takes_key
from codegen.read.endpoints import Endpoint, path_parameters

_ALWAYS = (
    "INVALID_ARGUMENT",
    "INVALID_QUERY_PARAMETER",
    "NOT_ACCEPTABLE",
    "URI_TOO_LONG",
    "HEADERS_TOO_LARGE",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)
_PLAIN = (
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "ABORTED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "RESOURCE_EXHAUSTED",
    "NOT_IMPLEMENTED",
)
"""The reasons that stand for statuses without a reason (chassis.errors.wire)."""
_ENVELOPE = ("RESOURCE_TYPE_CONFLICT", "CLIENT_ID_NOT_SUPPORTED", "RELATIONSHIP_NOT_WRITABLE")
"""The faults of a document that have a status of their own; together with other faults the answer is 400 for all of them."""


def codes_by_status(endpoint: Endpoint, reasons: Mapping[str, ReasonSpec]) -> Mapping[int, tuple[str, ...]]:
    """The codes of each HTTP status, statuses ascending. Codes that the registry does not have (yet) are left out."""
    found: dict[int, list[str]] = {}
    for code in dict.fromkeys(_codes(endpoint)):
        if code in reasons:
            found.setdefault(reasons[code].http, []).append(code)
    bad = found.setdefault(HTTPStatus.BAD_REQUEST, [])
    bad += [code for code in _ENVELOPE if any(code in codes for codes in found.values()) and code not in bad]
    return {status: tuple(found[status]) for status in sorted(found)}


def _codes(endpoint: Endpoint) -> Iterator[str]:
    method = endpoint.method
    access = method.access or options_pb2.Access()
    if path_parameters(endpoint.path) or endpoint.query_fields or endpoint.has_body:
        yield "VALIDATION_ERROR"
    yield from _ALWAYS
    if not access.public:
        yield from ("UNAUTHENTICATED", "TOKEN_EXPIRED", "PERMISSION_DENIED", "ACCOUNT_ERASED")
    if path_parameters(endpoint.path):
        yield "ROUTE_NOT_FOUND"
    if endpoint.has_body:
        yield from ("MALFORMED_JSON", "REQUEST_TIMEOUT", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
        yield "RESOURCE_TYPE_CONFLICT"
        if endpoint.document_id_parameter is None and endpoint.takes_resource:
            yield "CLIENT_ID_NOT_SUPPORTED"
        if endpoint.fixed_relationships:
            yield "RELATIONSHIP_NOT_WRITABLE"
    if endpoint.verb != "GET":
        yield "PRECONDITION_FAILED"
    if is_counted(endpoint):
        yield "RATE_LIMIT_EXCEEDED"
    if takes_key(endpoint):
        yield from ("IDEMPOTENCY_KEY_IN_USE", "IDEMPOTENCY_KEY_REUSED")
    yield from _PLAIN if method.has_plain_statuses else ()
    yield from method.errors
