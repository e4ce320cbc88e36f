"""chassis.objects.signed_urls: only what was signed, only until it expires."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import DomainError
from chassis.objects.signed_urls import sign, verify

KEY = "key-of-the-test"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


def parts(url: str) -> tuple[str, dict[str, str]]:
    split = urlsplit(url)
    return unquote(split.path), {
        name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()
    }


def is_allowed(url: str, *, method: str = "GET", key: str = KEY, now: datetime = NOW) -> bool:
    path, query = parts(url)
    try:
        verify(method, path, query, key=key, now=now)
    except DomainError as error:
        if error.reason != "PERMISSION_DENIED":
            raise
        return False
    return True


def test_a_signed_url_is_allowed_until_it_expires():
    url = sign("http://cdn.test/cdn/content/a", key=KEY, expires_at=LATER)
    assert is_allowed(url)
    assert is_allowed(url, now=LATER - timedelta(seconds=1))
    assert not is_allowed(url, now=LATER)
    assert not is_allowed(url, now=LATER + timedelta(days=1))


def test_head_is_allowed_where_get_is_and_nothing_else():
    url = sign("http://cdn.test/a", key=KEY, expires_at=LATER)
    assert is_allowed(url, method="HEAD")
    assert not any(is_allowed(url, method=method) for method in ("PUT", "POST", "DELETE"))


def test_a_url_for_put_is_for_put_only():
    url = sign("http://cdn.test/a", key=KEY, expires_at=LATER, method="PUT")
    assert is_allowed(url, method="PUT")
    assert not is_allowed(url, method="GET")


def test_another_key_does_not_open_it():
    url = sign("http://cdn.test/a", key=KEY, expires_at=LATER)
    assert not is_allowed(url, key=KEY + "2")


def test_the_host_is_not_signed_so_that_one_signature_serves_every_name_of_the_cdn():
    url = sign("http://cdn.test/a", key=KEY, expires_at=LATER)
    assert is_allowed(url.replace("cdn.test", "edge.test:8080"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/content/", "/secrets/"),
        ("size=5", "size=6"),
        ("size=5", "size=5&size2=1"),
        ("size=5&", ""),
        ("expires=", "expires=9"),
        ("signature=", "signature=0"),
        ("signature=", "signature2="),
        ("expires=", "expires2="),
        ("signature=", "signature=%D1%8F"),
    ],
)
def test_whatever_is_changed_closes_it(old: str, new: str):
    url = sign("http://cdn.test/content/a?size=5", key=KEY, expires_at=LATER)
    assert is_allowed(url)
    assert old in url
    assert not is_allowed(url.replace(old, new))


def test_an_unsigned_url_is_closed():
    assert not is_allowed("http://cdn.test/content/a")
    assert not is_allowed("http://cdn.test/content/a?expires=99999999999")


@given(
    path=st.text("ab/-_. %я&=?#", max_size=20),
    query=st.dictionaries(st.text("ab &=%я", min_size=1, max_size=5), st.text("ab &=%я+", max_size=5), max_size=3),
)
def test_every_path_and_query_can_be_signed(path: str, query: dict[str, str]):
    url = sign(f"http://cdn.test/{quote(path)}?{urlencode(query)}", key=KEY, expires_at=LATER)
    assert is_allowed(url)
    assert not is_allowed(url, method="PUT")
