"""Unary calls over our HTTP/2 client: the same outcomes as grpcio's client has, retries, deadlines, cancellation."""

import asyncio
from contextlib import AsyncExitStack, suppress

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from chassis.grpc_client import http2, rpc_unary
from chassis.grpc_client.http2_connection import MESSAGE_LIMIT_BYTES
from chassis.grpc_client.rpc_unary import MAX_ATTEMPTS, THROTTLE_TOKENS, UNTOUCHED_MAX, RetryThrottle
from chassis.grpc_client.rpc_wire import request_body
from tests.component.http2_rig import (
    OK_FIELDS,
    OK_TRAILERS,
    SAY,
    GoAwayFrame,
    Peer,
    assert_clean,
    failing,
    grpcio_server,
    nothing_escapes,
    opened,
    peer_server,
    say,
    soon,
    until,
)

__all__ = ["nothing_escapes"]

Code = grpc.StatusCode


# The same as grpcio's client.


async def _both(server, message: bytes, path: str = SAY, **options):
    """What the two clients make of the same call."""

    async def theirs(channel):
        return await channel.unary_unary(path)(message, timeout=options.get("seconds", 30.0))

    async with grpc.aio.insecure_channel(server.target) as channel, opened(server.target) as connections:
        results = []
        for call in (theirs(channel), say(connections, message, path=path, **options)):
            try:
                results.append(await soon(call))
            except grpc.aio.AioRpcError as error:
                results.append((error.code(), error.details(), tuple(error.trailing_metadata() or ())))
        return results


async def test_an_answer_is_the_same():
    async with grpcio_server() as server:
        theirs, ours = await _both(server, b"\0\xffmessage")
    assert ours == theirs == b"\0\xffmessage"


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
async def test_every_status_is_the_same(code):
    async def abort(_message, context):
        await context.abort(code, "причина: 100% % \n конец ")

    async with grpcio_server(abort) as server:
        theirs, ours = await _both(server, b"")
    assert ours == theirs
    assert ours[:2] == (code, "причина: 100% % \n конец ")


async def test_trailers_and_status_details_are_the_same():
    status = status_pb2.Status(code=5, message="нет")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="GONE", domain="test"))

    async def abort(_message, context):
        trailers = (("grpc-status-details-bin", status.SerializeToString()), ("x-text", "a b"), ("x-bin", b"\0\1"))
        await context.abort(Code.NOT_FOUND, "нет", trailers)

    async with grpcio_server(abort) as server:
        theirs, ours = await _both(server, b"")
    assert ours[:2] == theirs[:2]
    assert sorted(ours[2]) == sorted(theirs[2])
    details = dict(ours[2])["grpc-status-details-bin"]
    assert status_pb2.Status.FromString(details) == status


@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_failure_of_the_servers_code_is_the_same(has_begun):
    async def fail(_message, context):
        if has_begun:
            await context.send_initial_metadata((("x", "y"),))
        raise RuntimeError("boom")

    async with grpcio_server(fail) as server:
        theirs, ours = await _both(server, b"")
    assert ours == theirs
    assert ours[0] is Code.UNKNOWN


async def test_an_unknown_method_is_the_same():
    async with grpcio_server() as server:
        theirs, ours = await _both(server, b"", path="/test.Echo/None")
    assert ours == theirs
    assert ours[0] is Code.UNIMPLEMENTED


async def test_a_deadline_that_passes_is_the_same_code_and_the_server_stops():
    async def hang(_message, _context):
        await asyncio.Event().wait()

    async with grpcio_server(hang) as server:
        theirs, ours = await _both(server, b"", seconds=1.0)
        assert ours[0] is theirs[0] is Code.DEADLINE_EXCEEDED
        await until(lambda: server.ended == ["cancelled", "cancelled"])


async def test_a_server_that_dies_in_a_call_is_the_same_code():
    def dying(call):
        async def scenario() -> grpc.aio.AioRpcError:
            async with peer_server() as server:
                failure = asyncio.create_task(failing(call(server)))
                peer = await server.raw_peer()
                await peer.greet()
                while True:
                    asked = await peer.request()
                    if asked.path == SAY:
                        break
                    peer.send(peer.refuse(asked.stream_id, 12))
                peer.cut()
                return await failure

        return scenario()

    async def theirs(server):
        async with grpc.aio.insecure_channel(server.target, options=[("grpc.enable_retries", 0)]) as channel:
            return await channel.unary_unary(SAY)(b"", timeout=30)

    async def ours(server):
        async with opened(server.target) as connections:
            return await say(connections)

    assert (await dying(theirs)).code() is (await dying(ours)).code() is Code.UNAVAILABLE


