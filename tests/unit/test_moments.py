"""Moments on the wire: the same as protobuf makes of them."""

from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from chassis.cloudevents.moments import to_timestamp

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=3)), timezone(-timedelta(hours=11, minutes=30))])
# Protobuf's timestamps begin and end with the years 1 and 9999 in UTC.
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001  hypothesis wants them so


@given(MOMENTS)
def test_a_moment_is_what_protobuf_makes_of_it(moment):
    wanted = Timestamp()
    wanted.FromDatetime(moment)
    assert to_timestamp(moment) == wanted


def test_no_moment_is_none():
    assert to_timestamp(None) is None
