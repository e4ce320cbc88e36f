"""JSON:API documents: what a request's body must look like before its attributes are read, and how an answer is put together.

JSON:API 1.1, sections 5 to 9; what the contract adds is in its section 1. Called by gateway.jsonapi.rest.
"""

from collections.abc import Mapping, Sequence
from typing import cast

from gateway.contract import Encoded, JsonValue, Linkage, LinkedIds, Problem, Query, ResourceList, Route
from gateway.jsonapi.pages import page_links, page_meta
from gateway.problems.errors import Refused
from gateway.transcoding import ATTRIBUTES, has_too_many_values, holds_too_many, is_full, note, pointer, read_json

RELATIONSHIPS = "/data/relationships"
VERSION = {"version": "1.1"}
"""The member `jsonapi` of every document."""

_ONE_OR_NONE = "must be a resource identifier object or null"


def parse_json(raw: bytes) -> JsonValue:
    """The body as JSON (RFC 8259), strictly: UTF-8, no NaN, no member twice.

    Raises:
        Refused: MALFORMED_JSON; PAYLOAD_TOO_LARGE for more values than are read.
    """
    if has_too_many_values(raw):
        raise Refused(Problem("PAYLOAD_TOO_LARGE"))
    try:
        return read_json(raw)
    except ValueError:
        raise Refused(Problem("MALFORMED_JSON")) from None


def read_attributes(document: JsonValue, route: Route, path: Mapping[str, str]) -> Mapping[str, JsonValue]:
    """`data.attributes` of a request document whose type and id fit the route; absent = none. Relationships of the document are
    there as the attributes that they are other names of.

    Raises:
        Refused: with everything that is wrong with the envelope.
    """
    if not isinstance(document, dict):
        raise Refused(_broken("", "the body must be a JSON object"))
    data = document.get("data")
    if not isinstance(data, dict):
        pointer = "/data" if "data" in document else ""
        raise Refused(_broken(pointer, "the member data is required and must be an object"))
    problems: list[Problem] = []
    _check_type(data, (route.resource_type, *route.request_types), "/data", problems)
    problems += _check_id(data, route, path)
    attributes: JsonValue = data.get("attributes", {})
    if not isinstance(attributes, dict):
        problems.append(_broken("/data/attributes", "must be an object"))
    elif "relationships" in data:
        attributes = {**attributes, **_read_relationships(data["relationships"], attributes, route, problems)}
    if problems:
        raise Refused(*problems)
    return cast("Mapping[str, JsonValue]", attributes)


def _read_relationships(
    relationships: JsonValue, attributes: Mapping[str, JsonValue], route: Route, problems: list[Problem]
) -> dict[str, JsonValue]:
    """The attributes that `data.relationships` sets."""
    if not isinstance(relationships, dict):
        note(problems, _broken(RELATIONSHIPS, "must be an object"))
        return {}
    found: dict[str, JsonValue] = {}
    for name, value in relationships.items():
        if is_full(problems):
            break
        if name.startswith("@"):
            continue
        at, linkage = pointer(RELATIONSHIPS, name), route.linkages.get(name)
        if linkage is None and name in route.fixed_relationships:
            note(problems, Problem("RELATIONSHIP_NOT_WRITABLE", pointer=at))
        elif linkage is None:
            note(problems, _broken(at, "is not known here"))
        elif not isinstance(value, dict) or "data" not in value:
            note(problems, _broken(at, "the member data is required"))
        else:
            ids = _read_identifiers(value["data"], linkage, f"{at}/data", problems)
            found[linkage.field] = ids if linkage.is_many else ids[0] if ids else None
            if linkage.field in attributes and attributes[linkage.field] != found[linkage.field]:
                note(problems, _broken(at, f"must not contradict the attribute {linkage.field}"))
    return found


def _read_identifiers(data: JsonValue, linkage: Linkage, at: str, problems: list[Problem]) -> list[str]:
    """The ids of resource linkage; none for the null of a to-one relationship."""
    if linkage.is_many and not isinstance(data, list):
        note(problems, _broken(at, "must be an array"))
        return []
    if not linkage.is_many and data is None:
        return []
    given = data if linkage.is_many else [data]
    if holds_too_many(len(given), linkage.most, at, problems):
        return []
    ids = []
    for index, one in enumerate(given):
        if is_full(problems):
            break
        here = f"{at}/{index}" if linkage.is_many else at
        if not isinstance(one, dict):
            note(problems, _broken(here, "must be a resource identifier object" if linkage.is_many else _ONE_OR_NONE))
            continue
        _check_type(one, (linkage.type,), here, problems)
        if isinstance(one.get("id"), str):
            ids.append(one["id"])
        else:
            there = f"{here}/id" if "id" in one else here
            note(problems, _broken(there, "the member id is required and must be a string"))
    return ids


