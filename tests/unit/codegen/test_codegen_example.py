"""What generated transcoders do with requests, shown on the example contract."""

from typing import Any

import pytest

from gateway.contract import Page, Problem, Query
from tests.unit.codegen.contract_compiler import Example


def _problems(problems: list[Problem]) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.pointer or problem.parameter) for problem in problems]


def _list(example: Example, query: Query) -> tuple[Any, list[tuple[str, str | None]]]:
    problems: list[Problem] = []
    request = example.things.decode_list_things({}, query, None, problems)
    return request, _problems(problems)


def _replace(example: Example, attributes: Any, query: Query = ()) -> tuple[Any, list[tuple[str, str | None]]]:
    problems: list[Problem] = []
    request = example.things.decode_replace_thing({"thing_id": "x"}, query, attributes, problems)
    return request, _problems(problems)


def _update(example: Example, attributes: Any) -> tuple[Any, list[tuple[str, str | None]]]:
    problems: list[Problem] = []
    request = example.things.decode_update_thing({"thing_id": "x"}, (), attributes, problems)
    return request, _problems(problems)


def test_routes_come_in_the_order_of_matching(example: Example) -> None:
    """Literal segments before parameters, so that the first match is the right one."""
    paths = [(route.method, route.path) for route in example.routes.ROUTES]
    assert paths.index(("GET", "/api/v1/things")) < paths.index(("GET", "/api/v1/things/{thing_id}"))
    assert sorted(paths) == sorted(set(paths))
    assert [stream.path for stream in example.routes.STREAMS] == [
        "/api/v1/ws/all",
        "/api/v1/ws/notes/{key}/{version}",
        "/api/v1/ws/things",
    ]


def test_a_route_says_what_the_options_say(example: Example) -> None:
    route = next(route for route in example.routes.ROUTES if route.rpc.endswith("/CreateThing"))
    assert (route.method, route.path, route.success_status, route.location) == ("POST", "/api/v1/things", 201, True)
    assert (route.access.roles, route.access.rate_class, route.access.public) == (("user", "admin"), "none", False)
    assert (route.resource_type, route.request_types, route.document_id_parameter) == (
        "thing",
        ("thingCreation",),
        None,
    )
    assert route.pointers["scalars"] == "/data/attributes/scalars"


def test_rate_classes_follow_the_http_method_unless_said_otherwise(example: Example) -> None:
    classes = {route.rpc.rpartition("/")[2]: route.access.rate_class for route in example.routes.ROUTES}
    assert (classes["GetThing"], classes["UpdateThing"], classes["CreateThing"]) == ("read", "write", "none")


def test_pointers_lead_back_to_path_query_and_body(example: Example) -> None:
    pointers = next(route.pointers for route in example.routes.ROUTES if route.rpc.endswith("/ReplaceThing"))
    assert pointers["thing_id"] == "{thing_id}"
    assert pointers["dry_run"] == "?dry_run"
    assert pointers["thing"] == "/data/attributes"
    assert pointers["thing.owner_id"] == "/data/attributes/owner_id"


def test_the_document_id_must_equal_the_path_parameter_of_the_resource(example: Example) -> None:
    ids = {
        route.rpc.rpartition("/")[2]: route.document_id_parameter
        for route in example.routes.ROUTES
        if route.has_body and not route.takes_list and "Book" not in route.rpc
    }
    assert ids == {"CreateThing": None, "ReplaceThing": "thing_id", "UpdateThing": "thing_id", "UpdateNote": "key"}


