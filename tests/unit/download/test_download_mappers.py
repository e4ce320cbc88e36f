"""Values to rows, events and messages, and back."""

from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import hypothesis.strategies as st
import pytest
from catalog.v1 import events_pb2 as catalog_events
from content.v1 import manifest_pb2 as content
from download.v1 import downloads_pb2 as downloads
from hypothesis import given

from chassis.errors import DomainError
from chassis.events import decode, new_event
from download_svc.application.ports import SessionView
from download_svc.domain.installations import GameInstalled
from download_svc.domain.manifests import Platform
from download_svc.domain.progress import LiveProgress
from download_svc.domain.sessions import (
    Failure,
    ItemCounts,
    ItemMoved,
    ItemStatus,
    Session,
    SessionMoved,
    Status,
    UpdateType,
)
from download_svc.infrastructure.events import to_message, to_new_event
from download_svc.infrastructure.postgres_rows import session_of, session_values, version_of, version_values
from download_svc.presentation import messages
from tests.unit.download.rig import NOW, make_manifest, make_session, make_version

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
# Hypothesis wants its bounds without a zone.
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
FAILURES = st.none() | st.builds(Failure, TEXT, TEXT)
SESSIONS = st.builds(
    Session,
    id=st.uuids(),
    user_id=st.uuids(),
    product_id=st.uuids(),
    version_id=st.uuids(),
    platform=st.sampled_from(Platform),
    device_id=st.none() | st.uuids(),
    installation_path=st.none() | TEXT,
    priority=st.integers(0, 10),
    status=st.sampled_from(Status),
    total_size_bytes=st.integers(0, 2**50),
    items=st.builds(ItemCounts, *[st.integers(0, 1000)] * 4),
    created_at=TIMES,
    updated_at=TIMES,
    queue_rank=st.integers(0, 2**31 - 1),
    downloaded_bytes=st.integers(0, 2**50),
    last_sequence=st.integers(-1, 2**62),
    failure=FAILURES,
    update_type=st.none() | st.sampled_from(UpdateType),
    from_version_id=st.none() | st.uuids(),
    _events=st.just([]),
)


@given(SESSIONS)
def test_a_session_survives_its_row(session: Session):
    assert session_of(SimpleNamespace(**session_values(session))) == session


def test_a_version_survives_its_row():
    version = make_version(make_manifest(uuid4(), uuid4()), channel="beta")
    assert version_of(SimpleNamespace(**version_values(version))) == version


@given(
    st.builds(
        SessionMoved,
        *[st.uuids()] * 4,
        st.none() | st.sampled_from(Status),
        st.sampled_from(Status),
        TIMES,
        FAILURES,
    )
)
def test_a_session_move_survives_the_bus(moved: SessionMoved):
    event = new_event(to_message(moved))
    assert event.partition_key == str(moved.user_id)
    assert event.subject == str(moved.session_id)
    wire = decode(SimpleNamespace(data=event.data), type(to_message(moved)))
    assert messages.session_moved(wire) == moved


def test_events_say_what_the_contract_lists():
    moved = ItemMoved(
        *(uuid4() for _ in range(4)),
        "data/a.pak",
        ItemStatus.DOWNLOADING,
        ItemStatus.ERROR,
        10,
        20,
        NOW,
        Failure("CDN_ERROR", "text"),
    )
    event = to_new_event(moved)
    assert event.type == "com.platform.download.item.status.changed.v1"
    assert (event.topic, event.partition_key) == ("com.platform.download.events.v1", str(moved.user_id))
    assert event.data == {
        "downloadSessionId": str(moved.session_id),
        "downloadItemId": str(moved.item_id),
        "fileMetadataId": str(moved.file_metadata_id),
        "relativePath": "data/a.pak",
        "newStatus": "error",
        "previousStatus": "downloading",
        "downloadedBytes": 10,
        "totalFileSizeBytes": 20,
        "timestamp": event.data["timestamp"],
        "errorDetails": {"errorCode": "CDN_ERROR", "errorMessage": "text"},
    }
    installed = to_new_event(GameInstalled(uuid4(), uuid4(), uuid4(), None, 1, NOW))
    assert installed.type == "com.platform.download.game.installed.v1"
    assert "deviceId" not in installed.data
    assert installed.data["remainingInstallations"] == 1


def test_a_session_is_shown_with_what_is_known_and_without_what_is_not():
    session = make_session()
    shown = messages.session_message(SessionView(session, 2), LiveProgress(0, NOW, 800), "ru")
    assert shown.queue_position == 2
    assert not shown.HasField("current_speed_bps"), "a waiting session has no speed"
    assert not shown.HasField("device_id")
    assert not shown.HasField("error")
    assert not shown.HasField("report_sequence"), "nothing was reported yet"
    session.begin(NOW)
    session.report(7, [], {}, NOW)
    shown = messages.session_message(SessionView(session, 1), LiveProgress(0, NOW, 800), "ru")
    assert (shown.current_speed_bps, shown.estimated_time_left_seconds) == (800, 13)
    assert (shown.platform, shown.report_sequence) == (content.PLATFORM_LINUX, 7)


@pytest.mark.parametrize(("language", "title"), [("ru", "Хеш файла не совпадает"), ("en", "File hash mismatch")])
def test_a_failure_speaks_the_callers_language(language: str, title: str):
    shown = messages.failure_message(Failure("FILE_HASH_MISMATCH", "data/a.pak"), language)
    assert shown.message == f"{title} (data/a.pak)"
    assert messages.failure_message(Failure("GAME_SPECIFIC", "text"), language).message == "text"


def test_link_ids_are_hashes_or_files():
    file_id = uuid4()
    request = downloads.CreateDownloadLinksRequest(ids=["ab" * 32, str(file_id)])
    assert messages.link_ids(request) == [bytes.fromhex("ab" * 32), file_id]


def test_a_start_says_only_what_was_said():
    product_id = uuid4()
    request = messages.start_request(downloads.StartDownloadRequest(product_id=str(product_id)))
    assert (request.version_id, request.platform, request.priority, request.free_space_bytes) == (None,) * 4
    assert (request.target.device_id, request.target.installation_path) == (None, None)
    full = downloads.StartDownloadRequest(product_id=str(product_id), platform=content.PLATFORM_MACOS, priority=0)
    assert (messages.start_request(full).platform, messages.start_request(full).priority) == (Platform.MACOS, 0)


@pytest.mark.parametrize(
    "changes",
    [{"product_id": "game-1"}, {"version_id": ""}, {"platform": 0}, {"release_date": None}],
)
def test_an_announcement_that_lacks_something_is_no_event(changes: dict[str, object]):
    good = {
        "product_id": str(uuid4()),
        "version_id": str(uuid4()),
        "platform": content.PLATFORM_LINUX,
        "release_date": NOW,
    }
    announced = messages.announcement(catalog_events.VersionPublished(**good))
    assert (announced.channel, announced.released_at, announced.release_notes_url) == ("stable", NOW, None)
    with pytest.raises(DomainError) as caught:
        messages.announcement(catalog_events.VersionPublished(**{**good, **changes}))
    assert caught.value.reason == "EVENT_INVALID"