async def test_metadata_goes_both_ways_the_same():
    async def tell(_message, context):
        got = sorted((key, value) for key, value in context.invocation_metadata() if key.startswith("x-"))
        context.set_trailing_metadata(tuple(got))
        await context.abort(Code.ABORTED, "told")

    sent = (("x-text", '!~ "#'), ("x-bytes-bin", bytes(range(256))), ("x-empty", ""), ("x-none-bin", b""))
    async with (
        grpcio_server(tell) as server,
        grpc.aio.insecure_channel(server.target) as channel,
        opened(server.target) as connections,
    ):
        theirs = await failing(channel.unary_unary(SAY)(b"", metadata=sent))
        ours = await failing(say(connections, metadata=sent))
        assert sorted(ours.trailing_metadata()) == sorted(theirs.trailing_metadata()) == sorted(sent)
        with pytest.raises(ValueError, match="printable"):
            await say(connections, metadata=(("x-text", "тест"),))
        with pytest.raises(ValueError, match="no name"):
            await say(connections, metadata=(("X-Text", "a"),))
        assert server.calls == 2


async def test_the_deadline_reaches_the_server():
    async def tell(_message, context):
        return str(context.time_remaining()).encode()

    async with grpcio_server(tell) as server, opened(server.target) as connections:
        for seconds in (9.9, 50.0, 500.0):
            left = float(await say(connections, seconds=seconds))
            assert seconds - 9.0 < left <= seconds + 0.01


# Answers that are none, by the byte.


ANSWERS = {
    "trailers only": (lambda peer, id_: peer.refuse(id_, 5, ("grpc-message", "gone")), Code.NOT_FOUND),
    "OK without a message": (lambda peer, id_: peer.refuse(id_, 0), Code.INTERNAL),
    "an HTTP error with a body": (
        lambda peer, id_: (
            peer.headers(id_, ((":status", "502"), ("content-type", "text/html"))).serialize()
            + DataFrame(id_, b"<html>", flags=("END_STREAM",)).serialize()
        ),
        Code.UNAVAILABLE,
    ),
    "an HTTP error alone": (
        lambda peer, id_: peer.headers(id_, ((":status", "404"),), "END_STREAM"),
        Code.UNIMPLEMENTED,
    ),
    "no trailers": (
        lambda peer, id_: (
            peer.headers(id_, OK_FIELDS).serialize()
            + DataFrame(id_, request_body(b"x"), flags=("END_STREAM",)).serialize()
        ),
        Code.INTERNAL,
    ),
    "trailers without a status": (lambda peer, id_: peer.answer(id_, b"x", (("x", "y"),)), Code.INTERNAL),
    "a status nobody knows": (lambda peer, id_: peer.answer(id_, b"x", (("grpc-status", "77"),)), Code.UNKNOWN),
    "a message that is marked compressed": (
        lambda peer, id_: _answer_of(peer, id_, b"\1" + request_body(b"x")[1:]),
        Code.INTERNAL,
    ),
    "two messages": (lambda peer, id_: _answer_of(peer, id_, request_body(b"x") * 2), Code.INTERNAL),
    "a truncated message": (lambda peer, id_: _answer_of(peer, id_, request_body(b"xyz")[:-1]), Code.INTERNAL),
    "a message that cannot be read": (
        lambda peer, id_: _answer_of(peer, id_, request_body(b"unreadable")),
        Code.INTERNAL,
    ),
    "too large a message": (
        lambda peer, id_: peer.answer(id_, bytes(MESSAGE_LIMIT_BYTES + 1)),
        Code.RESOURCE_EXHAUSTED,
    ),
    "a reset": (lambda peer, id_: RstStreamFrame(id_, error_code=2), Code.INTERNAL),
    "a cancelling reset": (lambda peer, id_: RstStreamFrame(id_, error_code=8), Code.CANCELLED),
    "a calming reset": (lambda peer, id_: RstStreamFrame(id_, error_code=11), Code.RESOURCE_EXHAUSTED),
    "a refusing reset": (lambda peer, id_: RstStreamFrame(id_, error_code=12), Code.PERMISSION_DENIED),
    "headers that are none": (lambda peer, id_: peer.headers(id_, (("x", "y"),)), Code.INTERNAL),
    "broken HTTP/2": (lambda peer, id_: b"\0\0\3\6\0\0\0\0\0abc", Code.UNAVAILABLE),
}


