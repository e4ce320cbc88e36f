"""Generated transcoders mean the same as protobuf's json_format, over random messages of the example and of the real contract."""

from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st
from rest.routes import ROUTES, STREAMS
from samovar.options.v1 import options_pb2

from gateway.contract import Problem, Route, StreamRoute
from gateway.transcoding import read_json
from tests.unit.codegen.contract_compiler import Example
from tests.unit.codegen.random_messages import expected, filled

FLT_MAX = 3.4028234663852886e38
_EXAMPLES = settings(max_examples=100, deadline=None)


def _over_the_wire(value: Any) -> Any:
    return read_json(orjson.dumps(value))


def _read(route: Route, attributes: Any, path: dict[str, str]) -> tuple[Message, list[Problem]]:
    problems: list[Problem] = []
    return route.decode(path, (), attributes, problems), problems


def _path(route: Route) -> dict[str, str]:
    return {place.strip("{}"): "7" for place in route.pointers.values() if place.startswith("{")}


def _check_written(resource: Any, message: Message, id_field: str) -> None:
    members = expected(message)
    assert resource["id"] == members.pop(id_field)
    assert _over_the_wire(resource["attributes"]) == _over_the_wire(members)


@given(seed=st.integers(0, 2**32))
@_EXAMPLES
def test_a_written_example_means_what_json_format_writes(example: Example, seed: int) -> None:
    thing = filled(example.things_pb2.Thing, seed)
    _check_written(example.things.thing_resource(thing), thing, "thing_id")


@given(seed=st.integers(0, 2**32))
@_EXAMPLES
def test_an_example_survives_the_way_out_and_in(example: Example, seed: int) -> None:
    body = filled(example.things_pb2.ThingBody, seed)
    # Null is one of a google.protobuf.Value's values, so an attribute that is null sets it.
    for within, name in ((body, "anything"), (body.known, "value")):
        if not within.HasField(name):
            getattr(within, name).null_value = 0
    problems: list[Problem] = []
    attributes = _over_the_wire(expected(body))
    request = example.things.decode_replace_thing({"thing_id": "x"}, (), attributes, problems)
    assert problems == []
    assert request.thing == body


def _data_field(route: Route) -> tuple[FieldDescriptor, str]:
    """The response field that a route shows, found by its resource type, and the name of its id."""
    for field in route.response_type.DESCRIPTOR.fields:
        if field.message_type is not None:
            options = field.message_type.GetOptions()
            resource = options.Extensions[options_pb2.resource]
            if options.HasExtension(options_pb2.resource) and resource.type == route.resource_type:
                return field, resource.id_field or "id"
    raise AssertionError(f"{route.rpc} shows nothing of type {route.resource_type}")


# Resource linkage is no resource, and has tests of its own (tests/component/gateway/test_gateway_jsonapi.py).
@pytest.mark.parametrize("route", [route for route in ROUTES if route.fieldsets], ids=lambda route: route.rpc)
@given(seed=st.integers(0, 2**32))
@_EXAMPLES
def test_a_real_response_means_what_json_format_writes(route: Route, seed: int) -> None:
    response = filled(route.response_type, seed)
    encoded = route.encode(response)
    field, id_name = _data_field(route)
    if route.is_collection:
        messages = getattr(response, field.name)
        assert len(encoded.data) == len(messages)
        for resource, message in zip(encoded.data, messages, strict=True):
            _check_written(resource, message, id_name)
    elif response.HasField(field.name):
        _check_written(encoded.data, getattr(response, field.name), id_name)
    else:
        assert encoded.data is None


def _body_type(route: Route) -> tuple[str, type[Message]]:
    """The request field that takes the attributes ("" = the request itself), and its class."""
    for name, place in route.pointers.items():
        if place == "/data/attributes" and not name.endswith("mask"):
            return name, GetMessageClass(route.request_type.DESCRIPTOR.fields_by_name[name].message_type)
    return "", route.request_type


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.has_body and not route.takes_list and route.linkage is None],
    ids=lambda route: route.rpc,
)
@given(seed=st.integers(0, 2**32))
@_EXAMPLES
def test_a_real_request_survives_the_way_in(route: Route, seed: int) -> None:
    name, body_type = _body_type(route)
    body = filled(body_type, seed)
    path = _path(route)
    attributes = {member: value for member, value in _over_the_wire(expected(body)).items() if member not in path}
    request, problems = _read(route, attributes, path)
    assert problems == []
    for member, value in path.items():
        if name == "":
            setattr(body, member, value)
    assert (getattr(request, name) if name else request) == body
    if route.method == "PATCH":
        assert list(request.update_mask.paths) == list(attributes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.rpc)
@given(seed=st.integers(0, 2**32))
@_EXAMPLES
def test_a_real_event_means_what_json_format_writes(stream: StreamRoute, seed: int) -> None:
    message = filled(stream.response_type, seed)
    event = stream.encode(message)
    which = message.WhichOneof("payload")
    if which is None:
        assert (event.event_type, event.payload) == ("stream.unknown", None)
    else:
        assert _over_the_wire(event.payload) == _over_the_wire(expected(getattr(message, which)))
    assert event.id == message.event_id  # type: ignore[attr-defined]


_ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize(
    "name", [*["text", "flag", "int32", "uint32", "int64", "uint64", "double", "float", "bytes", "from"]]
)
@given(value=_ANY_JSON)
@_EXAMPLES
def test_what_a_transcoder_takes_json_format_takes_alike(example: Example, name: str, value: Any) -> None:
    """Transcoders are stricter (numbers in strings are refused), never looser, and never read something else."""
    problems: list[Problem] = []
    ours = example.things_pb2.Scalars()
    example.things.fill_scalars(ours, {name: value}, "/data/attributes", problems)
    # json_format cannot read the largest float that it writes itself: the rounding takes it past its own limit.
    is_past_limit = name == "float" and isinstance(value, int | float) and abs(value) > FLT_MAX
    if not problems and not is_past_limit:
        assert ours == json_format.ParseDict({name: value}, example.things_pb2.Scalars())
