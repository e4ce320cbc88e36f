"""The decision who may call, without a wire."""

from uuid import UUID

import pytest

from chassis.auth.access import AccessRule, Caller, caller_scope, check_access, current_caller, find_caller
from chassis.errors import DomainError, Kind
from chassis.grpc_server.interceptors import certificate_names, peer_ip

USER = UUID("6f1c4b1e-8f0a-4b7e-9d63-2f6a3f3b9a11")
NOBODY = Caller()
PLAYER = Caller(user_id=USER, roles=frozenset({"user"}))
ADMIN = Caller(user_id=USER, roles=frozenset({"admin"}))
GATEWAY = Caller(service="gateway")
DOWNLOAD = Caller(service="download-service")

PUBLIC = AccessRule(public=True)
USERS = AccessRule(roles=frozenset({"user"}))
SERVICES = AccessRule(services=frozenset({"download-service"}))
EITHER = AccessRule(roles=frozenset({"admin"}), services=frozenset({"download-service"}))
SILENT = AccessRule()

OK, UNKNOWN, DENIED = None, Kind.UNAUTHENTICATED, Kind.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("rule", "caller", "expected"),
    [
        (PUBLIC, NOBODY, OK),
        (PUBLIC, PLAYER, OK),
        (USERS, NOBODY, UNKNOWN),
        (USERS, GATEWAY, UNKNOWN),
        (USERS, ADMIN, DENIED),
        (USERS, PLAYER, OK),
        (SERVICES, NOBODY, UNKNOWN),
        (SERVICES, PLAYER, DENIED),
        (SERVICES, GATEWAY, DENIED),
        (SERVICES, DOWNLOAD, OK),
        (EITHER, NOBODY, UNKNOWN),
        (EITHER, PLAYER, DENIED),
        (EITHER, ADMIN, OK),
        (EITHER, DOWNLOAD, OK),
        (SILENT, NOBODY, DENIED),
        (SILENT, ADMIN, DENIED),
        (SILENT, DOWNLOAD, DENIED),
    ],
)
def test_a_caller_is_admitted_only_as_the_rule_says(rule, caller, expected):
    if expected is None:
        check_access(rule, caller)
        return
    with pytest.raises(DomainError) as caught:
        check_access(rule, caller)
    assert caught.value.kind is expected


def test_a_caller_without_a_user_cannot_be_taken_for_one():
    with pytest.raises(DomainError) as caught:
        GATEWAY.require_user()
    assert caught.value.reason == "UNAUTHENTICATED"
    assert PLAYER.require_user() == USER


def test_outside_of_a_call_there_is_no_caller():
    assert find_caller() is None
    with pytest.raises(LookupError):
        current_caller()
    with caller_scope(PLAYER):
        assert current_caller() is PLAYER
    assert find_caller() is None


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:50321", "127.0.0.1"),
        ("ipv6:%5B::1%5D:50321", "::1"),
        ("ipv6:[2001:db8::1]:443", "2001:db8::1"),
        ("unix:/run/x.sock", None),
        ("", None),
    ],
)
def test_a_peers_address_is_read_without_its_port(peer, address):
    assert peer_ip(peer) == address


def test_the_names_of_a_certificate_come_common_name_first_and_once():
    context = {"x509_common_name": [b"gateway"], "x509_subject_alternative_name": [b"gateway", b"gateway.local"]}
    assert certificate_names(context) == ("gateway", "gateway.local")
    assert certificate_names({}) == ()
