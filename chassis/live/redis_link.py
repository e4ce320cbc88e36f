"""One connection to Redis or Valkey that all calls of a process share: answers come in the order of the questions, so nobody waits
for a connection, and what is asked at the same time travels together. Used by chassis.live.redis_state.

redis-py takes 0.15 to 0.4 ms of CPU for a command (a connection of its own, locks, timers, streams), this takes 0.02. redis-py
connects and authenticates all the same, and hiredis writes commands and reads answers.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import BusyLoadingError, ClusterDownError, NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

Word = str | bytes | int
Connect = Callable[[asyncio.Protocol], Awaitable[asyncio.Transport]]
"""Connects, authenticates, and gives the protocol what comes from then on."""

MAX_WAITING: Final = 10_000
"""Questions without an answer; more than these are refused, as the server is not keeping up."""


class ServerUnableError(ResponseError):
    """The server is there and does not take this for now, as its disk or memory is full, or too few replicas follow it."""


_ERRORS: Final[dict[str, type[ResponseError] | type[RedisConnectionError]]] = {
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "CLUSTERDOWN": ClusterDownError,
    "LOADING": BusyLoadingError,
    "MISCONF": ServerUnableError,
    "OOM": ServerUnableError,
    "NOREPLICAS": ServerUnableError,
    "MASTERDOWN": ServerUnableError,
    "BUSY": ServerUnableError,
}
_INCOMPLETE: Final = object()


class Script:
    """A script of the server, called by its digest."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # what EVALSHA asks for


class RedisLink:
    """The connection. It is opened by the first command, and opened again after it broke.

    Raises (from everything that asks):
        RedisConnectionError, RedisTimeoutError, OSError: no answer; whether the command was carried out is not known.
        ResponseError: the server refused the command.
    """

    def __init__(self, connect: Connect, *, answer_seconds: float) -> None:
        self._connect = connect
        self._answer_seconds = answer_seconds
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None

    async def call(self, *words: Word) -> Any:
        """The answer to one command. Texts come as bytes."""
        return await (await self._connected()).ask(words)

    async def call_all(self, commands: Sequence[Sequence[Word]]) -> Sequence[Any]:
        """The answers to the commands, which travel together; others' commands may come between them."""
        wire = await self._connected()
        return await asyncio.gather(*[wire.ask(words) for words in commands])

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """Run the script and return its result."""
        words = (len(keys), *keys, *arguments)
        try:
            return await self.call("EVALSHA", script.sha, *words)
        except NoScriptError:
            return await self.call("EVAL", script.text, *words)

    async def close(self) -> None:
        """Ends the connection; callers that wait for an answer get none."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._wire is not None:
            self._wire.end(RedisConnectionError("the connection is closed"))

    async def _connected(self) -> "_Wire":
        if self._wire is not None and not self._wire.is_lost:
            return self._wire
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open(), name="redis link")
            self._connecting.add_done_callback(self._opened)
        # Shared by all who ask meanwhile: one that is cancelled must not take the connection from the others.
        return await asyncio.shield(self._connecting)

    async def _open(self) -> "_Wire":
        wire = _Wire(self._answer_seconds)
        wire.transport = await self._connect(wire)
        return wire

    def _opened(self, task: "asyncio.Task[_Wire]") -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is None:
            self._wire = task.result()


class _Wire(asyncio.Protocol):
    """An open connection."""

    transport: asyncio.Transport

    def __init__(self, answer_seconds: float) -> None:
        self.is_lost = False
        self._answer_seconds = answer_seconds
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader(
            protocolError=RedisConnectionError, replyError=_refusal, notEnoughData=_INCOMPLETE
        )

    def ask(self, words: Sequence[Word]) -> "asyncio.Future[Any]":
        """Sends a command. When the caller is cancelled meanwhile, the answer is discarded."""
        if len(self._waiting) >= MAX_WAITING:
            raise RedisConnectionError("too many commands wait for their answers")
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.is_lost:
            answer.set_exception(RedisConnectionError("the connection was lost"))
            return answer
        until = self._loop.time() + self._answer_seconds
        self._waiting.append((answer, until))
        if self._watch is None:
            self._watch = self._loop.call_at(until, self._look)
        self.transport.write(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]  # the stubs know tuples of one
        return answer

    def end(self, why: Exception) -> None:
        """Gives the connection up."""
        self.is_lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.transport.abort()
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(why)

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (value := self._reader.gets()) is not _INCOMPLETE:
                self._give(value)
        except RedisConnectionError as error:
            self.end(error)

    def _give(self, value: Any) -> None:
        """Gives an answer to the oldest request; a caller that left gets none."""
        if not self._waiting:
            raise RedisConnectionError("an answer that nobody asked for")
        answer, _ = self._waiting.popleft()
        if answer.done():
            return
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(RedisConnectionError(f"the connection was lost: {exc}"))

    def _look(self) -> None:
        """End the connection when the oldest request has timed out, else check again at its time: one timer serves all requests."""
        self._watch = None
        if not self._waiting:
            return
        _, until = self._waiting[0]
        if until <= self._loop.time():
            self.end(RedisTimeoutError("the server does not answer"))
        else:
            self._watch = self._loop.call_at(until, self._look)


def _refusal(text: str) -> Exception:
    code, _, rest = text.partition(" ")
    known = _ERRORS.get(code)
    return known(rest) if known is not None else ResponseError(text)
