"""The parts of an answer that a client selects: related resources beside it (`include`), fewer members (`fields[TYPE]`). JSON:API
1.1, sections 7.1.1 (compound documents), 8.3 and 8.4. Called by gateway.jsonapi.rest, and only for requests with one of the two.

Related resources come with the service's own answer, or from a method that gives them by their ids: one call for a whole page.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from chassis.errors import DomainError
from gateway.contract import Fetch, JsonValue, Problem, Query, Route
from gateway.transcoding import report_parameter

INCLUDE = "include"
FIELDS = "fields["

Call = Callable[[str, Message], Awaitable[Message]]
"""Calls a method of a service. Raises: DomainError."""

_T = TypeVar("_T")
_Key = tuple[str, str]
"""Type and id, which name one resource."""


@dataclass(frozen=True, slots=True)
class View:
    """Paths to include, each after what it begins with (None: the client does not ask), and the fields to keep by type."""

    include: Sequence[str] | None
    fieldsets: Mapping[str, frozenset[str]]

    def of_service(self, route: Route) -> Sequence[str]:
        """The paths that the service itself is to answer."""
        return [path for path in self.include or () if route.includes[path].fetch is None]


def read_view(query: Query, route: Route, problems: list[Problem]) -> tuple[View | None, Query]:
    """Return the view that a query requests, and the rest of the query; the view is None for the whole answer."""
    asked = [pair for pair in query if _is_asked(pair[0], route)]
    if not asked:
        return None, query
    names = [name for name, _ in asked]
    for name in {name for name in names if names.count(name) > 1}:
        report_parameter(problems, name, "parameter.twice", "must not be given twice")
    include: Sequence[str] | None = None
    fieldsets: dict[str, frozenset[str]] = {}
    for name, value in asked:
        if name == INCLUDE:
            include = _read_include(value, route, problems)
        else:
            fieldsets[name[len(FIELDS) : -1]] = _read_fields(name, value, route, problems)
    return View(include, fieldsets), [pair for pair in query if not _is_asked(pair[0], route)]


def _is_asked(name: str, route: Route) -> bool:
    if name == INCLUDE:
        return bool(route.includes)
    return name.startswith(FIELDS) and bool(route.fieldsets)


def _read_include(value: str, route: Route, problems: list[Problem]) -> Sequence[str]:
    wanted: set[str] = set()
    for path in value.split(",") if value else ():
        if path not in route.includes:
            report_parameter(problems, INCLUDE, "include.path", f"must be one of {', '.join(route.includes)}")
            return ()
        # What lies on the way is included too, or the document would not be linked through.
        names = path.split(".")
        wanted.update(".".join(names[: count + 1]) for count in range(len(names)))
    return [path for path in route.includes if path in wanted]


def _read_fields(name: str, value: str, route: Route, problems: list[Problem]) -> frozenset[str]:
    known = route.fieldsets.get(name[len(FIELDS) : -1]) if name.endswith("]") else None
    if known is None:
        report_parameter(problems, name, "parameter.unknown", "is not known here")
        return frozenset()
    given = frozenset(value.split(",")) if value else frozenset[str]()
    for unknown in sorted(given - known):
        report_parameter(problems, name, "fields.unknown", f"there is no field {unknown}")
    return given


async def included(
    data: JsonValue, response: Message, paths: Iterable[str], route: Route, call: Call
) -> list[JsonValue]:
    """The resource objects to include: each once, none that is primary data, all linked from what is there. A related resource
    that is not available is left out.

    Raises:
        DomainError: a service that gives them failed.
    """
    primary = [one for one in (data if isinstance(data, list) else [data]) if one is not None]
    known = {_key(one): one for one in primary}
    of_path: dict[str, list[JsonValue]] = {"": primary}
    found: dict[_Key, JsonValue] = {}
    for level in _levels(paths):
        wanted = {path: _linked(of_path, path) for path in level}
        answers = await _together([_resources(route, path, wanted[path], known, response, call) for path in level])
        known |= {_key(one): one for resources in answers for one in resources if _key(one) not in known}
        for path in level:
            of_path[path] = [known[key] for key in wanted[path] if key in known]
            found |= {_key(one): one for one in of_path[path]}
    for one in primary:
        found.pop(_key(one), None)
    return list(found.values())


def _levels(paths: Iterable[str]) -> list[list[str]]:
    """The paths by their length: those of one level do not wait for each other."""
    levels: dict[int, list[str]] = {}
    for path in paths:
        levels.setdefault(path.count("."), []).append(path)
    return [levels[depth] for depth in sorted(levels)]


def _key(resource: JsonValue) -> _Key:
    return resource["type"], resource["id"]


def _linked(of_path: Mapping[str, list[JsonValue]], path: str) -> dict[_Key, None]:
    """Return the targets of a path's last relationship, in order, from all resources that the path before it leads to."""
    start, _, name = path.rpartition(".")
    keys: dict[_Key, None] = {}
    for resource in of_path[start]:
        linkage = resource.get("relationships", {}).get(name, {}).get("data")
        for one in linkage if isinstance(linkage, list) else [linkage]:
            if one is not None:
                keys[_key(one)] = None
    return keys


async def _resources(
    route: Route,
    path: str,
    wanted: Iterable[_Key],
    known: Mapping[_Key, JsonValue],
    response: Message,
    call: Call,
) -> Sequence[JsonValue]:
    include = route.includes[path]
    if include.fetch is None:
        return include.read(response)
    ids = [key[1] for key in wanted if key not in known]
    answers = await _together(
        [call(include.fetch.rpc, include.fetch.ask(batch)) for batch in _batches(ids, include.fetch)]
    )
    return [one for answer in answers for one in include.read(answer)]


def _batches(ids: Sequence[str], fetch: Fetch) -> list[Sequence[str]]:
    size = fetch.batch_size or max(len(ids), 1)
    return [ids[start : start + size] for start in range(0, len(ids), size)]


async def _together(calls: Sequence[Awaitable[_T]]) -> list[_T]:
    """All results in order; with several failures, the first."""
    if len(calls) < 2:
        return [await one for one in calls]

    async def result(one: Awaitable[_T]) -> _T:
        return await one

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(result(one)) for one in calls]
    except ExceptionGroup as group:
        # Not `except*`: before Python 3.11.4 what is raised in one comes out in a group.
        failures, others = group.split(DomainError)
        raise group if failures is None or others else _first(failures) from None
    return [task.result() for task in tasks]


def _first(failures: BaseExceptionGroup[DomainError]) -> DomainError:
    one = failures.exceptions[0]
    return _first(one) if isinstance(one, BaseExceptionGroup) else one


def keep_fields(resources: Iterable[JsonValue], fieldsets: Mapping[str, frozenset[str]]) -> None:
    """Takes from resource objects what their fieldsets do not name; a type without a fieldset stays whole."""
    for resource in resources:
        kept = fieldsets.get(resource["type"])
        if kept is None:
            continue
        for part in ("attributes", "relationships"):
            members = {name: value for name, value in resource.pop(part, {}).items() if name in kept}
            if members:
                resource[part] = members
