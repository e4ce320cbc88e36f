"""The types that need code, and its kind: found by walking from the endpoints. A type without a JSON form is a fault."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from codegen.read.endpoints import WELL_KNOWN, Endpoint, StreamEndpoint
from codegen.read.faults import Faults
from codegen.read.model import Contract, EnumType, Field, Kind, Location, MessageType


@dataclass(frozen=True, slots=True)
class Needs:
    """Types by full name. `resources` become resource objects, `objects` plain ones, `fills` are read from documents."""

    resources: dict[str, MessageType] = field(default_factory=dict)
    objects: dict[str, MessageType] = field(default_factory=dict)
    fills: dict[str, MessageType] = field(default_factory=dict)
    enums_out: dict[str, EnumType] = field(default_factory=dict)
    enums_in: dict[str, EnumType] = field(default_factory=dict)

    @property
    def messages(self) -> tuple[MessageType, ...]:
        return (*self.resources.values(), *self.objects.values(), *self.fills.values())

    @property
    def enums(self) -> tuple[EnumType, ...]:
        return (*self.enums_out.values(), *self.enums_in.values())


def find_needs(
    contract: Contract, endpoints: Iterable[Endpoint], streams: Iterable[StreamEndpoint], faults: Faults
) -> Needs:
    walk = _Walk(contract, faults)
    for endpoint in endpoints:
        for resource in endpoint.shown_resources:
            walk.resource(resource, endpoint.method.location)
        for one in endpoint.data.meta if endpoint.data is not None else ():
            walk.written(one)
        body = (endpoint.body_field,) if endpoint.body_field is not None else endpoint.body_fields
        for one in (*body, *endpoint.query_fields):
            walk.read(one, endpoint.request, ())
    for stream in streams:
        for event in stream.events:
            walk.object(event.payload, stream.method.location)
        for one in stream.query_fields:
            walk.read(one, stream.request, ())
    return walk.needs


class _Walk:
    def __init__(self, contract: Contract, faults: Faults) -> None:
        self._contract = contract
        self._faults = faults
        self.needs = Needs()

    def resource(self, message: MessageType, at: Location) -> None:
        self._written(message, self.needs.resources, at)

    def object(self, message: MessageType, at: Location) -> None:
        self._written(message, self.needs.objects, at)

    def _written(self, message: MessageType, known: dict[str, MessageType], at: Location) -> None:
        if message.full_name in known or not self._has_form(message, at):
            return
        known[message.full_name] = message
        for one in message.fields:
            self.written(one)

    def written(self, one: Field) -> None:
        if one.kind is Kind.ENUM:
            self.needs.enums_out[one.type_name] = self._contract.enums[one.type_name]
        elif one.kind is Kind.MESSAGE and one.type_name not in WELL_KNOWN:
            message = self._contract.messages[one.type_name]
            if message.is_map_entry:
                self.written(message.fields[1])
            else:
                self.object(message, one.location)

    def read(self, one: Field, within: MessageType, outer: tuple[str, ...]) -> None:
        if one.kind is Kind.ENUM:
            self.needs.enums_in[one.type_name] = self._contract.enums[one.type_name]
        elif one.kind is Kind.MESSAGE and one.type_name not in WELL_KNOWN:
            message = self._contract.messages[one.type_name]
            if message.is_map_entry:
                self.read(message.fields[1], within, outer)
            elif one.type_name in outer:
                self._faults.add(
                    one.location, "recursive-request", f"{within.path}.{one.name}: a document of it has no bottom"
                )
            elif self._has_form(message, one.location):
                self.needs.fills[message.full_name] = message
                for inner in message.fields:
                    self.read(inner, message, (*outer, one.type_name))

    def _has_form(self, message: MessageType, at: Location) -> bool:
        """`at`: the place that needs it, because the message itself may be in a foreign file."""
        name = message.full_name
        if name == "google.protobuf.Any":
            self._faults.add(
                at, "any", f"{name} has no form that a contract could describe; name the messages in a oneof"
            )
            return False
        if name.startswith("google.protobuf."):
            self._faults.add(at, "foreign-message", f"{name} is a type of protobuf's own that has no form here")
            return False
        if message.file in self._contract.proto2_files:
            self._faults.add(at, "proto2", f"{name}: only proto3 messages can be shown as JSON:API")
            return False
        return True
