"""The Grafana dashboards, written down once: `python -m operations.dashboards` makes
k8s/components/monitoring/dashboards/*.json of them.

A row is panels of equal width; a panel is a title, a unit of Grafana's, and queries with their legends.
"""
# ruff: noqa: E501  a query on one line can be copied to Prometheus

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "k8s" / "components" / "monitoring" / "dashboards"
SCREEN_WIDTH = 24
PANEL_HEIGHT = 8
SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${source}"}
FAULTS = "UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph. `queries` are PromQL and the legend of each line."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    name: str
    title: str
    rows: Sequence[Sequence[Panel]]


def _rate(metric: str, by: str, chosen: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{chosen}}}[$__rate_interval]))"


def _quantile(share: str, metric: str, by: str, chosen: str = "") -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{chosen}}}[$__rate_interval])))"


def _service(job: str, group: str, business: Sequence[Sequence[Panel]]) -> Sequence[Sequence[Panel]]:
    """Return the rows that every service shows, and the service's own rows."""
    here = f'job="{job}"'
    server, client = "rpc_server_duration_seconds", "rpc_client_duration_seconds"
    failed = _rate("rpc_server_calls_total", "method, code", f'{here},code=~"{FAULTS}"')
    lags = [(f'max by (group) (consumer_lag_events{{{here},group=~"{group}.*"}})', "{{group}}")]
    return [
        [
            Panel("Calls", "reqps", [(_rate("rpc_server_calls_total", "method", here), "{{method}}")]),
            Panel("Faults", "reqps", [(failed, "{{method}} {{code}}")]),
            Panel("p95", "s", [(_quantile("0.95", server, "method", here), "{{method}}")]),
        ],
        *business,
        [
            Panel("Dependencies", "short", [(f"min by (dependency) (dependency_up{{{here}}})", "{{dependency}}")]),
            Panel("Calls to others, p95", "s", [(_quantile("0.95", client, "method", here), "{{method}}")]),
            Panel(
                "Jobs that failed", "short", [(_rate("job_failures_total", "exported_job", here), "{{exported_job}}")]
            ),
        ],
        [
            Panel("Oldest event not published", "s", [(f"max(outbox_lag_seconds{{{here}}})", "age")]),
            Panel("Events published", "cps", [(_rate("outbox_events_published_total", "type", here), "{{type}}")]),
            Panel("Events not dealt with", "short", lags),
            Panel(
                "Events read", "cps", [(_rate("consumer_events_total", "type, outcome", here), "{{type}} {{outcome}}")]
            ),
        ],
        [
            Panel("Memory", "bytes", [(f"process_resident_memory_bytes{{{here}}}", "{{instance}}")]),
            Panel(
                "CPU", "percentunit", [(f"rate(process_cpu_seconds_total{{{here}}}[$__rate_interval])", "{{instance}}")]
            ),
            Panel("Open files", "short", [(f"process_open_fds{{{here}}}", "{{instance}}")]),
        ],
    ]


