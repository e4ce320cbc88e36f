"""The queue, the choice of a version, derived ids, progress: rules without a status machine."""

from datetime import timedelta
from uuid import UUID, uuid4, uuid5

import hypothesis.strategies as st
import pytest
from hypothesis import given

from chassis.errors import DomainError
from download_svc.queue.domain import MAX_LIVE_SESSIONS_PER_USER, Queue
from download_svc.sessions.domain import Status
from download_svc.sessions.progress import LiveProgress, measure, seconds_left
from download_svc.versions.domain import VersionState, channels_of, choose, require_disk_space
from download_svc.versions.manifests import Platform, derived_ids
from tests.unit.download.rig import NOW, make_manifest, make_session, make_version

PRODUCT = uuid4()


def _reason(call) -> str:
    with pytest.raises(DomainError) as caught:
        call()
    return caught.value.reason


def _version(platform=Platform.LINUX, **changes):
    return make_version(make_manifest(PRODUCT, uuid4(), platform=platform), **changes)


def _choose(versions, version_id=None, platform=None, permissions=()):
    return choose(
        versions, product_id=PRODUCT, version_id=version_id, platform=platform, channels=channels_of(permissions)
    )


def test_slots_go_to_the_users_own_order_then_priority_then_age():
    old, urgent, ranked = make_session(), make_session(priority=9, now=NOW + timedelta(1)), make_session()
    ranked.queue_rank = 1
    ranked.created_at = NOW + timedelta(2)
    newest = make_session(now=NOW + timedelta(3))
    queue = Queue([newest, old, urgent, ranked], slots=3)
    assert queue.promote(NOW) == [ranked, urgent, old]
    assert newest.status is Status.QUEUED
    assert [queue.position(session) for session in (ranked, urgent, old, newest)] == [1, 2, 3, 4]


def test_running_sessions_keep_their_slots_and_paused_ones_hold_none():
    running, paused, waiting, late = (make_session(now=NOW + timedelta(days=day)) for day in range(4))
    running.begin(NOW)
    paused.pause(NOW)
    queue = Queue([running, paused, waiting, late], slots=2)
    assert queue.promote(NOW) == [waiting]
    assert queue.position(paused) is None
    assert queue.promote(NOW) == []


def test_fewer_slots_than_run_take_nothing_away():
    running = [make_session() for _ in range(3)]
    for session in running:
        session.begin(NOW)
    assert Queue([*running, make_session()], slots=1).promote(NOW) == []


def test_one_live_session_per_product_and_device_and_no_device_is_one():
    device = uuid4()
    version = _version()
    first, second = make_session(version), make_session(version)
    other_device = make_session(version, device_id=device)
    queue = Queue([first], slots=3)
    assert _reason(lambda: queue.require_place(second)) == "DOWNLOAD_ALREADY_ACTIVE"
    queue.require_place(other_device)
    queue.join(other_device)
    again = make_session(version, device_id=device)
    assert _reason(lambda: queue.require_place(again)) == "DOWNLOAD_ALREADY_ACTIVE"


def test_the_queue_is_full_at_its_limit():
    queue = Queue([make_session() for _ in range(MAX_LIVE_SESSIONS_PER_USER - 1)], slots=3)
    queue.require_place(make_session())
    queue.join(make_session())
    assert _reason(lambda: queue.require_place(make_session())) == "DOWNLOAD_QUEUE_FULL"


def test_ended_sessions_take_no_place():
    ended = make_session()
    ended.cancel(NOW)
    assert Queue([ended], slots=1).promote(NOW) == []


def test_without_a_version_the_newest_stable_one_of_the_platform_is_meant():
    old, new = _version(), _version(released_at=NOW + timedelta(1))
    beta = _version(channel="beta", released_at=NOW + timedelta(2))
    windows = _version(Platform.WINDOWS, released_at=NOW + timedelta(3))
    versions = [new, old, beta, windows]
    assert _choose(versions, platform=Platform.LINUX, permissions=["channel:beta"]) is new
    assert _choose(versions, platform=Platform.WINDOWS) is windows
    assert _choose([old, new]) is new


