"""The status machine of a session, and what reports do to it (contract section 3)."""

from datetime import timedelta
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chassis.errors import DomainError, Kind
from download_svc.sessions.domain import (
    LIVE,
    MOVES,
    SLOT_HOLDERS,
    ItemMoved,
    ItemReport,
    ItemStatus,
    PauseReason,
    SessionMoved,
    Status,
)
from tests.unit.download.rig import FILES, NOW, make_items, make_manifest, make_session, make_version

CONTRACT_MOVES = {
    ("queued", "initializing"),
    ("initializing", "downloading"),
    ("downloading", "verifying"),
    ("verifying", "completed"),
    ("queued", "paused"),
    ("initializing", "paused"),
    ("downloading", "paused"),
    ("paused", "queued"),
    ("verifying", "downloading"),
    ("error", "queued"),
    *((live.value, end) for live in LIVE for end in ("cancelled", "error")),
}


def _downloading():
    manifest = make_manifest(uuid4(), uuid4())
    session = make_session(make_version(manifest))
    session.begin(NOW)
    items = make_items(session, manifest)
    session.report(0, [], items, NOW)
    session.take_events()
    return session, items


def _all(items, status, **report):
    return [ItemReport(item.id, status, item.total_size_bytes, **report) for item in items.values()]


def _error(call) -> DomainError:
    with pytest.raises(DomainError) as caught:
        call()
    return caught.value


def test_the_moves_are_those_of_the_contract_and_no_others():
    assert {(old.value, new.value) for old, allowed in MOVES.items() for new in allowed} == CONTRACT_MOVES


def test_only_initializing_downloading_and_verifying_hold_a_slot():
    assert {status.value for status in SLOT_HOLDERS} == {"initializing", "downloading", "verifying"}


def test_a_new_session_is_queued_and_says_so_without_a_previous_status():
    session = make_session()
    [event] = session.take_events()
    assert isinstance(event, SessionMoved)
    assert (event.previous, event.new, event.at) == (None, Status.QUEUED, NOW)
    assert session.take_events() == []


@pytest.mark.parametrize(
    ("operation", "allowed"),
    [
        ("pause", {Status.QUEUED, Status.INITIALIZING, Status.DOWNLOADING}),
        ("resume", {Status.PAUSED}),
        ("retry", {Status.ERROR}),
        ("cancel", LIVE),
        ("begin", {Status.QUEUED}),
        ("withdraw", LIVE),
    ],
)
def test_every_operation_is_refused_in_every_state_it_is_not_for(operation, allowed):
    for status in Status:
        session = make_session()
        session.status = status
        session.take_events()
        if status in allowed:
            getattr(session, operation)(NOW)
            [event] = session.take_events()
            assert event.previous is status
            assert event.new is session.status
        else:
            error = _error(lambda session=session: getattr(session, operation)(NOW))
            assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "INVALID_STATE_TRANSITION")
            assert error.details == {"status": status.value}
            assert session.status is status
            assert session.take_events() == []


@pytest.mark.parametrize("status", sorted(Status))
def test_a_slot_lapses_by_moves_of_the_contract_and_only_a_slot(status):
    session = make_session()
    session.status = status
    session.take_events()
    if status not in SLOT_HOLDERS:
        assert _error(lambda: session.lapse(NOW)).reason == "INVALID_STATE_TRANSITION"
        assert (session.status, session.pause_reason, session.take_events()) == (status, None, [])
        return
    session.lapse(NOW)
    assert (session.status, session.pause_reason) == (Status.PAUSED, PauseReason.CLIENT_SILENT)
    moves = [(event.previous, event.new) for event in session.take_events()]
    assert all(new in MOVES[previous] for previous, new in moves)
    assert (moves[0][0], moves[-1][1]) == (status, Status.PAUSED)
    session.resume(NOW)
    assert session.pause_reason is None


def test_the_first_report_moves_initializing_to_downloading():
    session = make_session()
    session.begin(NOW)
    session.report(0, [], {}, NOW + timedelta(seconds=1))
    assert session.status is Status.DOWNLOADING
    assert session.updated_at == NOW + timedelta(seconds=1)


