"""Settings: what is missing or bad is named, all at once; origins and keys are understood."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.settings import BadSettings, read_settings
from depot.signing import format_public_keys, public_key
from download_svc.settings import DownloadSettings
from download_svc.versions.sources import origin_of

KEY = format_public_keys({"key-1": public_key(Ed25519PrivateKey.generate())})
GOOD = {
    "POSTGRES_DSN": "postgresql://user@host/download",
    "EVENTS_POSTGRES_DSN": "postgresql://user@host/events",
    "LIBRARY_SERVICE_GRPC_ADDR": "library:9094",
    "CATALOG_SERVICE_GRPC_ADDR": "catalog:9090",
    "OBJECTS_DIRECTORY": "/objects",
    "OBJECTS_BASE_URL": "http://127.0.0.1:8081/objects",
    "OBJECTS_SIGNING_KEY": "a key of at least sixteen characters",
    "CDN_LINK_SECRET_KEY": "a key of at least sixteen characters",
    "CDN_PROVIDERS": '[{"name":"origin","base_url":"http://127.0.0.1:1/cdn","region":"local","weight":1}]',
    "MANIFEST_PUBLIC_KEYS": KEY,
    "MANIFEST_ORIGINS": "https://publisher.test, http://127.0.0.1:8081",
    "REDIS_ADDR": "127.0.0.1:6379",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def _problems() -> list[str]:
    with pytest.raises(BadSettings) as caught:
        read_settings(DownloadSettings)
    return caught.value.problems


def test_the_environment_is_understood(environment: pytest.MonkeyPatch):
    settings = read_settings(DownloadSettings)
    assert settings.manifest_origins == ("https://publisher.test", "http://127.0.0.1:8081")
    assert (settings.cdn_providers[0].name, settings.cdn_link_ttl_seconds) == ("origin", 600)
    assert (settings.max_concurrent_downloads_per_user, settings.default_download_priority) == (3, 5)
    assert settings.download_service_grpc_port == 9092
    assert not settings.manifest_allow_http


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MANIFEST_PUBLIC_KEYS", "key-1=short"),
        ("MANIFEST_PUBLIC_KEYS", ","),
        ("MANIFEST_ORIGINS", "ftp://publisher.test"),
        ("CDN_PROVIDERS", "[]"),
        ("CDN_PROVIDERS", "not json"),
        ("CDN_LINK_SECRET_KEY", "short"),
        ("REDIS_ADDR", "nowhere"),
        ("DEFAULT_DOWNLOAD_PRIORITY", "11"),
        ("EVENTS_BACKEND", "pigeon"),
    ],
)
def test_a_bad_setting_is_named(environment: pytest.MonkeyPatch, name: str, value: str):
    environment.setenv(name, value)
    assert [problem.partition(":")[0].partition("[")[0] for problem in _problems()] == [name]


def test_all_problems_come_together(environment: pytest.MonkeyPatch):
    for name in ("POSTGRES_DSN", "LIBRARY_SERVICE_GRPC_ADDR"):
        environment.delenv(name)
    environment.setenv("CDN_LINK_TTL_SECONDS", "1")
    named = {problem.partition(":")[0] for problem in _problems()}
    assert named == {"POSTGRES_DSN", "LIBRARY_SERVICE_GRPC_ADDR", "CDN_LINK_TTL_SECONDS"}


def test_secrets_are_not_shown(environment: pytest.MonkeyPatch):
    shown = repr(read_settings(DownloadSettings))
    assert "sixteen" not in shown
    assert "user@host" not in shown


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://publisher.test/a/b?c", "https://publisher.test:443"),
        ("HTTP://Publisher.test:8080", "http://publisher.test:8080"),
        ("http://publisher.test", "http://publisher.test:80"),
        ("https://publisher.test@evil.test/", None),
        ("https://publisher.test:port/", None),
        ("file:///etc/passwd", None),
        ("/only/a/path", None),
        ("https://", None),
        ("", None),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str | None):
    assert origin_of(url) == origin
