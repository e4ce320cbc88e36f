"""Every documented operation under schemathesis, against the running platform and with all its checks: no server error, no status,
media type, header or member that the document does not have, bad requests refused, good ones taken, tokens needed where it says so.
"""

import asyncio
import os
import random
import sys
import uuid
from pathlib import Path

import aiohttp
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from codegen.generate import ROOT
from sandbox.client import sandbox_stub
from tests.e2e.clients import Api, CommandLine
from tests.e2e.conftest import Platform
from tests.e2e.trees import make_tree
from tests.unit.codegen.documents import OPENAPI

HOOKS = "tests.e2e.schemathesis_hooks"
CONFIG = Path(__file__).with_name("schemathesis.toml")


async def run_schemathesis(api: Api, folder: Path, product_id: str, *, examples: int) -> tuple[int, str]:
    """Its exit code and what it printed; the seed is in it."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIG)),
        "run",
        str(OPENAPI),
        *("--url", api.url),
        *("--header", f"Authorization: Bearer {api.token}"),
        *("--max-examples", str(examples)),
        *("--seed", str(random.randrange(2**32))),
        *("--workers", "1"),
        "--continue-on-failure",
        "--no-color",
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
            "SCHEMATHESIS_HOOKS": HOOKS,
            "OWNED_PRODUCT_ID": product_id,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, out.decode()


async def _check(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, folder: Path, examples: int
) -> None:
    """As a user of its own: what schemathesis leaves behind is nobody else's."""
    user_id = str(uuid.uuid4())
    async with sandbox_stub(platform.private) as stub:
        token = (await stub.IssueToken(sandbox_pb2.IssueTokenRequest(user_id=user_id))).token
    api = Api(platform.ready["gateway_url"], token, http)
    published = await samovar.publish(make_tree(folder / "source", "fuzz"), "fuzzed-game", "1.0")
    await samovar.buy(user_id, published["product_id"])
    await api.owns(published["product_id"])
    code, said = await run_schemathesis(api, folder, published["product_id"], examples=examples)
    assert code == 0, said


@pytest.mark.timeout(400)
@pytest.mark.soak
async def test_every_operation_does_what_its_document_says(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await _check(platform, samovar, http, tmp_path, examples=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_operation_does_what_its_document_says_under_many_examples(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await _check(platform, samovar, http, tmp_path, examples=100)