def test_a_report_is_taken_once_and_only_in_order():
    session, items = _downloading()
    assert not session.takes(0)
    assert session.takes(1)
    session.report(5, _all(items, ItemStatus.DOWNLOADING)[:1], items, NOW)
    assert not session.takes(5)
    assert not session.takes(4)
    assert session.takes(6)


@pytest.mark.parametrize("status", sorted(set(Status) - SLOT_HOLDERS))
def test_a_session_without_a_slot_takes_no_report(status):
    session, _ = _downloading()
    session.status = status
    assert not session.takes(100)


def test_items_that_are_all_verifying_or_completed_make_the_session_verify_and_all_completed_complete_it():
    session, items = _downloading()
    reports = _all(items, ItemStatus.VERIFYING)
    session.report(1, reports[:1], items, NOW)
    assert session.status is Status.DOWNLOADING
    session.report(2, reports, items, NOW)
    assert session.status is Status.VERIFYING
    assert session.downloaded_bytes == sum(FILES.values())
    session.report(3, _all(items, ItemStatus.COMPLETED), items, NOW)
    assert session.status is Status.COMPLETED
    assert session.progress_percentage == 100


def test_one_report_that_completes_everything_leaves_every_move_in_order():
    manifest = make_manifest(uuid4(), uuid4())
    session = make_session(make_version(manifest))
    session.begin(NOW)
    session.take_events()
    items = make_items(session, manifest)
    session.report(0, _all(items, ItemStatus.COMPLETED), items, NOW)
    events = session.take_events()
    moves = [event.new.value for event in events if isinstance(event, SessionMoved)]
    assert moves == ["downloading", "verifying", "completed"]
    assert sum(isinstance(event, ItemMoved) for event in events) == len(FILES)


def test_a_file_that_has_to_be_fetched_again_takes_the_session_back_to_downloading():
    session, items = _downloading()
    session.report(1, _all(items, ItemStatus.VERIFYING), items, NOW)
    again = next(item for item in items.values() if item.total_size_bytes)
    session.report(2, [ItemReport(again.id, ItemStatus.DOWNLOADING, 0)], items, NOW)
    assert session.status is Status.DOWNLOADING
    assert session.downloaded_bytes == sum(FILES.values()) - again.total_size_bytes


def test_a_failed_file_fails_the_session_with_its_code_and_is_counted():
    session, items = _downloading()
    item = next(iter(items.values()))
    report = ItemReport(item.id, ItemStatus.ERROR, 10, "origin", "FILE_HASH_MISMATCH")
    session.report(1, [report], items, NOW)
    assert session.status is Status.ERROR
    assert session.failure is not None
    assert session.failure.code == "FILE_HASH_MISMATCH"
    assert item.relative_path in session.failure.message
    assert (item.retry_count, item.cdn_provider, session.items.failed) == (1, "origin", 1)
    item_moved, session_moved = session.take_events()
    assert item_moved.failure.code == session_moved.failure.code == "FILE_HASH_MISMATCH"


def test_a_failed_file_without_a_code_gets_one():
    session, items = _downloading()
    session.report(1, [ItemReport(next(iter(items)), ItemStatus.ERROR, 0)], items, NOW)
    assert session.failure is not None
    assert session.failure.code == "CDN_ERROR"


def test_retry_clears_the_failure_and_the_count_of_failed_files():
    session, items = _downloading()
    session.report(1, [ItemReport(next(iter(items)), ItemStatus.ERROR, 0)], items, NOW)
    session.retry(NOW)
    assert (session.status, session.failure, session.items.failed) == (Status.QUEUED, None, 0)


def test_a_report_with_a_file_of_another_session_changes_nothing():
    session, items = _downloading()
    reports = [*_all(items, ItemStatus.COMPLETED), ItemReport(uuid4(), ItemStatus.COMPLETED, 0)]
    error = _error(lambda: session.report(1, reports, items, NOW))
    assert error.reason == "FILE_NOT_FOUND"
    assert (session.status, session.downloaded_bytes, session.last_sequence) == (Status.DOWNLOADING, 0, 0)


