"""Every metric that a rule or a dashboard names is there once the platform has been used a little."""

import asyncio
import re
from collections.abc import Iterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from operations.dashboards import DASHBOARDS
from sandbox.devstack.free_port import free_port
from tests.e2e.clients import Api, Shop
from tests.e2e.running import Platform, start_platform, stop_platform
from tests.meta.test_monitoring import groups

PROGRAMS = ("gateway", "library", "download")
OF_OTHERS = frozenset({"up", "backup_last_success_timestamp_seconds", "backup_last_size_bytes"})
"""Prometheus' own, and those of `samovar backup watch` (tests/component/test_backups.py)."""
WORDS = frozenset({"by", "unless", "and", "or", "on", "offset", "without", "le", "bool"})
SECONDS = 60.0


def names(query: str) -> set[str]:
    """The metrics in a PromQL expression."""
    plain = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|without) ?\([^)]*\)|\"[^\"]*\"", " ", query)
    found = re.findall(r"(?<![\w:.])([a-z_][a-z0-9_:]*)\b(?!\s*\()", plain)
    return {name for name in found if name not in WORDS and ":" not in name}


def named() -> set[str]:
    rules = [rule["expr"] for group in groups() for rule in group["rules"]]
    panels = [query for one in DASHBOARDS for row in one.rows for panel in row for query, _ in panel.queries]
    return {name for query in (*rules, *panels) for name in names(query)} - OF_OTHERS


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {program: free_port() for program in PROGRAMS}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Platform]:
    options = [word for program, port in ports.items() for word in ("--set", f"{program}.METRICS_PORT={port}")]
    running = start_platform(tmp_path_factory.mktemp("measured") / "home", "--raw-logs", *options)
    yield running
    assert stop_platform(running) == []


async def samples(http: aiohttp.ClientSession, ports: dict[str, int]) -> set[str]:
    found: set[str] = set()
    for port in ports.values():
        async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            for family in text_string_to_metric_families(await answer.text()):
                found |= {sample.name for sample in family.samples}
    return found


def test_names_are_found_in_expressions():
    text = 'max by (a_b) (x_total{c_d="e_f"}) > 2 and sum(rate(y_total[5m] offset 30m)) / up == 1'
    assert names(text) == {"x_total", "y_total", "up"}
    assert len(named()) > 20


async def test_every_metric_that_is_named_exists_after_a_smoke_run(measured: Platform, ports: dict[str, int]):
    async with aiohttp.ClientSession() as http:
        api = Api(measured.ready["gateway_url"], measured.user("anna")["token"], http)
        shop = Shop(measured.private)
        await shop.buy(api.user_id, await shop.new_product())
        for path in ("/api/v1/library/items", "/api/v1/download-client/downloads"):
            async with http.get(
                measured.ready["gateway_url"] + path, headers={"Authorization": f"Bearer {api.token}"}
            ) as answer:
                assert answer.status == 200
        deadline = asyncio.get_running_loop().time() + SECONDS
        while missing := named() - await samples(http, ports):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.5)
    assert missing == set()
