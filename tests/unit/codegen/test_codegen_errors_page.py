"""docs/errors.md: the registry, whole and as it is."""

import grpc

from chassis.errors.reasons import REASONS, ReasonSpec
from codegen.emit.errors import errors_page
from codegen.generate import DOCS

TEXT = {"ru": "а | б", "en": "a | b"}


def test_the_committed_page_is_what_the_registry_says() -> None:
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == errors_page(REASONS)


def test_every_code_has_its_row_and_its_texts() -> None:
    page = errors_page(REASONS)
    for code, reason in REASONS.items():
        assert f"| [`{code}`](#{code.lower()}) | {reason.http} | {reason.code.name} |" in page
        assert reason.detail["ru"].replace("|", "\\|") in page


def test_codes_are_ordered_by_status_and_texts_cannot_break_the_table() -> None:
    late, early = (ReasonSpec(http, grpc.StatusCode.INTERNAL, TEXT, TEXT) for http in (500, 400))
    page = errors_page({"A_LATE": late, "Z_EARLY": early})
    assert page.index("## Z_EARLY") < page.index("## A_LATE")
    assert "| ru | а \\| б | а \\| б |" in page
