"""The registry of error reasons: codes and texts of each, read from the `error` option of enum values. Those of
samovar.errors.v1.ErrorReason are every program's; a service adds its own by an enum in its proto file or in one that this imports.

Called by chassis.errors.wire and by the gateway's one place that writes errors.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import EnumValueOptions
from samovar.errors.v1 import errors_pb2
from samovar.options.v1 import options_pb2

FALLBACK = "INTERNAL_ERROR"
ABSENT = "—"
"""The text shown for a member that the error does not carry."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """The meaning of a reason on each wire; `title` and `detail` by language (`ru`, `en`)."""

    http: int
    code: grpc.StatusCode
    title: Mapping[str, str]
    detail: Mapping[str, str]


def reason_name(enum: str, value: str) -> str:
    """The reason that an enum's value stands for: `REVIEW_NOT_FOUND` of `ERROR_REASON_REVIEW_NOT_FOUND` in `ErrorReason`."""
    return value.removeprefix(f"{_HUMP.sub('_', enum).upper()}_")


def read_spec(options: EnumValueOptions) -> ReasonSpec | None:
    """Return the error option of an enum value; None when the value is not an error reason."""
    # The generated stubs say less of an extension than its type.
    extension: Any = options_pb2.error
    if not options.HasExtension(extension):
        return None
    error = options.Extensions[extension]
    return ReasonSpec(
        http=error.http,
        code=_CODES.get(error.code, grpc.StatusCode.UNKNOWN),
        title={"ru": error.title.ru, "en": error.title.en},
        detail={"ru": error.detail.ru, "en": error.detail.en},
    )


def _of_enum(enum: EnumDescriptor) -> Iterator[tuple[str, ReasonSpec]]:
    for value in enum.values:
        found = read_spec(value.GetOptions())
        if found is not None:
            yield reason_name(enum.name, value.name), found


_known: dict[str, ReasonSpec] = dict(_of_enum(errors_pb2.ErrorReason.DESCRIPTOR))
REASONS: Mapping[str, ReasonSpec] = _known


def learn_reasons(services: Iterable[str]) -> None:
    """Adds the reasons of the proto files that declare these services (full names), and of the files that those import. Called
    where a program opens its server, and where the gateway opens its backends. A reason that is known stays what it is.
    """
    pool = descriptor_pool.Default()
    files: dict[str, FileDescriptor] = {}
    for service in services:
        try:
            _add_files(pool.FindServiceByName(service).file, files)
        except KeyError:
            # Nothing generated of it is loaded, so nothing of it can be said.
            continue
    for file in files.values():
        for enum in file.enum_types_by_name.values():
            for name, found in _of_enum(enum):
                _known.setdefault(name, found)


def _add_files(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    if file.name not in files:
        files[file.name] = file
        for imported in file.dependencies:
            _add_files(imported, files)


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
