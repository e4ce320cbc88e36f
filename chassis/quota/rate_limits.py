"""The number of requests a user may make per minute, by rate class. All instances of a program share one count per user and class;
permits are leased from it a few at a time, so that most requests cost no round trip. While the count is unavailable everybody may
pass, and a metric reports it.

Used by gateway.quota.rate_limits for what comes in over HTTP, and by chassis.grpc_server.interceptors for users who call a
service directly. Contract: sections 1 and 8.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from prometheus_client import Counter

from chassis.errors import DomainError, Kind
from chassis.quota.redis_store import StoreAway

PERIOD_SECONDS = 60.0
BATCHES_PER_BUDGET = 30
"""Permits are leased a thirtieth of the budget at a time: 20 of 600, 4 of 120. What a lease does not use within the period is
lost to its user, so it must stay little even when many gateways hold one.
"""
MAX_LEASES = 20_000
"""Users' leases of permits that a process remembers."""

UNCOUNTED = Counter(
    "gateway_rate_limit_uncounted_requests", "Requests let through because permits could not be had", ("class",)
)
LEASES = Counter("gateway_rate_limit_leases", "Round trips for permits", ("class",))


@dataclass(frozen=True, slots=True)
class Budget:
    """`permits` per period, for requests of the class `name`."""

    name: str
    permits: int

    @property
    def batch(self) -> int:
        return max(1, self.permits // BATCHES_PER_BUDGET)


@dataclass(frozen=True, slots=True)
class Grant:
    """The result of a lease: 0 permits or more; the number left; when the count will be full again; when there will be one more."""

    permits: int
    left: int
    full_after_seconds: float
    next_after_seconds: float


class Permits(Protocol):
    """The count that all gateways share."""

    async def lease(self, user: str, budget: Budget, wanted: int) -> Grant:
        """Takes up to `wanted` permits out of the user's budget, which fills up evenly. Raises: StoreAway."""


@dataclass(slots=True)
class _Lease:
    """Permits of one user and class that this process may give out. Times are on the limiter's clock."""

    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)
    permits: int = 0
    left: int = 0
    taken_at: float = 0.0
    full_at: float = 0.0
    next_at: float = 0.0
    ends_at: float = 0.0

    def knows(self, now: float) -> bool:
        """True when a request can be answered from here: with a permit, or with the knowledge that none is free yet."""
        return now < self.ends_at and (self.permits > 0 or now < self.next_at)

    def renew(self, grant: Grant, now: float) -> None:
        self.permits, self.left, self.taken_at = grant.permits, grant.left, now
        self.full_at = now + grant.full_after_seconds
        self.next_at = now if grant.permits else now + grant.next_after_seconds
        self.ends_at = now + PERIOD_SECONDS


@dataclass(frozen=True, slots=True)
class Standing:
    """The rate limit of a user after a request was counted: whether it may pass, the permits left, and when there will be more."""

    is_allowed: bool
    limit: int
    remaining: int
    full_after_seconds: float
    next_after_seconds: float

    def require(self) -> None:
        """Returns when the request may pass.

        Raises:
            DomainError: RATE_LIMIT_EXCEEDED.
        """
        if not self.is_allowed:
            raise DomainError(
                Kind.RESOURCE_EXHAUSTED, "RATE_LIMIT_EXCEEDED", retry_after_seconds=self.next_after_seconds
            )


class RateLimiter:
    """Counts requests against the budgets, by name of the rate class; a class without a budget is not counted."""

    def __init__(
        self,
        permits: Permits,
        budgets: Mapping[str, int],
        *,
        max_leases: int = MAX_LEASES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._permits = permits
        self._budgets = {name: Budget(name, number) for name, number in budgets.items()}
        self._max_leases = max_leases
        for name in budgets:
            UNCOUNTED.labels(name)
            LEASES.labels(name)
        self._clock = clock
        self._leases: dict[tuple[UUID, str], _Lease] = {}

    async def take(self, user_id: UUID, rate_class: str) -> Standing | None:
        """Counts one request of the user. None where nothing is counted: the class has no budget, or the count is unavailable."""
        budget = self._budgets.get(rate_class)
        if budget is None:
            return None
        now = self._clock()
        lease = self._leases.get((user_id, rate_class))
        if lease is None or not lease.knows(now):
            lease = await self._renewed(user_id, budget)
            if lease is None:
                UNCOUNTED.labels(rate_class).inc()
                return None
            now = self._clock()
        is_allowed = lease.permits > 0
        if is_allowed:
            lease.permits -= 1
        refilled = int((now - lease.taken_at) * budget.permits / PERIOD_SECONDS)
        return Standing(
            is_allowed=is_allowed,
            limit=budget.permits,
            remaining=lease.permits + min(lease.left + refilled, budget.permits - lease.permits),
            full_after_seconds=max(lease.full_at - now, 0.0),
            next_after_seconds=max(lease.next_at - now, 0.0),
        )

    async def _renewed(self, user_id: UUID, budget: Budget) -> _Lease | None:
        """The user's lease, which knows; None when permits cannot be had at present."""
        lease = self._leases.setdefault((user_id, budget.name), _Lease())
        # Requests that come together wait for one round trip, not for one each.
        async with lease.renewing:
            if lease.knows(self._clock()):
                return lease
            try:
                grant = await self._permits.lease(str(user_id), budget, budget.batch)
            except StoreAway:
                return None
            LEASES.labels(budget.name).inc()
            lease.renew(grant, self._clock())
        self._remember(user_id, budget, lease)
        return lease

    def _remember(self, user_id: UUID, budget: Budget, lease: _Lease) -> None:
        """Keeps leases in the order of their renewal, and no more of them than is allowed: the oldest are worth least."""
        self._leases.pop((user_id, budget.name), None)
        self._leases[user_id, budget.name] = lease
        while len(self._leases) > self._max_leases:
            del self._leases[next(iter(self._leases))]
