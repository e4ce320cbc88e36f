"""Speed and time left, worked out at the server from what clients report. Hot state only: losing it loses an estimate."""

import math
from dataclasses import dataclass
from datetime import datetime

SMOOTHING_SECONDS = 5.0
"""Time constant of the moving average: a change of speed shows within a few reports, a single slow one does not jump."""
SHORTEST_INTERVAL_SECONDS = 0.2
"""Reports closer together than this are measured together: their quotient would be noise."""
STALE_AFTER_SECONDS = 30.0
"""A client silent for longer has no known speed; the measuring starts again."""


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """The progress of a session at the last measurement, and its speed until then; `speed_bps` is None until two are known."""

    downloaded_bytes: int
    at: datetime
    speed_bps: int | None = None


def measure(previous: LiveProgress | None, downloaded_bytes: int, now: datetime) -> LiveProgress:
    """The next measurement: an average that forgets exponentially."""
    if previous is None:
        return LiveProgress(downloaded_bytes, now)
    seconds = (now - previous.at).total_seconds()
    if seconds > STALE_AFTER_SECONDS:
        return LiveProgress(downloaded_bytes, now)
    if seconds < SHORTEST_INTERVAL_SECONDS:
        return previous
    current_bps = max(0, downloaded_bytes - previous.downloaded_bytes) * 8 / seconds
    if previous.speed_bps is None:
        return LiveProgress(downloaded_bytes, now, round(current_bps))
    weight = 1 - math.exp(-seconds / SMOOTHING_SECONDS)
    return LiveProgress(downloaded_bytes, now, round(previous.speed_bps + weight * (current_bps - previous.speed_bps)))


def seconds_left(speed_bps: int | None, downloaded_bytes: int, total_size_bytes: int) -> int | None:
    """Whole seconds until everything is there at this speed; None while the speed is unknown or nothing moves."""
    if not speed_bps:
        return None
    return math.ceil(max(0, total_size_bytes - downloaded_bytes) * 8 / speed_bps)
