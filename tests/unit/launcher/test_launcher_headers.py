"""Numbers that a server sends to the launcher as text."""

import pytest

from launcher.api.rest import MAX_RETRY_AFTER_SECONDS, _retry_after_seconds
from launcher.cdn.wire import WireError, _read_authority


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("9" * 5000, MAX_RETRY_AFTER_SECONDS),
        *((wrong, None) for wrong in ("²", "٣", "-1", "1.5", "soon", "")),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_nothing(value: str, seconds: float | None) -> None:
    assert _retry_after_seconds({"Retry-After": value}) == seconds


@pytest.mark.parametrize("port", ["²", "٨٠", "0", "65536", "9" * 5000, "-1"])
def test_a_port_is_a_number_in_ascii(port: str) -> None:
    with pytest.raises(WireError):
        _read_authority("http", f"a:{port}")
    assert _read_authority("http", "a:8080") == (False, "a", 8080)
