"""The connections of a channel: targets, names whose addresses change, health, servers that die and come back, closing."""

import asyncio
import contextvars
import gc
import socket
import weakref
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2

from chassis.auth.tls import Tls
from chassis.grpc_client import http2_connection, rpc_connections
from chassis.grpc_client.http2 import ENHANCE_YOUR_CALM, NO_ERROR
from chassis.grpc_client.rpc_client import open_channel
from chassis.grpc_client.rpc_connections import Connections
from chassis.grpc_client.rpc_wire import request_body
from sandbox.devstack.free_port import free_port
from tests.component.http2_rig import (
    OK_FIELDS,
    SAY,
    WATCH,
    DataFrame,
    GoAwayFrame,
    Peer,
    PingFrame,
    RstStreamFrame,
    failing,
    grpcio_server,
    h2_server,
    nothing_escapes,
    opened,
    peer_server,
    say,
    soon,
    until,
)
from tests.component.rpc_rig import certificate

__all__ = ["nothing_escapes"]

Code, State = grpc.StatusCode, grpc.ChannelConnectivity


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What is waited for between attempts is short: no test depends on how long it is."""
    for name in ("RECONNECT_MIN_SECONDS", "RECONNECT_MAX_SECONDS", "RESOLVE_SECONDS", "WATCH_SECONDS"):
        monkeypatch.setattr(rpc_connections, name, 0.02)


# Targets.


@pytest.mark.parametrize(
    "target",
    [
        "",
        "host",
        "host:",
        ":80",
        "host:port",
        "host:-1",
        "host:65536",
        "host:²",
        "dns:///host",
        "dns:host",
        "ipv4:",
        "ipv4:127.0.0.1",
        "ipv4:127.0.0.1:80,",
        "ipv6:[::1]",
        "ipv4:localhost:80",
        "ipv4:1.2.3.4.5:80",
        "unix-abstract:name",
    ],
)
def test_a_target_that_is_none_is_refused_at_once(target):
    with pytest.raises(ValueError, match=r"host:port|IPv4"):
        Connections(target, None)
    with pytest.raises(ValueError, match=r"host:port|IPv4"):
        open_channel(target, audience="a", service_tokens=None, services=())


@pytest.mark.parametrize(
    "form", ["localhost:{}", "127.0.0.1:{}", "dns:///127.0.0.1:{}", "dns:127.0.0.1:{}", "ipv4:127.0.0.1:{}"]
)
async def test_every_form_of_target_is_called(form):
    async with h2_server() as target, opened(form.format(target.rpartition(":")[2])) as connections:
        assert await say(connections) == b"hello"


@pytest.mark.parametrize("form", ["[::1]:{}", "ipv6:[::1]:{}"])
async def test_ipv6_is_called(form):
    async with grpcio_server(bind="[::1]:0") as server, opened(form.format(server.port)) as connections:
        assert await say(connections) == b"hello"


async def test_a_unix_socket_is_called(tmp_path):
    async with grpcio_server(bind=f"unix:{tmp_path}/socket"):
        for form in ("unix:{}", "unix://{}"):
            async with opened(form.format(tmp_path / "socket")) as connections:
                assert await say(connections) == b"hello"


@pytest.mark.parametrize(
    "target",
    ["unix:/nowhere/at/all", "unix:" + "x" * 200, "unix:a\0b", "a..b:80", "x" * 70 + ":80", ".a:80"],
)
async def test_what_cannot_be_reached_is_unavailable_and_says_why(target):
    async with opened(target) as connections:
        error = await failing(say(connections))
        assert error.code() is Code.UNAVAILABLE
        assert error.details()
        assert connections.state is State.TRANSIENT_FAILURE
        assert (await failing(say(connections, seconds=0.05, wait_for_ready=True))).code() is Code.DEADLINE_EXCEEDED


# Names.


class Names:
    """Tells a test's addresses for `service.test`, as the loop's resolver would."""

    def __init__(self, monkeypatch) -> None:
        loop = asyncio.get_running_loop()
        self.addresses: list[tuple[str, int]] | OSError = []
        self.asked = 0
        self._real = loop.getaddrinfo
        monkeypatch.setattr(loop, "getaddrinfo", self._look_up)

    async def _look_up(self, host, port, **options):
        if host != "service.test":
            return await self._real(host, port, **options)
        self.asked += 1
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.addresses]


async def _answer(peer: Peer, message: bytes) -> None:
    peer.send(peer.answer((await peer.request()).stream_id, message))


async def _ready(connections: Connections, count: int) -> None:
    await until(lambda: len(connections._ready) == count)


async def test_calls_take_turns_among_a_names_addresses(monkeypatch):
    names = Names(monkeypatch)
    async with grpcio_server() as one, grpcio_server() as two, grpcio_server() as three:
        servers = (one, two, three)
        names.addresses = [("127.0.0.1", each.port) for each in servers]
        names.addresses += names.addresses[:1]  # the same again is the same
        async with opened("dns:///service.test:1") as connections:
            connections.connect()
            await _ready(connections, 3)
            await asyncio.gather(*(say(connections) for _ in range(30)))
            assert [each.calls for each in servers] == [10, 10, 10]
            assert names.asked <= 2  # nobody is away any more: nobody asks


async def test_a_name_that_gets_other_addresses_is_followed_and_running_calls_end_where_they_run(monkeypatch):
    names = Names(monkeypatch)
    async with peer_server() as old, peer_server() as new, peer_server() as dying:
        names.addresses = [("127.0.0.1", old.port), ("127.0.0.1", dying.port)]
        async with opened("service.test:1") as connections:
            connections.connect()
            old_peer, dying_peer = await old.peer(), await dying.peer()
            await _ready(connections, 2)
            running = [asyncio.create_task(say(connections, b"%d" % number)) for number in range(2)]
            asked, _ = await old_peer.request(), await dying_peer.request()
            names.addresses = [("127.0.0.1", new.port)]
            dying_peer.cut()  # that is when the name is looked up again
            new_peer = await new.peer()
            await until(lambda: len(connections._ready) == 1)
            later = asyncio.create_task(say(connections))
            await _answer(new_peer, b"new")
            assert await soon(later) == b"new"
            old_peer.send(old_peer.answer(asked.stream_id, b"old"))
            results = await soon(asyncio.gather(*running, return_exceptions=True))
            assert sum(each == b"old" for each in results) == 1
            assert sum(isinstance(each, grpc.aio.AioRpcError) for each in results) == 1
            await old_peer.end()  # nothing holds it any more


async def test_closing_ends_calls_on_replicas_that_have_left_too(monkeypatch):
    names = Names(monkeypatch)
    async with peer_server() as old, peer_server() as new:
        names.addresses = [("127.0.0.1", old.port)]
        async with opened("service.test:1") as connections:
            running = asyncio.create_task(failing(say(connections)))
            peer = await old.peer()
            await peer.request()
            names.addresses = [("127.0.0.1", new.port)]
            connections._stale.set()
            await new.peer()
            await _ready(connections, 1)
            assert not running.done()
            await soon(connections.close())
            assert (await running).code() is Code.CANCELLED


async def test_a_name_that_cannot_be_looked_up_now_is_looked_up_again(monkeypatch):
    names = Names(monkeypatch)
    names.addresses = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    async with grpcio_server() as server, opened("service.test:1") as connections:
        error = await failing(say(connections))
        assert error.code() is Code.UNAVAILABLE
        assert "Temporary failure" in error.details()
        names.addresses = [("127.0.0.1", server.port)]
        assert await say(connections, wait_for_ready=True) == b"hello"
        # A name server that is away costs nothing while the addresses answer.
        names.addresses = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        connections._stale.set()
        await until(lambda: names.asked >= 3)
        assert await say(connections) == b"hello"


async def test_one_replica_that_is_away_costs_no_call():
    async with grpcio_server() as server, opened(f"{server.target},127.0.0.1:{free_port()}") as connections:
        answers = await asyncio.gather(*(say(connections, b"%d" % number) for number in range(20)))
        assert answers == [b"%d" % number for number in range(20)]
        assert connections.state is State.READY


# Health.


@asynccontextmanager
async def opened_both(one, other):
    async with opened(f"ipv4:127.0.0.1:{one.port},127.0.0.1:{other.port}") as connections:
        yield connections


def _status(status: int) -> bytes:
    return request_body(health_pb2.HealthCheckResponse(status=status).SerializeToString())


async def test_a_server_that_does_not_serve_gets_no_calls_until_it_serves_again():
    responses = health_pb2.HealthCheckResponse
    async with (
        peer_server() as one,
        peer_server() as other,
        opened_both(one, other) as connections,
    ):
        connections.connect()
        peer, _ = await one.raw_peer(), await other.peer()
        await peer.greet()
        watch = await peer.request()
        assert watch.path == WATCH
        await _ready(connections, 1)  # the other: this one has not said anything
        peer.send(peer.headers(watch.stream_id, OK_FIELDS))
        for status, count in (
            (responses.NOT_SERVING, 1),
            (responses.SERVING, 2),
            (responses.SERVICE_UNKNOWN, 1),
            (responses.SERVING, 2),
            (99, 1),
            (responses.SERVING, 2),
        ):
            data = _status(status)
            for at in range(len(data)):
                peer.send(DataFrame(watch.stream_id, data[at : at + 1]))
            await _ready(connections, count)
        peer.send(DataFrame(watch.stream_id, _status(responses.NOT_SERVING) + _status(responses.SERVING)))
        peer.send(DataFrame(watch.stream_id, request_body(b"\xff\xff")))
        await _ready(connections, 1)


async def test_where_nobody_serves_calls_fail_at_once_and_those_that_may_wait_do():
    responses = health_pb2.HealthCheckResponse
    async with peer_server() as server, opened(server.target) as connections:
        first = asyncio.create_task(failing(say(connections)))
        peer = await server.raw_peer()
        await peer.greet()
        watch = await peer.request()
        peer.send(peer.headers(watch.stream_id, OK_FIELDS), DataFrame(watch.stream_id, _status(responses.NOT_SERVING)))
        error = await first
        assert error.code() is Code.UNAVAILABLE
        assert "does not serve" in error.details()
        waiting = asyncio.create_task(say(connections, wait_for_ready=True))
        peer.send(DataFrame(watch.stream_id, _status(responses.SERVING)))
        await _answer(peer, b"served")
        assert await soon(waiting) == b"served"


async def test_what_a_connection_says_of_health_after_its_goodbye_means_nothing():
    serving = _status(health_pb2.HealthCheckResponse.SERVING)
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        peer = await server.raw_peer()
        await peer.greet()
        watch = await peer.request()
        peer.send(peer.headers(watch.stream_id, OK_FIELDS), DataFrame(watch.stream_id, serving))
        await _ready(connections, 1)
        peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1), DataFrame(watch.stream_id, serving))
        await until(lambda: not connections._ready)
        call = asyncio.create_task(say(connections))
        await _answer(await server.peer(), b"the next one")
        assert await soon(call) == b"the next one"


async def test_a_watch_that_ends_begins_again():
    responses = health_pb2.HealthCheckResponse
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        peer = await server.raw_peer()
        await peer.greet()
        for number in range(3):
            watch = await peer.request()
            if number == 2:
                peer.send(peer.headers(watch.stream_id, OK_FIELDS))
                peer.send(DataFrame(watch.stream_id, _status(responses.SERVING)))
            elif number:
                peer.send(RstStreamFrame(watch.stream_id, error_code=2))
            else:
                peer.send(peer.refuse(watch.stream_id, 14))
                await until(lambda: connections.state is State.TRANSIENT_FAILURE)
        await _ready(connections, 1)


async def test_a_health_service_that_never_ends_its_message_is_not_listened_to():
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        peer = await server.raw_peer()
        await peer.greet()
        watch = await peer.request()
        peer.send(
            peer.headers(watch.stream_id, OK_FIELDS), DataFrame(watch.stream_id, b"\0\x7f\xff\xff\xff" + bytes(9_000))
        )
        await peer.end()
        await server.raw_peer()


# Servers that die and come back.


async def test_a_server_that_is_killed_and_started_again_is_called_again():
    port = free_port()
    async with opened(f"127.0.0.1:{port}") as connections:
        for _ in range(3):
            async with peer_server(port) as server:
                running = asyncio.create_task(failing(say(connections, wait_for_ready=True)))
                peer = await server.peer()
                await peer.request()
                peer.cut()
                assert (await running).code() is Code.UNAVAILABLE
            async with grpcio_server(bind=f"127.0.0.1:{port}"):
                assert await say(connections, wait_for_ready=True) == b"hello"
        assert (await failing(say(connections))).code() is Code.UNAVAILABLE


async def test_calls_that_begin_while_the_connection_is_made_again_wait_for_it():
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        peer = await server.peer()
        await _ready(connections, 1)
        peer.cut()
        await until(lambda: not connections._ready)
        call = asyncio.create_task(say(connections))
        await _answer(await server.peer(), b"back")
        assert await soon(call) == b"back"


async def test_a_peer_that_never_says_its_settings_is_given_up(monkeypatch):
    monkeypatch.setattr(rpc_connections, "CONNECT_SECONDS", 0.05)
    async with peer_server() as server, opened(server.target) as connections:
        error = await failing(say(connections))
        assert error.code() is Code.UNAVAILABLE
        assert "no answer in time" in error.details()
        await (await server.raw_peer()).end()


@pytest.mark.parametrize(
    "noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b""], ids=["http1", "zeros", "end"]
)
async def test_a_peer_that_speaks_something_else_is_unavailable(noise):
    async with peer_server() as server, opened(server.target) as connections:
        call = asyncio.create_task(failing(say(connections)))
        peer = await server.raw_peer()
        peer.send(noise)
        peer.writer.close()
        assert (await call).code() is Code.UNAVAILABLE


async def test_a_goodbye_to_a_connection_that_nobody_used_is_followed_by_another():
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        for _ in range(3):
            peer = await server.peer()
            await _ready(connections, 1)
            peer.send(GoAwayFrame(0, last_stream_id=2**31 - 1))
            peer.send(GoAwayFrame(0, last_stream_id=1))
            await peer.end()
        assert await asyncio.gather(say(connections), _answer(await server.peer(), b"fourth")) == [b"fourth", None]


async def test_a_connection_that_is_gone_is_not_held():
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        gone = []
        for _ in range(3):
            peer = await server.peer()
            await _ready(connections, 1)
            gone.append(weakref.ref(connections._ready[0]))
            peer.cut()
            await until(lambda: not connections._ready)
        await server.peer()
        await _ready(connections, 1)
        await asyncio.sleep(0)
        gc.collect()
        assert [each() for each in gone] == [None] * 3


async def test_a_server_that_complains_of_pings_gets_half_as_many_each_time(monkeypatch):
    monkeypatch.setattr(rpc_connections, "KEEPALIVE_MAX_SECONDS", 150.0)
    monkeypatch.setattr(rpc_connections, "STEADY_SECONDS", 0.0)
    complaint = GoAwayFrame(0, error_code=ENHANCE_YOUR_CALM, additional_data=b"too_many_pings")
    async with peer_server() as server, opened(server.target) as connections:
        connections.connect()
        for expected in (60.0, 120.0, 150.0, 150.0):
            peer = await server.peer()
            await _ready(connections, 1)
            connection = connections.pick()
            assert connection.keepalive_seconds == expected
            peer.send(complaint)
            await soon(connection.lost)
            await until(lambda: connections.pick() is None)
        # Another goodbye leaves it as it is.
        peer = await server.peer()
        await _ready(connections, 1)
        connection = connections.pick()
        peer.send(GoAwayFrame(0, error_code=NO_ERROR))
        await soon(connection.lost)
        await server.peer()
        await _ready(connections, 1)
        assert connections.pick().keepalive_seconds == 150.0


# TLS.


async def test_a_bundle_with_text_between_its_certificates_is_read_as_openssl_reads_it():
    tls = certificate("peer")
    other = certificate("other", authority="another").authorities
    bundle = "# Корневой центр\r\n".encode() + other + b"\xff\xfe not text at all\n\n" + tls.authorities
    async with grpcio_server(tls=tls) as server:
        for authorities in (bundle, bundle.replace(b"\n", b"\r\n")):
            client = Tls(tls.certificate_chain, tls.private_key, authorities)
            async with opened(f"localhost:{server.port}", client) as connections:
                assert await soon(say(connections, b"hello")) == b"hello"


async def test_a_server_without_our_authority_is_unavailable_and_says_why():
    ours, theirs = certificate("client", authority="ours"), certificate("server", authority="theirs")
    async with grpcio_server(tls=theirs) as server, opened(f"localhost:{server.port}", ours) as connections:
        error = await failing(say(connections))
    assert error.code() is Code.UNAVAILABLE
    assert "certificate" in error.details().lower()


async def test_one_side_without_tls_is_unavailable():
    tls = certificate("peer")
    async with grpcio_server(tls=tls) as server, opened(f"localhost:{server.port}") as connections:
        assert (await failing(say(connections))).code() is Code.UNAVAILABLE
    async with grpcio_server() as server, opened(f"localhost:{server.port}", tls) as connections:
        assert (await failing(say(connections))).code() is Code.UNAVAILABLE


async def test_a_handshake_without_end_is_given_up_and_closing_does_not_wait_for_it(monkeypatch):
    tls = certificate("peer")
    async with peer_server() as server, opened(f"localhost:{server.port}", tls) as connections:
        waiting = asyncio.create_task(failing(say(connections)))
        await server.raw_peer()
        await connections.close()
        assert (await waiting).code() is Code.CANCELLED
    monkeypatch.setattr(rpc_connections, "CONNECT_SECONDS", 0.1)
    async with peer_server() as server, opened(f"localhost:{server.port}", tls) as connections:
        assert (await failing(say(connections))).code() is Code.UNAVAILABLE
        await (await server.raw_peer()).end()


@pytest.mark.parametrize("broken", [Tls(b"", b"", b""), Tls(b"no", b"no", "ü".encode())])
async def test_certificates_that_are_none_are_unavailable_and_say_so(broken):
    async with opened("localhost:1", broken) as connections:
        error = await failing(say(connections))
    assert error.code() is Code.UNAVAILABLE
    assert "certificates" in error.details()


async def test_closing_over_tls_leaves_nothing():
    tls = certificate("peer")
    async with grpcio_server(tls=tls) as server, opened(f"localhost:{server.port}", tls) as connections:
        await asyncio.gather(*(say(connections, bytes(100_000)) for _ in range(10)))


# Closing.


async def test_closing_at_any_turn_of_the_loop_leaves_nothing():
    async with h2_server() as target:
        for turns in range(0, 60, 2):
            connections = Connections(target, None)
            calls = [asyncio.create_task(say(connections, bytes(20_000))) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await soon(connections.close())
            results = await soon(asyncio.gather(*calls, return_exceptions=True))
            assert {each if isinstance(each, bytes) else each.code() for each in results} <= {
                bytes(20_000),
                Code.CANCELLED,
            }
            assert not connections._held
            assert not connections._tasks


async def test_a_closed_channel_refuses_calls_and_can_be_closed_again():
    async with grpcio_server() as server:
        connections = Connections(server.target, None)
        await connections.close()
        await connections.close()
        assert (await failing(say(connections))).code() is Code.CANCELLED
        with pytest.raises(grpc.aio.UsageError):
            connections.connect()
        assert connections.state is State.SHUTDOWN


async def test_closing_that_is_cancelled_still_closes():
    async with peer_server() as server:
        connections = Connections(server.target, None)
        call = asyncio.create_task(failing(say(connections)))
        peer = await server.peer()
        await peer.request()
        closing = asyncio.create_task(connections.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert (await call).code() is Code.CANCELLED
        await until(lambda: not connections._held and not connections._tasks)


async def test_a_channel_that_is_closed_by_the_end_of_its_loop_leaves_no_warning():
    def scenario() -> None:
        async def main() -> None:
            async with h2_server() as target:
                channel = open_channel(target, audience="a", service_tokens=None, services=())
                async with channel:
                    assert await channel.unary_unary(SAY)(b"x") == b"x"

        asyncio.run(main())
        gc.collect()  # what was left open would warn now, and warnings are errors

    await asyncio.to_thread(scenario)


async def test_a_channel_that_nobody_closed_ends_with_its_loop_and_leaves_no_warning():
    def scenario() -> None:
        async def main() -> None:
            async with h2_server() as target:
                connections = Connections(target, None)
                running = asyncio.create_task(say(connections, b"answer 9000000"))
                assert await say(connections) == b"hello"
                assert not running.done()
                left.append(connections)

        asyncio.run(main())
        gc.collect()

    left: list[Connections] = []
    await asyncio.to_thread(scenario)
    assert not left[0]._held
    assert not left[0]._tasks


async def test_nothing_of_the_first_call_stays_with_the_channel():
    user = contextvars.ContextVar("user", default="nobody")
    seen = []
    async with h2_server() as target, opened(target) as connections:
        user.set("first")
        real = connections._resolve

        async def note() -> None:
            seen.append(user.get())
            await real()

        connections._resolve = note
        await say(connections)
    assert seen == ["nobody"]


async def test_states_are_told_to_who_waits_for_them():
    async with grpcio_server() as server:
        channel = open_channel(server.target, audience="a", service_tokens=None, services=())
        assert channel.get_state() is State.IDLE
        seen = [channel.get_state(try_to_connect=True)]
        async with asyncio.timeout(30):
            while seen[-1] is not State.READY:
                await channel.wait_for_state_change(seen[-1])
                seen.append(channel.get_state())
            await channel.channel_ready()
            waiting = asyncio.create_task(channel.wait_for_state_change(State.READY))
            await asyncio.sleep(0)
            await channel.close()
            await waiting
        assert seen == [State.CONNECTING, State.READY]
        assert channel.get_state() is State.SHUTDOWN


async def test_a_replica_that_is_silent_is_given_up_and_called_again(monkeypatch):
    monkeypatch.setattr(http2_connection, "KEEPALIVE_SECONDS", 0.05)
    monkeypatch.setattr(http2_connection, "KEEPALIVE_TIMEOUT_SECONDS", 0.4)
    async with peer_server() as server, opened(server.target) as connections:
        call = asyncio.create_task(say(connections, is_repeatable=True))
        silent = await server.peer()
        await silent.request()
        await silent.expect(PingFrame)
        monkeypatch.setattr(http2_connection, "KEEPALIVE_SECONDS", 60.0)
        await _answer(await server.peer(), b"the next one")
        assert await soon(call) == b"the next one"