def _answer_of(peer: Peer, stream_id: int, body: bytes) -> bytes:
    return b"".join(
        each.serialize()
        for each in (
            peer.headers(stream_id, OK_FIELDS),
            DataFrame(stream_id, body),
            peer.headers(stream_id, OK_TRAILERS, "END_STREAM"),
        )
    )


def _parse(message: bytes) -> bytes:
    if message == b"unreadable":
        raise UnicodeError("unreadable")
    return message


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_none_is_an_error_with_a_code(name):
    build, code = ANSWERS[name]
    async with peer_server() as server, opened(server.target) as connections:
        method = rpc_unary.UnaryMethod(connections, SAY, bytes, _parse, throttle=RetryThrottle(), is_repeatable=False)
        call = asyncio.create_task(failing(method.call(b"", 5.0, (), wait_for_ready=False)))
        peer = await server.peer()
        asked = await peer.request()
        peer.send(build(peer, asked.stream_id))
        error = await call
        assert error.code() is code
        assert error.details() or name == "a status nobody knows"


# Repeating.


async def _failing_with(code: Code, *, times: int = 10**6):
    async def abort(message, context):
        server.calls_left = getattr(server, "calls_left", times) - 1
        if server.calls_left >= 0:
            await context.abort(code, "no")
        return message

    stack = AsyncExitStack()
    server = await stack.enter_async_context(grpcio_server(abort))
    return stack, server


