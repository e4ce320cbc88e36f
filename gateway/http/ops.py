"""Is the gateway alive, is it ready: for probes and the supervisor. /metrics has a port of its own (METRICS_PORT), which
chassis.runtime.program serves.
"""

import orjson
from aiohttp import hdrs, web

from chassis.grpc_server.readiness import Readiness

HEALTH_PATH = "/healthz"
READY_PATH = "/readyz"

_HEADERS = {hdrs.CACHE_CONTROL: "no-store"}


class Probes:
    """Answers the probes. `draining` turns the gateway unready while it ends."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self.draining = False

    async def health(self, _: web.Request) -> web.Response:
        """The process runs its loop; that is all."""
        return _answer(200, {"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Every service answers, and the keys that tokens are checked with are known."""
        report = await self._readiness.report()
        checks = {name: "ok" if result.ok else result.error for name, result in report.items()}
        is_ready = not self.draining and all(result.ok for result in report.values())
        return _answer(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", "checks": checks})


def _answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=_HEADERS)
