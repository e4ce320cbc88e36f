"""What playtime is: when a session ends, what a heartbeat changes, how time that sessions share is counted."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Kind
from library_svc.ids import PlaytimeSessionId, ProductId, UserId
from library_svc.playtime.domain import (
    Heartbeat,
    Interval,
    PlaytimeSession,
    SessionOver,
    SessionStatus,
    covered,
    recent_days,
    whole_seconds,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAX_SILENCE = timedelta(seconds=300)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def session(heard: float = 0) -> PlaytimeSession:
    return PlaytimeSession(PlaytimeSessionId(uuid4()), UserId(uuid4()), ProductId(uuid4()), NOON, after(heard))


def live_heartbeat(heard: float = 0, sequence: int | None = None) -> Heartbeat:
    return Heartbeat(UserId(uuid4()), PlaytimeSessionId(uuid4()), after(heard), sequence)


def test_a_session_that_its_client_ends_lasts_until_then():
    ended = session(60).completed(after(90.9), MAX_SILENCE)
    assert (ended.status, ended.end_time, ended.duration_seconds) == (SessionStatus.COMPLETED, after(90.9), 90)
    assert not ended.is_live


@pytest.mark.parametrize("silence", [300.1, 7200])
def test_a_session_that_is_ended_after_a_long_silence_lasted_until_its_last_heartbeat(silence: float):
    ended = session(60).completed(after(60 + silence), MAX_SILENCE)
    assert (ended.status, ended.end_time, ended.duration_seconds) == (SessionStatus.TIMED_OUT, after(60), 60)


def test_a_clock_that_goes_back_makes_no_session_shorter_than_it_was_heard():
    ended = session(60).completed(after(-3600), MAX_SILENCE)
    assert (ended.end_time, ended.duration_seconds) == (after(60), 60)
    assert session(-10).cut_off(SessionStatus.TERMINATED).end_time == NOON


def test_a_heartbeat_keeps_a_session_alive():
    heard = live_heartbeat(0).heard(1, after(60), MAX_SILENCE)
    assert (heard.last_heartbeat_at, heard.sequence) == (after(60), 1)
    assert heard.heard(None, after(120), MAX_SILENCE).sequence == 1


@pytest.mark.parametrize("sequence", [0, 3, 4])
def test_a_heartbeat_that_was_heard_or_overtaken_changes_nothing(sequence: int):
    known = live_heartbeat(60, 4)
    assert known.heard(sequence, after(200), MAX_SILENCE) is known


def test_a_heartbeat_on_a_clock_that_went_back_does_not_turn_time_back():
    assert live_heartbeat(60).heard(None, after(0), MAX_SILENCE).last_heartbeat_at == after(60)


def test_a_heartbeat_after_a_long_silence_is_refused():
    with pytest.raises(SessionOver) as refused:
        live_heartbeat(0).heard(1, after(301), MAX_SILENCE)
    assert (refused.value.kind, refused.value.reason) == (Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
    assert refused.value.details == {"status": "timed_out"}
    with pytest.raises(SessionOver):
        _ = session().cut_off(SessionStatus.TERMINATED).live_heartbeat


def test_a_session_is_heard_as_late_as_it_or_its_pulse_says():
    known = session(60)
    assert known.with_pulse(live_heartbeat(90)).last_heartbeat_at == after(90)
    assert known.with_pulse(live_heartbeat(30)) == known.with_pulse(None) == known
    ended = known.completed(after(61), MAX_SILENCE)
    assert ended.with_pulse(live_heartbeat(90)) == ended


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=12), st.randoms(use_true_random=False))
def test_time_that_intervals_share_is_counted_once_in_whatever_order(
    spans: list[tuple[int, int]], order: random.Random
):
    intervals = [Interval(after(start), after(start + length)) for start, length in spans]
    order.shuffle(intervals)
    seconds = {second for start, length in spans for second in range(start, start + length)}
    assert covered(intervals) == timedelta(seconds=len(seconds))


@given(st.integers(-10, 40), st.integers(0, 50), st.integers(0, 20), st.integers(0, 20))
def test_what_lies_within_is_what_both_have(start: int, length: int, low: int, width: int):
    inside = Interval(after(start), after(start + length)).within(after(low), after(low + width))
    common = set(range(start, start + length)) & set(range(low, low + width))
    assert covered([inside]) == timedelta(seconds=len(common))


def test_a_fraction_of_a_second_is_never_made_whole():
    assert whole_seconds(timedelta(seconds=9, microseconds=999_999)) == 9


def test_the_recent_days_are_fourteen_and_end_today():
    days = recent_days(NOON)
    assert (len(days), days[-1]) == (14, NOON.replace(hour=0))
    assert {after - before for before, after in pairwise(days)} == {timedelta(days=1)}