def read_linkage(document: JsonValue, linkage: Linkage) -> LinkedIds:
    """The ids of a request document that is resource linkage.

    Raises:
        Refused: with everything that is wrong with it.
    """
    if not isinstance(document, dict):
        raise Refused(_broken("", "the body must be a JSON object"))
    if "data" not in document:
        raise Refused(_broken("", "the member data is required"))
    problems: list[Problem] = []
    ids = _read_identifiers(document["data"], linkage, "/data", problems)
    if problems:
        raise Refused(*problems)
    return ids


def places(route: Route, query: Query, document: JsonValue) -> Mapping[str, str]:
    """The route's pointers as this request spelled things: parameters in JSON:API's way, attributes as relationships."""
    plain = {name: spelled for spelled, _ in query if (name := route.spellings.get(spelled, spelled)) != spelled}
    if route.sort_field is not None and any(name == "sort" for name, _ in query):
        plain[route.sort_field] = "sort"
    found = {
        field: f"?{plain[place[1:]]}" if place.startswith("?") and place[1:] in plain else place
        for field, place in route.pointers.items()
    }
    data = document.get("data") if isinstance(document, dict) else None
    relationships = data.get("relationships") if isinstance(data, dict) else None
    for name, linkage in route.linkages.items():
        if isinstance(relationships, dict) and name in relationships:
            attribute = pointer(ATTRIBUTES, linkage.field)
            here = f"{pointer(RELATIONSHIPS, name)}/data/{'@' if linkage.is_many else 'id'}"
            found |= {field: here for field, place in route.pointers.items() if place == attribute}
    return found


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
    if holds_too_many(len(data), route.most_items, "/data", problems):
        raise Refused(*problems)
    resources = []
    for index, one in enumerate(data):
        if is_full(problems):
            break
        read = _read_resource(one, route, f"/data/{index}", problems)
        if read is not None:
            resources.append(read)
    if problems:
        raise Refused(*problems)
    return resources


def _read_resource(
    one: JsonValue, route: Route, at: str, problems: list[Problem]
) -> tuple[str, Mapping[str, JsonValue]] | None:
    """Id and attributes of a resource object in a list."""
    if not isinstance(one, dict):
        note(problems, _broken(at, "must be an object"))
        return None
    attributes = one.get("attributes", {})
    _check_type(one, route.request_types, at, problems)
    if not isinstance(one.get("id"), str):
        there = f"{at}/id" if "id" in one else at
        note(problems, _broken(there, "the member id is required and must be a string"))
    elif not isinstance(attributes, dict):
        note(problems, _broken(f"{at}/attributes", "must be an object"))
    elif "id" in attributes:
        note(problems, _broken(f"{at}/attributes/id", "the id stands beside the attributes"))
    else:
        return one["id"], attributes
    return None


def _broken(pointer: str, sentence: str) -> Problem:
    return Problem("VALIDATION_ERROR", pointer=pointer, details={"description": sentence})


def _check_type(data: Mapping[str, JsonValue], types: Sequence[str], at: str, problems: list[Problem]) -> None:
    if "type" not in data:
        note(problems, _broken(at, "the member type is required"))
    elif not isinstance(data["type"], str):
        note(problems, _broken(f"{at}/type", "must be a string"))
    elif data["type"] not in types:
        note(problems, Problem("RESOURCE_TYPE_CONFLICT", pointer=f"{at}/type"))


def _check_id(data: Mapping[str, JsonValue], route: Route, path: Mapping[str, str]) -> list[Problem]:
    if "id" not in data:
        return []
    given = data["id"]
    if not isinstance(given, str):
        return [_broken("/data/id", "must be a string")]
    if route.document_id_parameter is None:
        return [Problem("CLIENT_ID_NOT_SUPPORTED", pointer="/data/id")]
    expected = route.document_id_parameter
    if given != (expected.format_map(path) if "{" in expected else path.get(expected, "")):
        return [Problem("RESOURCE_TYPE_CONFLICT", pointer="/data/id")]
    return []


def answer_document(
    encoded: Encoded, *, path: str, raw_query: str, is_read: bool, included: JsonValue = None
) -> JsonValue:
    """The document of a success. A read names itself and, for a page, its neighbours; linkage names its relationship. `included`
    holds the resources requested beside the data, None when none were.
    """
    document: dict[str, JsonValue] = {"jsonapi": VERSION, "data": encoded.data}
    if included is not None:
        document["included"] = included
    if encoded.page is not None:
        document["links"] = page_links(path, raw_query, encoded.page)
        document["meta"] = page_meta(encoded.page)
    elif encoded.links is not None:
        document["links"] = encoded.links
    elif is_read:
        document["links"] = {"self": f"{path}?{raw_query}" if raw_query else path}
    if encoded.meta:
        document["meta"] = {**document.get("meta", {}), **encoded.meta}
    return document


def self_link(data: JsonValue) -> str | None:
    """`links.self` of primary data, what `Location` must be equal to."""
    links = data.get("links") if isinstance(data, dict) else None
    found = links.get("self") if isinstance(links, dict) else None
    return found if isinstance(found, str) else None
