"""What the end-to-end tests hold in their hands: REST as any client sees it, and the command line as a person types it."""

import asyncio
import contextlib
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from catalog.v1 import product_pb2
from samovar.sandbox.v1 import sandbox_pb2

from sandbox.client import sandbox_stub

WAIT_SECONDS = 60.0
"""For what comes by itself, on a machine that has other things to do."""
TRY_AGAIN = 503
"""What a client is told while a service restarts: it comes again."""
UNANSWERED = frozenset({TRY_AGAIN, 504})
"""What a reader is told who may ask again."""
MEDIA_TYPE = "application/vnd.api+json"
DOWNLOADS = "/api/v1/download-client/downloads"
VERSIONS = "/api/v1/download-client/versions"
DOWNLOAD_PROGRESS = "/api/v1/ws/download-progress"
LIBRARY_UPDATES = "/api/v1/ws/library-updates"
ITEMS = "/api/v1/library/items"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def data(self) -> Any:
        return self.document["data"]

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.document["errors"]]


class Api:
    """Calls the gateway with one user's token."""

    def __init__(self, url: str, token: str | None, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.token = token
        self.http = http

    @property
    def user_id(self) -> str:
        assert self.token is not None
        subject: str = jwt.decode(self.token, options={"verify_signature": False})["sub"]
        return subject

    def with_token(self, token: str | None) -> "Api":
        return Api(self.url, token, self.http)

    async def call(
        self, method: str, path: str, *, body: Any = None, raw: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        payload = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        if payload is not None:
            sent.setdefault("Content-Type", MEDIA_TYPE)
        async with self.http.request(method, self.url + path, data=payload, headers=sent) as answer:
            content = await answer.read()
            return Answer(answer.status, dict(answer.headers), json.loads(content) if content else None)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, resource_type: str | None = None, **attributes: Any) -> Answer:
        body = {"data": {"type": resource_type, "attributes": attributes}} if resource_type else None
        return await self.call("POST", path, body=body)

    async def start(self, product_id: str, **attributes: Any) -> Answer:
        return await self.post(DOWNLOADS, "downloadRequest", product_id=product_id, **attributes)

    async def owns(self, product_id: str, *, is_titled: bool = True) -> dict[str, Any]:
        """Waits until the product is in the library; returns the item. A page does not wait long for Catalog's title: it comes with
        a later one, and with all that follow; to a product that Catalog does not know it never comes.
        """

        async def find() -> dict[str, Any] | None:
            answer = await self.get(f"{ITEMS}?limit=100")
            if answer.status in UNANSWERED:
                return None
            assert answer.status == 200, answer.document
            items = (one for one in answer.data if one["attributes"]["title"] or not is_titled)
            return next((one for one in items if one["attributes"]["product_id"] == product_id), None)

        found: dict[str, Any] = await until(find, f"product {product_id} is not in the library")
        return found

    async def knows(self, product_id: str, version_id: str) -> None:
        """Waits until the Download Service has heard of a published version, so that it can be installed."""

        async def is_listed() -> bool:
            answer = await self.get(f"{VERSIONS}?product_id={product_id}")
            return version_id in [one["id"] for one in answer.document.get("data", [])]

        await until(is_listed, f"version {version_id} of product {product_id} is not known")

    async def startable(self, product_id: str, **attributes: Any) -> Answer:
        """Starts a download as soon as its version is known to the Download Service."""

        async def start() -> Answer | None:
            answer = await self.start(product_id, **attributes)
            return None if answer.status in {404, TRY_AGAIN} else answer

        answer: Answer = await until(start, f"no version of {product_id} became known")
        return answer

    @contextlib.asynccontextmanager
    async def watching(self, path: str = DOWNLOAD_PROGRESS, **query: str) -> AsyncIterator["Heard"]:
        """Listens to the user's events, of downloads if nothing else is said."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.ws_connect(self.url + path, headers=headers, params=query) as socket:
            heard = Heard()
            listener = asyncio.create_task(heard.listen(socket))
            yield heard
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


@dataclass
class Heard:
    """The envelopes that a WebSocket delivered."""

    envelopes: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.envelopes.append(json.loads(message.data))
        self.close_code = socket.close_code

    def statuses(self, download_id: str) -> list[str]:
        return [
            one["payload"]["new_status"]
            for one in self.envelopes
            if one["event_type"] == "downloadStatusChanged" and one["payload"]["download_session_id"] == download_id
        ]


class CommandLine:
    """`samovar …` against one platform, with a configuration of its own; if need be `through` a program that starts programs."""

    def __init__(self, home: Path, config: Path, *, through: Sequence[str] = ()) -> None:
        self.through = through
        self.environment = {**os.environ, "SAMOVAR_HOME": str(home), "SAMOVAR_CONFIG_HOME": str(config)}

    async def run(self, *words: str, token: str | None = None) -> tuple[int, str, str]:
        """Returns exit code, standard output and standard error."""
        process = await asyncio.create_subprocess_exec(
            *self.through,
            str(Path(sys.executable).with_name("samovar")),
            *words,
            env={**self.environment, **({"SAMOVAR_TOKEN": token} if token else {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def ok(self, *words: str, token: str | None = None) -> str:
        code, out, err = await self.run(*words, token=token)
        assert code == 0, f"samovar {' '.join(words)} ended with {code}:\n{out}\n{err}"
        return out

    async def publish(self, folder: Path, product: str, version: str) -> dict[str, Any]:
        words = ("publish", str(folder), "--product", product, "--version", version, "--platform", "linux", "--json")
        published: dict[str, Any] = json.loads((await self.ok(*words)).strip().splitlines()[-1])
        return published

    async def buy(self, user_id: str, product_id: str) -> None:
        await self.ok("sandbox", "buy", user_id, product_id)

    async def login(self, api: Api) -> None:
        await self.ok("login", "--gateway", api.url, token=api.token)


class Shop:
    """The sandbox's levers: what people do in a shop."""

    def __init__(self, private: Mapping[str, Any]) -> None:
        self.private = private

    async def new_product(self, title: str = "Игра", achievements: Sequence[product_pb2.Achievement] = ()) -> str:
        """A product without a version; returns its id."""
        product_id = str(uuid.uuid4())
        titles = product_pb2.LocalizedText(ru=title, en=title)
        product = product_pb2.Product(product_id=product_id, titles=titles, product_type="game", currency="RUB")
        async with sandbox_stub(self.private) as stub:
            await stub.PutProduct(sandbox_pb2.PutProductRequest(product=product, achievements=achievements))
        return product_id

    async def buy(self, user_id: str, product_id: str) -> str:
        """Returns the order's id."""
        async with sandbox_stub(self.private) as stub:
            return (await stub.Buy(sandbox_pb2.BuyRequest(user_id=user_id, product_ids=[product_id]))).order_id

    async def discount(self, product_id: str, percent: int) -> str:
        """Puts a product on sale for a day, or ends its sale with 0; returns the sale's id."""
        request = sandbox_pb2.SetPriceRequest(product_id=product_id, discount_percent=percent, duration_seconds=86_400)
        async with sandbox_stub(self.private) as stub:
            return (await stub.SetPrice(request)).sale_id

    async def refund(self, order_id: str) -> None:
        async with sandbox_stub(self.private) as stub:
            await stub.Refund(sandbox_pb2.RefundRequest(order_id=order_id))


def assert_error(answer: Answer, status: int, code: str, **source: str) -> None:
    """The answer is this error, told as every error is told, with nothing of the inside."""
    assert answer.status == status, answer.document
    assert answer.codes[0] == code
    error = answer.document["errors"][0]
    assert error["status"] == str(status)
    assert error["title"]
    assert error["detail"]
    assert not source or error["source"] == source
    assert answer.document["meta"]["trace_id"]
    text = json.dumps(answer.document)
    assert "Traceback" not in text
    assert ".py" not in text


async def until(
    condition: Callable[[], Awaitable[Any]], what: str | Callable[[], str], seconds: float = WAIT_SECONDS
) -> Any:
    """Waits until an asynchronous condition gives something true. `what` says what is wrong otherwise; a function says it by what
    there is then.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not (found := await condition()):
        if asyncio.get_running_loop().time() >= deadline:
            raise AssertionError(f"after {seconds:g} s: {what if isinstance(what, str) else what()}")
        await asyncio.sleep(0.05)
    return found
