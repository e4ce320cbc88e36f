"""The rate limits of what comes in over HTTP: chassis.quota.rate_limits, and headers that say how the user stands.

Called by gateway.jsonapi.rest and gateway.streams.routes, once they know the user. Contract: sections 1 and 8.
"""

import math

from multidict import istr

from chassis.quota import rate_limits
from gateway.request.context import RequestContext

LIMIT_HEADER = istr("X-RateLimit-Limit")
REMAINING_HEADER = istr("X-RateLimit-Remaining")
RESET_HEADER = istr("X-RateLimit-Reset")
"""Seconds until the whole budget is there again."""


class RateLimiter(rate_limits.RateLimiter):
    """Counts requests against the budgets, by name of the rate class; a class without a budget is not counted."""

    async def count(self, context: RequestContext, rate_class: str) -> None:
        """Counts the request of a known user, and has its answer say how the user stands.

        Raises:
            DomainError: RATE_LIMIT_EXCEEDED.
        """
        standing = None if context.user_id is None else await self.take(context.user_id, rate_class)
        if standing is None:
            return
        context.headers[LIMIT_HEADER] = str(standing.limit)
        context.headers[REMAINING_HEADER] = str(standing.remaining)
        context.headers[RESET_HEADER] = str(math.ceil(standing.full_after_seconds))
        standing.require()
