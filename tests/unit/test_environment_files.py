"""`.env.example` and compose.yaml say what the settings classes and `backends:up` say."""

import base64
import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from chassis.settings import ProgramSettings
from download_svc.settings import DownloadSettings
from gateway.generated import backends_of, load_generated
from gateway.settings import GatewaySettings, address_setting
from library_svc.settings import LibrarySettings
from operations.backup_commands import BackupSettings
from sandbox.devstack.backend_servers import BACKENDS, KAFKA_VERSION, PORTS, POSTGRES_MAJOR
from sandbox.peers.settings import SandboxSettings

ROOT = Path(__file__).parents[2]
CLASSES: tuple[type[ProgramSettings], ...] = (LibrarySettings, DownloadSettings, GatewaySettings, SandboxSettings)
OPERATORS: tuple[type[ProgramSettings], ...] = (BackupSettings,)
"""Settings of commands."""
LINE = re.compile(r"(# )?([A-Z][A-Z0-9_]*)=(.*)")


def lines() -> list[tuple[bool, str, str]]:
    """Of each setting in the file: whether it is set, its name, its value."""
    found = (LINE.fullmatch(line) for line in (ROOT / ".env.example").read_text().splitlines())
    return [(match[1] is None, match[2], match[3].strip("'")) for match in found if match]


def as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value == () else str(value)


def test_every_setting_is_there_once_and_nothing_else():
    known = {name.upper() for one in (*CLASSES, *OPERATORS) for name in one.model_fields} - {"SERVICE_ADDRESSES"}
    known |= {address_setting(backend) for backend in backends_of(load_generated("rest"))}
    assert sorted(name for _, name, _ in lines()) == sorted(known)


def test_what_is_not_set_shows_a_default():
    for is_set, name, text in lines():
        fields = [one.model_fields[name.lower()] for one in (*CLASSES, *OPERATORS) if name.lower() in one.model_fields]
        if not is_set:
            assert not all(field.is_required() for field in fields), f"{name} has no default"
            defaults = {
                as_text(field.get_default(call_default_factory=True))
                for field in fields
                if field.get_default(call_default_factory=True) is not PydanticUndefined
            }
            assert text in defaults, f"{name} defaults to {defaults}"


@pytest.mark.parametrize("settings", CLASSES)
def test_the_file_is_enough_for_each_program(settings: type[ProgramSettings], monkeypatch: pytest.MonkeyPatch):
    values = {name: value for is_set, name, value in lines() if is_set}
    values |= {"CDN_LINK_SECRET_KEY": "x" * 16, "MANIFEST_PUBLIC_KEYS": "key=" + base64.b64encode(bytes(32)).decode()}
    values |= {"AUTH_JWKS_URL": "http://127.0.0.1:9098/.well-known/jwks.json"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    made = settings()
    assert made.bind_host == "127.0.0.1"


def test_compose_describes_the_servers_of_backends_up():
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(composed) == {one.name for one in BACKENDS}
    for one in BACKENDS:
        (mapping,) = composed[one.name]["ports"]
        host, port, _ = mapping.split(":")
        assert (host, int(port)) == ("127.0.0.1", PORTS[one.port])
    assert composed["kafka"]["image"].endswith(f":{KAFKA_VERSION}")
    assert composed["postgres"]["image"].endswith(f":{POSTGRES_MAJOR}")
    assert composed["s3"]["image"].split(":")[1] in (ROOT / "pyproject.toml").read_text()


def test_compose_and_the_example_name_the_same_keys():
    (identity,) = json.loads(yaml.safe_load((ROOT / "compose.yaml").read_text())["configs"]["s3"]["content"])[
        "identities"
    ]
    (pair,) = identity["credentials"]
    example = {name: value for _, name, value in lines()}
    assert (pair["accessKey"], pair["secretKey"]) == (example["S3_ACCESS_KEY_ID"], example["S3_SECRET_ACCESS_KEY"])
