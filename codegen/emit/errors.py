"""Writes docs/errors.md: every error code of the contract with its statuses and texts."""

from collections.abc import Iterator, Mapping

from chassis.errors.reasons import ReasonSpec

_HEAD = """# Error codes

Generated from the enums of error reasons in the protos (`proto/samovar/errors/v1/errors.proto`) by `./taskw gen`; do not edit.

Every error of the platform carries one of these codes: over REST as `code` of a JSON:API error object, over gRPC as `reason` of
`google.rpc.ErrorInfo`, on a WebSocket in `stream.error`. Programs go by the code; texts are for people, Russian unless
`Accept-Language` prefers English. `{name}` in a text stands for the member of that name in the error's `meta`, `{description}`
for what exactly is wrong. Which codes an operation can answer with is in the OpenAPI document at `/api/v1/openapi.json`.
"""


def errors_page(reasons: Mapping[str, ReasonSpec]) -> str:
    """The page, codes ordered by HTTP status and name."""
    ordered = sorted(reasons.items(), key=lambda one: (one[1].http, one[0]))
    lines = [_HEAD, "| code | HTTP | gRPC |", "| --- | --- | --- |"]
    lines += [f"| [`{code}`](#{code.lower()}) | {reason.http} | {reason.code.name} |" for code, reason in ordered]
    for code, reason in ordered:
        lines += ["", *_section(code, reason)]
    return "\n".join(lines) + "\n"


def _section(code: str, reason: ReasonSpec) -> Iterator[str]:
    yield f"## {code}"
    yield ""
    yield "| | title | detail |"
    yield "| --- | --- | --- |"
    for language in ("ru", "en"):
        yield f"| {language} | {_cell(reason.title[language])} | {_cell(reason.detail[language])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
