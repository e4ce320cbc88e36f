"""Settings that every program has, and how a program's settings are read: a YAML file, then the environment, which wins.

A program derives its own class from ProgramSettings and calls `load_settings` once, at its start; nobody else reads the
environment. Contract: section 8.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml  # type: ignore[import-untyped]
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

CONFIG_FILE_VARIABLE = "SAMOVAR_CONFIG"
EXIT_CODE_BAD_SETTINGS = 2

Settings = TypeVar("Settings", bound="ProgramSettings")


class _Environment(EnvSettingsSource):
    """Leaves a value that is not the JSON it should be to validation, so that all problems come out together."""

    def __call__(self) -> dict[str, Any]:
        is_open = _opener(self.settings_cls)
        return {
            **{name.lower(): value for name, value in os.environ.items() if value and is_open(name)},
            **super().__call__(),
        }

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:  # noqa: FBT001  the base class's signature
        try:
            return super().prepare_field_value(field_name, field, value, value_is_complex)
        except ValueError:
            return value


class ProgramSettings(BaseSettings):
    """The settings that every program has. An attribute's name in capitals is the setting's name."""

    open_suffix: ClassVar[str] = ""
    """Settings whose names in lower case end so are read beside the fields; the class finds them in a validator "before"."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_hash_key: SecretStr = SecretStr("")
    """Under which logs hash users, one for all programs. Empty = each process creates its own."""
    bind_host: str = "127.0.0.1"
    workers: int = Field(default=1, ge=1, le=64)
    drain_seconds: float = Field(default=10.0, ge=0, le=300)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """0 = no metrics. Worker n of a program with several listens on this port + n."""
    otel_exporter_otlp_endpoint: str = ""
    """Empty = traces are numbered and passed on, but not exported."""
    auth_jwks_url: str = ""
    auth_issuer: str = "https://auth.samovar.local"
    auth_audience: str = "samovar"
    auth_token_url: str = ""
    service_tokens_enabled: bool = False
    service_client_secret: SecretStr = SecretStr("")
    grpc_reflection: bool = False
    """True = every client that reaches a gRPC port can list its services and methods."""
    grpc_tls_cert_file: str = ""
    grpc_tls_key_file: str = ""
    grpc_tls_ca_file: str = ""
    """The three together: mTLS on every gRPC port and channel. Empty = plain text."""

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        problems = self.problems()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def problems(self) -> list[str]:
        """Return the conflicts between settings, one line each that begins with a setting's name; a subclass adds to these."""
        problems = []
        if self.service_tokens_enabled and not self.auth_jwks_url:
            problems.append("AUTH_JWKS_URL: needed with SERVICE_TOKENS_ENABLED")
        if bool(self.auth_token_url) != bool(self.service_client_secret.get_secret_value()):
            problems.append("AUTH_TOKEN_URL: needed together with SERVICE_CLIENT_SECRET, or neither")
        files = (self.grpc_tls_cert_file, self.grpc_tls_key_file, self.grpc_tls_ca_file)
        if any(files) and not all(files):
            problems.append("GRPC_TLS_CERT_FILE: needed together with GRPC_TLS_KEY_FILE and GRPC_TLS_CA_FILE, or none")
        return problems

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the base class's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _Environment(settings_cls), InitSettingsSource(settings_cls, _config_file(settings_cls))


class BadConfigFileError(ValueError):
    """The file named by SAMOVAR_CONFIG cannot be used; the text says why."""


def _config_file(settings_cls: type[BaseSettings]) -> dict[str, Any]:
    name = os.environ.get(CONFIG_FILE_VARIABLE, "")
    if not name:
        return {}
    try:
        content = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = str(error).splitlines()[0]
        raise BadConfigFileError(f"{name} cannot be read: {problem}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadConfigFileError(f"{name} is not a map of settings")
    known, is_open = settings_cls.model_fields, _opener(settings_cls)
    return {str(key).lower(): value for key, value in content.items() if str(key).lower() in known or is_open(str(key))}


def _opener(settings_cls: type[BaseSettings]) -> Callable[[str], bool]:
    suffix = settings_cls.open_suffix if issubclass(settings_cls, ProgramSettings) else ""
    return lambda name: bool(suffix) and name.lower().endswith(suffix)


class Problems(ValueError):
    """The problems with other settings that a validator of one field found: one line each, which begins with the setting's name."""


def read_settings(cls: type[Settings]) -> Settings:
    """Reads and checks all settings.

    Raises:
        BadSettings: with one line per problem.
    """
    try:
        return cls()
    except ValidationError as error:
        problems = [line for problem in error.errors(include_input=False) for line in _lines(problem)]
    except BadConfigFileError as error:
        problems = [f"{CONFIG_FILE_VARIABLE}: {error}"]
    raise BadSettings(problems)


class BadSettings(ValueError):
    """Attributes: problems, one line each, naming the setting."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_settings(cls: type[Settings]) -> Settings:
    """Return the settings at a program's start, or exit with code 2 and one clear line per problem on stderr."""
    try:
        return read_settings(cls)
    except BadSettings as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(EXIT_CODE_BAD_SETTINGS)


def _lines(problem: ErrorDetails) -> list[str]:
    text = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"] or isinstance(problem.get("ctx", {}).get("error"), Problems):
        # A rule over several settings names them itself.
        return text.splitlines()
    head, *rest = problem["loc"]
    name = str(head).upper() + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return [f"{name}: {text}"]
