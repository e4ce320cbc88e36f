"""gRPC's bytes: metadata, timeouts, messages, and what trailers say."""

import asyncio
from base64 import b64encode

import grpc
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.grpc_client import http2
from chassis.grpc_client.http2_exchange import Failed, Failure, Stream
from chassis.grpc_client.rpc_wire import (
    metadata_fields,
    outcome_of,
    outcome_of_exchange,
    read_message,
    request_body,
    request_head,
    timeout_field,
)

Code = grpc.StatusCode
KEYS = st.text("abcxyz019_.-", min_size=1, max_size=20).map(lambda key: f"x{key}")
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=50)
ENTRIES = st.one_of(
    st.tuples(KEYS.filter(lambda key: not key.endswith("-bin")), TEXTS.map(lambda text: text.strip(" "))),
    st.tuples(KEYS.map(lambda key: f"{key}-bin"), st.binary(max_size=50)),
)


def decoded(block: bytes) -> list[tuple[str, str]]:
    return [(name, value) for name, value in hpack.Decoder().decode(block)]


def raw(block: bytes) -> http2.Headers:
    return tuple((bytes(name), bytes(value)) for name, value in hpack.Decoder().decode(block, raw=True))


@settings(max_examples=50)
@given(st.lists(ENTRIES, max_size=5))
def test_metadata_comes_back_as_it_went(entries):
    fields = raw(metadata_fields(entries))
    assert list(outcome_of((*fields, (b"grpc-status", b"0"))).metadata) == entries


@pytest.mark.parametrize("value", ["ü", "line\nbreak", "\r", "\0", "tab\t", "\x7f", "Москва"])
def test_text_that_could_not_arrive_is_refused(value):
    with pytest.raises(ValueError, match="printable"):
        metadata_fields([("x-name", value)])


@pytest.mark.parametrize(("name", "value"), [("x-bytes", b"1"), ("x-bin", "text")])
def test_bytes_have_names_of_their_own(name, value):
    with pytest.raises(ValueError, match="-bin"):
        metadata_fields([(name, value)])


@pytest.mark.parametrize("name", ["X-Name", "x name", "", "x\n"])
def test_a_name_that_would_cost_the_connection_is_refused(name):
    with pytest.raises(ValueError, match="no name"):
        metadata_fields([(name, "value")])


def test_what_recurs_is_made_once_and_stays_as_strict():
    """Tokens, addresses and languages come again and again; a bad one is refused every time, and no secret may be indexed."""
    entries = [("authorization", "Bearer a.b.c"), ("x-client-ip", "127.0.0.1"), ("accept-language", "en")]
    first = metadata_fields(entries)
    assert metadata_fields(list(entries)) == first
    assert decoded(first) == entries
    assert first[0] == 0x10
    for _ in range(2):
        with pytest.raises(ValueError, match="printable"):
            metadata_fields([("authorization", "Bearer ü")])


def test_spaces_around_a_value_do_not_go_along():
    assert decoded(metadata_fields([("a", "  b c "), ("d", " ")])) == [("a", "b c"), ("d", "")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "1u"),
        (0.0, "1u"),
        (0.0000001, "1u"),
        (0.25, "250000u"),
        (5.0, "5000000u"),
        (99.999999, "99999999u"),
        (100.0, "100S"),
        (3_600.9, "3600S"),
        (1e12, "99999999S"),
        (float("inf"), "99999999S"),
    ],
)
def test_a_timeout_has_at_most_eight_digits_and_never_says_more_than_there_is(seconds, text):
    assert decoded(timeout_field(seconds)) == [("grpc-timeout", text)]


def test_a_request_begins_with_what_grpc_asks_for():
    fields = dict(decoded(request_head("/a.B/C", "host:1", is_tls=True)))
    assert fields == {
        ":method": "POST",
        ":scheme": "https",
        ":path": "/a.B/C",
        ":authority": "host:1",
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "samovar",
    }
    assert list(fields)[:4] == [":method", ":scheme", ":path", ":authority"]


@pytest.mark.parametrize("code", list(Code))
def test_every_status_is_read(code):
    trailers = ((b"grpc-status", str(code.value[0]).encode()), (b"grpc-message", b"%D1%82%D0%B0%D0%BA %25 100%"))
    outcome = outcome_of(trailers)
    assert (outcome.code, outcome.details) == (code, "так % 100%")


@pytest.mark.parametrize("status", [b"17", b"-1", b"", b"OK", b"00", b"\xff"])
def test_a_status_that_nobody_knows_is_unknown(status):
    assert outcome_of(((b"grpc-status", status),)).code is Code.UNKNOWN


