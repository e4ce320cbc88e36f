"""Values to rows, events and messages, and back."""

from datetime import UTC, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4, uuid5

import hypothesis.strategies as st
import pytest
from catalog.v1 import events_pb2 as catalog_events
from content.v1 import manifest_pb2 as content
from download.v1 import downloads_pb2 as downloads
from download.v1 import verifications_pb2 as verifications_pb
from hypothesis import given

from chassis.cloudevents.events import decode, new_event
from chassis.cloudevents.moments import EARLIEST, LATEST
from chassis.errors import DomainError
from download_svc.installations.domain import GameInstalled
from download_svc.outgoing import to_message, to_new_event
from download_svc.sessions import messages
from download_svc.sessions.application import SessionView
from download_svc.sessions.domain import (
    Failure,
    ItemCounts,
    ItemMoved,
    ItemStatus,
    Session,
    SessionMoved,
    Status,
    UpdateType,
)
from download_svc.sessions.postgres import session_of, session_values
from download_svc.sessions.progress import LiveProgress
from download_svc.updates.domain import HistoryEntry, Update, UpdateOffered, UpdateOutcome, UpdateStatus
from download_svc.updates.postgres import history_of, history_values, update_of, update_values
from download_svc.verifications import messages as verification_messages
from download_svc.verifications.domain import Issue, IssueKind, LocalEntry, Verification, VerificationStatus
from download_svc.verifications.postgres import verification_of, verification_values
from download_svc.versions.manifests import EntryType, Platform
from download_svc.versions.postgres import version_of, version_values
from tests.unit.download.rig import NOW, make_manifest, make_session, make_version

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
# Hypothesis wants its bounds without a zone.
TIMES = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))
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


UPDATES = st.builds(
    Update,
    *[st.uuids()] * 5,
    st.sampled_from(UpdateType),
    st.integers(0, 2**50),
    st.none() | TEXT,
    st.sampled_from(UpdateStatus),
    TIMES,
    TIMES,
)
HISTORY = st.builds(
    HistoryEntry, *[st.uuids()] * 4, st.none() | st.uuids(), st.sampled_from(UpdateOutcome), TIMES, st.none() | TEXT
)
VERIFICATIONS = st.builds(
    Verification,
    *[st.uuids()] * 4,
    st.none() | st.uuids(),
    st.booleans(),
    TIMES,
    st.sampled_from(VerificationStatus),
    st.binary(max_size=20),
    st.integers(0, 100),
    st.integers(0, 100),
    st.lists(TEXT, max_size=3).map(tuple),
    st.none() | st.uuids(),
    st.none() | TIMES,
)
ISSUES = st.builds(Issue, TEXT, st.sampled_from(IssueKind), st.frozensets(st.integers(0, 50)))


@given(UPDATES)
def test_an_update_survives_its_row(update: Update):
    assert update_of(SimpleNamespace(**update_values(update))) == update


@given(HISTORY)
def test_an_entry_of_the_history_survives_its_row(entry: HistoryEntry):
    assert history_of(SimpleNamespace(**history_values(entry))) == entry


@given(VERIFICATIONS)
def test_a_verification_survives_its_row(verification: Verification):
    assert verification_of(SimpleNamespace(**verification_values(verification))) == verification


@given(st.uuids(), st.lists(ISSUES, max_size=5))
def test_an_issue_has_an_id_that_a_client_can_derive(verification_id: UUID, issues: list[Issue]):
    one = Verification(verification_id, uuid4(), uuid4(), uuid4(), None, True, NOW)
    shown = verification_messages.issue_messages(one, issues)
    assert [(each.id, each.path) for each in shown] == [
        (str(uuid5(verification_id, issue.path)), issue.path) for issue in issues
    ]


@given(st.builds(UpdateOffered, *[st.uuids()] * 4, st.sampled_from(UpdateType), st.integers(0, 2**50), TIMES))
def test_an_offer_survives_the_bus(offered: UpdateOffered):
    event = new_event(to_message(offered))
    assert (event.partition_key, event.subject) == (str(offered.user_id), str(offered.product_id))
    wire = decode(SimpleNamespace(data=event.data), type(to_message(offered)))
    assert messages.update_offered(wire) == offered


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("completed_ok", "success"),
        ("completed_errors", "failed_repair_needed"),
        ("failed_to_repair", "failed_cannot_repair"),
    ],
)
def test_the_end_of_a_verification_is_told_in_the_contracts_words(status: str, told: str):
    one = Verification(uuid4(), uuid4(), uuid4(), uuid4(), None, True, NOW, VerificationStatus(status), b"", 3, 1)
    event = to_new_event(one.completion(NOW))
    assert event.type == "com.platform.download.file.verification.completed.v1"
    assert {name: value for name, value in event.data.items() if name != "timestamp"} == {
        "userId": str(one.user_id),
        "productId": str(one.product_id),
        "versionId": str(one.version_id),
        "verificationStatus": told,
        "corruptedFilesCount": 3,
        "repairedFilesCount": 1,
    }


def test_what_a_client_lists_is_taken_as_it_says():
    file = verifications_pb.LocalFile(path="f", size_bytes=3, sha256="ab" * 32, mode=420, chunk_sha256s=["cd" * 32])
    link = verifications_pb.LocalFile(path="l", type=content.ENTRY_TYPE_SYMLINK, link_target="f")
    unread = verifications_pb.LocalFile(path="u", type=content.ENTRY_TYPE_UNSPECIFIED)
    request = verifications_pb.SubmitHashesRequest(files=[file, link, unread])
    assert verification_messages.local_entries(request) == [
        LocalEntry("f", EntryType.FILE, 3, bytes.fromhex("ab" * 32), 0o644, None, (bytes.fromhex("cd" * 32),)),
        LocalEntry("l", EntryType.SYMLINK, link_target="f"),
        LocalEntry("u"),
    ]


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


@pytest.mark.parametrize(("ahead", "taken"), [(-1, -1), (0, 0), (1, 0)])
def test_a_version_that_can_be_downloaded_did_not_come_out_in_the_future(ahead: int, taken: int):
    message = catalog_events.VersionPublished(
        product_id=str(uuid4()),
        version_id=str(uuid4()),
        platform=content.PLATFORM_LINUX,
        release_date=NOW + timedelta(days=ahead),
    )

    assert messages.announcement(message, now=NOW).released_at == NOW + timedelta(days=taken)


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
    announced = messages.announcement(catalog_events.VersionPublished(**good), now=NOW)
    assert (announced.channel, announced.released_at, announced.release_notes_url) == ("stable", NOW, None)
    with pytest.raises(DomainError) as caught:
        messages.announcement(catalog_events.VersionPublished(**{**good, **changes}), now=NOW)
    assert caught.value.reason == "EVENT_INVALID"