def test_all_sorts_of_query_parameters_are_read(example: Example) -> None:
    request, problems = _list(
        example,
        [
            ("shelf", "upper"),
            ("colour", "dark_red"),
            ("colours", "blue,maroon"),
            ("colours", "blue"),
            ("words", "a,b"),
            ("counts", "1,-2"),
            ("flag", "true"),
            ("flags", "true,false"),
            ("count", "4294967295"),
            ("ratio", "-1.5e3"),
            ("weight", "0.5"),
            ("ratios", "1,2.5"),
            ("digest", "AQI="),
            ("digests", "AQI,_w"),
            ("since", "2026-01-02T03:04:05.5Z"),
            ("within", "1.5s"),
            ("fields", "title,notes"),
            ("label", ""),
            ("least", "-7"),
            ("from", "here"),
        ],
    )
    assert problems == []
    assert (request.shelf, request.colour, list(request.colours)) == ("upper", 1, [2, 1, 2])
    assert (list(request.words), list(request.counts), request.flag, list(request.flags)) == (
        ["a", "b"],
        [1, -2],
        True,
        [True, False],
    )
    assert (request.count, request.ratio, request.weight, list(request.ratios)) == (
        4294967295,
        -1500.0,
        0.5,
        [1.0, 2.5],
    )
    assert (request.digest, list(request.digests)) == (b"\x01\x02", [b"\x01\x02", b"\xff"])
    assert (request.since.nanos, request.within.nanos, list(request.fields.paths)) == (
        500_000_000,
        500_000_000,
        ["title", "notes"],
    )
    assert request.HasField("label")
    assert (request.label.value, request.least.value, getattr(request, "from")) == ("", -7, "here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("colour", "DARK_RED"),
        ("colour", "unspecified"),
        ("colour", "1"),
        ("colours", "blue,green"),
        ("counts", "1,x"),
        ("counts", "9223372036854775808"),
        ("flag", "1"),
        ("flags", "true,no"),
        ("count", "-1"),
        ("count", "1.0"),
        ("count", "१"),
        ("count", ""),
        ("ratio", "NaN"),
        ("ratio", "1e999"),
        ("ratio", "Infinity"),
        ("weight", "1e39"),
        ("ratios", "1,x"),
        ("digest", "*"),
        ("digests", "AQI,*"),
        ("since", "yesterday"),
        ("within", "1"),
        ("fields", "a b"),
        ("least", "x"),
        ("label", "\udc80"),
        ("words", "\udc80"),
        ("page", "one"),
        ("page", "99999999999"),
        ("unknown", "x"),
        ("page[offset]", "1"),
        ("fields[thing]", "x"),
    ],
)
def test_a_bad_query_parameter_is_named(example: Example, name: str, value: str) -> None:
    assert _list(example, [(name, value)])[1] == [("INVALID_QUERY_PARAMETER", name)]


def test_pages_have_two_spellings(example: Example) -> None:
    ours, problems = _list(example, [("page", "3"), ("limit", "50")])
    theirs, more_problems = _list(example, [("page[number]", "3"), ("page[size]", "50")])
    assert ours == theirs
    assert (ours.page, ours.limit) == (3, 50)
    assert problems == more_problems == []


@pytest.mark.parametrize("query", [[("page", "1"), ("page[size]", "5")], [("page[number]", "1"), ("limit", "5")]])
def test_the_spellings_of_pages_do_not_mix(example: Example, query: list[tuple[str, str]]) -> None:
    bracketed = next(name for name, _ in query if "[" in name)
    assert _list(example, query)[1] == [("INVALID_QUERY_PARAMETER", bracketed)]


def test_a_bad_page_is_named_as_it_was_spelled(example: Example) -> None:
    assert _list(example, [("page[size]", "x")])[1] == [("INVALID_QUERY_PARAMETER", "page[size]")]


def test_a_parameter_comes_once(example: Example) -> None:
    assert _list(example, [("flag", "true"), ("flag", "true")])[1] == [("INVALID_QUERY_PARAMETER", "flag")]


def test_page_parameters_are_unknown_where_nothing_is_paged(example: Example) -> None:
    problems: list[Problem] = []
    example.things.decode_get_thing({"thing_id": "x"}, [("page[number]", "1"), ("page", "1")], None, problems)
    assert _problems(problems) == [("INVALID_QUERY_PARAMETER", "page[number]"), ("INVALID_QUERY_PARAMETER", "page")]


