"""docs/adding-a-service.md works as it stands: its files, written into an empty folder, become a service behind a gateway with
REST, streams and documents, and nothing of the gateway is touched for it.
"""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from chassis.bus.event_log import open_event_log
from codegen.generate import DOCS, GEN, PROTO, ROOT, own_files, tool
from tests.component.rpc_rig import AUDIENCE, ISSUER, auth_server, user_token
from tests.conftest import NewDatabase
from tests.unit.codegen import contract_compiler

DOCUMENT = DOCS / "adding-a-service.md"
WAIT_SECONDS = 60.0
JSON_API = "application/vnd.api+json"
REVIEWS = "/api/v1/reviews"


def _files() -> Iterator[tuple[str, str]]:
    """Name and text of each file that the document shows."""
    yield from re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def _generation() -> list[str]:
    """The arguments of the document's `./taskw gen`, which go to the generator as they are."""
    assert "    cmd: python -m codegen.generate {{.CLI_ARGS}}\n" in (ROOT / "Taskfile.yml").read_text()
    (arguments,) = re.findall(r"^\./taskw gen -- (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    return shlex.split(arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document's files, and what the generator makes of them."""
    made = tmp_path_factory.mktemp("reviews")
    files = dict(_files())
    assert len(files) == 4
    for name, content in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    arguments = [one.replace("FOLDER", str(made)) for one in _generation()]
    _run(made, sys.executable, "-m", "codegen.generate", *arguments)
    return made


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    path = os.pathsep.join(map(str, (folder, folder / "gen", ROOT, GEN)))
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, **settings}


