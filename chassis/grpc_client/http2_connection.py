"""One HTTP/2 connection of a gRPC client (RFC 9113) on asyncio: many exchanges at a time, flow control both ways, pings, GOAWAY.

What one turn of the loop has to send goes out in one write. Opened by chassis.grpc_client.rpc_connections;
chassis.grpc_client.rpc_unary exchanges on it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from logging import getLogger
from typing import Any, Final, cast

from chassis.grpc_client import http2
from chassis.grpc_client.http2 import ProtocolViolation
from chassis.grpc_client.http2_exchange import Failed, Failure, Stream

MESSAGE_LIMIT_BYTES: Final = 8 * 1024 * 1024
BODY_LIMIT_BYTES: Final = MESSAGE_LIMIT_BYTES + 5
"""The limit of one exchange's unread bytes: a message and gRPC's head before it."""
CONNECTION_WINDOW_BYTES: Final = 32 * 1024 * 1024
KEEPALIVE_SECONDS: Final = 60.0
KEEPALIVE_TIMEOUT_SECONDS: Final = 10.0
TOO_MANY_PINGS: Final = b"too_many_pings"
"""The reason for which a gRPC server ends the connection of a client that pings more often than it permits
(https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md)."""
CLOSE_SECONDS: Final = 1.0
"""The time to send the remaining bytes of a closed connection: no caller waits for it."""
REPLIES_LIMIT: Final = 10_000
"""The most unsent replies to a peer that keeps asking and does not read them."""

_STREAM_WINDOW_BYTES: Final = MESSAGE_LIMIT_BYTES + 64 * 1024
_PADDING_STEP_BYTES: Final = 32 * 1024
"""Padding takes up window too, and is given back before it can keep the end of a large answer out."""
_PING_BYTES: Final = 8

_log = getLogger(__name__)


class Connection(asyncio.Protocol):
    """For loop.create_connection. `on_change` is called when it can be used, and when it takes no more exchanges. A peer that is
    silent for `keepalive_seconds` (KEEPALIVE_SECONDS if None) is pinged.
    """

    def __init__(self, on_change: Callable[[], None], *, keepalive_seconds: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self.keepalive_seconds = KEEPALIVE_SECONDS if keepalive_seconds is None else keepalive_seconds
        self.pinged_too_often = False
        """The peer ended it because of our pings: the next one to that address is to ping half as often."""
        self.is_ready = False
        """It is open, the peer's settings are known, and new exchanges may begin."""
        self.is_over = False
        """It takes no more exchanges, for the reason `why_closed`."""
        self.why_closed = ""
        self.lost = self._loop.create_future()
        """Done when nothing is left of it."""
        self._transport: asyncio.Transport | None = None
        self._reader = http2.FieldReader()
        self._exchanges: dict[int, Stream] = {}
        self._queued: OrderedDict[Stream, tuple[bytes, bytes]] = OrderedDict()
        self._blocked: dict[int, Stream] = {}
        self._next_id = 1
        self._unsent: list[bytes] = []
        self._is_paused = False
        self._room = http2.WINDOW_BYTES
        self._peer_window = http2.WINDOW_BYTES
        self._peer_streams = http2.STREAM_ID_MAX
        self._taken = 0
        self._heard = True
        self._asked = False
        self._alarm: asyncio.TimerHandle | None = None
        self._frames = http2.FrameReader(
            {
                http2.DATA: self._on_data,
                http2.HEADERS: self._on_headers,
                http2.RST_STREAM: self._on_reset,
                http2.SETTINGS: self._on_settings,
                http2.PUSH_PROMISE: self._on_push,
                http2.PING: self._on_ping,
                http2.GOAWAY: self._on_goaway,
                http2.WINDOW_UPDATE: self._on_window_update,
            }
        )

    # What callers do.

    def exchange(self, head: bytes, body: bytes, on_data: Callable[[bytes], None] | None = None) -> Stream:
        """Sends a request of a header block and a body; waits in line while the peer has as many as it allows, or does not read."""
        exchange = Stream(self._loop.create_future(), on_data)
        if not self.is_ready:
            exchange.ended.set_result(Failure(Failed.GOAWAY, self.why_closed))
        elif self._is_paused or len(self._exchanges) >= self._peer_streams:
            self._queued[exchange] = (head, body)
        else:
            self._begin(exchange, head, body)
        return exchange

    def cancel(self, exchange: Stream, why: Failed = Failed.CANCELLED) -> None:
        """Ends an exchange here and notifies the peer; does nothing to one that has ended."""
        if exchange.stream_id in self._exchanges:
            self._send(http2.reset(exchange.stream_id, http2.CANCEL))
        else:
            self._queued.pop(exchange, None)
        self._end(exchange, Failure(why, why.value))

    def close(self) -> None:
        """Takes no more exchanges, ends those that run."""
        closed = Failure(Failed.CLOSED, Failed.CLOSED.value)
        self._fail_queued(closed)
        self._fail_all(closed)
        self._say_goodbye(http2.NO_ERROR)

    def retire(self) -> None:
        """Takes no more exchanges; is closed as soon as those that run have ended."""
        self._go(Failed.GOAWAY.value)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = (
            (http2.HEADER_TABLE_SIZE, 0),
            (http2.ENABLE_PUSH, 0),
            (http2.INITIAL_WINDOW_SIZE, _STREAM_WINDOW_BYTES),
            (http2.MAX_HEADER_LIST_SIZE, http2.FIELDS_LIMIT_BYTES),
        )
        more = CONNECTION_WINDOW_BYTES - http2.WINDOW_BYTES
        self._send(http2.PREFACE + http2.settings(settings) + http2.window_update(0, more))
        self._wake(self.keepalive_seconds, self._keep_alive)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._heard = True
        try:
            self._frames.feed(data)
        except ProtocolViolation as violation:
            self._give_up(violation)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()
        self._send_blocked()
        self._begin_queued()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.why_closed = self.why_closed or str(error or "the peer closed the connection")
        if self._alarm is not None:
            self._alarm.cancel()
        self._fail_all(Failure(Failed.LOST, self.why_closed))
        self._unsent.clear()
        if not self.lost.done():
            self.lost.set_result(None)
        self._on_change()

    # Sending.

    def _begin(self, exchange: Stream, head: bytes, body: bytes) -> None:
        stream_id = exchange.stream_id = self._next_id
        self._next_id += 2
        if stream_id == 1:
            head = http2.NO_TABLE + head
        self._exchanges[stream_id] = exchange
        length = len(body)
        if length <= self._room and length <= self._peer_window and length <= http2.FRAME_LIMIT_BYTES:
            self._room -= length
            self._send(
                http2.header_frames(stream_id, head) + http2.frame(http2.DATA, http2.END_STREAM, stream_id, body)
            )
        else:
            self._send(http2.header_frames(stream_id, head))
            exchange.unsent = memoryview(body)
            exchange.room = self._peer_window
            self._blocked[stream_id] = exchange
            self._send_rest(exchange)
        if self._next_id > http2.STREAM_ID_MAX:
            self._go("the connection has used up its streams")

    def _send_blocked(self) -> None:
        """Sends as much of the waiting requests as the peer accepts now, the oldest first."""
        if self._blocked:
            for exchange in list(self._blocked.values()):
                if self._room <= 0:
                    return
                self._send_rest(exchange)

    def _send_rest(self, exchange: Stream) -> None:
        rest = exchange.unsent
        if self._is_paused or rest is None:
            return
        while rest and (count := min(len(rest), self._room, exchange.room, http2.FRAME_LIMIT_BYTES)) > 0:
            self._room -= count
            exchange.room -= count
            flags = http2.END_STREAM if count == len(rest) else 0
            self._send(http2.frame(http2.DATA, flags, exchange.stream_id, rest[:count]))
            rest = rest[count:]
        exchange.unsent = rest or None
        if not rest:
            del self._blocked[exchange.stream_id]

    def _begin_queued(self) -> None:
        while self._queued and self.is_ready and not self._is_paused and len(self._exchanges) < self._peer_streams:
            exchange, (head, body) = self._queued.popitem(last=False)
            if not exchange.ended.done():
                self._begin(exchange, head, body)

    def _send(self, data: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _reply(self, data: bytes) -> None:
        if self._is_paused and len(self._unsent) >= REPLIES_LIMIT:
            raise ProtocolViolation(http2.ENHANCE_YOUR_CALM, "it does not read the answers that it asks for")
        self._send(data)

    def _flush(self) -> None:
        if self._is_paused or not self._unsent or self._transport is None:
            return
        data = b"".join(self._unsent)
        self._unsent.clear()
        self._transport.write(data)

    # Receiving.

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken * 2 >= CONNECTION_WINDOW_BYTES:
            self._send(http2.window_update(0, self._taken))
            self._taken = 0
        exchange = self._find(stream_id)
        if exchange is None:
            return
        piece = http2.unpadded(flags, payload)
        if exchange.headers is None:
            self._break(exchange, "a body without headers")
        elif exchange.on_data is not None:
            self._give_room(exchange, len(payload), _STREAM_WINDOW_BYTES // 2)
            exchange.on_data(piece)
        else:
            if len(payload) != len(piece):
                self._give_room(exchange, len(payload) - len(piece), _PADDING_STEP_BYTES)
            if piece:
                exchange.body.append(piece)
                exchange.body_bytes += len(piece)
            if exchange.body_bytes > BODY_LIMIT_BYTES:
                self.cancel(exchange, Failed.TOO_LARGE)
        if flags & http2.END_STREAM:
            self._end(exchange, None)

    def _give_room(self, exchange: Stream, count: int, step: int) -> None:
        exchange.taken += count
        if exchange.taken >= step:
            self._send(http2.window_update(exchange.stream_id, exchange.taken))
            exchange.taken = 0

    def _on_headers(self, flags: int, stream_id: int, block: bytes) -> None:
        fields = self._reader.read(block)
        exchange = self._find(stream_id)
        if exchange is None:
            return
        if flags & http2.END_STREAM:
            exchange.trailers = fields
            self._end(exchange, None)
        elif exchange.headers is not None:
            self._break(exchange, "trailers that do not end the stream")
        elif not (fields and fields[0][0] == b":status"):
            self._break(exchange, "headers without a status")
        elif not fields[0][1].startswith(b"1"):
            exchange.headers = fields

    def _on_reset(self, _flags: int, stream_id: int, payload: bytes) -> None:
        code = _number(payload, "RST_STREAM")
        exchange = self._find(stream_id)
        if exchange is not None:
            self._end(exchange, Failure(Failed.RESET, f"the peer reset the stream with code {code}", code))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ProtocolViolation(http2.PROTOCOL_ERROR, "settings of a stream")
        if flags & http2.ACK:
            return
        for name, value in http2.read_settings(payload):
            if name == http2.MAX_CONCURRENT_STREAMS:
                self._peer_streams = value
            elif name == http2.INITIAL_WINDOW_SIZE:
                if value > http2.WINDOW_MAX_BYTES:
                    raise ProtocolViolation(http2.FLOW_CONTROL_ERROR, "a window that is too large")
                for exchange in self._blocked.values():
                    exchange.room += value - self._peer_window
                self._peer_window = value
        self._reply(http2.frame(http2.SETTINGS, http2.ACK, 0))
        if not self.is_ready and not self.is_over:
            self.is_ready = True
            self._on_change()
        self._begin_queued()
        self._send_blocked()

    def _on_push(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ProtocolViolation(http2.PROTOCOL_ERROR, "a push that was ruled out")

    def _on_ping(self, flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) != _PING_BYTES:
            raise ProtocolViolation(http2.FRAME_SIZE_ERROR, "a ping of a broken length")
        if not flags & http2.ACK:
            self._reply(http2.frame(http2.PING, http2.ACK, 0, payload))

    def _on_goaway(self, _flags: int, _stream_id: int, payload: bytes) -> None:
        if len(payload) < 8:
            raise ProtocolViolation(http2.FRAME_SIZE_ERROR, "a GOAWAY of a broken length")
        last = int.from_bytes(payload[:4], "big") & http2.STREAM_ID_MAX
        code = int.from_bytes(payload[4:8], "big")
        self.pinged_too_often = code == http2.ENHANCE_YOUR_CALM and payload[8:] == TOO_MANY_PINGS
        text = f"the peer ends the connection with code {code} {payload[8:].decode(errors='replace')}".rstrip()
        failure = Failure(Failed.GOAWAY, text)
        for stream_id, exchange in list(self._exchanges.items()):
            if stream_id > last:
                self._end(exchange, failure)
        self._go(text)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        count = _number(payload, "WINDOW_UPDATE") & http2.WINDOW_MAX_BYTES
        if not stream_id:
            self._room += count
            if not count or self._room > http2.WINDOW_MAX_BYTES:
                raise ProtocolViolation(http2.FLOW_CONTROL_ERROR, "a window update that cannot be")
            self._send_blocked()
        elif (exchange := self._find(stream_id)) is not None and exchange.unsent is not None:
            exchange.room += count
            if not count or exchange.room > http2.WINDOW_MAX_BYTES:
                self._break(exchange, "a window update that cannot be")
            else:
                self._send_rest(exchange)

    # Ending.

    def _find(self, stream_id: int) -> Stream | None:
        """The exchange; None for one that has ended here, of which more may still be on its way."""
        exchange = self._exchanges.get(stream_id)
        if exchange is None and (stream_id >= self._next_id or not stream_id & 1):
            raise ProtocolViolation(http2.PROTOCOL_ERROR, f"stream {stream_id} was never opened")
        return exchange

    def _end(self, exchange: Stream, failure: Failure | None) -> None:
        is_blocked = self._blocked.pop(exchange.stream_id, None) is not None
        if self._exchanges.pop(exchange.stream_id, None) is not None and is_blocked and failure is None:
            # The peer has answered without the whole request, and need not read the rest of it.
            self._send(http2.reset(exchange.stream_id, http2.NO_ERROR))
        if not exchange.ended.done():
            exchange.ended.set_result(failure)
        if self._queued:
            self._begin_queued()
        if self.is_over and not self._exchanges:
            self._say_goodbye(http2.NO_ERROR)

    def _break(self, exchange: Stream, text: str) -> None:
        self._send(http2.reset(exchange.stream_id, http2.PROTOCOL_ERROR))
        self._end(exchange, Failure(Failed.BROKEN, text))

    def _go(self, text: str) -> None:
        """Accepts no new exchanges; those that wait in line go elsewhere, those that run may end."""
        self.is_over = True
        was_ready, self.is_ready = self.is_ready, False
        self.why_closed = self.why_closed or text
        self._fail_queued(Failure(Failed.GOAWAY, text))
        if not self._exchanges:
            self._say_goodbye(http2.NO_ERROR)
        if was_ready:
            self._on_change()

    def _fail_queued(self, failure: Failure) -> None:
        while self._queued:
            exchange, _ = self._queued.popitem()
            if not exchange.ended.done():
                exchange.ended.set_result(failure)

    def _fail_all(self, failure: Failure) -> None:
        self._go(failure.text)
        self._blocked.clear()
        running, self._exchanges = self._exchanges, {}
        for exchange in running.values():
            if not exchange.ended.done():
                exchange.ended.set_result(failure)

    def _give_up(self, violation: ProtocolViolation) -> None:
        _log.warning("connection broke HTTP/2", extra={"code": violation.code, "error": str(violation)})
        self.why_closed = str(violation)
        self._say_goodbye(violation.code)
        self._fail_all(Failure(Failed.LOST, self.why_closed))

    def _say_goodbye(self, code: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_paused:
            # It would hold what is not sent yet, and the socket with it.
            self._transport.abort()
            return
        self._send(http2.frame(http2.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big")))
        self._flush()
        self._transport.close()
        self._wake(CLOSE_SECONDS, self._transport.abort)

    def _keep_alive(self) -> None:
        """Asks a peer that has been silent whether it is there, and lets go of one that does not say."""
        if self._heard:
            self._asked = False
            wait = self.keepalive_seconds
        elif not self._asked:
            self._asked = True
            self._send(http2.frame(http2.PING, 0, 0, bytes(_PING_BYTES)))
            wait = KEEPALIVE_TIMEOUT_SECONDS
        else:
            self.why_closed = "the peer does not answer pings"
            cast("Any", self._transport).abort()
            return
        self._heard = False
        self._wake(wait, self._keep_alive)

    def _wake(self, seconds: float, then: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(seconds, then)


def _number(payload: bytes, kind: str) -> int:
    if len(payload) != 4:
        raise ProtocolViolation(http2.FRAME_SIZE_ERROR, f"{kind} of a broken length")
    return int.from_bytes(payload, "big")
