"""Path templates of google.api.http: what is served, what they bind, and that names come back as they went in."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.path_templates import BadTemplate, parse_template
from codegen.read.endpoints import path_parameters, path_shape
from gateway.contract import Problem
from gateway.transcoding import agreeing, path_name, path_string, segments


@pytest.mark.parametrize(
    ("template", "path", "variables"),
    [
        ("/v1/shelves", "/v1/shelves", {}),
        ("/v1/things/{thing_id}", "/v1/things/{thing_id}", {"thing_id": "{thing_id}"}),
        ("/v1/{name=shelves/*}", "/v1/shelves/{shelf}", {"name": "shelves/{shelf}"}),
        ("/v1/{name=shelves/*}:merge", "/v1/shelves/{shelf}:merge", {"name": "shelves/{shelf}"}),
        ("/v1/books:batchGet", "/v1/books:batchGet", {}),
        ("/v1/{thing_id}:undo", "/v1/{thing_id}:undo", {"thing_id": "{thing_id}"}),
        (
            "/v1/{book.name=shelves/*/books/*}",
            "/v1/shelves/{shelf}/books/{book}",
            {"book.name": "shelves/{shelf}/books/{book}"},
        ),
        (
            "/v1/{parent=projects/*/locations/*}/keyRings",
            "/v1/projects/{project}/locations/{location}/keyRings",
            {"parent": "projects/{project}/locations/{location}"},
        ),
        (
            "/v1/{a=things/*}/{b=things/*}",
            "/v1/things/{thing}/things/{thing_2}",
            {"a": "things/{thing}", "b": "things/{thing_2}"},
        ),
        ("/v1/{name=*}/x", "/v1/{name}/x", {"name": "{name}"}),
        ("/v1/{name=*/*}", "/v1/{name}/{name_2}", {"name": "{name}/{name_2}"}),
        ("/v1/{book.id}", "/v1/{book_id}", {"book.id": "{book_id}"}),
        ("/v1/{name=operations/done}", "/v1/operations/done", {"name": "operations/done"}),
        (
            "/v1/{name=policies/*/keyBoxes/*}",
            "/v1/policies/{policy}/keyBoxes/{key_box}",
            {"name": "policies/{policy}/keyBoxes/{key_box}"},
        ),
    ],
)
def test_what_is_served_and_bound(template: str, path: str, variables: dict[str, str]) -> None:
    parsed = parse_template(template)
    assert parsed.path == path
    assert {".".join(one.field_path): "/".join(one.segments) for one in parsed.variables} == variables
    if "book." not in template:
        # A resource's self link, in the same words, has the form of the address that serves it.
        assert path_shape(template) == path_shape(path)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", "slash"),
        ("v1/x", "slash"),
        ("/v1/{name", "slash"),
        ("/v1/{name}}", "slash"),
        ("/v1//x", "plain characters"),
        ("/v1/x/", "plain characters"),
        ("/v1/{name=**}", "number of segments"),
        ("/v1/**", "number of segments"),
        ("/v1/*", "plain characters"),
        ("/v1/a{b}", "plain characters"),
        ("/v1/{a}-{b}", "plain characters"),
        ("/v1/x y", "plain characters"),
        ("/v1/ж", "plain characters"),
        ("/v1/{name=a/}", "plain characters"),
        ("/v1/x:", "custom verb"),
        ("/v1/x:a-b", "custom verb"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_reason(template: str, why: str) -> None:
    with pytest.raises(BadTemplate, match=why):
        parse_template(template)


@given(st.text("{}/=*:.-_abZ1 ж", max_size=40) | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_template(text)
    except BadTemplate:
        return
    # What is served can be routed: its parameters have different names, and all of them are bound.
    names = path_parameters(parsed.path)
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)
    bound = [name for one in parsed.variables for name in path_parameters("/".join(one.segments))]
    assert sorted(bound) == sorted(names)


ids = (
    st.sampled_from(["a/b", "a%2Fb", "%zz%2F", "...", "%"])
    | st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
).filter(lambda one: one not in {".", ".."})


@given(ids, ids)
def test_a_name_comes_back_from_its_link(shelf: str, book: str) -> None:
    """From the segments of an address to the name that a service gets, and from that name to the segments of a link."""
    problems: list[Problem] = []
    template = "shelves/{shelf}/books/{book}"
    name = path_name({"shelf": shelf, "book": book}, template, problems)
    assert problems == []
    assert name.count("/") == 3
    link = segments(name)
    assert link.isascii()
    assert link.count("/") == 3
    _, given_shelf, _, given_book = link.split("/")
    back = {"shelf": unquote(given_shelf), "book": unquote(given_book)}
    assert path_name(back, template, problems) == name


@pytest.mark.parametrize("dots", [".", ".."])
def test_what_no_url_can_name_is_refused_by_its_parameter(dots: str) -> None:
    """A proxy or a client that normalizes the address would ask for another resource, and a name with it may be read as a path."""
    problems: list[Problem] = []
    assert ".." not in path_name({"shelf": dots, "book": "1"}, "shelves/{shelf}/books/{book}", problems)
    path_string({"id": dots}, "id", problems)
    assert [problem.parameter for problem in problems] == ["shelf", "id"]


def test_a_document_may_name_what_its_address_names_and_nothing_else() -> None:
    problems: list[Problem] = []
    assert agreeing("", "shelves/1", "/data/attributes", "name", problems) == "shelves/1"
    assert agreeing("shelves/1", "shelves/1", "/data/attributes", "name", problems) == "shelves/1"
    assert problems == []
    agreeing("shelves/2", "shelves/1", "/data/attributes", "name", problems)
    assert [problem.pointer for problem in problems] == ["/data/attributes/name"]
