"""chassis.cloudevents.events and chassis.cloudevents.event_json: what an event looks like on the wire, and what a tolerant
reader accepts.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from account.v1 import events_pb2 as account_events
from catalog.v1 import events_pb2 as catalog_events
from download.v1 import downloads_pb2
from download.v1 import events_pb2 as download_events
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from library.v1 import events_pb2 as library_events
from library.v1 import items_pb2
from payment.v1 import events_pb2 as payment_events
from samovar.options.v1 import options_pb2

from chassis.cloudevents.event_json import from_json, to_json
from chassis.cloudevents.events import CloudEvent, decode, event_option, from_wire, new_event, to_wire, uuid7
from chassis.cloudevents.moments import EARLIEST, LATEST
from chassis.errors import DomainError

TIME_TEXTS = st.builds(
    lambda day, offset, mark: f"{day}{mark}00:00:00{offset}",
    st.sampled_from(["0001-01-01", "0001-01-02", "1970-01-01", "9999-12-30", "9999-12-31"]),
    st.sampled_from(["Z", "z", "+00:00", "+23:59", "-23:59", ".9999999Z", ".999999999-05:00"]),
    st.sampled_from("Tt"),
)
NOW = datetime(2026, 3, 1, 10, 30, 0, 250_000, tzinfo=UTC)


def moment(text: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp


def status_changed() -> download_events.DownloadSessionStatusChanged:
    return download_events.DownloadSessionStatusChanged(
        download_session_id="s",
        user_id="u",
        product_id="p",
        version_id="v",
        new_status=downloads_pb2.DOWNLOAD_STATUS_DOWNLOADING,
        timestamp=moment("2026-03-01T10:30:00.25Z"),
    )


def wire(**changes: Any) -> bytes:
    event = CloudEvent(
        "id-1", "platform.test", "com.platform.x.v1", "subject", NOW, "topic", "key", None, {"userId": "u"}
    )
    document = json.loads(to_wire(event)) | changes
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


def test_data_is_camel_case_with_short_enums_and_absent_members_left_out():
    assert to_json(status_changed()) == {
        "downloadSessionId": "s",
        "userId": "u",
        "productId": "p",
        "versionId": "v",
        "newStatus": "downloading",
        "timestamp": "2026-03-01T10:30:00.250Z",
    }


def test_an_optional_enum_and_a_nested_message_are_there_when_they_are_set():
    message = status_changed()
    message.previous_status = downloads_pb2.DOWNLOAD_STATUS_QUEUED
    message.details.error_code = "CDN_ERROR"
    written = to_json(message)
    assert written["previousStatus"] == "queued"
    assert written["details"] == {"errorCode": "CDN_ERROR", "errorMessage": ""}


def test_64_bit_integers_are_numbers_and_zero_is_said():
    message = download_events.DownloadItemStatusChanged(downloaded_bytes=0, total_file_size_bytes=2**53 + 1)
    written = to_json(message)
    assert (written["downloadedBytes"], written["totalFileSizeBytes"]) == (0, 2**53 + 1)


def test_lists_of_messages_are_lists_of_objects():
    message = payment_events.PurchaseCompleted(user_id="u", order_id="o")
    message.items.add(product_id="p", product_type="game", quantity=2)
    written = to_json(message)
    assert written["items"] == [{"productId": "p", "productType": "game", "quantity": 2}]
    assert to_json(payment_events.PurchaseCompleted())["items"] == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-01T10:30:00Z", "2026-03-01T10:30:00Z"),
        ("2026-03-01T10:30:00.5Z", "2026-03-01T10:30:00.500Z"),
        ("2026-03-01T10:30:00.000001Z", "2026-03-01T10:30:00.000001Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_utc_with_z(text: str, written: str):
    assert to_json(account_events.UserDeleted(user_id="u", deleted_at=moment(text)))["deletedAt"] == written


@given(
    st.builds(
        download_events.DownloadItemStatusChanged,
        download_session_id=st.text(),
        relative_path=st.text(),
        new_status=st.sampled_from(sorted(downloads_pb2.DownloadItemStatus.values())),
        downloaded_bytes=st.integers(-(2**63), 2**63 - 1),
        timestamp=st.datetimes(timezones=st.just(UTC)).map(
            lambda time: moment(time.isoformat(timespec="microseconds").replace("+00:00", "Z"))
        ),
        error_details=st.none() | st.builds(download_events.StatusDetails, error_code=st.text()),
    )
)
def test_a_message_survives_the_way_there_and_back(message: Message):
    over_the_wire = json.loads(json.dumps(to_json(message)))
    assert from_json(over_the_wire, type(message)) == message


def test_a_tolerant_reader_ignores_what_it_does_not_know():
    data = {"userId": "u", "deletedAt": "2026-03-01T10:30:00+03:00", "reason": {"deep": [1]}, "user_mood": 5}
    message = from_json(data, account_events.UserDeleted)
    assert (message.user_id, message.deleted_at) == ("u", moment("2026-03-01T07:30:00Z"))


def test_null_is_absence():
    message = from_json({"userId": None, "deletedAt": None}, account_events.UserDeleted)
    assert message == account_events.UserDeleted()


def test_proto_names_are_understood_too():
    assert from_json({"user_id": "u"}, account_events.UserDeleted).user_id == "u"


def test_an_enum_value_of_a_newer_producer_reads_as_unspecified():
    message = from_json({"acquisitionType": "teleported"}, library_events.GameAdded)
    assert message.acquisition_type == items_pb2.ACQUISITION_TYPE_UNSPECIFIED


@pytest.mark.parametrize("number", [5, 5.0, "5"])
def test_integers_are_understood_in_every_spelling_of_json(number: object):
    assert from_json({"totalSizeBytes": number}, catalog_events.VersionPublished).total_size_bytes == 5


@pytest.mark.parametrize(
    ("message_type", "data", "path"),
    [
        (account_events.UserDeleted, {"userId": 5}, "data.userId:"),
        (account_events.UserDeleted, {"userId": ["u"]}, "data.userId:"),
        (account_events.UserDeleted, {"deletedAt": "yesterday"}, "data.deletedAt:"),
        (account_events.UserDeleted, {"deletedAt": "2026-03-01T10:30:00"}, "data.deletedAt:"),
        (account_events.UserDeleted, {"deletedAt": 1}, "data.deletedAt:"),
        (library_events.GameAdded, {"acquisitionType": 1}, "data.acquisitionType:"),
        (catalog_events.VersionPublished, {"totalSizeBytes": 1.5}, "data.totalSizeBytes:"),
        (catalog_events.VersionPublished, {"totalSizeBytes": True}, "data.totalSizeBytes:"),
        (catalog_events.VersionPublished, {"totalSizeBytes": 2**63}, "data.totalSizeBytes:"),
        (catalog_events.VersionPublished, {"totalSizeBytes": "12x"}, "data.totalSizeBytes:"),
        (catalog_events.VersionPublished, {"isCritical": "yes"}, "data.isCritical:"),
        (catalog_events.ProductUpdated, {"titles": "Игра"}, "data.titles:"),
        (catalog_events.ProductUpdated, {"titles": {"ru": 1}}, "data.titles.ru:"),
        (catalog_events.ProductUpdated, {"updatedFields": "title"}, "data.updatedFields:"),
        (catalog_events.ProductUpdated, {"updatedFields": ["title", 2]}, "data.updatedFields[1]:"),
        (payment_events.PurchaseCompleted, {"items": {}}, "data.items:"),
        (payment_events.PurchaseCompleted, {"items": [{}, 7]}, "data.items[1]:"),
        (payment_events.PurchaseCompleted, {"items": [{"quantity": 2**31}]}, "data.items[0].quantity:"),
    ],
)
def test_a_member_of_a_wrong_type_is_named(message_type: type[Message], data: dict[str, Any], path: str):
    with pytest.raises(DomainError) as caught:
        from_json(data, message_type)
    assert caught.value.reason == "EVENT_INVALID"
    assert caught.value.details["description"].startswith(path)


def test_a_new_event_takes_type_topic_key_and_subject_from_the_proto():
    event = new_event(status_changed(), now=NOW)
    assert (event.type, event.topic) == (
        "com.platform.download.session.status.changed.v1",
        "com.platform.download.events.v1",
    )
    assert (event.partition_key, event.subject, event.time) == ("u", "s", NOW)
    assert (event.id.version, event.trace_parent) == (7, None)


def test_a_product_event_is_keyed_by_its_product():
    event = new_event(catalog_events.ProductUpdated(product_id="p"))
    assert (event.partition_key, event.subject) == ("p", "p")


def test_an_event_whose_data_names_no_user_is_given_its_key():
    message = download_events.DownloadItemStatusChanged(download_item_id="i")
    assert new_event(message, key="u").partition_key == "u"
    with pytest.raises(ValueError, match="no partition key"):
        new_event(message)


def test_an_empty_key_is_a_mistake():
    with pytest.raises(ValueError, match="no partition key"):
        new_event(account_events.UserDeleted())


def test_a_message_without_the_option_is_no_event():
    with pytest.raises(ValueError, match="no event option"):
        event_option(download_events.StatusDetails.DESCRIPTOR)


def test_the_wire_is_structured_cloudevents_json():
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event = CloudEvent("id-1", "platform.test", "com.platform.x.v1", "s", NOW, "topic", "key", parent, {"name": "Игра"})
    assert json.loads(to_wire(event)) == {
        "specversion": "1.0",
        "id": "id-1",
        "source": "platform.test",
        "type": "com.platform.x.v1",
        "subject": "s",
        "time": "2026-03-01T10:30:00.250Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:samovar:event:com.platform.x.v1",
        "partitionkey": "key",
        "traceparent": parent,
        "data": {"name": "Игра"},
    }
    assert from_wire(to_wire(event), topic="topic") == event


def test_optional_attributes_may_be_absent_and_unknown_ones_are_ignored():
    event = from_wire(wire(subject=..., partitionkey=..., time=..., dataschema=..., mood="fine"), topic="t")
    assert (event.subject, event.partition_key, event.trace_parent, event.topic) == (None, "", None, "t")
    assert event.time.tzinfo is UTC


def test_an_event_without_data_has_empty_data():
    assert decode(from_wire(wire(data=...), topic="t"), account_events.UserDeleted) == account_events.UserDeleted()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"{",
        b"5",
        wire(specversion="0.3"),
        wire(specversion=...),
        wire(id=...),
        wire(id=""),
        wire(id=5),
        wire(source=...),
        wire(type=None),
        wire(subject=7),
        wire(time="noon"),
        wire(data="text"),
        wire(data=[1]),
    ],
)
def test_what_is_no_cloudevent_is_refused(value: bytes):
    with pytest.raises(DomainError) as caught:
        from_wire(value, topic="t")
    assert caught.value.reason == "EVENT_INVALID"


def test_uuid7_is_of_version_7_and_begins_with_its_time():
    made = uuid7(NOW)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(NOW.timestamp() * 1000)
    assert uuid7(NOW) != made
    assert uuid7(NOW + timedelta(milliseconds=1)) > made


EVENT_TYPES = [
    message
    for module in (account_events, catalog_events, download_events, library_events, payment_events)
    for message in vars(module).values()
    if isinstance(message, type) and message.DESCRIPTOR.GetOptions().HasExtension(options_pb2.event)
]
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text() | TIME_TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@st.composite
def events_of_others(draw: st.DrawFn) -> tuple[bytes, type[Message]]:
    """An event with members that its message has, and whatever values in them."""
    message_type = draw(st.sampled_from(EVENT_TYPES))
    names = st.sampled_from([field.json_name for field in message_type.DESCRIPTOR.fields]) | st.text()
    data = st.dictionaries(names, JSON | st.dictionaries(st.text(), JSON))
    attributes = st.dictionaries(st.sampled_from(["id", "source", "type", "time", "subject", "traceparent"]), JSON)
    document = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", **draw(attributes), "data": draw(data)}
    return json.dumps(document).encode(errors="surrogatepass"), message_type


@given(events_of_others())
def test_whatever_a_record_holds_it_is_a_message_or_refused_as_an_event(given_event: tuple[bytes, type[Message]]):
    value, message_type = given_event
    try:
        event = from_wire(value, topic="t")
        message = decode(event, message_type)
    except DomainError as error:
        assert error.reason == "EVENT_INVALID"  # noqa: PT017  anything else that is raised fails the test
        return
    assert EARLIEST <= event.time <= LATEST
    assert from_wire(to_wire(event), topic="t").time == event.time
    to_json(message)


@given(st.binary())
def test_bytes_are_an_event_or_refused(value: bytes):
    with pytest.raises(DomainError):
        from_wire(value, topic="t")


@given(TIME_TEXTS)
def test_a_time_of_the_ends_is_moved_into_the_range(text: str):
    event = from_wire(wire(time=text), topic="t")
    assert EARLIEST <= event.time <= LATEST
