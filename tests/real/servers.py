"""Kafka, S3, PostgreSQL 15 and Redis 7 of a test's own, on free ports, to be stopped and killed as it likes."""

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from sandbox.devstack import backends
from sandbox.devstack.backend_servers import BACKENDS, PORTS, Site
from sandbox.devstack.free_port import free_port

CACHE = Path(__file__).parents[2] / ".cache"
STOP_SECONDS = 60.0


class Servers:
    """All four, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        ports = {name: free_port() for name in PORTS}
        self._backends = {one.name: one for one in BACKENDS}
        self._sites = {
            name: Site(folder / name, CACHE, ports, "test-access", "test-secret-key", "test-password")
            for name in self._backends
        }
        self._started: dict[str, backends.Started] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program needs to use them."""
        return {name: value for one in BACKENDS for name, value in one.environment(self._sites[one.name]).items()}

    async def start(self, name: str) -> None:
        """Returns when it answers."""
        backend, site = self._backends[name], self._sites[name]
        self._started[name] = await asyncio.to_thread(backends.start, backend, site)
        await backends.wait_until_it_answers(backend, site, self._started[name])

    async def start_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for name in self._backends:
                tasks.create_task(self.start(name))

    async def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Returns when its process is gone."""
        process = self._started[name].process() if name in self._started else None
        if process is not None:
            process.send_signal(how)
            await asyncio.to_thread(psutil.wait_procs, [process], STOP_SECONDS)


@asynccontextmanager
async def servers_of_our_own() -> AsyncIterator[Servers]:
    """Runs the four while the block runs; nothing of them stays."""
    folder = Path(tempfile.mkdtemp(prefix="samovar-real-"))
    servers = Servers(folder)
    try:
        await servers.start_all()
        (folder / "environment.json").write_text(json.dumps(servers.environment))
        yield servers
    finally:
        async with asyncio.TaskGroup() as tasks:
            for one in BACKENDS:
                tasks.create_task(servers.end(one.name))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
