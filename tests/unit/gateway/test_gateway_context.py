from ipaddress import ip_network
from uuid import UUID

import pytest

from gateway.request.context import client_ip, request_id

PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["6.6.6.6"], "203.0.113.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.2"], "203.0.113.2"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.2"], "203.0.113.2"),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.2, 10.9.9.9"], "203.0.113.2"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["6.6.6.6, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6, rubbish, 203.0.113.2"], "203.0.113.2"),
        ("::ffff:10.0.0.1", ["203.0.113.2"], "203.0.113.2"),
        ("::1", ["2001:db8::5"], "2001:db8::5"),
        ("10.0.0.1", ["6.6.6.6:1, 203.0.113.2:40123"], "203.0.113.2"),
        ("10.0.0.1", ["203.0.113.2:40123, 10.9.9.9:80"], "203.0.113.2"),
        ("10.0.0.1", ["[2001:db8::5]:443"], "2001:db8::5"),
        ("10.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
        ("10.0.0.1", ["[::1]:9, 10.0.0.2:1"], "::1"),
        ("10.0.0.1", ["203.0.113.2:port"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.999:1"], "10.0.0.1"),
        ("10.0.0.1", ["[rubbish]:1"], "10.0.0.1"),
        (None, ["6.6.6.6"], ""),
    ],
)
def test_the_clients_address_is_the_nearest_that_no_trusted_proxy_has(peer, forwarded, expected):
    assert client_ip(peer, forwarded, PROXIES) == expected


def test_without_trusted_proxies_only_the_peer_counts():
    assert client_ip("10.0.0.1", ["203.0.113.2"], ()) == "10.0.0.1"


@pytest.mark.parametrize("given", [None, "", "a" * 129, "a b", "a\nb", "ид", 'x"y'])
def test_a_harmful_request_id_is_replaced(given):
    assert UUID(request_id(given, 128))


def test_a_harmless_request_id_is_kept():
    assert request_id("req-1:2/3.4_5", 128) == "req-1:2/3.4_5"
