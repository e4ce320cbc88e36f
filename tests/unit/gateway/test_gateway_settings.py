from ipaddress import ip_network

import pytest

from chassis.settings import BadSettings, read_settings
from gateway.settings import GatewaySettings

NEEDED = {
    "AUTH_JWKS_URL": "http://127.0.0.1:1/jwks.json",
    "LIBRARY_SERVICE_GRPC_ADDR": "127.0.0.1:9094",
    "DOWNLOAD_SERVICE_GRPC_ADDR": "127.0.0.1:9092",
}


@pytest.fixture
def environment(monkeypatch):
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_lists_are_written_with_commas(environment):
    environment.setenv("CORS_ORIGINS", "https://a.example, http://localhost:3000")
    environment.setenv("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1")
    settings = read_settings(GatewaySettings)
    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"))
    assert settings.gateway_http_port == 8080


def test_limits_are_the_contracts_and_off_without_redis(environment):
    settings = read_settings(GatewaySettings)
    assert (settings.rate_limit_reads, settings.rate_limit_writes, settings.redis_addr) == (600, 120, "")


def test_lists_may_be_left_out(environment):
    settings = read_settings(GatewaySettings)
    assert (settings.cors_origins, settings.trusted_proxies) == ((), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CORS_ORIGINS", "https://a.example/path"),
        ("CORS_ORIGINS", "*"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("GATEWAY_HTTP_PORT", "70000"),
        ("LIBRARY_SERVICE_GRPC_ADDR", "a b"),
        ("GRPC_DEADLINE_SECONDS", "0"),
        ("REDIS_ADDR", "somewhere"),
        ("RATE_LIMIT_READS", "0"),
        ("RATE_LIMIT_WRITES", "many"),
    ],
)
def test_a_bad_setting_is_named(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(BadSettings) as bad:
        read_settings(GatewaySettings)
    assert [problem.split(":")[0] for problem in bad.value.problems] == [name]
