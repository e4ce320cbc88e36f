"""Follows a stream of the gateway over WebSocket: comes back after every loss with the last event it saw. Contract section 4. Used
by launcher.cli.commands.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from launcher.api.backoff import FIRST_DELAY_SECONDS, delay_seconds
from launcher.api.rest import MAX_TRIES
from launcher.failures import ExitCode, LauncherError
from launcher.settings import Account, proxy_for

LIBRARY_UPDATES = "/api/v1/ws/library-updates"
HANDSHAKE_SECONDS = 10.0
SILENCE_SECONDS = 90.0
"""The gateway pings every 30 s; a client that receives nothing for so long is disconnected."""

TIMEOUTS = aiohttp.ClientWSTimeout(ws_receive=SILENCE_SECONDS, ws_close=2.0)
END_EVENT, ERROR_EVENT = "stream.end", "stream.error"
_SAID = {
    4401: ("UNAUTHENTICATED", ExitCode.NOT_SIGNED_IN),
    4403: ("PERMISSION_DENIED", ExitCode.DENIED),
    4400: ("INVALID_ARGUMENT", ExitCode.USAGE),
}
"""The failures that another try cannot cure."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as the gateway sends it."""

    type: str
    id: str
    timestamp: str
    payload: Mapping[str, Any]


async def follow(
    account: Account, path: str, *, max_tries: int = MAX_TRIES, first_delay_seconds: float = FIRST_DELAY_SECONDS
) -> AsyncGenerator[Event]:
    """The events of a stream from now on, without end; `resync_required` among them where some were missed. A gateway that has
    answered before is waited for as long as it takes.

    Raises:
        LauncherError: the gateway refuses the user, or could not be reached `max_tries` times and never was.
    """
    last_event_id, failures, has_begun = "", 0, False
    headers = {"Authorization": f"Bearer {account.token}", "Accept-Language": account.language}
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http:
        while True:
            try:
                async with aclosing(_listen(http, account.gateway_url + path, last_event_id)) as events:
                    async for event in events:
                        has_begun = True
                        if event is not None:
                            failures, last_event_id = 0, event.id or last_event_id
                            yield event
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not has_begun and failures + 1 >= max_tries:
                    text = f"the gateway {account.gateway_url} cannot be reached: {str(error) or type(error).__name__}"
                    raise LauncherError("SERVICE_UNAVAILABLE", text, ExitCode.NETWORK) from None
            failures += 1
            await asyncio.sleep(delay_seconds(failures, first_delay_seconds=first_delay_seconds))


async def _listen(http: aiohttp.ClientSession, url: str, last_event_id: str) -> AsyncGenerator[Event | None]:
    """The events of one connection; the first thing it gives is None: it stands.

    Raises:
        LauncherError: the gateway closed it for a reason that stays.
    """
    query = {"last_event_id": last_event_id} if last_event_id else {}
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        socket = await http.ws_connect(url, params=query, timeout=TIMEOUTS, proxy=proxy_for(url))
    async with socket:
        yield None
        said = ""
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = _event(message.data)
            if event.type in {END_EVENT, ERROR_EVENT}:
                said = str(event.payload.get("detail", ""))
            else:
                yield event
        code, exit_code = _SAID.get(socket.close_code or 0, ("", ExitCode.OK))
        if code:
            raise LauncherError(code, said or code, exit_code)


def _event(text: str) -> Event:
    try:
        document = orjson.loads(text)
        payload = document["payload"]
        return Event(
            str(document["event_type"]),
            str(document["id"]),
            str(document["timestamp"]),
            payload if isinstance(payload, dict) else {},
        )
    except (KeyError, TypeError, ValueError) as error:
        text = f"the gateway's event is not as agreed: {type(error).__name__} {error}"
        raise LauncherError("ANSWER_UNREADABLE", text, ExitCode.UNEXPECTED) from None