def test_an_integer_in_the_path_is_read_or_named(example: Example) -> None:
    problems: list[Problem] = []
    request = example.things.decode_delete_version({"thing_id": "x", "version": "12"}, (), None, problems)
    assert (request.version, problems) == (12, [])
    example.things.decode_delete_version({"thing_id": "\udc80", "version": "1e3"}, (), None, problems)
    assert _problems(problems) == [("VALIDATION_ERROR", "thing_id"), ("VALIDATION_ERROR", "version")]


def test_wrong_and_unknown_attributes_are_all_named(example: Example) -> None:
    _, problems = _replace(
        example,
        {
            "owner_id": 5,
            "no/such~thing": 1,
            "part_ids": ["a", None],
            "scalars": {"int32": 2**31, "colour": "red", "more": 1, "from": "x"},
            "optionals": {"shape": {"corners": [{"x": 1}, {"z": 1}, 7], "nothing": {"a": 1}}},
            "maps": {
                "counts": {"a/b": "1"},
                "by_int32": {"x": "y"},
                "by_flag": {"yes": {}},
                "shapes": {"k~": {"name": 1}},
            },
            "lists": {"times": ["never"], "wrapped": [None], "values": [{"deep": [2**60]}]},
            "known": {"empty": {"a": 1}, "int32_value": 1.5},
        },
    )
    assert sorted(pointer for _, pointer in problems if pointer) == sorted(
        "/data/attributes/" + rest
        for rest in (
            "owner_id",
            "no~1such~0thing",
            "part_ids/1",
            "scalars/int32",
            "scalars/colour",
            "scalars/more",
            "scalars/from",
            "optionals/shape/corners/1/z",
            "optionals/shape/corners/2",
            "optionals/shape/nothing/a",
            "maps/counts/a~1b",
            "maps/by_int32/x",
            "maps/by_flag/yes",
            "maps/shapes/k~0/name",
            "lists/times/0",
            "lists/wrapped/0",
            "lists/values/0/deep/0",
            "known/empty/a",
            "known/int32_value",
        )
    )
    assert {code for code, _ in problems} == {"VALIDATION_ERROR"}


def test_only_so_many_problems_are_told(example: Example) -> None:
    _, problems = _replace(example, {f"unknown_{number}": 1 for number in range(1000)})
    assert len(problems) == 100


def test_null_counts_as_absent(example: Example) -> None:
    request, problems = _replace(example, {"owner_id": None, "parent_id": None, "scalars": None, "lists": None})
    assert problems == []
    assert request.thing == example.things_pb2.ThingBody()


def test_an_empty_object_is_a_message_that_is_set(example: Example) -> None:
    request, problems = _replace(
        example, {"scalars": {}, "optionals": {"shape": {"nothing": {}}}, "known": {"empty": {}}}
    )
    assert problems == []
    assert request.thing.HasField("scalars")
    assert request.thing.optionals.shape.HasField("nothing")
    assert request.thing.known.HasField("empty")


def test_defaults_of_fields_with_presence_are_kept(example: Example) -> None:
    request, _ = _replace(example, {"optionals": {"count": 0, "text": "", "flag": False}, "known": {"int64_value": 0}})
    assert {field.name for field, _ in request.thing.optionals.ListFields()} == {"count", "text", "flag"}
    assert request.thing.known.HasField("int64_value")


def test_a_oneof_takes_one_member(example: Example) -> None:
    problems: list[Problem] = []
    example.things.decode_create_thing({}, (), {"one": "a", "other": None}, problems)
    assert problems == []
    example.things.decode_create_thing({}, (), {"one": "a", "other": 1}, problems)
    assert _problems(problems) == [("VALIDATION_ERROR", "/data/attributes/other")]


def test_a_body_in_one_field_leaves_the_rest_to_the_query(example: Example) -> None:
    request, problems = _replace(example, {"owner_id": "me"}, [("dry_run", "true")])
    assert (request.thing.owner_id, request.dry_run, problems) == ("me", True, [])
    assert _replace(example, {}, [("owner_id", "me")])[1] == [("INVALID_QUERY_PARAMETER", "owner_id")]


def test_no_document_leaves_the_body_unset(example: Example) -> None:
    problems: list[Problem] = []
    request = example.things.decode_replace_thing({"thing_id": "x"}, (), None, problems)
    assert not request.HasField("thing")
    assert _replace(example, {})[0].HasField("thing")


