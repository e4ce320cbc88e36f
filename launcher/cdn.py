"""Fetches objects by signed URL over kept-alive connections, checks their length on the way, and remembers which CDN works.
Used by launcher.pipeline and launcher.install.
"""

import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from launcher.limiter import Limiter
from launcher.resources import Candidate

CONNECT_SECONDS = 1.5
"""A CDN that does not answer in this time is passed over: clients move on within 2 s."""
STALL_SECONDS = 15.0
"""Without a byte for so long a transfer is given up, unless the caller says otherwise."""
SLOW_BYTES = 4096
"""What must come in each `stall_seconds` of waiting from a CDN that another one can stand in for."""
KEEP_ALIVE_SECONDS = 30.0
LIMITED_READ_BYTES = 16 * 1024
LIMITED_RECEIVE_BUFFER_BYTES = 32 * 1024
"""Under a limit the kernel must not take in much more than was let through."""
READ_BUFFER_BYTES = 512 * 1024
FIRST_REST_SECONDS = 1.0
MAX_REST_SECONDS = 30.0

_REFUSED_STATUSES = frozenset({401, 403, 410})


class DeliveryError(Exception):
    """The CDN did not deliver; another one may."""


class LinkRefusedError(DeliveryError):
    """The link is past its time, or not believed: a new one may be."""


class WrongLengthError(DeliveryError):
    """What came is longer or shorter than the object."""


class Cdn:
    """Connections to all CDNs."""

    def __init__(self, session: aiohttp.ClientSession, limiter: Limiter | None) -> None:
        self._session = session
        self._limiter = limiter

    async def get(
        self, url: str, *, size_bytes: int, stall_seconds: float = STALL_SECONDS, slow_bytes: int = 1
    ) -> bytes:
        """The object's bytes: exactly so many. Holds no more than that in memory, whatever comes.

        Given up when less than `slow_bytes` come in `stall_seconds`.

        Raises:
            DeliveryError: and the kinds above.
        """
        try:
            # The URL is signed: it goes out as it came in, and not wherever an answer may point to.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=stall_seconds)
            async with self._session.get(URL(url, encoded=True), allow_redirects=False, timeout=timeout) as response:
                if response.status in _REFUSED_STATUSES:
                    raise LinkRefusedError(f"the CDN answered {response.status}")
                if response.status != 200:
                    raise DeliveryError(f"the CDN answered {response.status}")
                if response.content_length not in {None, size_bytes}:
                    raise WrongLengthError(f"{response.content_length} bytes instead of {size_bytes}")
                return await self._read(response.content, size_bytes, _Pace(stall_seconds, slow_bytes))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    async def _read(self, content: aiohttp.StreamReader, size_bytes: int, pace: "_Pace") -> bytes:
        pieces = []
        left_bytes = size_bytes
        while True:
            asked_at = time.monotonic()
            piece = await (content.read(LIMITED_READ_BYTES) if self._limiter else content.readany())
            if not piece:
                break
            # Only the waiting for the CDN counts, not that for our own limit.
            pace.came(len(piece), time.monotonic() - asked_at)
            left_bytes -= len(piece)
            if left_bytes < 0:
                raise WrongLengthError(f"more than {size_bytes} bytes")
            pieces.append(piece)
            if self._limiter is not None:
                await self._limiter.take(len(piece))
        if left_bytes:
            raise WrongLengthError(f"{size_bytes - left_bytes} bytes instead of {size_bytes}")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(slots=True)
class _Pace:
    """Watches that a transfer does not trickle."""

    stall_seconds: float
    slow_bytes: int
    _waited_seconds: float = 0.0
    _came_bytes: int = 0

    def came(self, size_bytes: int, waited_seconds: float) -> None:
        """Raises: DeliveryError."""
        self._waited_seconds += waited_seconds
        self._came_bytes += size_bytes
        if self._waited_seconds >= self.stall_seconds:
            if self._came_bytes < self.slow_bytes:
                raise DeliveryError(f"{self._came_bytes} bytes in {self._waited_seconds:.1f} s")
            self._waited_seconds, self._came_bytes = 0.0, 0


@asynccontextmanager
async def open_cdn(*, connections: int, limiter: Limiter | None) -> AsyncIterator[Cdn]:
    """Opens no connection yet. No token and no cookie goes out: the links carry all that is needed."""
    connector = aiohttp.TCPConnector(
        limit=connections,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        socket_factory=_small_buffer_socket if limiter else None,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "samovar-launcher/1"},
        read_bufsize=LIMITED_READ_BYTES if limiter else READ_BUFFER_BYTES,
    ) as session:
        yield Cdn(session, limiter)


def _small_buffer_socket(address: tuple[object, ...]) -> socket.socket:
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)  # type: ignore[arg-type]  # aiohttp's tuple of mixed members
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LIMITED_RECEIVE_BUFFER_BYTES)
    made.setblocking(False)
    return made


@dataclass(slots=True)
class _Health:
    failures: int = 0
    rests_until: float = 0.0


class Providers:
    """Which CDN to ask: the server's order, but not one that just failed while another works."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._health: dict[str, _Health] = {}

    def choose(self, candidates: Sequence[Candidate], failed: dict[str, int]) -> Candidate:
        """The best candidate for a chunk that has `failed` so often by provider."""
        now = self._clock()

        def badness(numbered: tuple[int, Candidate]) -> tuple[int, bool, int]:
            position, candidate = numbered
            health = self._health.get(candidate.provider)
            return failed.get(candidate.provider, 0), health is not None and health.rests_until > now, position

        return min(enumerate(candidates), key=badness)[1]

    def worked(self, provider: str) -> None:
        self._health.pop(provider, None)

    def failed(self, provider: str) -> None:
        """It rests, longer each time in a row; failures of requests made at the same time count once."""
        health = self._health.setdefault(provider, _Health())
        now = self._clock()
        if now >= health.rests_until:
            health.failures += 1
            rest_seconds = min(FIRST_REST_SECONDS * 2 ** (health.failures - 1), MAX_REST_SECONDS)
            health.rests_until = now + rest_seconds
