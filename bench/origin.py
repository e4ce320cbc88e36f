"""An nginx over the platform's object store, as the CDN of a bench: so that the origin is not the limit. Used by bench.delivery.

It serves the stored objects as files and does not look at the links' signatures: a CDN's edge would check them (HMAC-SHA256), a
plain nginx cannot, and what a check costs an edge is not what is measured.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

READY_SECONDS = 10.0
STOP_SECONDS = 10.0
_CONFIGURATION = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 60s;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /ready {{ return 204; }}
        location /cdn/ {{ alias {objects}/; }}
    }}
}}
"""


class OriginFailed(Exception):
    """nginx did not start; the text says what it said."""


def find_nginx() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def serving(nginx: str, objects: Path, folder: Path, port: int) -> AsyncIterator[str]:
    """Serves the folder's objects; gives the base URL of links.

    Raises:
        OriginFailed: it does not answer.
    """
    configuration = await asyncio.to_thread(_write_configuration, objects, folder, port)
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c", str(configuration)
    )
    try:
        await _ready(process, f"http://127.0.0.1:{port}/ready", folder / "nginx-error.log")
        yield f"http://127.0.0.1:{port}/cdn"
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()


def _write_configuration(objects: Path, folder: Path, port: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    # The store is its owner's alone; started by root, the workers would be another user's.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, objects=objects, port=port))
    return configuration


async def _ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    async with aiohttp.ClientSession() as http:
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while process.returncode is None:
                    try:
                        async with http.get(url) as answer:
                            if answer.status == 204:
                                return
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.02)
    said = await asyncio.to_thread(lambda: log.read_text() if log.exists() else "")
    raise OriginFailed(f"nginx does not serve: {said[-1000:]}")
