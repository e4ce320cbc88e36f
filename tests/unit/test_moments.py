"""Moments at every edge, over all that each wire can say: what is a time comes in within the range, what is none is refused."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.cloudevents.moments import (
    EARLIEST,
    LATEST,
    MAX_NANOS,
    MAX_TIMESTAMP_SECONDS,
    MIN_TIMESTAMP_SECONDS,
    InvalidTimestamp,
    clamped,
    from_timestamp,
    moment_text,
    parse_moment,
    parse_timestamp,
    timestamp_text,
    to_timestamp,
)

OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EVER = st.datetimes(timezones=OFFSETS | st.just(UTC))
"""Every datetime that there is, at every offset that there is."""
INSIDE = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))
SECONDS = st.integers(MIN_TIMESTAMP_SECONDS, MAX_TIMESTAMP_SECONDS)
NANOS = st.integers(0, MAX_NANOS)
SENTINELS = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+03:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-05:00",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.999999999-23:59",
]


def is_moment(moment: datetime) -> bool:
    return moment.tzinfo is UTC and EARLIEST <= moment <= LATEST


@given(EVER)
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=23, minutes=59))))
@example(datetime.max.replace(tzinfo=timezone(-timedelta(hours=23, minutes=59))))
def test_every_datetime_becomes_a_moment(moment: datetime):
    found = clamped(moment)
    assert is_moment(found)
    assert found == moment or (found, moment < EARLIEST) in {(EARLIEST, True), (LATEST, False)}
    assert parse_moment(moment_text(moment)) == found
    timestamp = to_timestamp(moment)
    assert timestamp is not None
    assert from_timestamp(timestamp) == found


@given(INSIDE)
def test_a_moment_is_what_protobuf_makes_of_it(moment: datetime):
    wanted = Timestamp()
    wanted.FromDatetime(moment)
    assert to_timestamp(moment) == wanted
    assert from_timestamp(wanted) == moment


@given(SECONDS, NANOS)
def test_every_timestamp_of_the_wire_is_a_moment_and_has_a_text(seconds: int, nanos: int):
    timestamp = Timestamp(seconds=seconds, nanos=nanos)
    moment = from_timestamp(timestamp)
    assert is_moment(moment)
    if EARLIEST <= moment < LATEST and moment != EARLIEST:
        assert moment == timestamp.ToDatetime(tzinfo=UTC)
    assert timestamp_text(timestamp) == timestamp.ToJsonString()
    assert parse_timestamp(timestamp_text(timestamp)) == timestamp


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
@example(MAX_TIMESTAMP_SECONDS + 1, 0)
@example(MIN_TIMESTAMP_SECONDS - 1, 0)
@example(0, -1)
@example(0, MAX_NANOS + 1)
def test_what_protobuf_does_not_allow_is_refused_by_name(seconds: int, nanos: int):
    timestamp = Timestamp(seconds=seconds, nanos=nanos)
    if MIN_TIMESTAMP_SECONDS <= seconds <= MAX_TIMESTAMP_SECONDS and 0 <= nanos <= MAX_NANOS:
        assert is_moment(from_timestamp(timestamp))
        return
    for read in (from_timestamp, timestamp_text):
        with pytest.raises(InvalidTimestamp, match=str(seconds)):
            read(timestamp)


@given(st.text() | st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]{1,9})?([Zz]|[+-][0-9:]{5})\Z"))
def test_a_text_is_a_moment_or_refused(text: str):
    try:
        moment = parse_moment(text)
    except ValueError:
        return
    assert is_moment(moment)


@pytest.mark.parametrize("text", SENTINELS)
def test_times_that_mean_never_or_for_ever_are_the_ends_of_the_range(text: str):
    assert parse_moment(text) in {EARLIEST, LATEST}
    assert parse_moment(text.lower()) == parse_moment(text)


def test_digits_below_a_microsecond_are_dropped():
    timestamp = parse_timestamp("2026-03-01t10:00:00.999999999z")
    assert from_timestamp(timestamp) == datetime(2026, 3, 1, 10, 0, 0, 999999, tzinfo=UTC)


def test_a_datetime_without_a_zone_is_a_mistake():
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  that is the point
    for use in (clamped, to_timestamp, moment_text):
        with pytest.raises(TypeError):
            use(naive)


def test_no_moment_is_none():
    assert to_timestamp(None) is None
