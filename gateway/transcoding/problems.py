"""Noting what is wrong with a request, without stopping at the first thing."""

from collections.abc import Sequence

from gateway.contract import Problem

MAX_PROBLEMS = 100
"""The most problems reported for one request; a hostile body must not cause a longer answer."""


def pointer(at: str, name: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member or element below `at`."""
    return f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}"


def is_full(problems: Sequence[Problem]) -> bool:
    """Return True when no more problems are noted: then nothing more need be checked."""
    return len(problems) >= MAX_PROBLEMS


def note(problems: list[Problem], problem: Problem) -> None:
    """Notes a problem as long as there is room for it."""
    if len(problems) < MAX_PROBLEMS:
        problems.append(problem)


def report(problems: list[Problem], at: str, name: str | int, rule: str, description: str) -> None:
    """Notes a bad value in the request document."""
    if len(problems) < MAX_PROBLEMS:
        report_at(problems, pointer(at, name), rule, description)


def report_at(problems: list[Problem], place: str, rule: str, description: str) -> None:
    """Notes a bad value whose whole pointer is known."""
    note(problems, Problem("VALIDATION_ERROR", pointer=place, details={"description": description, "rule": rule}))


def holds_too_many(count: int, most: int, place: str, problems: list[Problem]) -> bool:
    """True for a list of more items than the contract lets it have (0: any number), which is noted: none of them is read."""
    if not 0 < most < count:
        return False
    report_at(problems, place, "repeated.max_items", f"must contain no more than {most} item(s)")
    return True


def report_parameter(problems: list[Problem], name: str, rule: str, description: str) -> None:
    """Notes a bad query parameter."""
    details = {"description": description, "rule": rule}
    note(problems, Problem("INVALID_QUERY_PARAMETER", parameter=name, details=details))


def report_path_parameter(problems: list[Problem], name: str, rule: str, description: str) -> None:
    """Notes a bad path parameter."""
    note(problems, Problem("VALIDATION_ERROR", parameter=name, details={"description": description, "rule": rule}))
