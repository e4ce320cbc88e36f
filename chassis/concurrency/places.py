"""Counted places: how much of something limited there may be at once, in all and of one caller. Used by
chassis.grpc_server.interceptors and chassis.grpc_server.health.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from chassis.errors import DomainError, Kind

RETRY_AFTER_SECONDS = 1.0


class Places:
    """At most `per_key` places of each key, and `total` of all keys together. Nobody waits for one."""

    def __init__(self, per_key: int, *, total: int | None = None) -> None:
        self._per_key = per_key
        self._total = total
        self._taken: Counter[Hashable] = Counter()
        self._all = 0

    def __len__(self) -> int:
        """Return the number of places that are taken."""
        return self._all

    def take(self, key: Hashable) -> None:
        """Take a place, to be given back with `free`.

        Raises:
            DomainError: RATE_LIMIT_EXCEEDED when no place is free.
        """
        if self._taken[key] >= self._per_key or (self._total is not None and self._all >= self._total):
            if not self._taken[key]:
                del self._taken[key]
            raise DomainError(Kind.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED", retry_after_seconds=RETRY_AFTER_SECONDS)
        self._taken[key] += 1
        self._all += 1

    def free(self, key: Hashable) -> None:
        """Give a place back."""
        self._all -= 1
        self._taken[key] -= 1
        if not self._taken[key]:
            del self._taken[key]

    @contextmanager
    def taken(self, key: Hashable) -> Iterator[None]:
        """Hold a place while the block runs. Raises: as `take`."""
        self.take(key)
        try:
            yield
        finally:
            self.free(key)
