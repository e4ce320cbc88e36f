"""Violations of buf.validate in a request that the transcoder could not read completely: reported together with the transcoder's
own problems, so that one answer shows all. The service checks any request that can be read. Called by gateway.jsonapi.rest.
"""

from collections.abc import Iterator, Mapping, Sequence

from google.protobuf.message import Message

from chassis.errors import FieldViolation
from chassis.grpc_server.validation import violations_of
from gateway.contract import JsonValue, Problem
from gateway.problems.pointers import Source, existing, locate
from gateway.transcoding import is_full


def with_broken_rules(
    problems: Sequence[Problem], message: Message, pointers: Mapping[str, str], document: JsonValue
) -> Sequence[Problem]:
    """The problems, and a problem for every rule that the message breaks elsewhere: where the transcoder already complained,
    the message holds only a placeholder.
    """
    if is_full(problems):
        return problems
    places = {_place(problem) for problem in problems}
    found = [*problems]
    for violation in violations_of(message):
        source = locate(violation.field, pointers)
        if source is not None and any(_overlap(source, place) for place in places):
            continue
        problem = _problem(violation, source, document)
        # A message and the mask created for it break the same rule at the same place.
        if problem not in found:
            found.append(problem)
        if is_full(found):
            break
    return found


def _place(problem: Problem) -> Source | None:
    if problem.pointer is not None:
        return Source("pointer", problem.pointer)
    if problem.parameter is not None:
        return Source("parameter", problem.parameter)
    return Source("header", problem.header) if problem.header is not None else None


def _overlap(source: Source, place: Source | None) -> bool:
    """Return True when both are the same, or one is inside the other."""
    if place is None or source.kind != place.kind:
        return False
    if source.kind != "pointer":
        return source.value == place.value
    return f"{source.value}/".startswith(f"{place.value}/") or f"{place.value}/".startswith(f"{source.value}/")


def _problem(violation: FieldViolation, source: Source | None, document: JsonValue) -> Problem:
    details = dict(_details(violation, source, document))
    match source:
        case None:
            return Problem("VALIDATION_ERROR", details=details)
        case Source("pointer", value):
            return Problem("VALIDATION_ERROR", pointer=existing(value, document), details=details)
        case Source("parameter", value):
            return Problem("VALIDATION_ERROR", parameter=value, details=details)
        case Source(_, value):
            return Problem("VALIDATION_ERROR", header=value, details=details)


def _details(violation: FieldViolation, source: Source | None, document: JsonValue) -> Iterator[tuple[str, str]]:
    """As gateway.problems.errors shows a service's violation."""
    yield "description", violation.description
    if violation.rule:
        yield "rule", violation.rule
    if source is None:
        yield "field", violation.field
    elif source.kind == "pointer" and existing(source.value, document) != source.value:
        yield "member", source.value
