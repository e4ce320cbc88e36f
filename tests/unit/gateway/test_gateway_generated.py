"""Which generated package a gateway serves, and which backends that takes."""

import pytest

from chassis.settings import BadSettings, read_settings
from gateway.generated import backend_of, backends_of, load_generated
from gateway.settings import GatewaySettings, address_setting


@pytest.mark.parametrize(
    ("rpc", "backend", "setting"),
    [
        ("/library.v1.LibraryService/GetItem", "library", "LIBRARY_SERVICE_GRPC_ADDR"),
        ("/acme.reviews.v1beta1.ReviewService/Get", "acme-reviews", "ACME_REVIEWS_SERVICE_GRPC_ADDR"),
        ("/big_news.v2.NewsService/Get", "big-news", "BIG_NEWS_SERVICE_GRPC_ADDR"),
        ("/plain.Service/Get", "plain", "PLAIN_SERVICE_GRPC_ADDR"),
    ],
)
def test_a_backend_is_the_package_without_its_version(rpc, backend, setting):
    assert backend_of(rpc) == backend
    assert address_setting(backend) == setting


def test_the_platforms_routes_need_the_platforms_services():
    assert backends_of(load_generated("rest")) == ["download", "library"]


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("AUTH_JWKS_URL", "http://127.0.0.1:1/jwks.json")
    monkeypatch.delenv("SAMOVAR_CONFIG", raising=False)
    for name in ("LIBRARY", "DOWNLOAD"):
        monkeypatch.delenv(f"{name}_SERVICE_GRPC_ADDR", raising=False)
    return monkeypatch


def _problems() -> list[str]:
    with pytest.raises(BadSettings) as bad:
        read_settings(GatewaySettings)
    return bad.value.problems


def test_every_address_that_is_missing_is_named_beside_all_else(environment):
    environment.setenv("GATEWAY_HTTP_PORT", "x")
    named = [problem.partition(":")[0] for problem in _problems()]
    assert sorted(named) == ["DOWNLOAD_SERVICE_GRPC_ADDR", "GATEWAY_HTTP_PORT", "LIBRARY_SERVICE_GRPC_ADDR"]


def test_addresses_come_from_file_and_environment_and_others_are_nobodys_business(environment, tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text("LIBRARY_SERVICE_GRPC_ADDR: library:1\ndownload_service_grpc_addr: download:2\n")
    environment.setenv("SAMOVAR_CONFIG", str(file))
    environment.setenv("LIBRARY_SERVICE_GRPC_ADDR", "library:3")
    environment.setenv("CATALOG_SERVICE_GRPC_ADDR", "not an address")
    settings = read_settings(GatewaySettings)
    assert settings.service_addresses == {"library": "library:3", "download": "download:2"}


def test_a_package_that_is_not_there_is_named(environment):
    environment.setenv("ROUTES_PACKAGE", "no_such_package")
    assert [problem.partition(":")[0] for problem in _problems()] == ["ROUTES_PACKAGE"]
