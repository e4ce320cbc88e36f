"""HTTP/1.1 for one purpose: GET of objects whose length is known, over kept-alive connections, the body straight from the socket
into a buffer of that length. Used by launcher.cdn.cdn; RFC 9112.

A general client costs as much CPU per small object as everything else that the launcher does with it (docs/performance.md).
"""

import asyncio
import base64
import re
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from time import monotonic
from typing import cast
from urllib.parse import unquote, urlsplit

MAX_HEAD_BYTES = 64 * 1024
"""The limit of status line and headers, and of one read while they, or a chunked body, are received."""
MAX_CHUNK_LINE_BYTES = 4096
DEFAULT_PROXY_PORT = 80
USER_AGENT = "samovar-launcher/1"

_URL = re.compile(r"(https?)://([^/?#@\s]+)(/[!-\"$-~]*)", re.ASCII)
"""Only what can stand in a request line; the fragment sign and anything that could start another line cannot."""
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: .*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_PORT = re.compile(r"[0-9]{1,5}")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?")


class WireError(Exception):
    """The other side violated the protocol or disconnected."""


class LengthError(WireError):
    """The body is longer or shorter than the object."""


class StatusError(WireError):
    """The status of the answer is not 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the CDN answered {status}")
        self.status = status


class StaleError(WireError):
    """A kept connection was closed before it answered anything: no error, a new one may work."""


class _State(Enum):
    IDLE = auto()
    HEAD = auto()
    SIZED = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class _Target:
    """The parts of a URL that a request needs."""

    is_secure: bool
    host: str
    port: int
    authority: str
    path: str

    @property
    def origin(self) -> tuple[bool, str, int]:
        return self.is_secure, self.host, self.port


@dataclass(frozen=True, slots=True)
class _Proxy:
    """The address of an HTTP proxy, and the header line that authenticates this client."""

    host: str
    port: int
    authorization: str

    @classmethod
    def read(cls, url: str) -> "_Proxy":
        parts = urlsplit(url)
        authorization = ""
        if parts.username is not None:
            words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            authorization = f"Proxy-Authorization: Basic {base64.b64encode(words).decode()}\r\n"
        return cls(parts.hostname or "", parts.port or DEFAULT_PROXY_PORT, authorization)


async def _open_tunnel(proxy: _Proxy, target: _Target) -> socket.socket:
    """A socket through the proxy to the target (RFC 9110, CONNECT).

    Raises:
        OSError: the proxy is unavailable. WireError: it refuses.
    """
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port, limit=MAX_HEAD_BYTES)
    try:
        address = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
        request = f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{proxy.authorization}\r\n"
        writer.write(request.encode("ascii"))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise WireError(f"the proxy's answer is not HTTP: {error}") from None
        matched = _STATUS_LINE.fullmatch(head.split(b"\r\n", 1)[0])
        if matched is None or matched[2] != b"200":
            raise WireError(f"the proxy refuses: {head.split(bytes([13, 10]), 1)[0].decode(errors='replace')}")
        return cast("socket.socket", writer.get_extra_info("socket")).dup()
    finally:
        writer.transport.abort()


class Connections:
    """Kept-alive connections to any number of origins; as many at once as there are callers."""

    def __init__(
        self,
        *,
        connect_seconds: float,
        keep_alive_seconds: float,
        receive_buffer_bytes: int | None = None,
        max_read_bytes: int | None = None,
        proxy_for: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._proxy_for = proxy_for
        self._connect_seconds = connect_seconds
        self._keep_alive_seconds = keep_alive_seconds
        self._receive_buffer_bytes = receive_buffer_bytes
        self._max_read_bytes = max_read_bytes
        self._kept: dict[tuple[bool, str, int], deque[tuple[Connection, float]]] = {}
        self._tls: ssl.SSLContext | None = None

    async def ask(self, url: str, size_bytes: int, *, anew: bool = False) -> "Connection":
        """Sends the request, over a new connection if `anew`; the caller follows the connection until the body is there and gives
        it back by `finish`.

        Raises:
            OSError, TimeoutError: no connection. WireError: not a URL of an object.
        """
        target = _read_url(url)
        kept = None if anew else self._take_kept(target)
        connection = kept or await self._connect(target)
        connection.ask(target, size_bytes)
        return connection

    def finish(self, connection: "Connection") -> None:
        """The caller is done with it; what can be used again is kept."""
        if connection.is_reusable and connection.origin is not None:
            kept = self._kept.setdefault(connection.origin, deque())
            kept.append((connection, monotonic() + self._keep_alive_seconds))
        else:
            connection.close()

    def close(self) -> None:
        for kept in self._kept.values():
            for connection, _ in kept:
                connection.close()
        self._kept.clear()

    def _take_kept(self, target: _Target) -> "Connection | None":
        kept = self._kept.get(target.origin)
        while kept:
            connection, ends_at = kept.pop()
            if connection.is_reusable and monotonic() < ends_at:
                return connection
            connection.close()
        return None

    async def _connect(self, target: _Target) -> "Connection":
        loop = asyncio.get_running_loop()
        tls = self._tls_context() if target.is_secure else None
        scheme = "https" if target.is_secure else "http"
        named = self._proxy_for(f"{scheme}://{target.authority}")
        proxy = _Proxy.read(named) if named else None

        def protocol() -> Connection:
            return Connection(target.origin, self._max_read_bytes, None if target.is_secure else proxy)

        async with asyncio.timeout(self._connect_seconds):
            if proxy is not None and target.is_secure:
                tunnel = await _open_tunnel(proxy, target)
                _, connection = await loop.create_connection(
                    protocol, sock=tunnel, ssl=tls, server_hostname=target.host
                )
            else:
                host, port = (proxy.host, proxy.port) if proxy is not None else (target.host, target.port)
                _, connection = await loop.create_connection(protocol, host, port, ssl=tls)
        if self._receive_buffer_bytes is not None:
            connection.shrink_receive_buffer(self._receive_buffer_bytes)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class Connection(asyncio.BufferedProtocol):
    """One connection; one request at a time. `wait` tells when something happened, `received_bytes` how far the body is."""

    def __init__(
        self, origin: tuple[bool, str, int] | None, max_read_bytes: int | None, proxy: "_Proxy | None" = None
    ) -> None:
        self.origin = origin
        self._proxy = proxy
        self.received_bytes = 0
        self._max_read_bytes = max_read_bytes
        self._transport: asyncio.Transport | None = None
        self._state = _State.IDLE
        self._failure: WireError | None = None
        self._scratch = memoryview(bytearray(MAX_HEAD_BYTES))
        self._scratch_bytes = 0
        self._body = bytearray()
        self._view = memoryview(self._body)
        self._size_bytes = 0
        self._raw = bytearray()
        self._chunk_left_bytes = 0
        self._in_trailer = False
        self._answered = 0
        self._keeps_alive = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_reusable(self) -> bool:
        """A whole answer came, the connection stays open, and nothing came after it."""
        return (
            self._state in {_State.IDLE, _State.DONE}
            and self._keeps_alive
            and self._transport is not None
            and not self._transport.is_closing()
        )

    @property
    def is_done(self) -> bool:
        """The whole body is there.

        Raises:
            WireError: it will never be.
        """
        if self._failure is not None:
            raise self._failure
        return self._state is _State.DONE

    def ask(self, target: _Target, size_bytes: int) -> None:
        """Sends a request for an object of that size."""
        assert self._transport is not None  # noqa: S101  # create_connection has connected it
        self._state = _State.HEAD
        self._scratch_bytes = 0
        self._size_bytes = size_bytes
        self.received_bytes = 0
        self._raw.clear()
        self._chunk_left_bytes, self._in_trailer = 0, False
        self._keeps_alive = False
        path, authorization = target.path, ""
        if self._proxy is not None:
            path, authorization = f"http://{target.authority}{target.path}", self._proxy.authorization
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
            f"Accept: */*\r\nAccept-Encoding: identity\r\n{authorization}\r\n"
        )
        self._transport.write(request.encode("ascii"))

    async def wait(self, seconds: float) -> None:
        """Returns when the body is there, the connection failed, or the time is over; under a bound on reads also after each."""
        if self._state is _State.DONE or self._state is _State.FAILED:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def take_body(self) -> bytearray:
        """Return the object; the connection keeps nothing of it."""
        self._view = memoryview(b"")
        body, self._body = self._body, bytearray()
        return body

    def close(self) -> None:
        self._keeps_alive = False
        if self._transport is not None:
            self._transport.abort()

    def shrink_receive_buffer(self, size_bytes: int) -> None:
        """Limit how much the kernel receives beyond what was read."""
        assert self._transport is not None  # noqa: S101  # create_connection has connected it
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # ours is as large as what is missing
        if self._state is _State.SIZED:
            end = self._size_bytes
            if self._max_read_bytes is not None:
                end = min(end, self.received_bytes + self._max_read_bytes)
            return self._view[self.received_bytes : end]
        start = self._scratch_bytes if self._state is _State.HEAD else 0
        end = MAX_HEAD_BYTES if self._max_read_bytes is None else min(MAX_HEAD_BYTES, start + self._max_read_bytes)
        return self._scratch[start:end]

    def buffer_updated(self, nbytes: int) -> None:
        try:
            if self._state is _State.SIZED:
                self.received_bytes += nbytes
                if self.received_bytes == self._size_bytes:
                    self._state = _State.DONE
            elif self._state is _State.HEAD:
                self._scratch_bytes += nbytes
                self._take_head()
            elif self._state in {_State.CHUNKED, _State.UNTIL_CLOSE}:
                self._take_body(self._scratch[:nbytes])
            else:
                self.close()  # bytes that nobody asked for: what would be read next is not to be trusted
                return
        except WireError as error:
            self._fail(error)
            return
        if self._state is _State.DONE or self._max_read_bytes is not None:
            self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is _State.UNTIL_CLOSE and exc is None:
            if self.received_bytes == self._size_bytes:
                self._state = _State.DONE
                self._wake()
            else:
                self._fail(_wrong_length(self.received_bytes, self._size_bytes))
        elif self._state in {_State.HEAD, _State.SIZED, _State.CHUNKED, _State.UNTIL_CLOSE}:
            if self._state is _State.HEAD and self._scratch_bytes == 0 and self._answered:
                self._fail(StaleError("the connection had been closed"))
            elif self._state is _State.HEAD:
                self._fail(WireError(f"the connection ended before an answer: {exc or 'closed'}"))
            else:
                at = f"after {self.received_bytes} of {self._size_bytes} bytes"
                self._fail(WireError(f"the connection ended {at}: {exc or 'closed'}"))
        self._keeps_alive = False

    # How an answer is read.

    def _take_head(self) -> None:
        came = bytes(self._scratch[: self._scratch_bytes])
        end = came.find(b"\r\n\r\n")
        if end < 0:
            if self._scratch_bytes == MAX_HEAD_BYTES:
                raise WireError("the answer's head is too long")
            return
        rest = came[end + 4 :]
        status_line, *lines = came[:end].split(b"\r\n")
        matched = _STATUS_LINE.fullmatch(status_line)
        if matched is None:
            raise WireError("the answer is not HTTP")
        status = int(matched[2])
        if 100 <= status < 200:
            # Not the answer yet.
            self._scratch[: len(rest)] = rest
            self._scratch_bytes = len(rest)
            if rest:
                self._take_head()
            return
        if status != 200:
            raise StatusError(status)
        self._answered += 1
        self._choose_body(_read_headers(lines), is_new=matched[1] == b"1")
        if rest or self._size_bytes == 0:
            self._take_body(memoryview(rest))

    def _choose_body(self, headers: dict[bytes, bytes], *, is_new: bool) -> None:
        coding = headers.get(b"transfer-encoding", b"").lower()
        length = headers.get(b"content-length")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise WireError("the body came encoded, which was not asked for")
        if coding == b"chunked":
            self._state = _State.CHUNKED
        elif coding:
            raise WireError("the body came in a coding that was not asked for")
        elif length is None:
            self._state = _State.UNTIL_CLOSE
        elif _LENGTH.fullmatch(length) is None:
            raise WireError("the answer's length is not a number")
        elif int(length) != self._size_bytes:
            raise _wrong_length(int(length), self._size_bytes)
        else:
            self._state = _State.SIZED
        self._body = bytearray(self._size_bytes)
        self._view = memoryview(self._body)
        asks_to_close = b"close" in headers.get(b"connection", b"").lower()
        self._keeps_alive = is_new and not asks_to_close and self._state is not _State.UNTIL_CLOSE

    def _take_body(self, piece: memoryview) -> None:
        if self._state is _State.CHUNKED:
            self._take_chunked(piece)
            return
        self._append(piece)
        if self._state is _State.SIZED and self.received_bytes == self._size_bytes:
            self._state = _State.DONE

    def _append(self, piece: memoryview) -> None:
        end = self.received_bytes + len(piece)
        if end > self._size_bytes:
            raise LengthError(f"more than {self._size_bytes} bytes")
        self._view[self.received_bytes : end] = piece
        self.received_bytes = end

    def _take_chunked(self, piece: memoryview) -> None:
        """Read a chunked body (RFC 9112, section 7.1). Extensions and trailers are ignored."""
        self._raw += piece
        while self._take_chunk_data():
            end = self._raw.find(b"\r\n")
            if end < 0:
                if len(self._raw) > MAX_CHUNK_LINE_BYTES:
                    raise WireError("a line of the chunked body is too long")
                return
            line = bytes(self._raw[:end])
            del self._raw[: end + 2]
            if not self._in_trailer:
                self._take_chunk_size(line)
            elif not line:
                self._end_chunked()
                return

    def _take_chunk_data(self) -> bool:
        """Read the rest of the chunk and the end of line after it; return True when all of it was available."""
        if self._chunk_left_bytes > 2:
            taken = min(len(self._raw), self._chunk_left_bytes - 2)
            self._append(memoryview(bytes(self._raw[:taken])))
            del self._raw[:taken]
            self._chunk_left_bytes -= taken
        if self._chunk_left_bytes:
            if self._chunk_left_bytes > 2 or len(self._raw) < 2:
                return False
            if self._raw[:2] != b"\r\n":
                raise WireError("a chunk of the body is longer than it said")
            del self._raw[:2]
            self._chunk_left_bytes = 0
        return True

    def _take_chunk_size(self, line: bytes) -> None:
        matched = _CHUNK_SIZE.fullmatch(line)
        if matched is None:
            raise WireError("the chunked body cannot be read")
        size_bytes = int(matched[1], 16)
        if size_bytes == 0:
            self._in_trailer = True
        else:
            self._chunk_left_bytes = size_bytes + 2

    def _end_chunked(self) -> None:
        if self.received_bytes != self._size_bytes:
            raise _wrong_length(self.received_bytes, self._size_bytes)
        self._keeps_alive = self._keeps_alive and not self._raw
        self._state = _State.DONE

    def _fail(self, failure: WireError) -> None:
        self._failure = failure
        self._state = _State.FAILED
        self.close()
        self._wake()


def _wrong_length(came_bytes: int, size_bytes: int) -> LengthError:
    return LengthError(f"{came_bytes} bytes instead of {size_bytes}")


def _read_headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise WireError("a header cannot be read")
        name, value = name.lower(), value.strip(b" \t")
        if name in headers and name in {b"content-length", b"transfer-encoding"} and headers[name] != value:
            raise WireError("the answer contradicts itself about its length")
        headers[name] = value
    return headers


@lru_cache(maxsize=64)
def _read_authority(scheme: str, authority: str) -> tuple[bool, str, int]:
    is_secure = scheme == "https"
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or (port and not _PORT.fullmatch(port)) or (port and not 0 < int(port) < 65536):
        raise WireError("the link names no host")
    return is_secure, host, int(port) if port else 443 if is_secure else 80


def _read_url(url: str) -> _Target:
    matched = _URL.fullmatch(url)
    if matched is None:
        raise WireError("the link is not a URL")
    scheme, authority, path = matched.groups()
    is_secure, host, port = _read_authority(scheme, authority)
    return _Target(is_secure, host, port, authority, path)
