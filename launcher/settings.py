"""The launcher's configuration at start: environment, the profile that `samovar login` stored, the device's id, and the local
platform's own description. The only module of the launcher that reads the environment.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from depot import trust
from launcher.failures import ExitCode, LauncherError

DEFAULT_GATEWAY_URL = "http://127.0.0.1:8080"
_TOKEN = re.compile(r"[\x21-\x7e]+")
_URL = re.compile(r"[^\s\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment variables that the launcher obeys, read once.

    `SAMOVAR_CONFIG_HOME` (else `$XDG_CONFIG_HOME/samovar`, `~/.config/samovar`), `SAMOVAR_HOME` (the local platform; where it is
    not set there is none: the current folder may be anybody's), `SAMOVAR_GATEWAY`, `SAMOVAR_TOKEN`, `MANIFEST_PUBLIC_KEYS`, `LANG`.
    """

    config_home: Path
    platform_home: Path | None
    gateway_url: str
    token: str = field(repr=False)
    manifest_public_keys: str
    language: str

    @classmethod
    def read(cls, values: Mapping[str, str] | None = None) -> "Environment":
        """From the process's environment, or from the given one."""
        env = os.environ if values is None else values
        platform_home = env.get("SAMOVAR_HOME")
        return cls(
            config_home=_config_home(env),
            platform_home=Path(platform_home).absolute() if platform_home else None,
            gateway_url=env.get("SAMOVAR_GATEWAY", ""),
            token=env.get("SAMOVAR_TOKEN", "").strip(),
            manifest_public_keys=env.get("MANIFEST_PUBLIC_KEYS", ""),
            language="ru" if env.get("LC_ALL", env.get("LANG", "")).lower().startswith("ru") else "en",
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """The launcher's identity at a gateway, and the keys whose manifests it trusts (`key_id=base64,…`)."""

    gateway_url: str
    token: str = field(repr=False)
    trusted_keys: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """Everything a command needs to act for a user on this device."""

    gateway_url: str
    token: str = field(repr=False)
    device_id: UUID
    trusted_keys: str
    language: str = "en"


def account(environment: Environment) -> Account:
    """Return the stored profile, overridden by the environment.

    Raises:
        LauncherError: nobody signed in.
    """
    stored = read_profile(environment)
    token = environment.token or (stored.token if stored else "")
    if not token:
        raise LauncherError("UNAUTHENTICATED", "not signed in: run `samovar login` first", ExitCode.NOT_SIGNED_IN)
    local = local_platform(environment)
    gateway_url = environment.gateway_url or (stored.gateway_url if stored else str(local.get("gateway_url", "")))
    gateway_url = _normal_url(gateway_url or DEFAULT_GATEWAY_URL)
    trusted_keys = environment.manifest_public_keys or (stored.trusted_keys if stored else "")
    trusted_keys = trusted_keys or _local_keys(environment, gateway_url)
    checked_token(token)
    checked_gateway_url(gateway_url)
    return Account(gateway_url, token, device_id(environment), trusted_keys, environment.language)


def checked_token(token: str) -> str:
    """Return the token, if it is valid in a header.

    Raises:
        LauncherError: it cannot.
    """
    if not _TOKEN.fullmatch(token):
        message = "the token has a blank, a line break or another character in it that no token has: copy it again"
        raise LauncherError("UNAUTHENTICATED", message, ExitCode.NOT_SIGNED_IN)
    return token


def checked_gateway_url(url: str) -> str:
    """Return the URL, if it can be a gateway's.

    Raises:
        LauncherError: it cannot.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        is_right = (
            parts.scheme in {"http", "https"} and bool(host) and parts.port != 0 and _URL.fullmatch(url) is not None
        )
    except ValueError:
        is_right = False
    if not is_right:
        raise LauncherError("INVALID_ARGUMENT", f"{url!r} is not the URL of a gateway", ExitCode.USAGE)
    return url


def proxy_for(url: str) -> str | None:
    """The proxy to reach a URL through, by `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case; never one for
    this machine itself.

    Raises:
        LauncherError: the setting names no HTTP proxy.
    """
    import urllib.request as rules  # noqa: PLC0415  not for `--help`

    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_this_machine(host):
        return None
    proxies = rules.getproxies_environment()
    address = host if parts.port is None else f"{host}:{parts.port}"
    if rules.proxy_bypass_environment(address, proxies):  # type: ignore[attr-defined]
        return None
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found:
        return None
    proxy = found if "://" in found else f"http://{found}"
    try:
        is_right = urlsplit(proxy).scheme == "http" and bool(urlsplit(proxy).hostname) and urlsplit(proxy).port != 0
    except ValueError:
        is_right = False
    if not is_right:
        message = f"the proxy for {parts.scheme} in the environment is not the URL of an HTTP proxy (http://host:port)"
        raise LauncherError("PROXY_UNSUPPORTED", message, ExitCode.USAGE)
    return proxy


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _config_home(values: Mapping[str, str]) -> Path:
    try:
        return trust.config_home(values)
    except RuntimeError:
        message = "not signed in: there is no home folder; set HOME or SAMOVAR_CONFIG_HOME"
        raise LauncherError("UNAUTHENTICATED", message, ExitCode.NOT_SIGNED_IN) from None


def default_gateway_url(environment: Environment) -> str:
    """Return the gateway that `samovar login` uses when none is named."""
    url = environment.gateway_url or str(local_platform(environment).get("gateway_url", "")) or DEFAULT_GATEWAY_URL
    return _normal_url(url)


def local_platform(environment: Environment) -> Mapping[str, Any]:
    """Return the supervisor's description of the local platform that `SAMOVAR_HOME` names; empty when there is none."""
    return _read_json(environment.platform_home / "platform.json") if environment.platform_home else {}


def _local_keys(environment: Environment, gateway_url: str) -> str:
    """Return the keys of a platform that this user runs at exactly this address: the one that `SAMOVAR_HOME` names, or that
    `samovar up` noted in the profile. Its supervisor wrote them for this user: as close to pinned as a local trial can be.
    """
    local = local_platform(environment)
    if _normal_url(str(local.get("gateway_url", ""))) == gateway_url:
        return str(local.get("manifest_public_keys", ""))
    path = environment.config_home / trust.PLATFORMS_FILE
    with _readable(path):
        return trust.trusted_platforms(environment.config_home).get(gateway_url, "")


def read_profile(environment: Environment) -> Profile | None:
    """Return the profile that `samovar login` stored, if there is one."""
    stored = _read_json(environment.config_home / "profile.json")
    if not stored.get("token"):
        return None
    return Profile(
        gateway_url=str(stored.get("gateway_url", "")),
        token=str(stored["token"]),
        trusted_keys=str(stored.get("trusted_keys", "")),
    )


def write_profile(environment: Environment, profile: Profile) -> Path:
    """Stores the profile for this user's eyes only (0600) and says where."""
    path = environment.config_home / "profile.json"
    _write_private(path, asdict(profile) | {"gateway_url": _normal_url(profile.gateway_url)})
    return path


def read_saves(environment: Environment) -> Mapping[str, Any]:
    """Return the stored data about saves on this device (launcher.saves.rules); empty when there is none."""
    return _read_json(environment.config_home / "saves.json")


def write_saves(environment: Environment, value: Mapping[str, Any]) -> None:
    """Stores the data about saves, completely or not at all."""
    _write_private(environment.config_home / "saves.json", value)


def device_id(environment: Environment) -> UUID:
    """Return this device's id: created once, kept beside the profile."""
    path = environment.config_home / "device.json"
    with contextlib.suppress(ValueError, KeyError):
        return UUID(str(_read_json(path)["device_id"]))
    made = uuid4()
    _write_private(path, {"device_id": str(made)})
    return made


def _normal_url(url: str) -> str:
    return url.rstrip("/")


def _read_json(path: Path) -> Mapping[str, Any]:
    with _readable(path):
        value = json.loads(trust.read_own(path) or b"{}")
        return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except trust.NotOwn as error:
        raise LauncherError("SETTINGS_NOT_YOURS", str(error), ExitCode.USAGE) from None
    except (OSError, ValueError) as error:
        raise LauncherError("SETTINGS_UNREADABLE", f"{path} cannot be read: {error}", ExitCode.USAGE) from None


def _write_private(path: Path, value: Mapping[str, Any]) -> None:
    try:
        trust.write_own(path, value)
    except OSError as error:
        raise LauncherError("SETTINGS_UNWRITABLE", f"{path} cannot be written: {error}", ExitCode.DISK) from None
