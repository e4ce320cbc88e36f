"""Every documented operation under schemathesis, against the running platform and with all its checks: no server error, no status,
media type, header or member that the document does not have, bad requests refused, good ones taken, tokens needed where it says so.
SCHEMATHESIS_SEED replays a run.
"""

import asyncio
import json
import os
import random
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from samovar.sandbox.v1 import sandbox_pb2

from codegen.generate import ROOT
from sandbox.client import sandbox_stub
from tests.e2e.clients import Api, CommandLine, Shop
from tests.e2e.conftest import Platform
from tests.e2e.trees import make_tree
from tests.unit.codegen.documents import OPENAPI, operations, read

HOOKS = "tests.e2e.schemathesis_hooks"
EVERYWHERE = frozenset({"Accept-Language", "X-Request-ID", "X-Request-Timeout"})
SEED = "SCHEMATHESIS_SEED"
CONFIG = Path(__file__).with_name("schemathesis.toml")
ANSWERED = "answered.json"


def thinned(document: Any, seed: int) -> Any:
    """The document without repetitions, which would take most of the time: one media type for the body of each request, JSON:API's
    or plain JSON, and the headers that every operation takes at every fourth. What is kept changes with the seed; answers are held
    against the whole document. Long runs are thinned too: more examples say more there than the same ones in another media type.
    """
    choose = random.Random(seed)
    made = json.loads(json.dumps(document))
    for _, _, operation in operations(made):
        if choose.random() > 0.25:
            operation["parameters"] = [one for one in operation["parameters"] if one.get("name") not in EVERYWHERE]
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]
            kept = choose.choice(sorted(content))
            operation["requestBody"]["content"] = {kept: content[kept]}
    return made


async def run_schemathesis(
    api: Api, folder: Path, known: Mapping[str, str], *, document: Path, seed: int, examples: int
) -> tuple[int, str]:
    """Its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(CONFIG)),
        "run",
        str(document),
        *("--url", api.url),
        *("--header", f"Authorization: Bearer {api.token}"),
        *("--max-examples", str(examples)),
        *("--seed", str(seed)),
        *("--workers", "1"),
        "--continue-on-failure",
        "--no-color",
        cwd=folder,
        env={
            # Not the whole environment: its requests look for a proxy there each time.
            **{name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TMPDIR") if name in os.environ},
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "gen"))),
            "SCHEMATHESIS_HOOKS": HOOKS,
            **known,
            "ANSWERED_FILE": str(folder / ANSWERED),
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


async def _have_one_of_each(platform: Platform, samovar: CommandLine, api: Api, folder: Path) -> dict[str, str]:
    """What nothing but a client's work, or a second request, brings about. Returns what hooks are to know of it."""
    published = await samovar.publish(make_tree(folder / "source", "fuzz"), "fuzzed-game", "1.0")
    product_id = published["product_id"]
    await samovar.buy(api.user_id, product_id)
    await api.owns(product_id)
    await samovar.login(api)
    await samovar.ok("install", product_id, "--to", str(folder / "disk"))
    settings = {"data": {"type": "gameSettings", "attributes": {"settings_payload": {"volume": 1}}}}
    assert (await api.call("PUT", f"/api/v1/library/game-settings/{product_id}", body=settings)).status == 200
    shop = Shop(platform.private)
    wished = {"product_id": await shop.new_product()}
    assert (await api.post("/api/v1/library/wishlist/items", "wishlistItemCreation", **wished)).status == 201
    return {
        "OWNED_PRODUCT_ID": product_id,
        "OWNED_VERSION_ID": published["version_id"],
        "OTHER_PRODUCT_ID": await shop.new_product(),
    }


async def _check(
    platform: Platform,
    samovar: CommandLine,
    http: aiohttp.ClientSession,
    folder: Path,
    *,
    examples: int,
) -> set[str]:
    """As a user of its own: what schemathesis leaves behind is nobody else's. Returns the operations that refused all they got."""
    user_id = str(uuid.uuid4())
    async with sandbox_stub(platform.private) as stub:
        token = (await stub.IssueToken(sandbox_pb2.IssueTokenRequest(user_id=user_id))).token
    api = Api(platform.ready["gateway_url"], token, http)
    known = await _have_one_of_each(platform, samovar, api, folder)
    seed = int(os.environ.get(SEED, random.randrange(2**32)))
    print(f"{SEED}={seed}")
    document = read(OPENAPI.read_text())
    file = folder / "openapi.json"
    file.write_text(json.dumps(thinned(document, seed)))
    code, said = await run_schemathesis(api, folder, known, document=file, seed=seed, examples=examples)
    assert code == 0, f"{SEED}={seed}\n{said}"
    selected = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", said)
    assert selected is not None, said
    assert set(selected.groups()) == {str(sum(1 for _ in operations(document)))}
    answered = json.loads((folder / ANSWERED).read_text())
    return {label for label, statuses in answered.items() if min(statuses) >= 300}


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_operation_does_what_its_document_says(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await _check(platform, samovar, http, tmp_path, examples=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_operation_does_what_its_document_says_under_many_examples(
    platform: Platform, samovar: CommandLine, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    refused = await _check(platform, samovar, http, tmp_path, examples=100)
    assert not refused, "refusals alone say little of these"
