"""The delay before another try. Used by everything that calls the gateway and the CDNs."""

import random

FIRST_DELAY_SECONDS = 0.25
MAX_DELAY_SECONDS = 8.0
MAX_DOUBLINGS = 6


def delay_seconds(failures: int, *, first_delay_seconds: float = FIRST_DELAY_SECONDS) -> float:
    """After so many failures, from 1: doubles with each; spread by half so that many clients do not come back at once."""
    full: float = min(first_delay_seconds * 2 ** min(failures - 1, MAX_DOUBLINGS), MAX_DELAY_SECONDS)
    return full * random.uniform(0.5, 1.0)
