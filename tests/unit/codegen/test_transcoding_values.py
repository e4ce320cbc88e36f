"""gateway.transcoding, value by value."""

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from google.protobuf import duration_pb2, json_format, struct_pb2, timestamp_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import DomainError
from gateway import transcoding as t
from gateway.contract import JsonValue, Problem

Read = Callable[[JsonValue, str, str | int, list[Problem]], Any]

WRONG: dict[str, tuple[Read, list[Any]]] = {
    "string": (t.string, [1, True, None, [], {}]),
    "boolean": (t.boolean, [0, 1, "true", None]),
    "int32": (t.int32, [2**31, -(2**31) - 1, 1.5, "1", True, None, math.nan]),
    "uint32": (t.uint32, [-1, 2**32, 0.5, "1", False]),
    "int64": (t.int64, [2**63, -(2**63) - 1, 1e19, 2.0**52, -(2.0**63), "1", True, []]),
    "uint64": (t.uint64, [-1, 2**64, 1e20, 2.0**52, "0"]),
    "number64": (t.number64, ["1", True, None, math.inf, math.nan, 10**400]),
    "number32": (t.number32, [1e39, -1e39, "NaN", False]),
    "octets": (t.octets, ["*", "A", "ё", 1, None]),
}
RIGHT: dict[str, tuple[Read, list[tuple[Any, Any]]]] = {
    "string": (t.string, [("", ""), ("ё\x00", "ё\x00")]),
    "boolean": (t.boolean, [(True, True), (False, False)]),
    "int32": (t.int32, [(0, 0), (2**31 - 1, 2**31 - 1), (-(2**31), -(2**31)), (3.0, 3), (-0.0, 0)]),
    "uint32": (t.uint32, [(2**32 - 1, 2**32 - 1), (1e3, 1000)]),
    "int64": (t.int64, [(2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (2.0**52 - 1, 2**52 - 1), (1e15, 10**15)]),
    "uint64": (t.uint64, [(2**64 - 1, 2**64 - 1)]),
    "number64": (t.number64, [(1, 1.0), (-2.5, -2.5), (10**300, 1e300)]),
    "number32": (t.number32, [(3.4028235e38, 3.4028235e38), (0.1, 0.1)]),
    "octets": (t.octets, [("", b""), ("_-8", b"\xff\xef"), ("/+8=", b"\xff\xef")]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_a_problem_at_its_place(name: str) -> None:
    read, values = WRONG[name]
    for value in values:
        problems: list[Problem] = []
        read(value, "/data/attributes/list", 3, problems)
        assert [(one.code, one.pointer) for one in problems] == [("VALIDATION_ERROR", "/data/attributes/list/3")], value


@given(
    st.one_of(st.integers(-(2**70), 2**70).map(str), st.decimals(-(2**70), 2**70, allow_nan=False).map("{:f}".format)),
    st.sampled_from([(t.int64, -(2**63), 2**63 - 1), (t.uint64, 0, 2**64 - 1)]),
)
@example("-9223372036854775809", (t.int64, -(2**63), 2**63 - 1))
@example("9007199254740992.5", (t.int64, -(2**63), 2**63 - 1))
@example("4503599627370496.5", (t.uint64, 0, 2**64 - 1))
def test_an_integer_is_what_was_written_or_refused(written: str, integer: tuple[Read, int, int]) -> None:
    """Through the JSON reader, which makes doubles of what 64 bits do not hold: nothing comes out rounded to another integer."""
    read, lowest, highest = integer
    problems: list[Problem] = []
    result = read(t.read_json(written.encode()), "", "x", problems)
    exact = Decimal(written)
    if exact == exact.to_integral_value() and lowest <= exact <= highest and "." not in written:
        assert (result, problems) == (int(exact), [])
    elif not problems:
        assert abs(result - exact) < Decimal("0.25")


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_is_read(name: str) -> None:
    read, values = RIGHT[name]
    for value, meaning in values:
        problems: list[Problem] = []
        result = read(value, "", "x", problems)
        assert (result, type(result), problems) == (meaning, type(meaning), []), value


def test_a_problem_says_what_would_be_right() -> None:
    problems: list[Problem] = []
    t.enum_number("rot", {"red": 1, "blue": 2}, "/data/attributes", "colour", problems)
    assert problems[0].details == {"description": "must be one of red, blue", "rule": "type.enum"}


@pytest.mark.parametrize("value", [None, 1, ["red"], {"red": 1}, "RED", ""])
def test_only_an_enum_value_in_lower_case_is_one(value: Any) -> None:
    problems: list[Problem] = []
    t.enum_number(value, {"red": 1}, "", "colour", problems)
    assert len(problems) == 1


def test_pointers_are_escaped() -> None:
    assert t.pointer("/data", "a/b~c") == "/data/a~1b~0c"


@given(
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanos=st.sampled_from([0, 1, 999, 1_000, 500_000_000, 123_456_789]) | st.integers(0, 999_999_999),
)
def test_times_are_written_as_json_format_writes_them_and_read_back(seconds: int, nanos: int) -> None:
    message = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
    text = t.timestamp_text(message)
    assert text == message.ToJsonString()
    assert t.parse_timestamp(text) == (message.seconds, message.nanos)


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (253_402_300_800, 0),
        (-62_135_596_801, 0),
        (2**63 - 1, 0),
        (-(2**63), 0),
        (0, -1),
        (0, 1_000_000_000),
        (0, 2_000_000_000),
    ],
)
def test_a_time_that_a_service_sends_wrongly_is_an_error_of_ours(seconds: int, nanos: int) -> None:
    with pytest.raises(DomainError) as raised:
        t.timestamp_text(timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos))
    assert raised.value.reason == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1970-01-01T00:00:00Z", (0, 0)),
        ("1970-01-01t03:00:00.000000001+03:00", (0, 1)),
        ("1969-12-31T19:00:00-05:00", (0, 0)),
        ("2024-02-29T23:59:59z", (1_709_251_199, 0)),
        ("0001-01-01T00:00:00Z", (-62_135_596_800, 0)),
        ("9999-12-31T23:59:59.999999999Z", (253_402_300_799, 999_999_999)),
    ],
)
def test_rfc_3339_is_read(text: str, meaning: tuple[int, int]) -> None:
    assert t.parse_timestamp(text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+0300",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "٢٠٢٤-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
    ],
)
def test_what_is_not_rfc_3339_is_refused(text: str) -> None:
    problems: list[Problem] = []
    t.fill_timestamp(timestamp_pb2.Timestamp(), text, "", "at", problems)
    assert [problem.pointer for problem in problems] == ["/at"]


