"""Writes the OpenAPI 3.1 document of every REST endpoint: what a client can send, what it can get, with the proto's comments, rules
and error codes. The gateway serves it at /api/v1/openapi.json.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from samovar.options.v1 import options_pb2

from codegen.emit import openapi_parts as parts
from codegen.emit.examples import UUID, Examples, NoExample, linkage_example
from codegen.emit.json_schemas import Form, Json, Schemas, linkage, relationship_links
from codegen.emit.operation_errors import codes_by_status
from codegen.emit.operation_headers import not_modified, request_headers, success_headers
from codegen.read.constraints import collection_keywords, element_rules, is_required
from codegen.read.endpoints import Data, Endpoint, path_parameters, path_shape, snake
from codegen.read.model import Contract, Field, MessageType


def emit_openapi(contract: Contract, endpoints: Sequence[Endpoint], root: str, title: str) -> tuple[str, str]:
    """Path and text of the document."""
    document = _Document(contract).of(endpoints, title)
    return f"{root.replace('.', '/')}/openapi.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Document:
    """Collects operations and the components they share."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._reasons = contract.reasons
        self._schemas = Schemas(contract)
        self._examples = Examples(contract)
        self._responses: dict[str, Json] = {}
        self._parameters: dict[str, Json] = {}
        self._codes: set[str] = set()
        self._endpoints: Sequence[Endpoint] = ()

    def of(self, endpoints: Sequence[Endpoint], title: str) -> Json:
        self._endpoints = endpoints
        paths: dict[str, Json] = {}
        for endpoint in endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.verb.lower()] = self._operation(endpoint)
        self._schemas.keep("errors", parts.ERRORS)
        services = dict.fromkeys(endpoint.method.service for endpoint in endpoints)
        return {
            "openapi": "3.1.0",
            "info": {"title": title, **parts.INFO},
            "servers": [{"url": "/"}],
            "tags": [_described({"name": name}, self._contract.services.get(name, "")) for name in sorted(services)],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": dict(sorted(self._schemas.components.items())),
                "responses": dict(sorted(self._responses.items())),
                "parameters": dict(sorted(self._parameters.items())),
                "examples": {code: parts.error_example(code, self._reasons[code]) for code in sorted(self._codes)},
                "headers": parts.HEADERS,
                "securitySchemes": parts.SECURITY_SCHEMES,
            },
        }

    def _operation(self, endpoint: Endpoint) -> Json:
        method, access = endpoint.method, endpoint.method.access or options_pb2.Access()
        name = _operation_id(endpoint)
        summary, _, rest = method.comment.partition(". ")
        operation: Json = {"operationId": name, "tags": [method.service], "summary": summary.removesuffix(".") or name}
        if rest:
            operation["description"] = rest
        operation["security"] = [] if access.public else [{"bearer": [role]} for role in access.roles]
        in_address = (
            *self._path_parameters(endpoint),
            *self._query_parameters(endpoint),
            *self._view_parameters(endpoint),
        )
        operation["parameters"] = [*in_address, *request_headers(endpoint)]
        if endpoint.has_body:
            operation["requestBody"] = self._request_body(endpoint, name)
        operation["responses"] = {
            str(endpoint.success_status): self._success(endpoint),
            **not_modified(endpoint),
            **{
                str(status): self._failure(status, codes)
                for status, codes in codes_by_status(endpoint, self._reasons).items()
            },
        }
        return operation

    def _path_parameters(self, endpoint: Endpoint) -> Iterator[Json]:
        for one in endpoint.path_fields:
            parameter = _described({"name": one.name, "in": "path", "required": True}, one.comment)
            yield {**parameter, "schema": self._schemas.value(one, Form.REQUEST)}
        for name in endpoint.path_names:
            said = f"A part of `{'.'.join(name.field_path)}`, which is `{name.template}`."
            for parameter_name in name.parameters:
                schema = {"type": "string", "minLength": 1}
                yield {"name": parameter_name, "in": "path", "required": True, "description": said, "schema": schema}

    def _query_parameters(self, endpoint: Endpoint) -> Iterator[Json]:
        spelled = {name: spelling for spelling, name in endpoint.spellings.items()}
        for one in endpoint.query_fields:
            if one is endpoint.sort_field and one.name == "sort":
                continue
            schema = self._schemas.value(one, Form.REQUEST)
            comment = self._schemas.described(one)
            parameter = _described({"name": one.name, "in": "query"}, comment)
            if is_required(one):
                parameter["required"] = True
            if one.repeated:
                parameter |= {"style": "form", "explode": True}
            yield {**parameter, "schema": schema}
            if one.name in spelled:
                said = f"JSON:API's spelling of `{one.name}`; a request keeps to one spelling."
                yield {**parameter, "name": spelled[one.name], "description": said, "schema": schema}

    def _view_parameters(self, endpoint: Endpoint) -> Iterator[Json]:
        """`sort`, `include` and `fields[TYPE]`."""
        one = endpoint.sort_field
        if one is not None:
            keys = dict(self._contract.enums[one.type_name].sort_keys)
            said = "Order, by JSON:API: `-` before what descends."
            if one.name != "sort":
                said += f" Not together with `{one.name}`."
            yield parts.list_parameter("sort", said, list(keys), at_most=len(keys) if one.repeated else 1)
        if endpoint.includes:
            said = "Related resources to include, each once."
            yield parts.list_parameter("include", said, [include.path for include in endpoint.includes])
        for resource in endpoint.shown_resources:
            yield self._fieldset(resource)

    def _fieldset(self, message: MessageType) -> Json:
        """A reference to `fields[TYPE]`."""
        assert message.resource is not None  # noqa: S101  only resources are shown
        resource = message.resource
        fields = [one for one in message.fields if one.name != (resource.id_field or "id")]
        names = [*(one.name for one in fields), *(one.relationship.name for one in fields if one.relationship)]
        said = (
            f"The fields of a `{resource.type}` that the answer shall have; none for an empty value. Members that are not named "
            "are left out, though the schema of the whole resource requires them."
        )
        name = f"fields.{resource.type}"
        self._parameters[name] = parts.list_parameter(f"fields[{resource.type}]", said, names)
        return {"$ref": f"#/components/parameters/{name}"}

    def _request_body(self, endpoint: Endpoint, name: str) -> Json:
        if endpoint.linkage_field is not None:
            data, example = self._request_linkage(endpoint.linkage_field)
        else:
            data, example = self._request_list(endpoint) if endpoint.takes_list else self._request_resource(endpoint)
        document = {"type": "object", "required": ["data"], "properties": {"data": data}}
        content: Json = {"schema": self._schemas.keep(f"{name}.request", document)}
        if example is not None:
            content["example"] = {"data": example}
        return {"required": not endpoint.body_is_optional, "content": dict.fromkeys(parts.MEDIA_TYPES, content)}

    def _request_linkage(self, one: Field) -> tuple[Json, Any]:
        """Resource linkage, as gateway.jsonapi.documents.read_linkage takes it, and an example."""
        schema = _described(
            linkage(one, self._schemas.one(one, Form.REQUEST, element_rules(one.rules) if one.repeated else one.rules)),
            one.comment,
        )
        return schema | (collection_keywords(one.rules) if one.repeated else {}), linkage_example(
            one, self._examples.value(one, Form.REQUEST)
        )

    def _request_list(self, endpoint: Endpoint) -> tuple[Json, Any]:
        """A list of resource objects, as gateway.jsonapi.documents.read_resources takes it, and an example (None: there is
        none).
        """
        element, body, fields = endpoint.element, endpoint.body_field, endpoint.body_fields
        assert element is not None  # noqa: S101  a list is of something
        assert body is not None  # noqa: S101
        id_field = next(one for one in element.fields if one.name == "id")
        schema = self._schemas.members(fields, Form.REQUEST, element.comment)
        attributes = self._schemas.keep(f"{element.full_name}.attributes", schema)
        types = self._request_types(endpoint)
        needs_attributes = any(is_required(one) or one.oneof_is_required for one in fields)
        resource: Json = {
            "type": "object",
            "required": ["type", "id", "attributes"] if needs_attributes else ["type", "id"],
            "properties": {
                "type": {"type": "string", "enum": types},
                "id": _described(self._schemas.value(id_field, Form.REQUEST), id_field.comment),
                "attributes": attributes,
            },
        }
        data = _described({"type": "array", "items": resource, **collection_keywords(body.rules)}, body.comment)
        try:
            made = {
                "type": types[0],
                "id": self._examples.value(id_field, Form.REQUEST),
                "attributes": self._examples.members(fields, Form.REQUEST),
            }
        except NoExample:
            return data, None
        return data, [made]

    def _request_resource(self, endpoint: Endpoint) -> tuple[Json, Any]:
        """One resource object, as gateway.jsonapi.documents.read_attributes takes it, and an example (None = no example)."""
        fields = endpoint.body_fields
        body = endpoint.body_field
        if body is not None:
            attributes = self._schemas.message(self._contract.messages[body.type_name], Form.REQUEST)
        else:
            said = endpoint.request.comment
            schema = self._schemas.members(fields, Form.REQUEST, said)
            attributes = self._schemas.keep(f"{endpoint.request.full_name}.attributes", schema)
        types = self._request_types(endpoint)
        needs_attributes = any(is_required(one) or one.oneof_is_required for one in fields)
        data: Json = {
            "type": "object",
            "required": ["type", "attributes"] if needs_attributes else ["type"],
            "properties": {"type": {"type": "string", "enum": types}},
        }
        if endpoint.document_id_parameter is not None:
            said = f"Equal to `{endpoint.document_id_parameter}` of the address."
            data["properties"]["id"] = {"type": "string", "description": said}
        data["properties"]["attributes"] = attributes
        if endpoint.linkages:
            data["properties"]["relationships"] = self._request_relationships(endpoint.linkages)
        example = self._attributes_example(fields)
        return data, None if example is None else {"type": types[0], "attributes": example}

    def _request_relationships(self, linkages: Mapping[str, Field]) -> Json:
        """Return the schema of the relationships that a request may set in place of attributes."""
        properties = {}
        for name, one in linkages.items():
            rules = element_rules(one.rules) if one.repeated else one.rules
            data = linkage(one, self._schemas.one(one, Form.REQUEST, rules))
            data |= collection_keywords(one.rules) if one.repeated else {}
            said = f"In place of the attribute `{one.name}`."
            properties[name] = {
                "type": "object",
                "description": said,
                "required": ["data"],
                "properties": {"data": data},
            }
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def _attributes_example(self, fields: Sequence[Field]) -> Any:
        try:
            return self._examples.members(fields, Form.REQUEST)
        except NoExample:
            return None

    def _request_types(self, endpoint: Endpoint) -> list[str]:
        types = [*endpoint.method.rest.request_types] if endpoint.method.rest is not None else []
        data = endpoint.data
        if endpoint.element is not None:
            types += [endpoint.element.resource.type] if endpoint.element.resource is not None else []
        elif data is not None and data.resource.resource is not None:
            types.append(data.resource.resource.type)
        return list(dict.fromkeys(types))

    def _success(self, endpoint: Endpoint) -> Json:
        headers = success_headers(endpoint)
        if endpoint.data is None:
            return {"description": "Done.", "headers": headers}
        content: Json = {"schema": self._answer(endpoint)}
        with suppress(NoExample):
            content["example"] = self._answer_example(endpoint)
        said = endpoint.response.comment or HTTPStatus(endpoint.success_status).phrase
        answer: Json = {"description": said, "headers": headers, "content": dict.fromkeys(parts.MEDIA_TYPES, content)}
        links = dict(self._links(endpoint))
        return {**answer, "links": links} if links else answer

    def _links(self, endpoint: Endpoint) -> Iterator[tuple[str, Json]]:
        """Yield the links to next operations: all at or below the self link of the answer's resource (of a list, of its first)."""
        data = endpoint.data
        resource = data.resource.resource if data is not None else None
        if data is None or resource is None or path_parameters(resource.self) != (resource.id_field or "id",):
            return
        place = "$response.body#/data/0/id" if data.is_collection else "$response.body#/data/id"
        own = path_shape(resource.self)
        for other in self._endpoints:
            shape = path_shape(other.path)
            if (shape == own or shape.startswith(f"{own}/")) and len(other.path_fields) == 1:
                name = _operation_id(other)
                yield name, {"operationId": name, "parameters": {other.path_fields[0].name: place}}

    def _answer(self, endpoint: Endpoint) -> Json:
        """A reference to the document of a success: what gateway.jsonapi.documents.answer_document makes."""
        data = endpoint.data
        assert data is not None  # noqa: S101  asked before
        if endpoint.shown_linkage is not None:
            return self._linkage_answer(data.resource, endpoint.shown_linkage)
        resource = self._schemas.resource(data.resource)
        name = resource["$ref"].rpartition("/")[2]
        primary: Json = {"type": "array", "items": resource} if data.is_collection else resource
        properties: Json = {"jsonapi": parts.JSONAPI, "data": primary}
        if data.walks_by_cursor:
            name += ".cursors"
            properties |= {"links": parts.CURSOR_LINKS, "meta": parts.CURSOR_META}
        elif endpoint.walks_by_token:
            properties["links"] = parts.CURSOR_LINKS
        elif endpoint.is_paged:
            name += ".page"
            properties |= {"links": parts.PAGE_LINKS, "meta": parts.PAGE_META}
        else:
            name += ".list" if data.is_collection else ".document"
            if endpoint.verb == "GET":
                properties["links"] = parts.SELF_LINK
            else:
                name += ".changed"
        if data.meta:
            name += f".{_operation_id(endpoint)}"
            properties["meta"] = self._meta(properties.get("meta"), data.meta)
        required = list(properties)
        if endpoint.includes:
            name += ".compound"
            name += "".join(f".{include.path}" for include in endpoint.includes)
            kinds = [
                self._schemas.resource(one)
                for one in {one.resource.full_name: one.resource for one in endpoint.includes}.values()
            ]
            said = "What `include` asked for; absent when it was not sent."
            properties["included"] = {"type": "array", "description": said, "items": {"anyOf": kinds}}
        return self._schemas.keep(name, {"type": "object", "required": required, "properties": properties})

    def _meta(self, page: Json | None, fields: Sequence[Field]) -> Json:
        """Return the schema of a document's meta: the page, and every field of the response that has no other place."""
        schema = self._schemas.members(fields, Form.ANSWER)
        if page is None:
            return schema
        required = [*page["required"], *schema["required"]]
        return {"type": "object", "required": required, "properties": {**page["properties"], **schema["properties"]}}

    def _linkage_answer(self, resource: MessageType, one: Field) -> Json:
        """A reference to the document of a relationship."""
        option = resource.resource
        assert option is not None  # noqa: S101  only resources have relationships
        assert one.relationship is not None  # noqa: S101
        links = relationship_links(one)
        properties: Json = {
            "jsonapi": parts.JSONAPI,
            "data": linkage(one),
            "links": {"type": "object", "required": list(links), "properties": links},
        }
        name = f"{option.type}.relationships.{one.relationship.name}"
        return self._schemas.keep(name, {"type": "object", "required": list(properties), "properties": properties})

    def _answer_example(self, endpoint: Endpoint) -> Json:
        data = endpoint.data
        assert data is not None  # noqa: S101  asked before
        resource = self._examples.resource(data.resource)
        example: Json = {"jsonapi": {"version": "1.1"}}
        linked = endpoint.shown_linkage
        if linked is not None and linked.relationship is not None:
            return {**example, **resource["relationships"][linked.relationship.name]}
        example["data"] = [resource] if data.is_collection else resource
        path = endpoint.path
        for one in endpoint.path_fields:
            value = UUID if one.is_uuid else self._examples.value(one, Form.REQUEST)
            path = path.replace(f"{{{one.name}}}", str(value))
        for name in endpoint.path_names:
            for parameter in name.parameters:
                path = path.replace(f"{{{parameter}}}", "text")
        if data.walks_by_cursor:
            return self._with_meta(example | parts.cursor_example(path), data)
        if endpoint.is_paged:
            return self._with_meta(example | parts.page_example(path), data)
        if endpoint.walks_by_token:
            return self._with_meta(example | {"links": parts.cursor_example(path)["links"]}, data)
        return self._with_meta(example, data) | ({"links": {"self": path}} if endpoint.verb == "GET" else {})

    def _with_meta(self, example: Json, data: Data) -> Json:
        if not data.meta:
            return example
        return example | {"meta": {**example.get("meta", {}), **self._examples.members(data.meta, Form.ANSWER)}}

    def _failure(self, status: int, codes: Sequence[str]) -> Json:
        """A reference to the answer with these codes."""
        name = f"{status}-{'-'.join(codes)}"
        self._codes.update(codes)
        if name not in self._responses:
            self._responses[name] = parts.error_response(status, {code: self._reasons[code] for code in codes})
        return {"$ref": f"#/components/responses/{name}"}


def _operation_id(endpoint: Endpoint) -> str:
    # The endpoint of an additional binding has its number at the end.
    number = endpoint.name.removeprefix(snake(endpoint.method.name))
    return f"{endpoint.method.service.rpartition('.')[2]}_{endpoint.method.name}{number}"


def _described(what: Json, comment: str) -> Json:
    return {**what, "description": comment} if comment else what
