"""A client's view of one of its streams over WebSocket: whenever the socket ends, it comes back with the last event it saw."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.e2e.clients import DOWNLOAD_PROGRESS, Api

PAUSE_SECONDS = 0.1
HANDSHAKE_SECONDS = 30.0


@dataclass
class Follower:
    """What one client was told, over all its connections."""

    api: Api
    path: str = DOWNLOAD_PROGRESS
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)
    connections: int = 0
    last_event_id: str = ""

    def moves(self, session_id: str) -> list[tuple[str | None, str]]:
        """Status moves of a session as told, repetitions left out (they may come again after a crash)."""
        told = [
            (one["payload"].get("previous_status"), one["payload"]["new_status"])
            for one in self.envelopes
            if one["event_type"] == "downloadStatusChanged" and one["payload"]["download_session_id"] == session_id
        ]
        return [move for place, move in enumerate(told) if place == 0 or move != told[place - 1]]

    @property
    def was_told_to_resync(self) -> bool:
        return any(one["event_type"] == "resync_required" for one in self.envelopes)

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._listen()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        query = {"last_event_id": self.last_event_id} if self.last_event_id else {}
        url = self.api.url + self.path
        headers = {"Authorization": f"Bearer {self.api.token}"}
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            socket = await self.api.http.ws_connect(url, headers=headers, params=query)
        try:
            self.connections += 1
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    envelope = json.loads(message.data)
                    self.envelopes.append(envelope)
                    self.last_event_id = envelope["id"] or self.last_event_id
        finally:
            self.close_codes.append(socket.close_code)
            await socket.close()


@contextlib.asynccontextmanager
async def following(api: Api, path: str = DOWNLOAD_PROGRESS) -> AsyncIterator[Follower]:
    """A client that listens while the block runs; connected when it begins."""
    follower = Follower(api, path)
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(2 * HANDSHAKE_SECONDS):
            while not follower.connections:
                await asyncio.sleep(0.01)
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