def test_the_update_mask_names_the_members_present(example: Example) -> None:
    request, problems = _update(example, {"parent_id": None, "owner_id": "me", "maps": {"texts": {}}, "lists": None})
    assert problems == []
    assert list(request.update_mask.paths) == ["parent_id", "owner_id", "maps", "lists"]
    assert request.thing.owner_id == "me"
    assert not request.thing.HasField("parent_id")
    assert not request.thing.HasField("lists")


def test_an_empty_patch_has_an_empty_mask_that_is_set(example: Example) -> None:
    request, problems = _update(example, {})
    assert problems == []
    assert request.HasField("update_mask")
    assert list(request.update_mask.paths) == []


def test_an_unknown_member_is_not_in_the_mask(example: Example) -> None:
    request, problems = _update(example, {"colour": "blue"})
    assert problems == [("VALIDATION_ERROR", "/data/attributes/colour")]
    assert list(request.update_mask.paths) == []


def test_null_is_a_value_where_any_value_goes(example: Example) -> None:
    request, _ = _update(example, {"anything": None})
    assert request.thing.anything.WhichOneof("kind") == "null_value"


def test_a_patch_of_the_request_itself_leaves_out_path_and_mask(example: Example) -> None:
    problems: list[Problem] = []
    request = example.things.decode_update_note({"key": "k"}, (), {"text": None}, problems)
    assert (request.key, list(request.mask.paths), problems) == ("k", ["text"], [])
    example.things.decode_update_note({"key": "k"}, (), {"key": "other", "mask": "text"}, problems)
    assert [pointer for _, pointer in _problems(problems)] == ["/data/attributes/key", "/data/attributes/mask"]


def test_a_resource_shows_every_attribute_and_its_relationships(example: Example) -> None:
    thing = example.things_pb2.Thing(thing_id="t", owner_id="o", part_ids=["a", "b"], colour=1)
    resource = example.things.thing_resource(thing)
    assert set(resource["attributes"]) == {field.name for field in thing.DESCRIPTOR.fields} - {"thing_id"}
    assert (resource["type"], resource["id"], resource["links"]) == ("thing", "t", {"self": "/api/v1/things/t"})
    assert resource["attributes"]["parent_id"] is None
    assert resource["attributes"]["colour"] == "dark_red"
    assert resource["relationships"] == {
        "owner": {"data": {"type": "user", "id": "o"}},
        "parent": {"data": None},
        "parts": {"data": [{"type": "thing", "id": "a"}, {"type": "thing", "id": "b"}]},
    }


def test_an_id_is_escaped_in_links(example: Example) -> None:
    resource = example.things.note_resource(example.things_pb2.Note(key="a/b c?ö"))
    assert resource["links"]["self"] == "/api/v1/notes/a%2Fb%20c%3F%C3%B6"
    assert resource["id"] == "a/b c?ö"


def test_an_unknown_enum_value_stays_a_number(example: Example) -> None:
    thing = example.things_pb2.Thing(thing_id="t", colour=17)
    attributes = example.things.thing_resource(thing)["attributes"]
    assert (attributes["colour"], attributes["kind"]) == (17, None)


def test_numbers_that_json_lacks_are_null(example: Example) -> None:
    scalars = example.things_pb2.Scalars(double=float("nan"), float=float("-inf"))
    written = example.things.scalars_object(scalars)
    assert (written["double"], written["float"]) == (None, None)


def test_collections_carry_their_page(example: Example) -> None:
    response = example.things_pb2.ListThingsResponse(things=[example.things_pb2.Thing(thing_id="a")])
    response.page.total_items, response.page.current_page, response.page.per_page = 41, 2, 20
    encoded = example.things.encode_list_things(response)
    assert ([one["id"] for one in encoded.data], encoded.page) == (["a"], Page(41, 2, 20))