def test_without_a_platform_a_product_of_several_is_ambiguous():
    versions = [_version(), _version(Platform.MACOS)]
    with pytest.raises(DomainError) as caught:
        _choose(versions)
    assert caught.value.reason == "INVALID_ARGUMENT"
    assert "linux, macos" in caught.value.details["description"]
    assert caught.value.violations[0].field == "platform"


def test_a_named_version_brings_its_platform():
    linux, macos = _version(), _version(Platform.MACOS)
    assert _choose([linux, macos], version_id=macos.version_id) is macos
    assert _reason(lambda: _choose([linux], linux.version_id, Platform.MACOS)) == "VERSION_NOT_FOUND"


def test_other_channels_need_their_permission():
    beta = _version(channel="beta")
    assert _reason(lambda: _choose([beta], beta.version_id)) == "VERSION_NOT_FOUND"
    assert _reason(lambda: _choose([beta], beta.version_id, permissions=["channel:test"])) == "VERSION_NOT_FOUND"
    assert _reason(lambda: _choose([beta])) == "VERSION_NOT_FOUND"
    assert _choose([beta], beta.version_id, permissions=["channel:beta"]) is beta
    assert _choose([beta], permissions=["channel:beta"]) is beta


def test_what_is_unknown_is_not_found_and_what_is_retired_not_available():
    retired = _version(state=VersionState.RETIRED)
    assert _reason(lambda: _choose([])) == "PRODUCT_NOT_FOUND"
    assert _reason(lambda: _choose([], uuid4())) == "VERSION_NOT_FOUND"
    assert _reason(lambda: _choose([_version()], uuid4())) == "VERSION_NOT_FOUND"
    assert _reason(lambda: _choose([_version()], platform=Platform.WINDOWS)) == "VERSION_NOT_FOUND"
    assert _reason(lambda: _choose([retired], retired.version_id)) == "VERSION_NOT_AVAILABLE"
    assert _reason(lambda: _choose([retired])) == "VERSION_NOT_FOUND"


def test_too_little_disk_space_is_refused_with_both_numbers():
    version = _version()
    require_disk_space(version, None)
    require_disk_space(version, version.total_size_bytes)
    with pytest.raises(DomainError) as caught:
        require_disk_space(version, version.total_size_bytes - 1)
    assert caught.value.reason == "INSUFFICIENT_CLIENT_DISK_SPACE"
    assert caught.value.details == {"required_bytes": "1300", "available_bytes": "1299"}


@given(st.uuids(), st.lists(st.text(max_size=40), max_size=20))
def test_derived_ids_are_uuids_of_version_5(namespace: UUID, names: list[str]):
    assert derived_ids(namespace, names) == [uuid5(namespace, name) for name in names]


def test_speed_is_measured_in_bits_and_smoothed():
    first = measure(None, 0, NOW)
    assert first.speed_bps is None
    second = measure(first, 1_000_000, NOW + timedelta(seconds=1))
    assert second.speed_bps == 8_000_000
    third = measure(second, 1_000_000, NOW + timedelta(seconds=2))
    assert third.speed_bps is not None
    assert 0 < third.speed_bps < 8_000_000


def test_reports_in_quick_succession_are_measured_together_and_old_ones_forgotten():
    start = LiveProgress(0, NOW, 1000)
    assert measure(start, 500, NOW + timedelta(milliseconds=50)) is start
    assert measure(start, 500, NOW + timedelta(minutes=5)) == LiveProgress(500, NOW + timedelta(minutes=5))
    assert measure(LiveProgress(900, NOW), 100, NOW + timedelta(seconds=1)).speed_bps == 0


def test_time_left_is_known_only_while_something_moves():
    assert seconds_left(None, 0, 100) is None
    assert seconds_left(0, 0, 100) is None
    assert seconds_left(80, 0, 100) == 10
    assert seconds_left(80, 100, 100) == 0
