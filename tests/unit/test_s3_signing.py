"""Presigned URLs (chassis.objects.s3_signing) against the published example of the protocol."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from chassis.objects.s3_signing import MAX_EXPIRES_SECONDS, SigningKey, presign

KEY = SigningKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
ORIGIN = "https://examplebucket.s3.amazonaws.com"
NOW = datetime(2013, 5, 24, tzinfo=UTC)


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def test_the_published_example_comes_out():
    url = presign("GET", ORIGIN, "/test.txt", key=KEY, now=NOW, expires_in_seconds=86400)
    assert parameters(url)["X-Amz-Signature"] == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


def test_signed_headers_are_named_and_change_the_signature():
    bound = presign("PUT", ORIGIN, "/a", key=KEY, now=NOW, expires_in_seconds=60, headers={"If-None-Match": "*"})
    free = presign("PUT", ORIGIN, "/a", key=KEY, now=NOW, expires_in_seconds=60)
    assert parameters(bound)["X-Amz-SignedHeaders"] == "host;if-none-match"
    assert parameters(bound)["X-Amz-Signature"] != parameters(free)["X-Amz-Signature"]


def test_a_path_is_quoted_once():
    url = presign("GET", ORIGIN, "/b/a=1+@~.x", key=KEY, now=NOW, expires_in_seconds=60)
    assert urlsplit(url).path == "/b/a%3D1%2B%40~.x"


def test_a_life_that_is_over_is_signed_in_the_past():
    signed = parameters(presign("GET", ORIGIN, "/a", key=KEY, now=NOW, expires_in_seconds=-1))
    at = datetime.strptime(signed["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert at + timedelta(seconds=int(signed["X-Amz-Expires"])) < NOW


def test_a_life_longer_than_the_protocol_allows_is_refused():
    with pytest.raises(ValueError, match="lives"):
        presign("GET", ORIGIN, "/a", key=KEY, now=NOW, expires_in_seconds=MAX_EXPIRES_SECONDS + 1)
