"""Asking the platform which release to have, without a token; and which command updates a launcher that cannot update itself."""

import json
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import urllib3

from launcher.failures import ExitCode, LauncherError
from launcher.self_update.updating import Advice, Client
from launcher.self_update.versions import checked_version
from launcher.settings import checked_gateway_url, proxy_for

MAX_ANSWER_BYTES: Final = 64 * 1024
ANSWER_SECONDS: Final = 30.0
_PATH: Final = "/api/v1/download-client/client-updates"


def ask(client: Client, channel: str, installed: str, *, is_manual: bool) -> Advice:
    """Return the platform's advice.

    Raises:
        LauncherError: it cannot be reached, or has no release for this installation.
    """
    url = checked_gateway_url(client.gateway_url.rstrip("/")) + _PATH
    query = {
        "platform": client.platform,
        "arch": client.arch,
        "channel": channel,
        "version": installed,
        "install_id": str(client.installation_id),
        "is_manual": "true" if is_manual else "false",
    }
    proxy = proxy_for(url)
    try:
        with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
            response = pool.request(
                "GET", url, fields=query, preload_content=False, redirect=False, retries=2, timeout=ANSWER_SECONDS
            )
            try:
                content = response.read(MAX_ANSWER_BYTES + 1)
            finally:
                response.close()
    except urllib3.exceptions.HTTPError as error:
        message = f"the gateway {client.gateway_url} cannot be reached: {error}"
        raise LauncherError("SERVICE_UNAVAILABLE", message, ExitCode.NETWORK) from None
    return _read(response.status, content)


def _read(status: int, content: bytes) -> Advice:
    try:
        document = json.loads(content)
        if status == 200:
            said = document["data"]["attributes"]
            return Advice(checked_version(said["version"]), bool(said["is_available"]), bool(said["is_mandatory"]))
        code, title = str(document["errors"][0]["code"]), str(document["errors"][0]["title"])
    except (ValueError, KeyError, IndexError, TypeError):
        message = f"the gateway's answer about releases cannot be read (status {status})"
        raise LauncherError("SERVICE_UNAVAILABLE", message, ExitCode.NETWORK) from None
    raise LauncherError(code, title, ExitCode.DENIED if status == 404 else ExitCode.NETWORK)


def other_command() -> str:
    """Return the command that updates the launcher of this process, which depends on how it was installed."""
    try:
        found = distribution("samovar")
    except PackageNotFoundError:
        return "git pull"
    prefix = Path(sys.prefix).as_posix()
    direct = json.loads(found.read_text("direct_url.json") or "{}")
    if direct.get("dir_info", {}).get("editable"):
        return "git pull"
    if "/pipx/venvs/" in f"{prefix}/":
        return "pipx upgrade samovar"
    if "/uv/tools/" in f"{prefix}/":
        return "uv tool upgrade samovar"
    if "/dist-packages" in Path(str(found.locate_file(""))).as_posix() and prefix == "/usr":
        return "apt install --only-upgrade samovar"
    installer = (found.read_text("INSTALLER") or "pip").strip()
    return "uv pip install --upgrade samovar" if installer == "uv" else "pip install --upgrade samovar"
