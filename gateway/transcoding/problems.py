"""Noting what is wrong with a request, without stopping at the first thing."""

from gateway.contract import Problem

MAX_PROBLEMS = 100
"""Problems of one request that are told; a hostile body must not make a longer answer."""


def pointer(at: str, name: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member or element below `at`."""
    return f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}"


def report(problems: list[Problem], at: str, name: str | int, rule: str, description: str) -> None:
    """Notes a bad value in the request document."""
    report_at(problems, pointer(at, name), rule, description)


def report_at(problems: list[Problem], place: str, rule: str, description: str) -> None:
    """Notes a bad value whose whole pointer is known."""
    if len(problems) < MAX_PROBLEMS:
        problems.append(Problem("VALIDATION_ERROR", pointer=place, details={"description": description, "rule": rule}))


def report_parameter(problems: list[Problem], name: str, rule: str, description: str) -> None:
    """Notes a bad query parameter."""
    if len(problems) < MAX_PROBLEMS:
        problems.append(
            Problem("INVALID_QUERY_PARAMETER", parameter=name, details={"description": description, "rule": rule})
        )


def report_path_parameter(problems: list[Problem], name: str, rule: str, description: str) -> None:
    """Notes a bad path parameter."""
    if len(problems) < MAX_PROBLEMS:
        problems.append(Problem("VALIDATION_ERROR", parameter=name, details={"description": description, "rule": rule}))
