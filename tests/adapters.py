"""Which adapters the contract suites run over: memory and embedded ones always, the real ones when their servers are up
(`./taskw backends:up`, or the environment names them). A pytest plugin: the summary at the end says which ran and, of the others,
why not. With TEST_ADAPTERS=all, and with CI=true, every one must run.
"""

import functools
import json
import os
import re
import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

SUITES: Mapping[str, tuple[str, ...]] = {
    "test_consumers.py": ("memory", "postgres", "kafka"),
    "test_event_bus.py": ("memory", "postgres", "kafka"),
    "test_events_command.py": ("postgres", "kafka"),
    "test_kafka_bus.py": ("kafka",),
    "test_object_store.py": ("directory", "s3"),
    "test_s3_store.py": ("s3",),
    "test_live_values.py": ("memory", "valkey", "redis"),
    "test_live_streams.py": ("memory", "valkey", "redis"),
    "test_library_access_port.py": ("memory", "valkey", "redis"),
    "test_library_machine.py": ("memory", "embedded", "postgres 15"),
}
ADDRESSES: Mapping[str, str] = {
    "kafka": "KAFKA_BROKERS",
    "s3": "S3_ENDPOINT",
    "redis": "REDIS_ADDR",
    "postgres 15": "POSTGRES_DSN",
}
"""Of each adapter that needs a real server, the setting that says where it is."""

ENVIRONMENT_FILE = Path("backends/environment.json")
CONNECT_TIMEOUT_SECONDS = 2.0


@functools.cache
def environment() -> Mapping[str, str]:
    """The settings of the real servers: what `backends:up` wrote, under what the environment says."""
    home = Path(os.environ.get("SAMOVAR_HOME", Path(__file__).parent.parent / ".samovar"))
    file = home / ENVIRONMENT_FILE
    written: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    names = {
        *written,
        *ADDRESSES.values(),
        "REDIS_PASSWORD",
        "S3_ACCESS_KEY_ID",
        "S3_SECRET_ACCESS_KEY",
        "S3_REGION",
        "S3_USE_SSL",
        "S3_BUCKET",
    }
    return written | {name: os.environ[name] for name in names - {"POSTGRES_DSN"} if os.environ.get(name)}


@functools.cache
def why_missing(adapter: str) -> str | None:
    """Why the adapter cannot run here; None when it can."""
    setting = ADDRESSES.get(adapter)
    if setting is None:
        return None
    address = environment().get(setting)
    if not address:
        return f"no {setting}: ./taskw backends:up"
    first = address.split(",")[0]
    parts = urlsplit(first if "//" in first else f"//{first}")
    try:
        socket.create_connection((parts.hostname, parts.port or 443), CONNECT_TIMEOUT_SECONDS).close()
    except OSError as error:
        return f"nothing answers at {first} ({error.strerror or error}): ./taskw backends:up"
    return None


def adapters(suite_file: str, *, without: Mapping[str, str] | None = None) -> list[str]:
    """The parameters of a suite's fixture. `without` names adapters that a promise does not hold for, each with the reason."""
    chosen = [name for name in SUITES[Path(suite_file).name] if name not in (without or {})]
    if os.environ.get("TEST_ADAPTERS") == "all" or os.environ.get("CI") == "true":
        return chosen
    return [name for name in chosen if why_missing(name) is None]


def settings_of(adapter: str) -> Mapping[str, str]:
    """The environment for a real adapter; fails the test when its server is away."""
    reason = why_missing(adapter)
    if reason is not None:
        pytest.fail(f"{adapter} was asked for: {reason}")
    return environment()


def redis_url() -> str:
    """The real Redis as a URL, with its password."""
    settings = settings_of("redis")
    return f"redis://:{settings.get('REDIS_PASSWORD', '')}@{settings['REDIS_ADDR']}/0"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says of each suite what it ran over."""
    passed: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for outcome, counter in (("passed", passed), ("failed", failed), ("error", failed)):
        for report in terminalreporter.stats.get(outcome, []):
            if getattr(report, "when", "call") == "call" or outcome == "error":
                counter.update(_ran_over(report.nodeid))
    ran = {suite for suite, _ in {*passed, *failed}}
    if not ran:
        return
    terminalreporter.section("adapters of the ports")
    for suite, names in SUITES.items():
        if suite in ran:
            lines = [_line(name, passed[suite, name], failed[suite, name]) for name in names]
            port = suite.removeprefix("test_").removesuffix(".py").replace("_", " ")
            terminalreporter.write_line(f"{port}: " + "; ".join(lines))


def _line(adapter: str, passed: int, failed: int) -> str:
    if passed or failed:
        return f"{adapter} ran, {passed} passed" + (f", {failed} FAILED" if failed else "")
    return f"{adapter} DID NOT RUN: {why_missing(adapter) or 'not asked for'}"


def _ran_over(nodeid: str) -> list[tuple[str, str]]:
    match = re.search(r"([^/]+\.py)::[^\[]+\[([^\]]*)", nodeid)
    if match is None or match[1] not in SUITES:
        return []
    return [(match[1], name) for name in SUITES[match[1]] if name in match[2].split("-")]
