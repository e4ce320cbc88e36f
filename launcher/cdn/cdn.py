"""Fetches objects by signed URL over kept-alive connections, checks their length on the way, and remembers which CDN works.
Used by launcher.install.pipeline and launcher.install.installation.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from launcher.api.resources import Candidate
from launcher.cdn.limiter import Limiter
from launcher.cdn.wire import Connection, Connections, LengthError, StaleError, StatusError, WireError
from launcher.settings import proxy_for

CONNECT_SECONDS = 1.5
"""A CDN that does not answer in this time is skipped: clients move on within 2 s."""
STALL_SECONDS = 15.0
"""Without a byte for so long a transfer is given up, unless the caller says otherwise."""
SLOW_BYTES = 4096
"""The minimum to receive in each `stall_seconds` of waiting from a CDN that another one can replace."""
KEEP_ALIVE_SECONDS = 30.0
LIMITED_READ_BYTES = 16 * 1024
LIMITED_RECEIVE_BUFFER_BYTES = 32 * 1024
"""Under a limit the kernel must not take in much more than was let through."""
FIRST_REST_SECONDS = 1.0
MAX_REST_SECONDS = 30.0

_REFUSED_STATUSES = frozenset({401, 403, 410})


class DeliveryError(Exception):
    """The CDN did not deliver; another one may."""


class LinkRefusedError(DeliveryError):
    """The link has expired or was rejected: a new one may be accepted."""


class WrongLengthError(DeliveryError):
    """The received body is longer or shorter than the object."""


class Cdn:
    """Connections to all CDNs."""

    def __init__(self, connections: Connections, limiter: Limiter | None) -> None:
        self._connections = connections
        self._limiter = limiter

    async def get(
        self, url: str, *, size_bytes: int, stall_seconds: float = STALL_SECONDS, slow_bytes: int = 1
    ) -> bytearray:
        """Return the object's bytes: exactly so many. Holds no more than that in memory, whatever is received.

        The URL is signed: it goes out as it came in, and not wherever an answer may point to. Given up when less than `slow_bytes`
        come in `stall_seconds`.

        Raises:
            DeliveryError: and the kinds above.
        """
        try:
            try:
                return await self._get(url, size_bytes, _Pace(stall_seconds, slow_bytes), anew=False)
            except StaleError:
                return await self._get(url, size_bytes, _Pace(stall_seconds, slow_bytes), anew=True)
        except StatusError as error:
            kind = LinkRefusedError if error.status in _REFUSED_STATUSES else DeliveryError
            raise kind(str(error)) from None
        except LengthError as error:
            raise WrongLengthError(str(error)) from None
        except (WireError, OSError, TimeoutError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    async def _get(self, url: str, size_bytes: int, pace: "_Pace", *, anew: bool) -> bytearray:
        connection = await self._connections.ask(url, size_bytes, anew=anew)
        try:
            await self._follow(connection, pace)
            return connection.take_body()
        finally:
            self._connections.finish(connection)

    async def _follow(self, connection: Connection, pace: "_Pace") -> None:
        seen_bytes = 0
        while not connection.is_done:
            asked_at = time.monotonic()
            await connection.wait(pace.left_seconds)
            # Only the waiting for the CDN counts, not that for our own limit.
            waited_seconds = time.monotonic() - asked_at
            came_bytes = connection.received_bytes - seen_bytes
            seen_bytes += came_bytes
            if not connection.is_done:
                pace.came(came_bytes, waited_seconds)
            if self._limiter is not None and came_bytes:
                connection.pause()
                await self._limiter.take(came_bytes)
                connection.resume()


@dataclass(slots=True)
class _Pace:
    """Watches that a transfer does not trickle."""

    stall_seconds: float
    slow_bytes: int
    _waited_seconds: float = 0.0
    _came_bytes: int = 0

    @property
    def left_seconds(self) -> float:
        """The seconds until the next check."""
        return max(0.0, self.stall_seconds - self._waited_seconds)

    def came(self, size_bytes: int, waited_seconds: float) -> None:
        """Raises: DeliveryError."""
        self._waited_seconds += waited_seconds
        self._came_bytes += size_bytes
        if self._waited_seconds >= self.stall_seconds:
            if self._came_bytes < self.slow_bytes:
                raise DeliveryError(f"{self._came_bytes} bytes in {self._waited_seconds:.1f} s")
            self._waited_seconds, self._came_bytes = 0.0, 0


@contextmanager
def open_cdn(*, limiter: Limiter | None) -> Iterator[Cdn]:
    """Opens no connection yet. No token and no cookie goes out: the links carry all that is needed."""
    connections = Connections(
        connect_seconds=CONNECT_SECONDS,
        keep_alive_seconds=KEEP_ALIVE_SECONDS,
        receive_buffer_bytes=LIMITED_RECEIVE_BUFFER_BYTES if limiter else None,
        max_read_bytes=LIMITED_READ_BYTES if limiter else None,
        proxy_for=proxy_for,
    )
    try:
        yield Cdn(connections, limiter)
    finally:
        connections.close()


@dataclass(slots=True)
class _Health:
    failures: int = 0
    rests_until: float = 0.0


class Providers:
    """Chooses the CDN to ask: the server's order, but not one that just failed while another works."""

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
        """Suspend the provider, longer after each failure in a row; failures of simultaneous requests count once."""
        health = self._health.setdefault(provider, _Health())
        now = self._clock()
        if now >= health.rests_until:
            health.failures += 1
            rest_seconds = min(FIRST_REST_SECONDS * 2 ** (health.failures - 1), MAX_REST_SECONDS)
            health.rests_until = now + rest_seconds
