"""Runs a program: uvloop, logs, traces, metrics, signals that drain, and several worker processes where the settings ask for them.

Called by every program's `__main__`/`main`. One event loop per process, and workers start before any gRPC object exists.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from logging import getLogger
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

import uvloop

from chassis.observability import logs, telemetry
from chassis.settings import ProgramSettings

EXIT_CODE_FAILED = 1
COLLECT_AFTER_OBJECTS = 2_000
"""New objects between two collections of the youngest. The default of 700 is two or three requests; every call of grpc.aio leaves
nine that refer to each other, and 10,000 of them hold the event loop for 3 to 5 ms when they are found, these for 0.6.
"""
COLLECT_MIDDLE_AFTER_LOOKS, COLLECT_ALL_AFTER_LOOKS = 10, 50
"""Collections of a younger generation between two of the next: all objects, caches too, are visited once in a million new ones."""
STOP_MARGIN_SECONDS = 10.0
"""The time that a worker may take to stop beyond its drain before it is killed."""

Settings = TypeVar("Settings", bound=ProgramSettings)

_log = getLogger(__name__)


class Running(Protocol):
    """The running program, which a program's main yields."""

    async def wait(self) -> None:
        """Returns (or raises) when the program cannot go on."""
        ...


Main = Callable[[Settings], AbstractAsyncContextManager[Running]]


def run(main: Main[Settings], settings: Settings, name: str) -> int:
    """Runs `main(settings)` until SIGTERM or SIGINT and returns the exit code: 0 after a signal, 1 after a failure.

    `main` must be importable by name (a module's function) when the program has several workers.
    """
    if settings.workers > 1:
        return _run_workers(main, settings, name)
    return _run_one(main, settings, name, 0)


def _run_one(main: Main[Settings], settings: Settings, name: str, index: int) -> int:
    with ExitStack() as stack:
        logs.use_hash_key(settings.log_hash_key.get_secret_value())
        stack.callback(logs.configure(name, settings.log_level))
        stack.callback(telemetry.configure(name, otlp_endpoint=settings.otel_exporter_otlp_endpoint))
        try:
            if settings.metrics_port:
                stack.callback(telemetry.serve_metrics(settings.metrics_host, settings.metrics_port + index))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_until_stopped(main, settings))
        except OSError as error:
            # A port in use, a file that is missing: the operator's business, said in one line.
            _log.error("cannot go on", extra={"error": str(error)}, exc_info=settings.log_level == "DEBUG")
            return EXIT_CODE_FAILED
        except Exception:  # noqa: BLE001  the last line of the process: nobody else would log it
            _log.exception("failed")
            return EXIT_CODE_FAILED
    return 0


async def _until_stopped(main: Main[Settings], settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, loop, number, stop)
    async with main(settings) as running:
        _settle_collector()
        stopping = asyncio.ensure_future(stop.wait())
        ending = asyncio.ensure_future(running.wait())
        try:
            await asyncio.wait((stopping, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            ending.cancel()
            await asyncio.wait((stopping, ending))
        if not stop.is_set():
            if not ending.cancelled():
                ending.result()
            raise OSError("the server stopped by itself")


def _settle_collector() -> None:
    """Exempt all that is loaded so far from garbage collection, as it stays to the end, and make collections rarer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, COLLECT_MIDDLE_AFTER_LOOKS, COLLECT_ALL_AFTER_LOOKS)


def _on_signal(loop: asyncio.AbstractEventLoop, number: signal.Signals, stop: asyncio.Event) -> None:
    _log.info("stopping", extra={"signal": number.name})
    stop.set()
    # The same signal again is meant: the operator will not wait for the drain. The other one is not: Ctrl-C in a terminal
    # reaches every process of the group, and then each one's parent sends its own SIGTERM.
    loop.remove_signal_handler(number)
    signal.signal(number, signal.SIG_DFL)


def _run_workers(main: Main[Settings], settings: Settings, name: str) -> int:
    """Starts the workers, and stops them all when a signal comes or one of them ends: the supervisor restarts the whole."""
    with ExitStack() as stack:
        logs.use_hash_key(settings.log_hash_key.get_secret_value())
        stack.callback(logs.configure(name, settings.log_level))
        return _supervise(main, settings, name)


def _supervise(main: Main[Settings], settings: Settings, name: str) -> int:
    context = multiprocessing.get_context("spawn")
    workers: list[SpawnProcess] = []
    received, told = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(told, b"!"))
    for index in range(settings.workers):
        worker = context.Process(target=_worker, args=(main, settings, name, index), name=f"{name}-{index}")
        worker.start()
        workers.append(worker)
    ended: list[Any] = wait_for_any([received, *(worker.sentinel for worker in workers)])
    signalled = received in ended
    for worker in workers:
        if not signalled and worker.exitcode is not None:
            _log.error("worker ended", extra={"worker": worker.name, "exit_code": worker.exitcode})
        worker.terminate()
    for worker in workers:
        worker.join(settings.drain_seconds + STOP_MARGIN_SECONDS)
        if worker.is_alive():
            worker.kill()
            worker.join()
    # A worker that was stopped before it could handle the signal ended as it should, too.
    ended_well = {0, -signal.SIGTERM, -signal.SIGINT}
    return 0 if signalled and all(worker.exitcode in ended_well for worker in workers) else EXIT_CODE_FAILED


def _worker(main: Main[Settings], settings: Settings, name: str, index: int) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101  a worker has one
    threading.Thread(target=_follow_parent, args=(parent,), daemon=True).start()
    sys.exit(_run_one(main, settings, name, index))


def _follow_parent(parent: BaseProcess) -> None:
    """A worker does not outlive its parent, however that one ended."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