def test_a_message_that_is_not_utf8_is_read_as_far_as_it_goes():
    assert outcome_of(((b"grpc-status", b"5"), (b"grpc-message", b"a%FFb%zz%"))).details == "a\ufffdb%zz%"


@pytest.mark.parametrize("given_value", [b64encode(b"\x00\xff\x10a"), b64encode(b"\x00\xff\x10a").rstrip(b"=")])
def test_binary_metadata_is_read_with_and_without_its_padding(given_value):
    assert outcome_of(((b"grpc-status", b"0"), (b"x-bin", given_value))).metadata == (("x-bin", b"\x00\xff\x10a"),)


def test_binary_metadata_that_was_joined_on_the_way_is_taken_apart():
    joined = b",".join(b64encode(each).rstrip(b"=") for each in (b"a", b"", b"\xff\xfe"))
    metadata = outcome_of(((b"grpc-status", b"0"), (b"x-bin", joined))).metadata
    assert metadata == (("x-bin", b"a"), ("x-bin", b""), ("x-bin", b"\xff\xfe"))


def test_binary_metadata_that_is_none_harms_nobody():
    assert outcome_of(((b"grpc-status", b"0"), (b"x-bin", b"a"))).metadata == (("x-bin", b""),)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"400", Code.INTERNAL),
        (b"401", Code.UNAUTHENTICATED),
        (b"403", Code.PERMISSION_DENIED),
        (b"404", Code.UNIMPLEMENTED),
        (b"429", Code.UNAVAILABLE),
        (b"500", Code.UNKNOWN),
        (b"502", Code.UNAVAILABLE),
        (b"503", Code.UNAVAILABLE),
        (b"504", Code.UNAVAILABLE),
        (b"302", Code.UNKNOWN),
        (b"200", Code.INTERNAL),
        (b"\xff", Code.UNKNOWN),
    ],
)
def test_an_answer_that_is_not_grpc_is_judged_by_its_http_status(status, code):
    assert outcome_of(((b":status", status),)).code is code
    assert outcome_of(((b":status", status), (b"grpc-status", b"5"))).code is Code.NOT_FOUND


def _exchange(
    *, body: bytes = b"", headers: http2.Headers | None = None, trailers: http2.Headers | None = None
) -> Stream:
    loop = asyncio.new_event_loop()
    exchange = Stream(loop.create_future(), None)
    loop.close()
    exchange.headers, exchange.trailers = headers, trailers
    exchange.body = [body[at : at + 3] for at in range(0, len(body), 3)]
    return exchange


def test_an_http_error_with_a_body_is_judged_by_its_headers():
    answer = _exchange(headers=((b":status", b"503"),), body=b"<html>")
    assert outcome_of_exchange(answer, None).code is Code.UNAVAILABLE


def test_an_answer_without_trailers_is_none():
    answer = _exchange(headers=((b":status", b"200"),), body=request_body(b"x"))
    assert outcome_of_exchange(answer, None).code is Code.INTERNAL


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (http2.NO_ERROR, Code.INTERNAL),
        (http2.PROTOCOL_ERROR, Code.INTERNAL),
        (2, Code.INTERNAL),
        (http2.REFUSED_STREAM, Code.UNAVAILABLE),
        (http2.CANCEL, Code.CANCELLED),
        (http2.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (http2.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
        (0xFFFF_FFFF, Code.INTERNAL),
    ],
)
def test_every_reset_has_its_status(reset, code):
    failure = Failure(Failed.RESET, "reset", reset)
    assert outcome_of_exchange(_exchange(), failure).code is code
    assert failure.is_untouched is (reset == http2.REFUSED_STREAM)


@pytest.mark.parametrize("why", [why for why in Failed if why is not Failed.RESET])
def test_every_failure_has_its_status(why):
    assert outcome_of_exchange(_exchange(), Failure(why, "text")).code is not Code.OK


@given(st.binary(max_size=100))
def test_a_message_is_read_from_any_pieces(message):
    assert read_message(_exchange(body=request_body(message))) == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0\0",
        request_body(b"abc")[:-1],
        request_body(b"abc") + b"d",
        request_body(b"a") * 2,
        b"\1" + request_body(b"a")[1:],
        b"\0\xff\xff\xff\xffabc",
    ],
    ids=["nothing", "half a head", "truncated", "too long", "two", "compressed", "a lie"],
)
def test_anything_but_one_message_is_refused(body):
    with pytest.raises(ValueError, match="the answer"):
        read_message(_exchange(body=body))
