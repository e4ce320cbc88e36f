"""One unary call of a channel as generated stubs return it: awaited for the response, asked for metadata, code and details as
grpcio's (https://grpc.github.io/grpc/python/grpc_asyncio.html#grpc.aio.Call). Created by chassis.grpc_client.rpc_client.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, cast

import grpc

from chassis.grpc_client.http2_exchange import Stream
from chassis.grpc_client.rpc_wire import initial_metadata_of, outcome_of_exchange

_CANCELLED = "cancelled here"


class UnaryCall:
    """Begins when it is awaited or first used (grpcio's begins when it is created). Awaited again, it returns the same.

    `exchange` is what came back for a response; chassis.grpc_client.rpc_unary sets it.
    """

    __slots__ = ("_begin", "_callbacks", "_deadline", "_error", "_is_done", "_response", "_task", "exchange")

    def __init__(self, begin: "Callable[[UnaryCall], Awaitable[Any]]", seconds: float) -> None:
        self._begin: Callable[[UnaryCall], Awaitable[Any]] | None = begin
        self._deadline = time.monotonic() + seconds
        self._task: asyncio.Task[Any] | None = None
        self._is_done = False
        self._callbacks: list[Callable[[Any], None]] | None = None
        self._response: Any = None
        self._error: BaseException | None = None
        self.exchange: Stream | None = None

    def __await__(self) -> Generator[Any, None, Any]:
        """The response. Raises: grpc.aio.AioRpcError, and asyncio.CancelledError for one that was cancelled."""
        return (self._join() if self._begin is None else self._run()).__await__()

    async def initial_metadata(self) -> grpc.aio.Metadata:
        failure = await self._failure()
        if failure is not None:
            return failure.initial_metadata()
        return grpc.aio.Metadata(*(() if self.exchange is None else initial_metadata_of(self.exchange)))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        failure = await self._failure()
        if failure is not None:
            return cast("grpc.aio.Metadata", failure.trailing_metadata())
        return grpc.aio.Metadata(*(() if self.exchange is None else outcome_of_exchange(self.exchange, None).metadata))

    async def code(self) -> grpc.StatusCode:
        failure = await self._failure()
        return grpc.StatusCode.OK if failure is None else failure.code()

    async def details(self) -> str:
        failure = await self._failure()
        return "" if failure is None else failure.details() or ""

    async def debug_error_string(self) -> str:
        return await self.details()

    async def wait_for_connection(self) -> None:
        """Return when the call has ended: until then it is not certain that it had a connection. Raises what awaiting it raises."""
        await self

    def done(self) -> bool:
        return self._is_done

    def cancelled(self) -> bool:
        return isinstance(self._error, asyncio.CancelledError)

    def cancel(self) -> bool:
        """End the call; False where it had ended."""
        if self._is_done:
            return False
        if self._task is not None:
            return self._task.cancel()
        self._begin = None
        self._end(asyncio.CancelledError(_CANCELLED))
        return True

    def time_remaining(self) -> float:
        """Seconds until the call's deadline."""
        return max(0.0, self._deadline - time.monotonic())

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call `callback` with this call when it has ended, at once where it has."""
        if self._is_done:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def _run(self) -> Any:
        begin, self._begin = cast("Callable[[UnaryCall], Awaitable[Any]]", self._begin), None
        self._task = asyncio.current_task()
        try:
            self._response = await begin(self)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return self._response

    async def _join(self) -> Any:
        await self._wait()
        if self._error is not None:
            raise self._error
        return self._response

    async def _wait(self) -> None:
        """Return when the call has ended, which begins here if it has not been awaited."""
        if self._begin is not None:
            task = asyncio.ensure_future(self._run())
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
            _ = task.cancelled() or task.exception()  # kept in `_error`
        elif not self._is_done:
            ended = asyncio.get_running_loop().create_future()
            self.add_done_callback(lambda _: None if ended.done() else ended.set_result(None))
            await ended

    async def _failure(self) -> grpc.aio.AioRpcError | None:
        """Return the error that ended the call; None when it succeeded. Raises: any error that is not a failure of the call."""
        await self._wait()
        if self._error is None or isinstance(self._error, grpc.aio.AioRpcError):
            return self._error
        if isinstance(self._error, asyncio.CancelledError):
            none = grpc.aio.Metadata()
            return grpc.aio.AioRpcError(
                grpc.StatusCode.CANCELLED, none, none, details=_CANCELLED, debug_error_string=None
            )
        raise self._error

    def _end(self, error: BaseException | None) -> None:
        self._error, self._task, self._is_done = error, None, True
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(self)
