"""Path templates of google.api.http (https://github.com/googleapis/googleapis/blob/master/google/api/http.proto, "Path template
syntax"): what they bind, and the path that is served, in which every variable segment is a parameter of its own.

`/v1/{name=shelves/*/books/*}:archive` is served as `/v1/shelves/{shelf}/books/{book}:archive`, and `name` put together again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LITERAL = re.compile(r"[A-Za-z0-9_.~-]+")
_VERB = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\{([A-Za-z0-9_.]+)(?:=([^{}]*))?\}")
_SEGMENTS = re.compile(r"/((?:\{[^{}]*\}|[^/{}])*)")


class BadTemplate(ValueError):
    """A path that cannot be served; the text says why."""


@dataclass(frozen=True, slots=True)
class Variable:
    """The binding of a template: a field of the request by its path, to segments of which some are parameters (`{shelf}`)."""

    field_path: tuple[str, ...]
    segments: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """One segment that is named like the field of the request that it sets."""
        return self.segments == (f"{{{'.'.join(self.field_path)}}}",)


@dataclass(frozen=True, slots=True)
class Template:
    """`path` is what is served."""

    path: str
    variables: tuple[Variable, ...]


def parse_template(text: str) -> Template:
    """Reads a template. Raises: BadTemplate."""
    segments = _SEGMENTS.findall(text)
    if not segments or "".join(f"/{one}" for one in segments) != text:
        raise BadTemplate("it is not segments with a slash before each")
    if text.count("**"):
        raise BadTemplate("`**` is any number of segments, and an address here has a number; write one `*` for each")
    segments[-1], verb = _without_verb(segments[-1])
    taken: set[str] = set()
    shown: list[str] = []
    variables: list[Variable] = []
    for segment in segments:
        found = _VARIABLE.fullmatch(segment)
        if found is None:
            if not _LITERAL.fullmatch(segment):
                raise BadTemplate(
                    f"the segment {segment!r} is neither plain characters (A-Z a-z 0-9 - . _ ~) nor a field in braces"
                )
            shown.append(segment)
            continue
        field_path = tuple(found[1].split("."))
        bound = tuple(_bound(field_path, found[2] or "*", taken))
        shown += bound
        variables.append(Variable(field_path, bound))
    return Template("".join(f"/{one}" for one in shown) + verb, tuple(variables))


def _without_verb(segment: str) -> tuple[str, str]:
    """The last segment, and the custom verb (AIP-136) behind it with its colon."""
    body, colon, verb = segment.rpartition(":")
    if not colon or "}" in verb:
        return segment, ""
    if not _VERB.fullmatch(verb):
        raise BadTemplate(f"{verb!r} is no name of a custom verb")
    return body, f":{verb}"


def _bound(field_path: tuple[str, ...], pattern: str, taken: set[str]) -> Iterator[str]:
    before = ""
    for segment in pattern.split("/"):
        if segment == "*":
            name = _free(_singular(before) if before else "_".join(field_path), taken)
            yield f"{{{name}}}"
        elif _LITERAL.fullmatch(segment):
            yield segment
        else:
            raise BadTemplate(f"the segment {segment!r} of {'.'.join(field_path)} is neither plain characters nor `*`")
        before = segment if segment != "*" else ""


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name


def _singular(collection: str) -> str:
    """`shelf` of `shelves`, `book` of `books`: a name for readers of the document."""
    name = re.sub(r"\W", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", collection).lower())
    for end, instead in (
        ("ies", "y"),
        ("lves", "lf"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("xes", "x"),
        ("sses", "ss"),
        ("s", ""),
    ):
        if name.endswith(end) and len(name) > len(end):
            name = name.removesuffix(end) + instead
            break
    return name if name.isidentifier() else f"part_{name}"
