"""Installations as processes, watched from outside."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.clients import DOWNLOADS, Api, CommandLine, until

INSTALL_SECONDS = 90.0


@dataclass
class Install:
    """A running `samovar install --json`."""

    process: asyncio.subprocess.Process
    folder: Path

    async def done_bytes(self) -> AsyncIterator[int]:
        """Bytes of the files that are there, whenever it says so; ends with the process's output."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            yield int(json.loads(line).get("done_bytes", 0))

    async def reaches(self, size_bytes: int) -> None:
        """Returns when it has that many bytes of the files."""
        async with asyncio.timeout(INSTALL_SECONDS):
            async for done in self.done_bytes():
                if done >= size_bytes:
                    return
        raise AssertionError(f"it ended before it had {size_bytes} bytes: {await self.outcome()}")

    async def outcome(self) -> tuple[int, dict[str, Any]]:
        """Exit code and last line, once it has ended."""
        async with asyncio.timeout(INSTALL_SECONDS):
            out, err = await self.process.communicate()
        lines = out.decode().strip().splitlines()
        final = json.loads(lines[-1]) if lines else {"stderr": err.decode()}
        return self.process.returncode or 0, final

    async def succeeds(self) -> dict[str, Any]:
        code, final = await self.outcome()
        assert code == 0, final
        assert final["status"] == "completed"
        return final


@contextlib.asynccontextmanager
async def installing(
    samovar: CommandLine, product_id: str, folder: Path, *words: str, through: Sequence[str] = ()
) -> AsyncIterator[Install]:
    """Starts one, if need be `through` a program that starts programs; what still runs at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *through,
        str(Path(sys.executable).with_name("samovar")),
        *("install", product_id, "--to", str(folder), "--json", *words),
        env=samovar.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Install(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def answered(api: Api, path: str) -> Any:
    """The data of a resource; asked again while the answer is that it cannot be given now, as it may be after a fault."""

    async def ask() -> Any:
        answer = await api.get(path)
        return answer if answer.status == 200 else None

    return (await until(ask, f"{path} is not answered")).data


async def session_of(api: Api, product_id: str) -> dict[str, Any]:
    """The newest session of a product, once there is one."""

    async def find() -> Any:
        answer = await api.get(f"{DOWNLOADS}?product_id={product_id}")
        return answer.data[0] if answer.status == 200 and answer.data else None

    found: dict[str, Any] = await until(find, "there is no session")
    return found