_GATEWAY = Dashboard(
    "gateway",
    "Samovar: gateway",
    [
        [
            Panel("Requests", "reqps", [(_rate("gateway_http_requests_total", "status"), "{{status}}")]),
            Panel(
                "p95 by route",
                "s",
                [(_quantile("0.95", "gateway_http_request_duration_seconds", "route", 'route!~".*/ws/.*"'), "{{route}}")],
            ),
            Panel("WebSockets", "short", [("sum(gateway_websockets)", "live")]),
        ],
        [
            Panel("Calls to services, p95", "s", [(_quantile("0.95", "rpc_client_duration_seconds", "method", 'job="gateway"'), "{{method}}")]),
            Panel("Open breakers", "short", [("max by (backend) (gateway_breaker_open)", "{{backend}}")]),
            Panel("Refused by breakers", "reqps", [(_rate("gateway_breaker_refused_calls_total", "backend"), "{{backend}}")]),
        ],
        [
            Panel(
                "Let through uncounted",
                "reqps",
                [
                    (_rate("gateway_rate_limit_uncounted_requests_total", "class"), "{{class}}"),
                    ("sum(rate(gateway_idempotency_unkept_requests_total[$__rate_interval]))", "Idempotency-Key"),
                ],
            ),
            Panel("Round trips for permits", "reqps", [(_rate("gateway_rate_limit_leases_total", "class"), "{{class}}")]),
            Panel("Dependencies", "short", [('min by (dependency) (dependency_up{job="gateway"})', "{{dependency}}")]),
        ],
    ],
)  # fmt: skip
_PLAY = 'method=~"/library.v1.PlaytimeTrackerService/.*"'
_LIBRARY = Dashboard(
    "library",
    "Samovar: library",
    _service(
        "library",
        "library-service",
        [
            [
                Panel("Play", "reqps", [(_rate("rpc_server_calls_total", "method", _PLAY), "{{method}}")]),
                Panel(
                    "Unlocks and wishes",
                    "reqps",
                    [(_rate("rpc_server_calls_total", "method", 'method=~"/library.v1.(AchievementService/Update|WishlistService/).*"'), "{{method}}")],
                ),
                Panel(
                    "Without live state",
                    "reqps",
                    [
                        ("sum(rate(library_access_memory_away_total[$__rate_interval]))", "access"),
                        ("sum(rate(library_pulses_away_total[$__rate_interval]))", "heartbeats"),
                    ],
                ),
            ]
        ],
    ),
)  # fmt: skip
_DOWNLOAD = Dashboard(
    "download",
    "Samovar: download",
    _service(
        "download",
        "download-service",
        [[Panel("Moves of sessions", "cps", [(_rate("download_session_moves_total", "status"), "{{status}}")])]],
    ),
)
_ENDED = 'download_session_moves_total{status=~"completed|error|cancelled"}'
_DELIVERY = Dashboard(
    "delivery",
    "Samovar: delivery and business",
    [
        [
            Panel(
                "Downloads that end well",
                "percentunit",
                [(f'sum(increase(download_session_moves_total{{status="completed"}}[1h])) / sum(increase({_ENDED}[1h]))', "last hour")],
            ),
            Panel("Started", "cps", [(_rate("download_session_moves_total", "status", 'status="queued"'), "queued")]),
            Panel("Failed", "cps", [(_rate("download_session_moves_total", "status", 'status="error"'), "error")]),
        ],
        [
            Panel(
                "Links signed",
                "reqps",
                [(_rate("rpc_server_calls_total", "code", 'method="/download.v1.DownloadService/CreateDownloadLinks"'), "{{code}}")],
            ),
            Panel(
                "Purchases, refunds and games that were added",
                "cps",
                [
                    (_rate("consumer_events_total", "type, outcome", 'type=~"com.platform.payment.*"'), "{{type}} {{outcome}}"),
                    (_rate("outbox_events_published_total", "type", 'type=~"com.platform.library.game.*"'), "{{type}}"),
                ],
            ),
            Panel(
                "Players",
                "reqps",
                [(_rate("rpc_server_calls_total", "code", 'method="/library.v1.PlaytimeTrackerService/RecordPlaytimeHeartbeat"'), "heartbeats {{code}}")],
            ),
        ],
        [
            Panel("Age of the last backup", "s", [("time() - backup_last_success_timestamp_seconds", "{{name}}")]),
            Panel("Size of the last backup", "bytes", [("backup_last_size_bytes", "{{name}}")]),
        ],
    ],
)  # fmt: skip

DASHBOARDS: Sequence[Dashboard] = (_GATEWAY, _LIBRARY, _DOWNLOAD, _DELIVERY)


def as_json(dashboard: Dashboard) -> str:
    """The file that Grafana imports."""
    panels: list[Mapping[str, Any]] = []
    for height, row in enumerate(dashboard.rows):
        width = SCREEN_WIDTH // len(row)
        for place, panel in enumerate(row):
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "timeseries",
                    "title": panel.title,
                    "datasource": SOURCE,
                    "gridPos": {"x": place * width, "y": height * PANEL_HEIGHT, "w": width, "h": PANEL_HEIGHT},
                    "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
                    "targets": [
                        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
                        for number, (query, legend) in enumerate(panel.queries)
                    ],
                }
            )
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    page = {
        "uid": f"samovar-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["samovar"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }
    return json.dumps(page, indent=1) + "\n"


def main() -> None:
    """Write every file anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(as_json(dashboard))


if __name__ == "__main__":
    main()
