"""The registry of error reasons, read from the options of samovar.errors.v1.ErrorReason: codes and texts of each.

Called by chassis.error_wire and by the gateway's one place that writes errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from samovar.errors.v1 import errors_pb2
from samovar.options.v1 import options_pb2

PREFIX = "ERROR_REASON_"
FALLBACK = "INTERNAL_ERROR"
ABSENT = "—"
"""What a text shows for a member that the error does not carry."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """What a reason means on each wire; `title` and `detail` by language (`ru`, `en`)."""

    http: int
    code: grpc.StatusCode
    title: Mapping[str, str]
    detail: Mapping[str, str]


def _read() -> dict[str, ReasonSpec]:
    # The generated stubs say less of an extension than its type.
    extension: Any = options_pb2.error
    specs = {}
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values:
        options = value.GetOptions()
        if not options.HasExtension(extension):
            continue
        error = options.Extensions[extension]
        specs[value.name.removeprefix(PREFIX)] = ReasonSpec(
            http=error.http,
            code=_CODES[error.code],
            title={"ru": error.title.ru, "en": error.title.en},
            detail={"ru": error.detail.ru, "en": error.detail.en},
        )
    return specs


REASONS: Mapping[str, ReasonSpec] = _read()


def spec(reason: str) -> ReasonSpec:
    """Codes and texts of a reason; one that this program does not know yet reads as an internal error."""
    return REASONS.get(reason) or REASONS[FALLBACK]


def texts(reason: str, language: str, details: Mapping[str, str]) -> tuple[str, str]:
    """Title and detail in `language` (anything but `en` is Russian), with `{name}` replaced by members of `details`.

    Members are put in as they are: a value that looks like a placeholder stays text.
    """
    found = spec(reason)
    chosen = "en" if language == "en" else "ru"
    return _fill(found.title[chosen], details), _fill(found.detail[chosen], details)


def _fill(template: str, details: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: details.get(match[1]) or ABSENT, template)