def test_the_data_field_option_chooses(example: Example) -> None:
    response = example.things_pb2.CompareThingsResponse(notes=[example.things_pb2.Note(key="n")])
    response.thing.thing_id = "t"
    encoded = example.things.encode_compare_things(response)
    assert ([one["type"] for one in encoded.data], encoded.page) == (["note"], None)


def test_no_content_encodes_to_nothing(example: Example) -> None:
    assert example.things.encode_delete_version(example.things_pb2.DeleteVersionResponse()).data is None


def test_an_unset_resource_is_null(example: Example) -> None:
    assert example.things.encode_get_thing(example.things_pb2.GetThingResponse()).data is None


def test_stream_events_carry_type_id_time_and_key(example: Example) -> None:
    message = example.things_pb2.WatchThingsResponse(event_id="e-1")
    message.occurred_at.seconds = 1_767_323_045
    message.noted.key = "k"
    event = example.things.event_watch_things(message)
    assert (event.event_type, event.id, event.timestamp) == ("thing.noted", "e-1", "2026-01-02T03:04:05Z")
    assert (event.payload, event.supersedes) == ({"key": "k", "text": None, "revision": 0}, "thing.noted:k")
    message.moved.SetInParent()
    assert example.things.event_watch_things(message).supersedes is None
    message.ClearField("moved")
    assert example.things.event_watch_things(message).event_type == "stream.unknown"


def test_a_stream_is_asked_to_resume_where_it_can(example: Example) -> None:
    assert example.things.request_watch_things({}, (), "e-1", []).last_event_id == "e-1"
    assert not example.things.request_watch_things({}, (), None, []).HasField("last_event_id")
    assert example.things.request_watch_all({}, (), "e-1", []) == example.things_pb2.WatchAllRequest()
    assert [stream.resumable for stream in example.routes.STREAMS] == [False, False, True]


def test_a_list_of_resource_objects_becomes_messages_with_ids(example: Example) -> None:
    """Ids to ids, attributes to the rest; what is wrong is named by its place in the list."""
    route = next(route for route in example.routes.ROUTES if route.rpc.endswith("/CheckThings"))
    assert (route.takes_list, route.request_types, route.pointers) == (True, ("checkedThing",), {"things": "/data/#"})
    problems: list[Problem] = []
    resources = [("one", {"size_bytes": 3, "names": ["a"]}), ("two", {})]
    request: Any = example.things.decode_check_things({}, (), resources, problems)
    assert [(thing.id, thing.size_bytes, list(thing.names)) for thing in request.things] == [
        ("one", 3, ["a"]),
        ("two", 0, []),
    ]
    assert problems == []
    example.things.decode_check_things({}, (), [("one", {}), ("two", {"size_bytes": "3", "odd": 1})], problems)
    assert sorted(_problems(problems)) == [
        ("VALIDATION_ERROR", "/data/1/attributes/odd"),
        ("VALIDATION_ERROR", "/data/1/attributes/size_bytes"),
    ]


def test_a_streams_request_is_made_of_its_address(example: Example) -> None:
    stream = next(one for one in example.routes.STREAMS if one.rpc.endswith("/WatchNote"))
    problems: list[Problem] = []
    address = {"key": "a b", "version": "7"}
    request: Any = stream.request(address, [("colours", "blue,maroon"), ("whole", "true")], None, problems)
    assert problems == []
    assert (request.key, request.version, len(request.colours), request.whole) == ("a b", 7, 2, True)
    stream.request({"key": "a", "version": "x"}, [("colour", "blue")], None, problems)
    assert [(problem.code, problem.parameter) for problem in problems] == [
        ("VALIDATION_ERROR", "version"),
        ("INVALID_QUERY_PARAMETER", "colour"),
    ]


def test_a_message_without_a_oneof_is_an_event_as_it_stands(example: Example) -> None:
    stream = next(one for one in example.routes.STREAMS if one.rpc.endswith("/WatchNote"))
    event = stream.encode(example.things_pb2.Note(key="k", revision=3))
    assert (event.event_type, event.id, event.timestamp, event.supersedes) == ("note", "", None, "note:k")
    assert event.payload == {"key": "k", "text": None, "revision": 3}
    assert not stream.resumable
