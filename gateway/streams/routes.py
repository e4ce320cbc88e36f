"""The address of a server-streaming method: a WebSocket for a client that requests one, Server-Sent Events or lines of JSON for
a client that accepts those. What is particular to a stream is in its StreamRoute, which is generated from the proto.
"""

from aiohttp import hdrs, web

from chassis.auth.access import defaults_for
from chassis.grpc_server.validation import validate
from gateway.contract import Problem, StreamRoute
from gateway.http.addresses import parameters_of, placeholders
from gateway.http.server import GatewayProtocol
from gateway.jsonapi.pages import ascii_url, parse_query
from gateway.problems.errors import Refused
from gateway.request.negotiation import choose_stream_type, takes_anything
from gateway.streams.answers import AnswerSession
from gateway.streams.handshakes import HANDSHAKE_PARAMETERS, Handshake, is_upgrade, read_handshake, read_upgrade
from gateway.streams.sessions import MakeRequest, StreamServices
from gateway.streams.stream_sockets import SocketSession

__all__ = ["StreamEndpoint", "StreamServices"]


class StreamEndpoint:
    """Serves one stream."""

    def __init__(self, stream: StreamRoute, services: StreamServices) -> None:
        self._stream = stream
        self._services = services
        services.backends.add_stream(stream)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves one client until its stream is at its end.

        Raises:
            Refused, DomainError: before the stream began only.
        """
        accept = request.headers.getall(hdrs.ACCEPT, ())
        media_type = None if is_upgrade(request) else choose_stream_type(accept)
        if media_type is None and not is_upgrade(request):
            if not takes_anything(accept):
                raise Refused(Problem("NOT_ACCEPTABLE", header=hdrs.ACCEPT))
            raise Refused(Problem("INVALID_ARGUMENT", details={"description": "this address is a stream"}))
        handshake = read_handshake(request, self._services.allowed_origins)
        make_request = self._reader(request)
        with self._services.sockets.admit():
            if media_type is None:
                return await self._serve_socket(request, handshake, make_request)
            return await self._serve_answer(request, handshake, make_request, media_type)

    def _reader(self, request: web.Request) -> MakeRequest:
        """Return a function that makes the method's request from this address.

        Raises:
            Refused: the address does not say what it must, or more than it may.
        """
        path = parameters_of(request, placeholders(self._stream.path))
        raw = ascii_url(request.rel_url.raw_query_string).split("&")
        ours = "&".join(part for part in raw if part.partition("=")[0] not in HANDSHAKE_PARAMETERS)
        query = parse_query(ours, limit=self._services.limits.query_parameters)
        problems: list[Problem] = []
        message = self._stream.request(path, query, None, problems)
        if problems:
            raise Refused(*problems)
        if defaults_for(self._stream.rpc).gateway_validates:
            validate(message)
        make = self._stream.request
        return lambda last_event_id: make(path, query, last_event_id, [])

    async def _serve_socket(
        self, request: web.Request, handshake: Handshake, make_request: MakeRequest
    ) -> web.WebSocketResponse:
        limits = self._services.limits
        upgrade = read_upgrade(
            request,
            handshake,
            # Longer than the session itself waits: it is the session that cuts the connection off.
            close_seconds=2 * limits.close_seconds,
            message_bytes=limits.socket_message_bytes,
        )
        session = SocketSession(self._stream, self._services, request, make_request, upgrade, handshake)
        await session.begin()
        await session.run()
        return upgrade.socket

    async def _serve_answer(
        self, request: web.Request, handshake: Handshake, make_request: MakeRequest, media_type: str
    ) -> web.StreamResponse:
        session = AnswerSession(self._stream, self._services, request, make_request, media_type, handshake)
        protocol = request.protocol
        assert isinstance(protocol, GatewayProtocol)  # noqa: S101  # what gateway.http.server makes
        with protocol.telling_of_loss(session.leave):
            await session.begin()
            await session.run()
        return session.answer
