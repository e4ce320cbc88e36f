"""JSON:API documents: what a request's body must look like before its attributes are read, and how an answer is put together.

JSON:API 1.1, sections 5 to 9; what the contract adds is in its section 1. Called by gateway.rest.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from gateway.contract import Encoded, JsonValue, Problem, ResourceList, Route
from gateway.errors import Refused
from gateway.pages import page_links, page_meta
from gateway.transcoding import read_json


def parse_json(raw: bytes) -> JsonValue:
    """The body as JSON (RFC 8259), strictly: UTF-8, no NaN, no member twice.

    Raises:
        Refused: MALFORMED_JSON.
    """
    try:
        return read_json(raw)
    except ValueError:
        raise Refused(Problem("MALFORMED_JSON")) from None


def read_attributes(document: JsonValue, route: Route, path: Mapping[str, str]) -> Mapping[str, JsonValue]:
    """`data.attributes` of a request document whose type and id fit the route; absent = none.

    Raises:
        Refused: with everything that is wrong with the envelope.
    """
    if not isinstance(document, dict):
        raise Refused(_broken("", "the body must be a JSON object"))
    data = document.get("data")
    if not isinstance(data, dict):
        pointer = "/data" if "data" in document else ""
        raise Refused(_broken(pointer, "the member data is required and must be an object"))
    problems = [*_check_type(data, (route.resource_type, *route.request_types)), *_check_id(data, route, path)]
    attributes: JsonValue = data.get("attributes", {})
    if not isinstance(attributes, dict):
        problems.append(_broken("/data/attributes", "must be an object"))
    if problems:
        raise Refused(*problems)
    return cast("Mapping[str, JsonValue]", attributes)


def read_resources(document: JsonValue, route: Route) -> ResourceList:
    """Ids and attributes of a request document whose data is a list of resource objects (absent attributes = none).

    Raises:
        Refused: with everything that is wrong with the envelope.
    """
    if not isinstance(document, dict):
        raise Refused(_broken("", "the body must be a JSON object"))
    data = document.get("data")
    if not isinstance(data, list):
        raise Refused(_broken("/data" if "data" in document else "", "the member data is required and must be a list"))
    problems: list[Problem] = []
    resources = []
    for index, one in enumerate(data):
        at = f"/data/{index}"
        if not isinstance(one, dict):
            problems.append(_broken(at, "must be an object"))
            continue
        attributes = one.get("attributes", {})
        problems += _check_type(one, route.request_types, at)
        if not isinstance(one.get("id"), str):
            problems.append(
                _broken(f"{at}/id" if "id" in one else at, "the member id is required and must be a string")
            )
        elif not isinstance(attributes, dict):
            problems.append(_broken(f"{at}/attributes", "must be an object"))
        elif "id" in attributes:
            problems.append(_broken(f"{at}/attributes/id", "the id stands beside the attributes"))
        else:
            resources.append((one["id"], attributes))
    if problems:
        raise Refused(*problems)
    return resources


def _broken(pointer: str, sentence: str) -> Problem:
    return Problem("VALIDATION_ERROR", pointer=pointer, details={"description": sentence})


def _check_type(data: Mapping[str, JsonValue], types: Sequence[str], at: str = "/data") -> list[Problem]:
    if "type" not in data:
        return [_broken(at, "the member type is required")]
    given = data["type"]
    if not isinstance(given, str):
        return [_broken(f"{at}/type", "must be a string")]
    if given not in types:
        return [Problem("RESOURCE_TYPE_CONFLICT", pointer=f"{at}/type")]
    return []


def _check_id(data: Mapping[str, JsonValue], route: Route, path: Mapping[str, str]) -> list[Problem]:
    if "id" not in data:
        return []
    given = data["id"]
    if not isinstance(given, str):
        return [_broken("/data/id", "must be a string")]
    if route.document_id_parameter is None:
        return [Problem("CLIENT_ID_NOT_SUPPORTED", pointer="/data/id")]
    if given.lower() != path.get(route.document_id_parameter, "").lower():
        return [Problem("RESOURCE_TYPE_CONFLICT", pointer="/data/id")]
    return []


def answer_document(encoded: Encoded, *, path: str, raw_query: str, is_read: bool) -> JsonValue:
    """The document of a success. A read names itself and, for a page, its neighbours."""
    document: dict[str, JsonValue] = {"data": encoded.data}
    if encoded.page is not None:
        document["links"] = page_links(path, raw_query, encoded.page)
        document["meta"] = page_meta(encoded.page)
    elif is_read:
        document["links"] = {"self": f"{path}?{raw_query}" if raw_query else path}
    return document


def self_link(data: JsonValue) -> str | None:
    """`links.self` of primary data, what `Location` must be equal to."""
    links = data.get("links") if isinstance(data, dict) else None
    found = links.get("self") if isinstance(links, dict) else None
    return found if isinstance(found, str) else None
