"""A small program for test_rpc_program: a gRPC server with health and one file per process that says which port it has.

`python -m tests.component.rpc_program FOLDER`, settings from the environment.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chassis.grpc_server.readiness import Readiness
from chassis.grpc_server.server import RunningServer, serve
from chassis.runtime.program import run
from chassis.settings import ProgramSettings, load_settings


class Settings(ProgramSettings):
    folder: str
    port: int = 0
    fails: bool = False


@asynccontextmanager
async def main(settings: Settings) -> AsyncIterator[RunningServer]:
    if settings.fails:
        raise RuntimeError("cannot be built")
    async with serve(
        name="test-program",
        bind=f"{settings.bind_host}:{settings.port}",
        register=lambda _server: None,
        services=(),
        verifier=None,
        service_verifier=None,
        readiness=Readiness(),
        drain_seconds=settings.drain_seconds,
        workers=settings.workers,
    ) as server:
        mark = Path(settings.folder) / str(os.getpid())
        mark.with_suffix(".tmp").write_text(str(server.port))
        mark.with_suffix(".tmp").rename(mark)
        yield server
        mark.with_suffix(".stopped").write_text("")


if __name__ == "__main__":
    sys.exit(run(main, load_settings(Settings), "test-program"))
