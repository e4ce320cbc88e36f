"""Hooks of schemathesis, loaded by its own process (tests/e2e/test_schemathesis.py). Each says why it is needed."""

import json
import os
import re
import uuid
from typing import Any

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
    _name_an_owned_product(case)
    _keep_entity_tags_well_formed(case)
    _give_enough_time(case)
    _use_a_key_once(case)


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
    """A random product is nobody's. Well-formed ones become one that the user owns, so that there are downloads to go on with. And
    its disk has room: 507 for one that has not is what the contract wants, but any 5xx is a fault to schemathesis.
    """
    body = case.body if isinstance(case.body, dict) else {}
    data = body.get("data") if isinstance(body.get("data"), dict) else {}
    attributes = data.get("attributes") if isinstance(data.get("attributes"), dict) else {}
    if case.method == "POST" and case.operation.path.endswith("/downloads") and _is_uuid(attributes.get("product_id")):
        attributes["product_id"] = os.environ["OWNED_PRODUCT_ID"]
        if _is_uuid(attributes.get("version_id")):
            attributes["version_id"] = None
        free = attributes.get("client_free_space_bytes")
        if isinstance(free, int | float) and 0 <= free < ROOM_BYTES:
            attributes["client_free_space_bytes"] = ROOM_BYTES


def _keep_entity_tags_well_formed(case: Any) -> None:
    """Schemathesis sends `If-Match: 0`, which breaks the documented pattern, and takes it for good. Whatever is not entity tags is
    replaced; tests/unit/gateway/test_gateway_preconditions.py says what becomes of it.
    """
    if case.headers and "If-Match" in case.headers and not _ENTITY_TAGS.fullmatch(str(case.headers["If-Match"])):
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