@pytest.fixture
def quick_pauses(monkeypatch) -> list[float]:
    """Pauses between attempts are counted and take no time."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    class Asyncio:
        def __getattr__(self, name):
            return note if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(rpc_unary, "asyncio", Asyncio())
    return pauses


async def test_pauses_between_attempts_grow(quick_pauses):
    stack, server = await _failing_with(Code.UNAVAILABLE)
    async with stack, opened(server.target) as connections:
        assert (await failing(say(connections, is_repeatable=True))).code() is Code.UNAVAILABLE
        assert server.calls == MAX_ATTEMPTS
    for pause, expected in zip(quick_pauses, (0.05, 0.15, 0.45), strict=True):
        assert expected * 0.8 <= pause <= expected * 1.2


@pytest.mark.parametrize(
    "code", [Code.INTERNAL, Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.RESOURCE_EXHAUSTED]
)
async def test_other_failures_are_not_repeated(code, quick_pauses):
    stack, server = await _failing_with(code)
    async with stack, opened(server.target) as connections:
        assert (await failing(say(connections, is_repeatable=True))).code() is code
        assert server.calls == 1


async def test_a_server_that_had_begun_to_answer_is_not_asked_again(quick_pauses):
    async def begin(_message, context):
        await context.send_initial_metadata(())
        await context.abort(Code.UNAVAILABLE, "no")

    async with grpcio_server(begin) as server, opened(server.target) as connections:
        assert (await failing(say(connections, is_repeatable=True))).code() is Code.UNAVAILABLE
        assert server.calls == 1


async def test_nothing_is_repeated_when_most_calls_fail_until_some_went_well(quick_pauses):
    stack, server = await _failing_with(Code.UNAVAILABLE, times=200)
    throttle = RetryThrottle()
    async with stack, opened(server.target) as connections:

        async def attempts() -> int:
            before = server.calls
            with suppress(grpc.aio.AioRpcError):
                await say(connections, is_repeatable=True, throttle=throttle)
            return server.calls - before

        seen = [await attempts() for _ in range(40)]
        assert seen[0] == MAX_ATTEMPTS
        assert seen[-1] == 1
        # Each failure costs a token, and half of them are enough to stop.
        assert sum(seen[: seen.index(1)]) <= THROTTLE_TOKENS / 2 + MAX_ATTEMPTS
        server.calls_left = 0
        for _ in range(int(THROTTLE_TOKENS * 11)):
            throttle.went_well()
        assert await attempts() == 1
        server.calls_left = 10
        assert await attempts() == MAX_ATTEMPTS


async def test_a_pause_that_would_pass_the_deadline_is_not_made(monkeypatch):
    for name in ("BACKOFF_MIN_SECONDS", "BACKOFF_MAX_SECONDS"):
        monkeypatch.setattr(rpc_unary, name, 60.0)
    stack, server = await _failing_with(Code.UNAVAILABLE)
    async with stack, opened(server.target) as connections:
        error = await failing(say(connections, is_repeatable=True))
        assert error.code() is Code.UNAVAILABLE
        assert server.calls == 1


async def test_what_no_server_touched_is_repeated_elsewhere_whatever_it_does():
    async with peer_server() as one, peer_server() as other:
        target = f"ipv4:127.0.0.1:{one.port},127.0.0.1:{other.port}"
        async with opened(target) as connections:
            connections.connect()
            peers = [await one.peer(), await other.peer()]
            await until(lambda: len(connections._ready) == 2)
            calls = [asyncio.create_task(say(connections, b"%d" % number)) for number in range(2)]
            asked = [await peer.request() for peer in peers]
            peers[0].send(GoAwayFrame(0, last_stream_id=1))
            again = await peers[1].request()
            assert again.body == asked[0].body
            peers[1].send(peers[1].answer(asked[1].stream_id, b"first"), peers[1].answer(again.stream_id, b"again"))
            assert {await soon(call) for call in calls} == {b"first", b"again"}


async def test_what_was_above_and_below_a_goodbye():
    async with peer_server() as server, opened(server.target) as connections:
        below = asyncio.create_task(failing(say(connections, b"below")))
        repeatable = asyncio.create_task(say(connections, b"repeatable", is_repeatable=True))
        peer = await server.peer()
        first, second = await peer.request(), await peer.request()
        above = asyncio.create_task(say(connections, b"above"))
        await peer.request()
        peer.send(GoAwayFrame(0, last_stream_id=second.stream_id, error_code=2, additional_data=b"broken"))
        # It may still answer those; it dies instead.
        next_peer = await server.peer()
        assert (await next_peer.request()).body == request_body(b"above")
        next_peer.send(next_peer.answer(3, b"1"))
        assert await soon(above) == b"1"
        assert first.body == request_body(b"below")
        peer.cut()
        assert (await below).code() is Code.UNAVAILABLE
        assert (await next_peer.request()).body == request_body(b"repeatable")
        next_peer.send(next_peer.answer(5, b"2"))
        assert await soon(repeatable) == b"2"


async def test_a_graceful_goodbye_costs_no_call():
    async with peer_server() as server, opened(server.target) as connections:
        running = asyncio.create_task(say(connections, b"running"))
        peer = await server.peer()
        asked = await peer.request()
        peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1))
        await until(lambda: not connections._ready)
        later = asyncio.create_task(say(connections, b"later"))
        peer.send(GoAwayFrame(0, last_stream_id=asked.stream_id))
        next_peer = await server.peer()
        next_peer.send(next_peer.answer((await next_peer.request()).stream_id, b"2"))
        assert await soon(later) == b"2"
        peer.send(peer.answer(asked.stream_id, b"1"))
        assert await soon(running) == b"1"
        await peer.end()


async def test_a_refused_stream_is_repeated_a_few_times_and_then_an_error():
    async with peer_server() as server, opened(server.target) as connections:
        call = asyncio.create_task(failing(say(connections)))
        peer = await server.peer()
        for _ in range(UNTOUCHED_MAX + 1):
            peer.send(RstStreamFrame((await peer.request()).stream_id, error_code=http2.REFUSED_STREAM))
        assert (await call).code() is Code.UNAVAILABLE
        await peer.ping()
        assert not any(isinstance(frame, HeadersFrame) for frame in peer.seen[-1:])


# Deadlines and cancellation, at each point where a call can wait.


async def _connecting(server, connections, start):
    """Accepted, and silent."""
    task = start()
    await server.raw_peer()
    return task, None


async def _in_the_line(server, connections, start):
    task = start()
    peer = await server.peer({SettingsFrame.MAX_CONCURRENT_STREAMS: 1})
    peer.send(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: 0}))
    await until(lambda: any(each._queued for each in connections._held.values()))
    return task, None


async def _in_silence(server, connections, start):
    task = start()
    peer = await server.peer()
    await peer.request()
    return task, peer


async def _in_half_an_answer(server, connections, start):
    task = start()
    peer = await server.peer()
    await peer.request()
    peer.send(peer.headers(3, OK_FIELDS), DataFrame(3, b"\0\0"))
    return task, peer


async def _in_the_pause(server, connections, start):
    task = start()
    peer = await server.peer()
    peer.send(peer.refuse((await peer.request()).stream_id, 14))
    await peer.ping()
    return task, None


POINTS = [_connecting, _in_the_line, _in_silence, _in_half_an_answer, _in_the_pause]


@pytest.mark.parametrize("reach", POINTS, ids=lambda point: point.__name__.strip("_"))
@pytest.mark.parametrize("ending", ["deadline", "cancel", "close"])
async def test_a_call_ends_in_time_wherever_it_waits(reach, ending, monkeypatch):
    # Longer than anything holds up the test: who is in the pause stays in it; with a closed channel, to its end.
    for name in ("BACKOFF_MIN_SECONDS", "BACKOFF_MAX_SECONDS"):
        monkeypatch.setattr(rpc_unary, name, 1.0 if ending == "close" else 30.0)
    seconds = 1.5 if ending == "deadline" and reach is not _in_the_pause else 120.0
    async with peer_server() as server, opened(server.target) as connections:

        def start():
            return asyncio.create_task(
                say(connections, bytes(100), seconds=seconds, is_repeatable=True, wait_for_ready=reach is _connecting)
            )

        task, peer = await reach(server, connections, start)
        held = list(connections._held.values())
        if ending == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(task)
        elif ending == "close":
            await soon(connections.close())
            assert (await failing(task)).code() is Code.CANCELLED
        elif reach is _in_the_pause:
            task.cancel()
            await asyncio.wait([task])
        else:
            assert (await failing(task)).code() is Code.DEADLINE_EXCEEDED
        if peer is not None and ending != "close":
            assert (await peer.expect(RstStreamFrame)).error_code == http2.CANCEL
            await peer.ping()
        for connection in held:
            assert_clean(connection)


async def test_a_request_that_waits_for_a_window_is_cancelled_with_a_reset():
    async with peer_server() as server, opened(server.target) as connections:
        task = asyncio.create_task(say(connections, bytes(100_000)))
        peer = await server.peer()
        await peer.expect(DataFrame)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        assert (await peer.expect(RstStreamFrame)).error_code == http2.CANCEL


async def test_a_deadline_that_has_passed_sends_nothing():
    async with grpcio_server() as server, opened(server.target) as connections:
        await say(connections)
        for seconds in (0.0, -1.0):
            assert (await failing(say(connections, seconds=seconds))).code() is Code.DEADLINE_EXCEEDED
        assert server.calls == 1


async def test_cancelled_calls_stop_the_server_and_leave_the_others():
    started = asyncio.Semaphore(0)
    go = asyncio.Event()

    async def hang(message, _context):
        started.release()
        await go.wait()
        return message

    async with grpcio_server(hang) as server, opened(server.target) as connections:
        tasks = [asyncio.create_task(say(connections, b"%d" % number)) for number in range(50)]
        for _ in tasks:
            await soon(started.acquire())
        for task in tasks[1::2]:
            task.cancel()
        await until(lambda: server.ended.count("cancelled") == 25)
        go.set()
        results = await soon(asyncio.gather(*tasks, return_exceptions=True))
        assert results[::2] == [b"%d" % number for number in range(0, 50, 2)]
        assert all(isinstance(each, asyncio.CancelledError) for each in results[1::2])


async def test_calls_that_are_cancelled_at_any_turn_of_the_loop_leave_nothing():
    async with grpcio_server() as server, opened(server.target) as connections:
        await say(connections)
        (connection,) = connections._held.values()
        for turns in range(60):
            task = asyncio.create_task(say(connections, bytes(1_000)))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.result() == bytes(1_000)
        await say(connections)
        assert len(connection._exchanges) == 0
        assert_clean(connection)
