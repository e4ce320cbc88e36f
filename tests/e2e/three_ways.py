"""One request asked by three clients that share no code: betterproto2 over grpclib, protobuf over grpcio, and HTTP. The message is
given; the other two spellings follow from the contract. Used by test_clients_agree.py.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlencode

import grpc
from google.protobuf.message import Message
from grpclib.client import Channel
from grpclib.exceptions import GRPCError
from samovar.options.v1 import options_pb2

from chassis.errors.wire import from_rpc_error
from codegen.read.endpoints import snake
from gateway.contract import Route
from gateway.problems.pointers import locate
from tests.e2e.clients import Api
from tests.unit.codegen.random_messages import expected


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client was told: an error's reason, its number on the wire and the fields it names (as places of the HTTP request), or
    (reason "") the primary data as JSON.
    """

    reason: str
    number: int
    places: frozenset[str]
    data: Any
    message: bytes


class ThreeWays:
    """The three clients of one user."""

    def __init__(self, api: Api, addresses: Mapping[str, str]) -> None:
        self._api = api
        self._addresses = addresses
        self._stack = AsyncExitStack()
        self._plain: dict[str, grpc.aio.Channel] = {}
        self._typed: dict[str, Channel] = {}

    async def __aenter__(self) -> Self:
        for name, address in self._addresses.items():
            host, _, port = address.rpartition(":")
            self._plain[name] = await self._stack.enter_async_context(grpc.aio.insecure_channel(address))
            self._typed[name] = await self._stack.enter_async_context(Channel(host, int(port)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ask(
        self, route: Route, message: Message, *, token: str | None = None
    ) -> tuple[Outcome, Outcome, Outcome]:
        """By grpcio, by betterproto2, by HTTP, one after the other."""
        token = self._api.token if token is None else token
        metadata = {"authorization": f"Bearer {token}", "accept-language": "ru"}
        return (
            await self._by_grpcio(route, message, metadata),
            await self._by_grpclib(route, message, metadata),
            await self._by_http(route, message, token),
        )

    async def _by_grpcio(self, route: Route, message: Message, metadata: Mapping[str, str]) -> Outcome:
        call = self._plain[_backend(route)].unary_unary(
            route.rpc,
            request_serializer=route.request_type.SerializeToString,
            response_deserializer=route.response_type.FromString,
        )
        try:
            answer = await call(message, metadata=tuple(metadata.items()))
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            places = frozenset(place_of(route, violation.field) for violation in error.violations)
            return Outcome(error.reason, failure.code().value[0], places, None, b"")
        return Outcome("", 0, frozenset(), data_of(answer), answer.SerializeToString(deterministic=True))

    async def _by_grpclib(self, route: Route, message: Message, metadata: Mapping[str, str]) -> Outcome:
        service, _, name = route.rpc.lstrip("/").rpartition("/")
        package, _, short = service.rpartition(".")
        client = importlib.import_module(f"client.{package}")
        stub = getattr(client, f"{short}Stub")(self._typed[_backend(route)])
        request = getattr(client, route.request_type.DESCRIPTOR.name).parse(message.SerializeToString())
        try:
            answer = await getattr(stub, snake(name))(request, metadata=dict(metadata))
        except GRPCError as failure:
            reason, fields = _details(failure)
            places = frozenset(place_of(route, field) for field in fields)
            return Outcome(reason, failure.status.value, places, None, b"")
        again = route.response_type.FromString(bytes(answer))
        return Outcome("", 0, frozenset(), data_of(again), again.SerializeToString(deterministic=True))

    async def _by_http(self, route: Route, message: Message, token: str | None) -> Outcome:
        address, document, headers = http_of(route, message)
        answer = await self._api.with_token(token).call(route.method, address, body=document, **headers)
        if answer.status < 400:
            assert answer.status == route.success_status
            return Outcome("", 0, frozenset(), plain(answer.document, route), b"")
        errors = answer.document["errors"]
        assert len({error["code"] for error in errors}) == 1
        sources = [error for error in errors if "source" in error]
        places = (one.get("meta", {}).get("member") or next(iter(one["source"].values())) for one in sources)
        return Outcome(errors[0]["code"], answer.status, frozenset(places), None, b"")


def _backend(route: Route) -> str:
    return route.rpc.lstrip("/").partition(".")[0]


def _details(failure: GRPCError) -> tuple[str, list[str]]:
    """grpclib reads the details of an error by itself, as messages of googleapis."""
    reason, fields = "", []
    for detail in failure.details or ():
        if detail.DESCRIPTOR.full_name == "google.rpc.ErrorInfo":
            reason = detail.reason
        elif detail.DESCRIPTOR.full_name == "google.rpc.BadRequest":
            fields = [one.field for one in detail.field_violations]
    return reason, fields


def place_of(route: Route, field: str) -> str:
    source = locate(field, route.pointers)
    return source.value if source is not None else field


def data_of(answer: Message) -> Any:
    """The resources of a message as JSON: itself, or its one field that is a resource."""
    if _resource(answer.DESCRIPTOR) is not None:
        return expected(answer)
    for field in answer.DESCRIPTOR.fields:
        if field.message_type is not None and _resource(field.message_type) is not None:
            value = getattr(answer, field.name)
            return [expected(one) for one in value] if field.is_repeated else expected(value)
    return None


def _resource(descriptor: Any) -> Any:
    options = descriptor.GetOptions()
    return options.Extensions[options_pb2.resource] if options.HasExtension(options_pb2.resource) else None


def plain(document: Any, route: Route) -> Any:
    """The resources of a document as members of their messages."""
    if document is None:
        return None
    id_name = _id_name(route)
    data = document["data"]
    made = [{id_name: one["id"], **one.get("attributes", {})} for one in (data if isinstance(data, list) else [data])]
    return made if isinstance(data, list) else made[0]


def _id_name(route: Route) -> str:
    descriptor = route.response_type.DESCRIPTOR
    for one in (descriptor, *(field.message_type for field in descriptor.fields if field.message_type is not None)):
        resource = _resource(one)
        if resource is not None:
            return str(resource.id_field or "id")
    return "id"


def http_of(route: Route, message: Message) -> tuple[str, Any, dict[str, str]]:
    """Address, document and headers that say what the message says."""
    json = expected(message)
    path, query, attributes, headers = route.path, [], {}, {}
    document: Any = None
    for field, place in route.pointers.items():
        value = _set(message, json, field)
        if place.startswith("{"):
            path = path.replace(place, quote(str(value or "-"), safe=""))
        elif value is None:
            continue
        elif place.startswith("?"):
            query += [(place[1:], text) for text in _texts(value)]
        elif place.startswith(":"):
            headers[place[1:].replace("-", "_")] = ", ".join(one if one == "*" else f'"{one}"' for one in value)
        elif place == "/data/#":
            document = [_element(route, one) for one in value]
        elif place.count("/") == 3 and "update_mask" not in json:
            attributes[place.rpartition("/")[2]] = value
    if "update_mask" in json:
        body = next(field for field, place in route.pointers.items() if place == "/data/attributes")
        attributes = {name: (json[body] or {}).get(name) for name in getattr(message, "update_mask").paths}  # noqa: B009
    if document is None:
        document = _resource_or_linkage(route, json, attributes)
    address = f"{path}?{urlencode(query)}" if query else path
    return address, {"data": document} if route.has_body else None, headers


def _resource_or_linkage(route: Route, json: Any, attributes: Mapping[str, Any]) -> Any:
    if route.linkage is not None:
        return [{"type": route.linkage.type, "id": one} for one in json[route.linkage.field] or ()]
    kind = route.request_types[0] if route.request_types else route.resource_type
    return {"type": kind, "attributes": attributes}


def _set(message: Message, json: Any, path: str) -> Any:
    """What a field is set to, as JSON; None when it is not."""
    holder: Any = message
    for name in path.split("."):
        if name not in {field.name for field, _ in holder.ListFields()}:
            return None
        holder, json = getattr(holder, name), json[name]
    return json


def _texts(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        yield str(one).lower() if isinstance(one, bool) else str(one)


def _element(route: Route, value: Mapping[str, Any]) -> Any:
    attributes = {name: one for name, one in value.items() if name != "id" and one is not None}
    return {"type": route.request_types[0], "id": value["id"], "attributes": attributes}
