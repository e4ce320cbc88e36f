"""Content negotiation: media types by JSON:API 1.1 (section 5) and RFC 9110, languages by RFC 9110. Pure functions."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

JSON_API = "application/vnd.api+json"
JSON = "application/json"

EVENT_STREAM = "text/event-stream"
JSON_LINES = "application/x-ndjson"

LANGUAGES = ("ru", "en")
DEFAULT_LANGUAGE = "ru"

HEADERS_REMEMBERED = 256
"""Clients come with a handful of different headers; what they ask for is worked out once each."""

_QUOTED_OR = {separator: re.compile(rf'"(?:[^"\\]|\\.?)*+"?|{separator}', re.DOTALL) for separator in ",;"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Instance:
    """One member of an Accept header."""

    name: str
    parameters: Mapping[str, str]
    quality: float


def split(text: str, separator: Literal[",", ";"]) -> list[str]:
    """The parts between separators that stand outside of quoted strings (RFC 9110, section 5.6.4), in one pass. A string that is
    not closed lasts to the end.
    """
    if '"' not in text:
        return text.split(separator)
    parts, start = [], 0
    for found in _QUOTED_OR[separator].finditer(text):
        if found[0] == separator:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _instances(headers: Iterable[str]) -> Iterator[_Instance]:
    for member in (part for header in headers for part in split(header, ",")):
        name, *rest = (piece.strip() for piece in split(member, ";"))
        if not name:
            continue
        parameters = _parameters(rest)
        quality = _quality(parameters.pop("q", "1"))
        yield _Instance(name.lower(), parameters, quality)


def _parameters(pieces: Iterable[str]) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in pieces if piece)
    return {name.strip().lower(): _unquoted(value.strip()) for name, _, value in pairs}


def _unquoted(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if len(value) > 1 and value[0] == value[-1] == '"' else value


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    # A NaN compares false with everything.
    return value if 0.0 <= value <= 1.0 else 0.0


def qualities_of(headers: Iterable[str]) -> Mapping[str, float]:
    """The members of an Accept-… header by their names in lower case; of two of one name the higher quality counts."""
    found: dict[str, float] = {}
    for instance in _instances(headers):
        found[instance.name] = max(found.get(instance.name, 0.0), instance.quality)
    return found


@lru_cache(HEADERS_REMEMBERED)
def choose_media_type(accept: tuple[str, ...], content_type: str | None) -> str | None:
    """Return the media type of the answer: JSON:API, or plain JSON when that is preferred or, all else equal, was sent.

    An instance of the JSON:API type with parameters other than `profile` does not count (we know no `ext`). None = nothing that
    is accepted can be given.
    """
    instances = list(_instances(accept))
    sent = JSON if content_type is not None and _media_type(content_type)[0] == JSON else JSON_API
    if not instances:
        return sent
    qualities = {candidate: _quality_of(candidate, instances) for candidate in (JSON_API, JSON)}
    best = max(qualities.values())
    if best <= 0.0:
        return None
    return sent if qualities[sent] == best else next(name for name, quality in qualities.items() if quality == best)


def choose_stream_type(accept: Iterable[str]) -> str | None:
    """Return the media type of a stream over plain HTTP: Server-Sent Events or lines of JSON, where one of them is named (a client
    that accepts anything does not expect an answer that never ends). None = neither.
    """
    qualities = qualities_of(accept)
    best = max((EVENT_STREAM, JSON_LINES), key=lambda name: qualities.get(name, 0.0))
    return best if qualities.get(best, 0.0) > 0.0 else None


def takes_anything(accept: Iterable[str]) -> bool:
    """True for an Accept that names no type that a stream could not be written as: none at all, or `*/*`."""
    qualities = qualities_of(accept)
    return not qualities or qualities.get("*/*", 0.0) > 0.0


def _quality_of(candidate: str, instances: Iterable[_Instance]) -> float:
    """The quality given by the most specific range that covers the candidate."""
    found: dict[int, float] = {}
    for instance in instances:
        if instance.name == candidate:
            if candidate == JSON_API and instance.parameters.keys() - {"profile"}:
                continue
            found[2] = max(found.get(2, 0.0), instance.quality)
        elif instance.name in {"application/*", "*/*"}:
            rank = int(instance.name == "application/*")
            found[rank] = max(found.get(rank, 0.0), instance.quality)
    return found[max(found)] if found else 0.0


@lru_cache(HEADERS_REMEMBERED)
def is_supported_content_type(content_type: str | None) -> bool:
    """True for a body that we read: JSON:API without foreign parameters, or JSON in UTF-8."""
    if content_type is None:
        return False
    name, parameters = _media_type(content_type)
    if name == JSON_API:
        return not parameters.keys() - {"profile"}
    return name == JSON and parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}


def _media_type(content_type: str) -> tuple[str, Mapping[str, str]]:
    name, *rest = (piece.strip() for piece in split(content_type, ";"))
    return name.lower(), _parameters(rest)


@lru_cache(HEADERS_REMEMBERED)
def choose_language(accept_language: tuple[str, ...]) -> str:
    """`en` when the client prefers it to Russian, otherwise `ru`. Between equals the one named first wins."""
    qualities: dict[str, float] = {}
    for instance in _instances(accept_language):
        language = instance.name.partition("-")[0]
        if language == "*":
            language = DEFAULT_LANGUAGE
        if language in LANGUAGES and instance.quality > qualities.get(language, 0.0):
            qualities[language] = instance.quality
    if not qualities:
        return DEFAULT_LANGUAGE
    return max(qualities, key=lambda language: qualities[language])
