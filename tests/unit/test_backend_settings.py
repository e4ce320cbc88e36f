"""The settings of the backends (chassis.runtime.backends)."""

import pytest
from pydantic import ValidationError

from chassis.runtime.backends import EventSettings


def test_kafka_needs_its_brokers():
    with pytest.raises(ValidationError, match="KAFKA_BROKERS: needed when EVENTS_BACKEND is kafka"):
        EventSettings(events_backend="kafka")


def test_kafka_needs_no_database_for_events():
    assert EventSettings(events_backend="kafka", kafka_brokers="one:9092,two:9092").kafka_prefix == ""


@pytest.mark.parametrize("brokers", ["one", "one:9092,", "one:9092 two:9092", "http://one:9092"])
def test_brokers_are_hosts_with_ports(brokers: str):
    with pytest.raises(ValidationError):
        EventSettings(events_backend="kafka", kafka_brokers=brokers)


def test_problems_of_all_classes_are_told_at_once():
    with pytest.raises(ValidationError) as caught:
        EventSettings(service_tokens_enabled=True)
    assert "AUTH_JWKS_URL" in str(caught.value)
    assert "EVENTS_POSTGRES_DSN" in str(caught.value)
