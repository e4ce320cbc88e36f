"""Hooks of schemathesis, loaded by its own process (tests/e2e/test_schemathesis.py). Each says why it is needed."""

import atexit
import json
import os
import re
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import schemathesis

from tests.unit.codegen.documents import OPENAPI

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ROOM_BYTES = 2**40
_ENTITY_TAGS = re.compile(r'\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*')
_PAGES = {"page": "page[number]", "limit": "page[size]"}
_FIELDSETS = {
    one["name"]: frozenset(one["schema"]["items"]["enum"])
    for one in json.loads(OPENAPI.read_text())["components"]["parameters"].values()
}
_seen: defaultdict[str, list[str]] = defaultdict(list)
"""Ids of resources that the platform has, by the path that they are under; those met last at the end."""
_tags: dict[str, str] = {}
"""The last entity tag of what has one, by its path."""
_answered: defaultdict[str, set[int]] = defaultdict(set)
"""Statuses by operation."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Changes what OpenAPI has no words for, in requests that are meant to be good. One that is meant to be bad stays as it is: its
    other faults refuse it as well, and schemathesis takes a changed request for a good one.
    """
    _say_it_once(case)
    _ask_for_whole_resources(case)
    _leave_out_what_says_nothing(case)
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    _keep_to_one_spelling(case)
    _name_what_exists(case)
    _name_an_owned_product(case)
    _name_a_version_that_was_seen(case)
    _give_enough_time(case)
    _use_a_key_once(case)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Remembers what there is, and what was answered to whom."""
    _answered[case.operation.label].add(response.status_code)
    path = urlsplit(response.request.url).path
    if response.status_code == 404 or (case.method == "DELETE" and response.status_code == 204):
        _forget(path)
    if response.status_code < 300 and response.content:
        _learn(response.json())
        for tag in response.headers.get("etag", ()):
            _tags[path] = tag


@atexit.register
def _tell() -> None:
    told = {label: sorted(statuses) for label, statuses in _answered.items()}
    Path(os.environ["ANSWERED_FILE"]).write_text(json.dumps(told))


def _learn(found: Any) -> None:
    if isinstance(found, list):
        for one in found:
            _learn(one)
    elif isinstance(found, dict):
        link = found.get("links", {}).get("self") if "id" in found else None
        if link is not None:
            under, _, id_ = urlsplit(link).path.rpartition("/")
            if id_ in _seen[under]:
                _seen[under].remove(id_)
            if _is_uuid(id_):  # what each user has one of is linked to by a word
                _seen[under].append(id_)
        for one in found.values():
            _learn(one)


def _forget(path: str) -> None:
    under, _, id_ = path.rpartition("/")
    if id_ in _seen[under]:
        _seen[under].remove(id_)


def _name_what_exists(case: Any) -> None:
    """A random id in an address is nobody's, and nothing but 404 would ever come back: it becomes the id of what the platform told
    of before, as it would in a client. What is not there is asked for in tests/e2e/test_library_rows.py and test_bad_input.py.
    """
    path = case.operation.path
    for name in re.findall(r"{(\w+)}", path):
        under = path.partition(f"/{{{name}}}")[0]
        known = [os.environ["OWNED_PRODUCT_ID"]] if name == "product_id" else _seen[under]
        if known and _is_uuid(case.path_parameters[name]):
            case.path_parameters[name] = known[-1]
        path = path.replace(f"{{{name}}}", str(case.path_parameters[name]))
    _name_categories(case)


def _name_categories(case: Any) -> None:
    """Those of an item, as many as there are."""
    data = case.body.get("data") if isinstance(case.body, dict) else None
    known = _seen["/api/v1/library/categories"]
    if _is_linked("categories", {"data": data}) and len(data) <= len(known):
        for one, id_ in zip(data, reversed(known), strict=False):
            one["id"] = id_


def _keep_to_one_spelling(case: Any) -> None:
    """`page` and `page[number]` are two spellings of one thing, and a request that mixes them is refused. No schema can forbid one
    parameter because of another, so a mixed request looks good to schemathesis. So for filters and orders.
    """
    query = case.query
    if not isinstance(query, dict):
        return
    if _PAGES.keys() & query.keys():
        for spelling in _PAGES.values():
            query.pop(spelling, None)
    for name in list(query):
        query.pop(f"filter[{name}]", None)
    if "sort_by" in query:
        query.pop("sort", None)


def _ask_for_whole_resources(case: Any) -> None:
    """A schema says what a resource has; that `fields[TYPE]` takes of it is beyond it. What the parameter does is tested in
    tests/component/gateway/test_gateway_jsonapi.py; a name that is not documented stays, to be refused.
    """
    query = case.query if isinstance(case.query, dict) else {}
    for name, known in _FIELDSETS.items():
        given = query.get(name)
        names = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [None]
        if name in query and (given == "" or {*names} <= known):
            del query[name]


def _leave_out_what_says_nothing(case: Any) -> None:
    """An empty text in the place of a list is the empty list on the wire, and an empty object is nothing there: what schemathesis
    means to be bad is good when it is sent.
    """
    query = case.query if isinstance(case.query, dict) else {}
    if query.get("include") == "":
        del query["include"]
        for name in [name for name, given in query.items() if given == {}]:
            del query[name]


def _say_it_once(case: Any) -> None:
    """What a request says as an attribute and as a relationship must not contradict itself, and what it says as a relationship need
    not be an attribute. No schema has words for that; relationships that are well-formed are left out.
    """
    data = case.body.get("data") if isinstance(case.body, dict) else None
    relationships = data.get("relationships") if isinstance(data, dict) else None
    if isinstance(relationships, dict) and all(_is_linked(*one) for one in relationships.items()):
        del data["relationships"]


def _is_linked(name: str, relationship: Any) -> bool:
    data = relationship.get("data", "") if isinstance(relationship, dict) else ""
    match name:
        case "product":
            return isinstance(data, dict) and data.get("type") == "product" and _is_uuid(data.get("id"))
        case "categories":
            kind = "userCategory"
            return isinstance(data, list) and all(
                isinstance(one, dict) and one.get("type") == kind and _is_uuid(one.get("id")) for one in data
            )
        case _:
            return False


def _name_an_owned_product(case: Any) -> None:
    """A random product is nobody's. Well-formed ones become one that the user owns, so that there are downloads to go on with; to
    be wished for, one that they do not own. And disks have room: 507 for one that has not is what the contract wants, but any 5xx
    is a fault to schemathesis.
    """
    body = case.body if isinstance(case.body, dict) else {}
    data = body.get("data") if isinstance(body.get("data"), dict) else {}
    attributes = data.get("attributes") if isinstance(data.get("attributes"), dict) else {}
    if case.method == "POST" and _is_uuid(attributes.get("product_id")):
        is_wish = "/wishlist/" in case.operation.path
        attributes["product_id"] = os.environ["OTHER_PRODUCT_ID" if is_wish else "OWNED_PRODUCT_ID"]
        if _is_uuid(attributes.get("version_id")):
            attributes["version_id"] = os.environ["OWNED_VERSION_ID"]
    free = attributes.get("client_free_space_bytes")
    if isinstance(free, int | float) and 0 <= free < ROOM_BYTES:
        attributes["client_free_space_bytes"] = ROOM_BYTES


def _name_a_version_that_was_seen(case: Any) -> None:
    """Schemathesis sends `If-Match: 0`, which breaks the documented pattern, and takes it for good. Whatever is not entity tags is
    replaced; tests/unit/gateway/test_gateway_preconditions.py says what becomes of it. A version that nobody ever saw is not the
    one that is there: the last one seen is.
    """
    given = str(case.headers["If-Match"]) if case.headers and "If-Match" in case.headers else "*"
    tag = _tags.get(case.formatted_path)
    if tag is not None and given != "*":
        case.headers["If-Match"] = tag
    elif not _ENTITY_TAGS.fullmatch(given):
        case.headers["If-Match"] = '"1"'


def _give_enough_time(case: Any) -> None:
    """A client that gives too little time gets 504, as the contract wants it; to schemathesis any 5xx is a fault.
    tests/component/gateway/test_gateway_deadlines.py has the short ones.
    """
    if case.headers and "X-Request-Timeout" in case.headers:
        case.headers["X-Request-Timeout"] = "30"


def _use_a_key_once(case: Any) -> None:
    """Another request with a key that was used is refused (422), and schemathesis uses an example many times."""
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