@given(seconds=st.integers(-315_576_000_000, 315_576_000_000), nanos=st.integers(0, 999_999_999))
def test_durations_are_written_as_json_format_writes_them_and_read_back(seconds: int, nanos: int) -> None:
    message = duration_pb2.Duration(seconds=seconds, nanos=-nanos if seconds < 0 else nanos)
    text = t.duration_text(message)
    assert text == message.ToJsonString()
    problems: list[Problem] = []
    again = duration_pb2.Duration()
    t.fill_duration(again, text, "", "within", problems)
    assert (again, problems) == (message, [])


@pytest.mark.parametrize("value", ["1", "s", "1.s", "1.0000000000s", "315576000001s", "1e3s", 1, None])
def test_what_is_not_a_duration_is_refused(value: Any) -> None:
    problems: list[Problem] = []
    t.fill_duration(duration_pb2.Duration(), value, "", "within", problems)
    assert len(problems) == 1


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_32_bit_number_comes_back_the_same(value: float) -> None:
    written = t.single(value)
    assert written is not None
    assert struct.unpack("f", struct.pack("f", written))[0] == value


def test_a_32_bit_number_is_written_short() -> None:
    assert t.single(struct.unpack("f", struct.pack("f", 0.1))[0]) == 0.1


def test_free_json_comes_back_the_same() -> None:
    value = {"a": [1, 2.5, True, None, "ё", {"b": []}], "": {}, "big": 2**53, "small": -(2**53)}
    message, problems = struct_pb2.Struct(), []
    t.fill_struct(message, value, "", "settings", problems)
    assert problems == []
    assert t.struct_json(message) == dict(sorted(value.items()))
    assert message == json_format.ParseDict(value, struct_pb2.Struct())


def test_free_json_keeps_whole_numbers_whole() -> None:
    assert orjson.dumps(t.value_json(struct_pb2.Value(number_value=5))) == b"5"
    assert t.value_json(struct_pb2.Value(number_value=math.inf)) is None


def test_members_of_free_json_come_in_one_order() -> None:
    """An ETag of the same content must not change from process to process."""
    message = struct_pb2.Struct()
    message.update(dict.fromkeys("zyxabc", 1))
    assert list(t.struct_json(message)) == sorted("zyxabc")


def test_an_integer_that_a_double_cannot_hold_is_refused() -> None:
    problems: list[Problem] = []
    t.fill_struct(struct_pb2.Struct(), {"a": {"b": [2**53 + 1]}}, "", "settings", problems)
    assert [problem.pointer for problem in problems] == ["/settings/a/b/0"]


def test_free_json_has_a_depth_that_the_receiver_can_read() -> None:
    def nested(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = {"a": value}
        return value

    problems: list[Problem] = []
    message = struct_pb2.Struct()
    t.fill_struct(message, nested(t.MAX_STRUCT_DEPTH), "", "settings", problems)
    assert problems == []
    outer = struct_pb2.Value(struct_value=message)
    assert struct_pb2.Value.FromString(outer.SerializeToString()) == outer
    t.fill_struct(struct_pb2.Struct(), nested(t.MAX_STRUCT_DEPTH + 1), "", "settings", problems)
    assert len(problems) == 1


def test_names_of_free_json_must_be_an_object() -> None:
    problems: list[Problem] = []
    t.fill_struct(struct_pb2.Struct(), [], "", "settings", problems)
    t.fill_list(struct_pb2.ListValue(), {}, "", "list", problems)
    assert [problem.pointer for problem in problems] == ["/settings", "/list"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"a":1,}', b"NaN", b'{"a":1}x', b'"\\ud800"', b"\xff", b"[1e999]", b"'a'"]
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        t.read_json(body)


@pytest.mark.parametrize(
    "body",
    [b'{"a":1,"a":1}', b'{"x":[{"b":{},"b" :[]}]}', b'{"a":1,"\\u0061":2}', b'{"a\\"":1,"a\\"":2}'],
)
def test_a_member_named_twice_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="twice"):
        t.read_json(body)


@given(
    st.recursive(
        st.none() | st.text(':"\\{}[], ab', max_size=8),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_without_doubles_is_read(value: Any) -> None:
    """Colons and quotes in strings are not taken for members."""
    assert t.read_json(orjson.dumps(value, option=orjson.OPT_INDENT_2)) == value
