"""Moments at every edge: RFC 3339 text, protobuf's Timestamp, PostgreSQL's timestamptz. Inside, a moment is an aware datetime in
UTC from EARLIEST to LATEST.

The rule: a time that protobuf can hold but that lies outside of this range is moved to the range's nearer end, where it comes in.
Such times mean "not set" or "for ever", and their senders mean nothing else by them. What is no time at all is refused: text that
is not RFC 3339, a Timestamp whose seconds or nanos are not what protobuf allows. Digits below a microsecond are dropped, never
rounded up. A day of room at both ends keeps every offset from UTC, and PostgreSQL's infinities, out of the arithmetic.
Source: RFC 3339, https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    import asyncpg


EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=UTC)

MIN_TIMESTAMP_SECONDS: Final = -62_135_596_800
MAX_TIMESTAMP_SECONDS: Final = 253_402_300_799
MAX_NANOS: Final = 999_999_999
MAX_DAYS_KEPT: Final = 4_096

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECONDS_A_DAY: Final = 86_400
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()
_EARLIEST_SECONDS: Final = MIN_TIMESTAMP_SECONDS + _SECONDS_A_DAY
_LATEST_SECONDS: Final = MAX_TIMESTAMP_SECONDS - _SECONDS_A_DAY
_RFC_3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)"
    r"(?:\.(\d{1,9}))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_MINUTES: Final = tuple(f"T{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60))
_DIGITS: Final = tuple(f"{second:02}" for second in range(60))
_THREE_DIGITS: Final = tuple(f"{number:03}" for number in range(1_000))


class InvalidTimestamp(ValueError):
    """A Timestamp that is not a valid moment: its seconds or nanos are outside of what protobuf allows."""


def clamped(moment: datetime) -> datetime:
    """The moment in UTC, within the range.

    Raises:
        TypeError: it does not know its zone.
    """
    if moment < EARLIEST:
        return EARLIEST
    return LATEST if moment > LATEST else moment.astimezone(UTC)


def to_timestamp(moment: datetime | None) -> Timestamp | None:
    """The moment, within the range; None for none. Protobuf's own way from a datetime takes six times as long.

    Raises:
        TypeError: it does not know its zone.
    """
    if moment is None:
        return None
    since = moment - _EPOCH
    seconds = since.days * _SECONDS_A_DAY + since.seconds
    if not _EARLIEST_SECONDS <= seconds <= _LATEST_SECONDS:
        return to_timestamp(clamped(moment))
    return Timestamp(seconds=seconds, nanos=since.microseconds * 1_000)


def from_timestamp(timestamp: Timestamp) -> datetime:
    """The moment that a message says, within the range.

    Raises:
        InvalidTimestamp: it says none.
    """
    seconds, nanos = _fields_of(timestamp)
    if seconds < _EARLIEST_SECONDS:
        return EARLIEST
    if seconds > _LATEST_SECONDS:
        return LATEST
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1_000)


def _fields_of(timestamp: Timestamp) -> tuple[int, int]:
    """Seconds and nanos, as far as they are what protobuf allows. Raises: InvalidTimestamp."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if MIN_TIMESTAMP_SECONDS <= seconds <= MAX_TIMESTAMP_SECONDS and 0 <= nanos <= MAX_NANOS:
        return seconds, nanos
    raise InvalidTimestamp(f"seconds {seconds}, nanos {nanos}")


def read_rfc_3339(text: str) -> tuple[int, int]:
    """Seconds since 1970 and nanoseconds of an RFC 3339 time. Its offset may take it up to a day out of protobuf's range.

    Raises:
        ValueError: it is not one, or has more than nine digits of the second.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 time")
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
    days = date(int(year), int(month), int(day)).toordinal() - _UNIX_DAY
    seconds = days * _SECONDS_A_DAY + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if sign:
        offset = int(offset_hours) * 3_600 + int(offset_minutes) * 60
        seconds += -offset if sign == "+" else offset
    return seconds, int(fraction.ljust(9, "0")) if fraction else 0


def parse_timestamp(text: str) -> Timestamp:
    """The Timestamp that an RFC 3339 time means, to the nanosecond; beyond what protobuf can hold, its nearer end.

    Raises:
        ValueError: it is not an RFC 3339 time.
    """
    seconds, nanos = read_rfc_3339(text)
    if seconds < MIN_TIMESTAMP_SECONDS:
        return Timestamp(seconds=MIN_TIMESTAMP_SECONDS)
    if seconds > MAX_TIMESTAMP_SECONDS:
        return Timestamp(seconds=MAX_TIMESTAMP_SECONDS, nanos=MAX_NANOS)
    return Timestamp(seconds=seconds, nanos=nanos)


def parse_moment(text: str) -> datetime:
    """The moment that an RFC 3339 time means, within the range.

    Raises:
        ValueError: it is not an RFC 3339 time.
    """
    return from_timestamp(parse_timestamp(text))


class _Days(dict[int, str]):
    """Dates by day since 1970. The days that a busy program writes are few; a flood of others empties it."""

    def __missing__(self, day: int) -> str:
        if len(self) >= MAX_DAYS_KEPT:
            self.clear()
        text = self[day] = date.fromordinal(_UNIX_DAY + day).isoformat()
        return text


_DAYS: Final = _Days()


def timestamp_text(timestamp: Timestamp) -> str:
    """RFC 3339 in UTC with `Z`; 0, 3, 6 or 9 digits of the second, as many as are needed.

    Raises:
        InvalidTimestamp: it says no moment.
    """
    seconds, nanos = _fields_of(timestamp)
    rest = seconds % _SECONDS_A_DAY
    if not nanos:
        return f"{_DAYS[seconds // _SECONDS_A_DAY]}{_MINUTES[rest // 60]}{_DIGITS[rest % 60]}Z"
    return f"{_DAYS[seconds // _SECONDS_A_DAY]}{_MINUTES[rest // 60]}{_DIGITS[rest % 60]}.{fraction_text(nanos)}Z"


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC with `Z` and as many digits as are needed: none, three or six. Within the range.

    Raises:
        TypeError: it does not know its zone.
    """
    moment = clamped(moment)
    timespec = "seconds"
    if moment.microsecond:
        timespec = "microseconds" if moment.microsecond % 1_000 else "milliseconds"
    return moment.isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def fraction_text(nanos: int) -> str:
    """Nanoseconds as three, six or nine digits."""
    millis = nanos // 1_000_000
    rest = nanos % 1_000_000
    if not rest:
        return _THREE_DIGITS[millis]
    micros = rest // 1_000
    rest %= 1_000
    return f"{_THREE_DIGITS[millis]}{_THREE_DIGITS[micros]}{_THREE_DIGITS[rest] if rest else ''}"


async def read_moments_of(connection: "asyncpg.Connection[Any]") -> None:
    """Makes a connection read and write every timestamptz as a moment within the range. By itself the driver reads infinities as
    datetimes without a zone, and fails on years that PostgreSQL has and Python has not.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the connection is gone.
    """
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_to_row, decoder=_from_row, format="tuple"
    )


def _to_row(moment: datetime) -> tuple[int]:
    return ((clamped(moment) - _POSTGRES_EPOCH) // _MICROSECOND,)


_FIRST_IN_ROW: Final = _to_row(EARLIEST)[0]
_LAST_IN_ROW: Final = _to_row(LATEST)[0]


def _from_row(value: tuple[int]) -> datetime:
    microseconds = min(max(value[0], _FIRST_IN_ROW), _LAST_IN_ROW)
    return _POSTGRES_EPOCH + timedelta(microseconds=microseconds)
