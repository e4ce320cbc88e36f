"""Calls counted by outcome and timed, for /metrics. prometheus_client's own counter and histogram take 3 µs a call together, with a
lock each; here a call is three additions on the event loop's thread, and the text is put together when somebody asks.

Used by chassis.observability.telemetry and by the gateway for HTTP requests.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

DURATION_BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)


class CallSeries:
    """The calls of one set of labels."""

    __slots__ = ("buckets", "outcomes", "seconds")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.buckets = [0] * (len(DURATION_BUCKETS_SECONDS) + 1)
        self.seconds = 0.0

    def record(self, outcome: str, seconds: float) -> None:
        """Counts one call that has ended. From one thread."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.buckets[bisect_left(DURATION_BUCKETS_SECONDS, seconds)] += 1
        self.seconds += seconds


class CallMetrics(Collector):
    """A counter by `labels` and `outcome`, and a histogram of seconds by `labels`. Names and helps are theirs in this order."""

    def __init__(
        self,
        names: tuple[str, str],
        helps: tuple[str, str],
        labels: Sequence[str],
        outcome: str,
        *,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._names = names
        self._helps = helps
        self._labels = tuple(labels)
        self._outcome = outcome
        self._series: dict[tuple[str, ...], CallSeries] = {}
        registry.register(self)

    def of(self, *labels: str) -> CallSeries:
        """The calls with these labels; keep it, where there are many."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = CallSeries()
        return found

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics for /metrics, in whichever thread serves it."""
        counter = CounterMetricFamily(self._names[0], self._helps[0], labels=(*self._labels, self._outcome))
        histogram = HistogramMetricFamily(self._names[1], self._helps[1], labels=self._labels)
        for labels, series in list(self._series.items()):
            for outcome, count in list(series.outcomes.items()):
                counter.add_metric((*labels, outcome), count)
            histogram.add_metric(labels, buckets=_cumulative(series.buckets), sum_value=series.seconds)
        yield counter
        yield histogram


def _cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*DURATION_BUCKETS_SECONDS, float("inf")), tuple(buckets), strict=True):
        total += count
        found.append(("+Inf" if bound == float("inf") else str(float(bound)), total))
    return found
