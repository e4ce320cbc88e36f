"""The one map from what goes wrong to JSON:API errors: problems of a request and errors of the services, in the caller's
language, all of them at once, each with the place it points at. Contract: sections 1 and 9; JSON:API 1.1, section 11.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import uuid4

import orjson
from aiohttp import hdrs, web

from chassis.errors import DomainError, FieldViolation
from chassis.errors.reasons import spec, texts
from gateway.contract import JsonValue, Problem
from gateway.problems.descriptions import describe
from gateway.problems.pointers import Source, existing, locate
from gateway.request.context import RequestContext

RETRY_AFTER_SECONDS = 1
"""The value of Retry-After with 429 and 503 when no better one is known."""

_RETRY_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_UNSHOWN_DETAILS = frozenset({"description", "trace_id"})


class Refused(Exception):
    """The gateway itself refuses a request: what is wrong with it, and headers that the refusal must carry."""

    def __init__(self, *problems: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = problems
        self.headers = dict(headers or {})


class UpstreamError(Exception):
    """A service refuses a request: its error, and what is needed to say which part of the request it means."""

    def __init__(self, error: DomainError, pointers: Mapping[str, str], document: JsonValue) -> None:
        super().__init__(str(error))
        self.error = error
        self.pointers = pointers
        self.document = document


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """A JSON:API error object."""

    code: str
    status: int
    title: str
    detail: str
    source: Source | None = None
    meta: Mapping[str, JsonValue] | None = None

    def as_json(self) -> JsonValue:
        members: dict[str, JsonValue] = {
            "id": str(uuid4()),
            "status": str(self.status),
            "code": self.code,
            "title": self.title,
            "detail": self.detail,
        }
        if self.source is not None:
            members["source"] = {self.source.kind: self.source.value}
        if self.meta:
            members["meta"] = dict(self.meta)
        return members


def of_problem(problem: Problem, language: str) -> ErrorObject:
    """The error object of a problem that the gateway or a generated transcoder found."""
    return _error_object(problem.code, language, _described(problem.details or {}, language), _source_of(problem))


def _described(details: Mapping[str, str], language: str) -> Mapping[str, str]:
    """The details with their description, if there is one, in the caller's language."""
    said = details.get("description")
    return details if said is None else {**details, "description": describe(said, language)}


def _source_of(problem: Problem) -> Source | None:
    if problem.pointer is not None:
        return Source("pointer", problem.pointer)
    if problem.parameter is not None:
        return Source("parameter", problem.parameter)
    if problem.header is not None:
        return Source("header", problem.header)
    return None


def of_error(
    error: DomainError,
    language: str,
    *,
    pointers: Mapping[str, str] | None = None,
    document: JsonValue = None,
) -> list[ErrorObject]:
    """The error objects of a service's error: one per broken rule, or just one."""
    if not error.violations:
        one = _error_object(error.reason, language, _described(error.details, language), None)
        return [replace(one, detail=error.message) if error.message else one]
    found = (_of_violation(error, violation, language, pointers or {}, document) for violation in error.violations)
    # A message and the mask created for it break the same rule at the same place; two members may be missing from one place.
    return list(
        {(each.code, each.source, each.detail, (each.meta or {}).get("member")): each for each in found}.values()
    )


def _of_violation(
    error: DomainError,
    violation: FieldViolation,
    language: str,
    pointers: Mapping[str, str],
    document: JsonValue,
) -> ErrorObject:
    source = locate(violation.field, pointers)
    meta: dict[str, JsonValue] = {"rule": violation.rule} if violation.rule else {}
    if source is None:
        meta["field"] = violation.field
    elif source.kind == "pointer":
        there = existing(source.value, document)
        if there != source.value:
            # JSON:API wants a pointer to what is in the request; the member that is missing from it is named beside.
            meta["member"] = source.value
        source = Source("pointer", there)
    details = {**error.details, "description": describe(violation.description, language)}
    return _error_object(error.reason, language, details, source, meta)


def _error_object(
    code: str,
    language: str,
    details: Mapping[str, str],
    source: Source | None,
    meta: Mapping[str, JsonValue] | None = None,
) -> ErrorObject:
    title, detail = texts(code, language, details)
    shown = {name: value for name, value in details.items() if name not in _UNSHOWN_DETAILS}
    return ErrorObject(code, spec(code).http, title, detail, source, {**shown, **(meta or {})})


def common_status(errors: Sequence[ErrorObject]) -> int:
    """The status of an answer with several errors: theirs when they agree, else the most general that is true."""
    statuses = {error.status for error in errors}
    if len(statuses) == 1:
        return statuses.pop()
    return HTTPStatus.INTERNAL_SERVER_ERROR if any(status >= 500 for status in statuses) else HTTPStatus.BAD_REQUEST


def error_response(
    errors: Sequence[ErrorObject],
    context: RequestContext,
    *,
    retry_after_seconds: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The answer that carries the errors, in the media type that was negotiated."""
    status = common_status(errors)
    sent = {hdrs.VARY: "Accept, Accept-Language", hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    sent[hdrs.CONTENT_LANGUAGE] = context.language
    if status in _RETRY_STATUSES or retry_after_seconds is not None:
        seconds = RETRY_AFTER_SECONDS if retry_after_seconds is None else math.ceil(retry_after_seconds)
        sent[hdrs.RETRY_AFTER] = str(max(seconds, 1))
    if status == HTTPStatus.UNAUTHORIZED:
        sent[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="samovar"'
    return web.Response(
        status=status,
        body=error_document(errors, context.trace_id),
        content_type=context.media_type,
        headers=sent,
    )


def let_go_of_frames(raised: BaseException) -> None:
    """Removes the traceback from an exception. Its frames hold what the client sent, and aiohttp keeps some exceptions in
    what the frames hold: such a ring stays, with up to a buffer of the connection, until the collector comes.
    """
    passed: BaseException | None = raised
    while passed is not None:
        passed.__traceback__ = None
        passed = passed.__cause__


def refusal_response(raised: Refused | UpstreamError | DomainError, context: RequestContext) -> web.Response:
    """Return the answer to a refused request, whether the gateway or a service refused it."""
    language = context.language
    if isinstance(raised, Refused):
        problems = [of_problem(problem, language) for problem in raised.problems]
        return error_response(problems, context, headers=raised.headers)
    if isinstance(raised, UpstreamError):
        errors = of_error(raised.error, language, pointers=raised.pointers, document=raised.document)
        return error_response(errors, context, retry_after_seconds=raised.error.retry_after_seconds)
    return error_response(of_error(raised, language), context, retry_after_seconds=raised.retry_after_seconds)


def error_document(errors: Sequence[ErrorObject], trace_id: str) -> bytes:
    return orjson.dumps({"errors": [error.as_json() for error in errors], "meta": {"trace_id": trace_id}})
