"""Calls counted and timed: what /metrics shows is what was recorded, as prometheus_client itself would show it."""

from prometheus_client import Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from chassis.observability.call_metrics import DURATION_BUCKETS_SECONDS, CallMetrics

CALLS = (("/a/B", "OK", 0.0004), ("/a/B", "OK", 0.001), ("/a/B", "NOT_FOUND", 0.7), ("/a/C", "OK", 99.0))


def test_metrics_read_as_those_of_the_usual_counter_and_histogram():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    metrics = CallMetrics(("calls", "seconds"), ("Calls", "Time"), ("method",), "code", registry=ours)
    counter = Counter("calls", "Calls", ("method", "code"), registry=theirs)
    histogram = Histogram("seconds", "Time", ("method",), buckets=DURATION_BUCKETS_SECONDS, registry=theirs)
    for method, code, seconds in CALLS:
        metrics.of(method).record(code, seconds)
        counter.labels(method, code).inc()
        histogram.labels(method).observe(seconds)
    lines = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == lines


def test_what_was_never_called_is_no_series():
    registry = CollectorRegistry()
    metrics = CallMetrics(("calls", "seconds"), ("Calls", "Time"), ("method",), "code", registry=registry)
    assert registry.get_sample_value("calls_total", {"method": "/a/B", "code": "OK"}) is None
    metrics.of("/a/B").record("OK", 0.5)
    assert registry.get_sample_value("calls_total", {"method": "/a/B", "code": "OK"}) == 1.0
