"""One REST request: negotiation, user, document → message → gRPC → message → document. The same for every route; what is
particular to one is in its Route, which is generated from the proto.
"""

import orjson
from aiohttp import hdrs, web

from chassis.errors import DomainError
from gateway.auth import Verifier, authenticate, bearer_token
from gateway.backends import Backends, call_metadata
from gateway.context import CONTEXT, RequestContext
from gateway.contract import JsonValue, Problem, Route
from gateway.documents import answer_document, parse_json, read_attributes, read_resources, self_link
from gateway.errors import Refused, ServiceRefused
from gateway.limits import Limits
from gateway.negotiation import is_supported_content_type
from gateway.pages import ascii_url, parse_query

READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class RestEndpoint:
    """Serves one route."""

    def __init__(self, route: Route, backends: Backends, verifier: Verifier, limits: Limits) -> None:
        self._route = route
        self._backends = backends
        self._verifier = verifier
        self._limits = limits
        backends.add(route)

    async def handle(self, request: web.Request) -> web.Response:
        """Answers the request.

        Raises:
            Refused, ServiceRefused, DomainError: turned into JSON:API errors by the middleware.
        """
        route, context = self._route, request[CONTEXT]
        if not context.acceptable:
            raise Refused(Problem("NOT_ACCEPTABLE", header=hdrs.ACCEPT))
        token = await self._authenticate(request, context)
        document = await self._read_document(request)
        path = dict(request.match_info)
        raw_query = ascii_url(request.rel_url.raw_query_string)
        query = parse_query(raw_query, limit=self._limits.query_parameters)
        taken: JsonValue = None
        if route.has_body:
            taken = read_resources(document, route) if route.takes_list else read_attributes(document, route, path)
        problems: list[Problem] = []
        message = route.decode(path, query, taken, problems)
        if problems:
            raise Refused(*problems)
        try:
            response = await self._backends.call(route.rpc, message, call_metadata(context, token))
        except DomainError as error:
            raise ServiceRefused(error, route.pointers, document) from error
        if route.no_content:
            return web.Response(status=route.success_status, headers=self._headers(request, context))
        encoded = route.encode(response)
        answer = answer_document(
            encoded,
            path=ascii_url(request.rel_url.raw_path),
            raw_query=raw_query,
            is_read=request.method in READS,
        )
        headers = self._headers(request, context)
        location = self_link(encoded.data) if route.location else None
        if location is not None:
            headers[hdrs.LOCATION] = location
        return web.Response(
            status=route.success_status,
            body=orjson.dumps(answer),
            content_type=context.media_type,
            headers=headers,
        )

    async def _authenticate(self, request: web.Request, context: RequestContext) -> str | None:
        """The user's token, to be passed on; None where nobody has to be known."""
        if self._route.access.public:
            return None
        token = bearer_token(request)
        await authenticate(self._verifier, token, self._route.access, context)
        return token

    async def _read_document(self, request: web.Request) -> JsonValue:
        """The request's document; None for a method that takes none, whatever was sent."""
        if not self._route.has_body:
            return None
        if (request.content_length or 0) > self._limits.body_bytes:
            raise Refused(Problem("PAYLOAD_TOO_LARGE"))
        raw = await request.read()
        if raw and not is_supported_content_type(request.headers.get(hdrs.CONTENT_TYPE)):
            raise Refused(Problem("UNSUPPORTED_MEDIA_TYPE", header=hdrs.CONTENT_TYPE))
        return parse_json(raw)

    def _headers(self, request: web.Request, context: RequestContext) -> dict[str, str]:
        """What every success says. Signed URLs and answers to writes are kept by nobody, reads by the user's own client."""
        kept = request.method in READS and not self._route.signed_urls
        return {
            hdrs.VARY: "Accept, Accept-Language",
            hdrs.CONTENT_LANGUAGE: context.language,
            hdrs.CACHE_CONTROL: "private, no-cache" if kept else "no-store",
        }
