"""The settings of the Library Service: what is missing or wrong is told at once, by name."""

import pytest

from chassis.settings import BadSettings, read_settings
from library_svc.settings import LibrarySettings, MigrateSettings

ENVIRONMENT = {
    "POSTGRES_DSN": "postgresql://library:secret@db/library",
    "EVENTS_POSTGRES_DSN": "postgresql://library:secret@db/events",
    "CATALOG_SERVICE_GRPC_ADDR": "catalog:9090",
    "OBJECTS_DIRECTORY": "/objects",
    "OBJECTS_BASE_URL": "http://objects",
    "OBJECTS_SIGNING_KEY": "secret",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in LibrarySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SAMOVAR_CONFIG", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_port_is_the_contracts_unless_said_otherwise(environment):
    assert read_settings(LibrarySettings).library_service_grpc_port == 9094

    environment.setenv("LIBRARY_SERVICE_GRPC_PORT", "19094")
    assert read_settings(LibrarySettings).library_service_grpc_port == 19094


def test_all_problems_are_told_at_once_by_name(environment):
    environment.delenv("POSTGRES_DSN")
    environment.delenv("CATALOG_SERVICE_GRPC_ADDR")
    environment.setenv("LIBRARY_SERVICE_GRPC_PORT", "many")
    environment.setenv("EVENTS_BACKEND", "carrier pigeon")

    with pytest.raises(BadSettings) as bad:
        read_settings(LibrarySettings)

    names = {problem.split(":")[0] for problem in bad.value.problems}
    assert names == {"POSTGRES_DSN", "CATALOG_SERVICE_GRPC_ADDR", "LIBRARY_SERVICE_GRPC_PORT", "EVENTS_BACKEND"}


def test_the_event_log_needs_its_database(environment):
    environment.delenv("EVENTS_POSTGRES_DSN")

    with pytest.raises(BadSettings, match="EVENTS_POSTGRES_DSN"):
        read_settings(LibrarySettings)


def test_migrating_needs_only_the_database(environment):
    environment.delenv("EVENTS_POSTGRES_DSN")
    environment.delenv("CATALOG_SERVICE_GRPC_ADDR")

    assert read_settings(MigrateSettings).postgres_dsn.get_secret_value() == ENVIRONMENT["POSTGRES_DSN"]


def test_passwords_are_not_shown(environment):
    assert "library:secret" not in repr(read_settings(LibrarySettings))