def _run(folder: Path, *command: str, **settings: str) -> None:
    result = subprocess.run(
        command, cwd=ROOT, env=_environment(folder, **settings), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@asynccontextmanager
async def _program(folder: Path, module: str, **settings: str) -> AsyncIterator[int]:
    """Runs a program and gives the port that it says it serves on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        env=_environment(folder, **settings),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdout is not None
    reading: asyncio.Task[Any] | None = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            line = b""
            while b'"serving"' not in line:
                line = await process.stdout.readline()
                assert line, f"{module} ended"
        # Somebody has to read what it logs, or it would wait for that.
        reading = asyncio.create_task(process.stdout.read())
        yield int(json.loads(line)["port"])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        if reading is not None:
            await reading


@dataclass
class Reviews:
    """The running example."""

    url: str
    http: aiohttp.ClientSession
    events_dsn: str

    async def call(
        self,
        method: str,
        path: str,
        attributes: Any = None,
        *,
        token: str | None = None,
        document_id: str | None = None,
    ) -> tuple[int, Any, Any]:
        headers = {"Accept-Language": "en"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if attributes is not None:
            resource = {"type": "review", "attributes": attributes, **({"id": document_id} if document_id else {})}
            data, headers["Content-Type"] = json.dumps({"data": resource}), JSON_API
        async with self.http.request(method, self.url + path, data=data, headers=headers) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else None, answer.headers

    async def publish(self, product_id: str, rating: int, text: str | None = None) -> Any:
        attributes = {"product_id": product_id, "rating": rating, "text": text}
        status, document, _ = await self.call("POST", REVIEWS, attributes, token=user_token(sub=str(uuid4())))
        assert status == 201, document
        return document["data"]


@pytest.fixture
async def reviews(folder: Path, new_database: NewDatabase) -> AsyncIterator[Reviews]:
    async with AsyncExitStack() as stack:
        auth = await stack.enter_async_context(auth_server())
        events_dsn = await new_database("events")
        settings = {
            "AUTH_JWKS_URL": auth.jwks_url,
            "AUTH_ISSUER": ISSUER,
            "AUTH_AUDIENCE": AUDIENCE,
            "POSTGRES_DSN": await new_database("reviews"),
            "EVENTS_POSTGRES_DSN": events_dsn,
            "DRAIN_SECONDS": "1",
            "GRPC_DEADLINE_SECONDS": "20",  # what takes long on a busy machine is no fault
        }
        await asyncio.to_thread(_run, folder, sys.executable, "-m", "reviews_svc", "migrate", **settings)
        port = await stack.enter_async_context(
            _program(folder, "reviews_svc", REVIEWS_SERVICE_GRPC_PORT="0", **settings)
        )
        gateway_port = await stack.enter_async_context(
            _program(
                folder,
                "gateway",
                ROUTES_PACKAGE="reviews_rest",
                REVIEWS_SERVICE_GRPC_ADDR=f"127.0.0.1:{port}",
                GATEWAY_HTTP_PORT="0",
                **settings,
            )
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = Reviews(f"http://127.0.0.1:{gateway_port}", http, events_dsn)
        async with asyncio.timeout(WAIT_SECONDS):
            while (await made.call("GET", "/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
        yield made


@pytest.mark.parametrize("command", [["lint"], ["format", "--diff", "--exit-code"]], ids=["lint", "format"])
def test_the_proto_is_in_good_form(folder: Path, tmp_path: Path, command: list[str]) -> None:
    """What the platform's own protos are held to; and among them it would do as well."""
    shutil.copytree(PROTO, tmp_path / "proto")
    shutil.copytree(folder / "proto", tmp_path / "proto", dirs_exist_ok=True)
    shutil.copy(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    result = subprocess.run([tool("buf"), *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_among_the_platforms_protos_it_becomes_a_part_of_the_platforms_gateway(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(PROTO, tmp_path / "proto")
    shutil.copytree(folder / "proto", tmp_path / "proto", dirs_exist_ok=True)
    files = contract_compiler.generate(tmp_path / "proto", own_files(tmp_path / "proto"), tmp_path)
    assert '"/api/v1/reviews/{review_id}"' in files["rest/routes.py"]
    assert '"/api/v1/library/items"' in files["rest/routes.py"]
    assert "rest/reviews/v1/reviews.py" in files


@pytest.mark.timeout(300)
async def test_the_example_is_a_service_with_rest_streams_events_and_documents(reviews: Reviews, folder: Path) -> None:
    """One platform for all of it: starting one takes seconds."""
    await _rest(reviews)
    await _errors(reviews)
    await _streams(reviews)
    await _event(reviews)
    await _documents(reviews)
    assert "## REVIEW_ALREADY_WRITTEN" in (folder / "docs" / "errors.md").read_text()


async def _rest(reviews: Reviews) -> None:
    product, token = str(uuid4()), user_token(sub=str(uuid4()))
    attributes = {"product_id": product, "rating": 4, "text": "Хорошо"}
    status, document, headers = await reviews.call("POST", REVIEWS, attributes, token=token)
    review = document["data"]
    assert (status, headers["Location"]) == (201, review["links"]["self"])
    assert review["attributes"]["text"] == "Хорошо"
    assert review["relationships"]["product"]["data"] == {"type": "product", "id": product}
    path = review["links"]["self"]

    status, document, _ = await reviews.call("PATCH", path, {"text": None}, token=token, document_id=review["id"])
    assert (status, document["data"]["attributes"]["text"], document["data"]["attributes"]["rating"]) == (200, None, 4)
    assert (await reviews.call("GET", path))[1]["data"] == document["data"]

    for rating in (1, 2):
        await reviews.publish(product, rating)
    status, document, _ = await reviews.call("GET", f"{REVIEWS}?product_id={product}&page[number]=2&page[size]=2")
    assert (status, len(document["data"]), document["meta"]["total_items"]) == (200, 1, 3)
    assert document["data"][0]["id"] == review["id"]
    assert "page%5Bnumber%5D=1" in document["links"]["prev"] or "page[number]=1" in document["links"]["prev"]

    stranger = user_token(sub=str(uuid4()))
    assert (await reviews.call("DELETE", path, token=stranger))[0] == 404
    assert (await reviews.call("DELETE", path, token=token))[0] == 204
    assert (await reviews.call("GET", path))[0] == 404


async def _errors(reviews: Reviews) -> None:
    product, token = str(uuid4()), user_token(sub=str(uuid4()))
    good = {"product_id": product, "rating": 4}
    assert (await reviews.call("POST", REVIEWS, good))[0] == 401
    assert (await reviews.call("POST", REVIEWS, good, token=token))[0] == 201
    status, document, _ = await reviews.call("POST", REVIEWS, good, token=token)
    error = document["errors"][0]
    assert (status, error["code"]) == (409, "REVIEW_ALREADY_WRITTEN")
    assert error["detail"] == f"You have reviewed product {product} already."
    status, document, _ = await reviews.call("POST", REVIEWS, {"product_id": "x", "rating": 9}, token=token)
    assert status == 400
    pointers = {error["source"]["pointer"] for error in document["errors"]}
    assert pointers == {"/data/attributes/product_id", "/data/attributes/rating"}
    status, document, _ = await reviews.call("GET", f"{REVIEWS}/{uuid4()}")
    assert (status, document["errors"][0]["code"]) == (404, "REVIEW_NOT_FOUND")


async def _streams(reviews: Reviews) -> None:
    product, token = str(uuid4()), user_token(sub=str(uuid4()))
    path = f"/api/v1/ws/products/{product}/reviews"
    headers = {"Authorization": f"Bearer {token}"}
    accept = {**headers, "Accept": "text/event-stream"}
    async with (
        asyncio.timeout(WAIT_SECONDS),
        reviews.http.ws_connect(reviews.url + path) as socket,
        reviews.http.get(f"{reviews.url}{path}?least_rating=4", headers=accept) as lines,
    ):
        await socket.send_json({"event_type": "auth.token", "payload": {"token": token}})
        # Each stream is there as soon as something comes over it.
        first = await _until_heard(reviews, product, 3, _next(socket, "review.published"))
        assert first["event_type"] == "review.published"
        assert first["payload"]["product_id"] == product
        changed = await _next(socket, "rating.changed")
        assert 1 <= changed["payload"]["average"] <= 5
        seen = await _until_heard(reviews, product, 5, _next_line(lines, "review.published"))
        assert (seen["payload"]["rating"], seen["payload"]["text"]) == (5, "of 5")

    # What came after the first event comes again, and an id of no stream of this kind is answered with one resync.
    async with (
        asyncio.timeout(WAIT_SECONDS),
        reviews.http.ws_connect(f"{reviews.url}{path}?last_event_id={first['id']}", headers=headers) as socket,
    ):
        assert (await socket.receive_json())["event_type"] == "rating.changed"
    async with (
        asyncio.timeout(WAIT_SECONDS),
        reviews.http.ws_connect(f"{reviews.url}{path}?last_event_id=nonsense", headers=headers) as socket,
    ):
        resync = await socket.receive_json()
        assert (resync["event_type"], resync["payload"]) == ("resync_required", {"reason": "unknown_id"})
    bad = {**headers, "Accept": "application/x-ndjson"}
    async with reviews.http.get(f"{reviews.url}{path}?least_rating=many", headers=bad) as answer:
        assert answer.status == 400
    async with (
        asyncio.timeout(WAIT_SECONDS),
        reviews.http.get(f"{reviews.url}/api/v1/ws/products/x/reviews", headers=bad) as answer,
    ):
        farewell = json.loads((await answer.content.read()).split(b"\n")[1])
        assert (farewell["event_type"], farewell["payload"]["code"]) == ("stream.error", "VALIDATION_ERROR")


async def _until_heard(reviews: Reviews, product: str, rating: int, heard: Coroutine[Any, Any, Any]) -> Any:
    """Publishes reviews until one is heard of: the stream begins some time after its handshake."""
    hearing = asyncio.create_task(heard)
    while not hearing.done():
        await reviews.publish(product, rating, f"of {rating}")
        await asyncio.wait((hearing,), timeout=0.5)
    return hearing.result()


async def _next(socket: aiohttp.ClientWebSocketResponse, event_type: str) -> Any:
    while True:
        envelope = await socket.receive_json()
        if envelope["event_type"] == event_type:
            return envelope


async def _next_line(answer: aiohttp.ClientResponse, event_type: str) -> Any:
    while line := await answer.content.readline():
        if line.startswith(b"data: "):
            envelope = json.loads(line.removeprefix(b"data: "))
            if envelope["event_type"] == event_type:
                return envelope
    raise AssertionError("the stream ended")


async def _event(reviews: Reviews) -> None:
    review = await reviews.publish(str(uuid4()), 2)
    async with open_event_log(reviews.events_dsn) as log, asyncio.timeout(WAIT_SECONDS):
        while True:
            async for record in log.scan("com.example.reviews.events.v1"):
                event = json.loads(record.value)
                if event["subject"] == review["id"]:
                    assert event["type"] == "com.example.reviews.review.published.v1"
                    assert event["partitionkey"] == review["attributes"]["product_id"]
                    assert event["data"]["rating"] == 2
                    return
            await asyncio.sleep(0.05)


async def _documents(reviews: Reviews) -> None:
    _, openapi, _ = await reviews.call("GET", "/api/v1/openapi.json")
    assert openapi["info"]["title"] == "Reviews"
    assert set(openapi["paths"]) == {REVIEWS, f"{REVIEWS}/{{review_id}}"}
    assert "REVIEW_ALREADY_WRITTEN" in json.dumps(openapi["paths"][REVIEWS]["post"]) + json.dumps(openapi["components"])
    _, asyncapi, _ = await reviews.call("GET", "/api/v1/asyncapi.json")
    channel = asyncapi["channels"]["reviews.v1.ReviewService.WatchReviews"]
    assert channel["address"] == "/api/v1/ws/products/{product_id}/reviews"
    assert set(channel["parameters"]) == {"product_id"}
    assert {"token", "last_event_id", "least_rating"} == set(channel["bindings"]["ws"]["query"]["properties"])
    assert {"review.published", "rating.changed", "resync_required", "stream.end", "stream.error"} <= set(
        channel["messages"]
    )
    assert "com.example.reviews.events.v1" in asyncapi["channels"]
    assert (await reviews.http.get(f"{reviews.url}/api/v1/docs")).status == 200
