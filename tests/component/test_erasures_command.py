"""`samovar erasures` over databases of both services."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from chassis.erasure.job import Erasures
from chassis.erasure.plan import ErasurePlan
from chassis.postgres.database import open_database
from chassis.postgres.migrations import upgrade
from operations.erasures import EXIT_NOT_ERASED, app
from tests.component.erasure_rig import counts, fill
from tests.faults.erasure_steps import ERASED

SERVICES = {"library": "library_svc", "download": "download_svc"}
ROWS = 2


@pytest.fixture
async def databases(new_database: Callable[[str], Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    dsns = {}
    for service, package in SERVICES.items():
        dsns[service] = await new_database(service)
        await upgrade(dsns[service], package)
        monkeypatch.setenv(f"{service.upper()}_POSTGRES_DSN", dsns[service])
    return dsns


async def run(*words: str) -> tuple[Result, list[Any]]:
    """The command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return result, lines


async def filled(databases: dict[str, str], *users: uuid.UUID) -> None:
    for service, package in SERVICES.items():
        connection = await asyncpg.connect(databases[service])
        for user_id in users:
            await fill(connection, [table.name for table in ERASED[package]], user_id, rows=ROWS)
        await connection.close()


async def erase(databases: dict[str, str]) -> None:
    for service, package in SERVICES.items():
        async with open_database(databases[service]) as database:
            await Erasures(database, ErasurePlan(ERASED[package])).run_pending()


async def test_export_has_each_row_of_the_user_and_of_nobody_else(databases: dict[str, str]) -> None:
    anna, boris = uuid.uuid4(), uuid.uuid4()
    await filled(databases, anna, boris)
    result, lines = await run("export", str(anna))
    assert result.exit_code == 0, result.output
    found: dict[tuple[str, str], int] = {}
    for line in lines:
        assert line["row"]["user_id"] == str(anna)
        found[line["service"], line["table"]] = found.get((line["service"], line["table"]), 0) + 1
    assert found == {(service, table.name): ROWS for service, package in SERVICES.items() for table in ERASED[package]}


async def test_a_restored_database_erases_again_whom_the_other_one_knows(databases: dict[str, str]) -> None:
    anna, boris = uuid.uuid4(), uuid.uuid4()
    await filled(databases, anna, boris)
    asked, _ = await run("rerun", str(anna))
    assert asked.exit_code == 0, asked.output
    pending, _ = await run("show", str(anna))
    assert pending.exit_code == EXIT_NOT_ERASED
    await erase(databases)
    shown, lines = await run("show", str(anna))
    assert shown.exit_code == 0
    assert {line["service"]: line["erasure"]["counts"].get("installations") for line in lines} == {
        "library": None,
        "download": ROWS,
    }
    assert (await run("export", str(anna)))[1][0]["table"] == "erasures"

    library = await asyncpg.connect(databases["library"])
    await library.execute("DELETE FROM erasures")
    await filled({"library": databases["library"], "download": databases["download"]}, anna)
    again, _ = await run("rerun", "--since", "2020-01-01")
    assert again.exit_code == 0, again.output
    await erase(databases)
    names = [table.name for table in ERASED["library_svc"]]
    assert set((await counts(library, names, anna)).values()) == {0}
    assert set((await counts(library, names, boris)).values()) == {ROWS}
    await library.close()
    _, listed = await run("list", "--since", "2020-01-01")
    assert {(line["service"], line["user_id"]) for line in listed} == {(service, str(anna)) for service in SERVICES}


async def test_a_mistake_of_the_operator_is_said_in_a_sentence(
    databases: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await run("rerun"))[0].exit_code == 2
    monkeypatch.setenv("LIBRARY_POSTGRES_DSN", "postgresql://nobody@127.0.0.1:1/none")
    result, _ = await run("show", str(uuid.uuid4()))
    assert result.exit_code == 1
    assert "does not answer" in result.output