def test_more_bytes_than_the_file_has_are_refused_where_they_stand():
    session, items = _downloading()
    reports = _all(items, ItemStatus.DOWNLOADING)
    reports[1] = ItemReport(reports[1].item_id, ItemStatus.DOWNLOADING, 10**9)
    error = _error(lambda: session.report(1, reports, items, NOW))
    assert error.reason == "VALIDATION_ERROR"
    assert [violation.field for violation in error.violations] == ["items[1].downloaded_bytes"]
    assert session.downloaded_bytes == 0


def test_only_completed_and_failed_files_leave_events():
    session, items = _downloading()
    session.report(1, _all(items, ItemStatus.DOWNLOADING), items, NOW)
    session.report(2, _all(items, ItemStatus.VERIFYING)[:-1], items, NOW)
    assert not [event for event in session.take_events() if isinstance(event, ItemMoved)]


def test_a_version_without_files_is_done_at_its_first_report():
    session = make_session(make_version(make_manifest(uuid4(), uuid4(), {})))
    session.begin(NOW)
    session.report(0, [], {}, NOW)
    assert (session.status, session.progress_percentage) == (Status.COMPLETED, 100)


class SessionMachine(RuleBasedStateMachine):
    """Whatever is called in whatever order: only allowed moves, each with one event, and counters that say what items say."""

    @initialize()
    def start(self):
        manifest = make_manifest(uuid4(), uuid4())
        self.session = make_session(make_version(manifest))
        self.items = make_items(self.session, manifest)
        self.told = Status.QUEUED
        self.session.take_events()
        self.now = NOW
        self.sequence = 0

    @rule(operation=st.sampled_from(["begin", "pause", "lapse", "resume", "cancel", "withdraw", "retry"]))
    def operate(self, operation):
        self.now += timedelta(seconds=1)
        before = self.session.status
        try:
            getattr(self.session, operation)(self.now)
        except DomainError as error:
            refused = error.reason
        else:
            refused = None
        if refused is not None:
            assert refused == "INVALID_STATE_TRANSITION"
            assert self.session.status is before
            return
        if operation == "retry":
            for item in self.items.values():
                if item.status is ItemStatus.ERROR:
                    item.status, item.failure = ItemStatus.PENDING, None

    @precondition(lambda self: self.session.takes(self.sequence + 1))
    @rule(data=st.data())
    def report(self, data):
        self.sequence += 1
        reports = data.draw(
            st.lists(
                st.builds(
                    ItemReport,
                    st.sampled_from(sorted(self.items)),
                    st.sampled_from(ItemStatus),
                    st.just(0) | st.just(min(item.total_size_bytes for item in self.items.values())),
                    st.none() | st.just("origin"),
                    st.none() | st.just("CDN_ERROR"),
                ),
                max_size=6,
            )
        )
        self.session.report(self.sequence, reports, self.items, self.now)

    @invariant()
    def moves_are_allowed_and_told(self):
        for event in self.session.take_events():
            if isinstance(event, SessionMoved):
                assert event.previous is self.told
                assert event.new in MOVES[self.told]
                self.told = event.new
        assert self.told is self.session.status

    @invariant()
    def counters_say_what_items_say(self):
        counts = self.session.items
        statuses = [item.status for item in self.items.values()]
        assert counts.verifying == statuses.count(ItemStatus.VERIFYING)
        assert counts.completed == statuses.count(ItemStatus.COMPLETED)
        assert counts.failed == statuses.count(ItemStatus.ERROR)
        assert self.session.downloaded_bytes == sum(item.downloaded_bytes for item in self.items.values())
        assert 0 <= self.session.downloaded_bytes <= self.session.total_size_bytes
        assert 0 <= self.session.progress_percentage <= 100

    @invariant()
    def a_failure_is_known_exactly_in_error(self):
        assert (self.session.failure is not None) == (self.session.status is Status.ERROR)
        assert self.session.pause_reason is None or self.session.status is Status.PAUSED


SessionMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
test_no_order_of_calls_breaks_the_machine = SessionMachine.TestCase
