"""One REST request: negotiation, user, document → message → gRPC → message → document. The same for every route; what is
particular to one is in its Route, which is generated from the proto.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import orjson
from aiohttp import hdrs, web
from google.protobuf.message import Message

from chassis.auth.access import defaults_for
from chassis.errors import DomainError
from chassis.grpc_server.validation import violations_of
from gateway.contract import Encoded, JsonValue, Problem, Query, Route
from gateway.http.addresses import parameters_of, path_form, placeholders
from gateway.http.auth import Verifier, authenticate, bearer_token
from gateway.http.conditional import NO_STORE, NO_TRANSFORM
from gateway.http.deadlines import TIMEOUT_HEADER, Deadline, read_deadline
from gateway.jsonapi.compound import Call, View, included, keep_fields, read_view
from gateway.jsonapi.documents import (
    answer_document,
    parse_json,
    places,
    read_attributes,
    read_linkage,
    read_resources,
    self_link,
)
from gateway.jsonapi.pages import ascii_url, parse_query
from gateway.jsonapi.preconditions import AddressLocks, Conditions, StateReader, conditions_of, if_match_tags
from gateway.problems.errors import Refused, UpstreamError
from gateway.problems.violations import with_broken_rules
from gateway.quota.idempotency import KEY_HEADER, Idempotency, make_claim, read_key
from gateway.quota.rate_limits import RateLimiter
from gateway.request.context import CONTEXT, RequestContext
from gateway.request.limits import Limits
from gateway.request.negotiation import is_supported_content_type
from gateway.upstream.backends import Backends, call_metadata

READ_CLASS = "read"
READS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
PUBLIC_READS_KEPT = "public, max-age=60"
"""The answer is the same for every caller."""


@dataclass(frozen=True, slots=True)
class RestServices:
    """The services that all endpoints share."""

    backends: Backends
    verifier: Verifier
    limits: Limits
    rate_limiter: RateLimiter | None
    idempotency: Idempotency | None
    readers: Mapping[str, Route] = field(default_factory=dict)
    """GET routes by the form of their addresses."""
    locks: AddressLocks = field(default_factory=AddressLocks)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The content of a request: the message for the service, and the query and document from which it was built."""

    message: Message
    query: Query
    document: JsonValue
    view: View | None
    conditions: Conditions | None


class RestEndpoint:
    """Serves one route."""

    def __init__(self, route: Route, services: RestServices) -> None:
        self._route = route
        self._backends = services.backends
        self._verifier = services.verifier
        self._limits = services.limits
        self._rate_limiter = services.rate_limiter
        # Signed links age: who repeats the request wants new ones. A read may be repeated anyway.
        is_write = route.method == hdrs.METH_POST and route.access.rate_class != READ_CLASS
        takes_key = is_write and not route.signed_urls and not route.access.public
        self._idempotency = services.idempotency if takes_key else None
        services.backends.add(route)
        self._locks = services.locks
        # For a service that does not do so itself; rules that are wrong are found now.
        self._validates = defaults_for(route.rpc).gateway_validates
        if self._validates:
            violations_of(route.request_type())
        self._parameters = placeholders(route.path)
        self._state = StateReader(route, services.readers.get(path_form(route.path)) if route.is_conditional else None)
        self._starts = route.success_status == HTTPStatus.ACCEPTED
        self._cap_seconds = (
            services.backends.start_deadline_seconds if self._starts else services.backends.deadline_seconds
        )

    async def handle(self, request: web.Request) -> web.Response:
        """Answers the request.

        Raises:
            Refused, UpstreamError, DomainError: turned into JSON:API errors by the middleware.
        """
        context = request[CONTEXT]
        if not context.acceptable:
            raise Refused(Problem("NOT_ACCEPTABLE", header=hdrs.ACCEPT))
        timeouts = request.headers.getall(TIMEOUT_HEADER, ())
        deadline = read_deadline(timeouts, cap_seconds=self._cap_seconds)
        if deadline is None:
            return await self._answer(request, context, None)
        async with deadline.enforced():
            return await self._answer(request, context, deadline)

    async def _answer(self, request: web.Request, context: RequestContext, deadline: Deadline | None) -> web.Response:
        access = self._route.access
        token = None
        if not access.public:
            # Passed on: the service checks it again.
            token = bearer_token(request)
            await authenticate(self._verifier, token, access, context)
        if self._rate_limiter is not None:
            await self._rate_limiter.count(context, access.rate_class)
        key = read_key(request.headers.getall(KEY_HEADER, ())) if self._idempotency is not None else None
        body = await self._read_body(request) if self._route.has_body else b""
        if self._idempotency is None or key is None or context.user_id is None:
            return await self._perform(request, context, deadline, token, body)
        claim = make_claim(
            user_id=context.user_id,
            route=self._route.path,
            key=key,
            target=ascii_url(str(request.rel_url)),
            body=body,
        )
        perform = partial(self._perform, request, context, deadline, token, body)
        running_seconds = self._cap_seconds if deadline is None else deadline.remaining_seconds()
        return await self._idempotency.once(claim, perform, context, running_seconds=running_seconds)

    async def _perform(
        self, request: web.Request, context: RequestContext, deadline: Deadline | None, token: str | None, body: bytes
    ) -> web.Response:
        """Asks the service and answers with what it says."""
        route, asked = self._route, self._read(request, body)
        # None: as much as any call.
        seconds = self._cap_seconds if self._starts else None
        if deadline is not None:
            seconds = deadline.remaining_seconds()
        call = partial(self._backends.call, metadata=call_metadata(context, token), timeout_seconds=seconds)
        try:
            if asked.conditions is None:
                response = await call(route.rpc, asked.message)
            else:
                response = await self._call_if(asked.conditions, request, call, asked.message)
        except DomainError as error:
            document = asked.document
            raise UpstreamError(error, places(route, asked.query, document), document) from error
        if route.no_content:
            return web.Response(status=route.success_status, headers=self._headers(request, context))
        encoded = route.encode(response)
        related = None if asked.view is None else await self._apply(asked.view, encoded, response, call)
        answer = answer_document(
            encoded,
            path=ascii_url(request.rel_url.raw_path),
            raw_query=ascii_url(request.rel_url.raw_query_string),
            is_read=request.method in READS,
            included=related,
        )
        headers = self._headers(request, context)
        location = self_link(encoded.data) if route.location else None
        if location is not None:
            headers[hdrs.LOCATION] = location
        if encoded.tag:
            headers[hdrs.ETAG] = f'"{encoded.tag}"'
        return web.Response(
            status=route.success_status,
            body=orjson.dumps(answer),
            content_type=context.media_type,
            headers=headers,
        )

    def _read(self, request: web.Request, body: bytes) -> _Asked:
        """Read and decode the whole request. Raises: Refused."""
        route = self._route
        has_document = route.has_body and not (route.body_is_optional and not body)
        document = parse_json(body) if has_document else None
        path = parameters_of(request, self._parameters)
        query = parse_query(ascii_url(request.rel_url.raw_query_string), limit=self._limits.query_parameters)
        taken = self._read_document(document, path) if has_document else None
        problems: list[Problem] = []
        view = None
        if query:
            view, query = read_view(query, route, problems)
        message = route.decode(path, query, taken, problems)
        if view is not None and route.include_field is not None:
            getattr(message, route.include_field).extend(view.of_service(route))
        if route.if_match_field is not None:
            tags = if_match_tags(request.headers.getall(hdrs.IF_MATCH, ()), problems)
            getattr(message, route.if_match_field).extend(tags)
        conditions = conditions_of(request.headers, route, problems) if request.method not in READS else None
        if problems or (self._validates and violations_of(message)):
            raise Refused(*with_broken_rules(problems, message, places(route, query, document), document))
        return _Asked(message, query, document, view, conditions)

    async def _call_if(self, conditions: Conditions, request: web.Request, call: Call, message: Message) -> Message:
        """Calls the method when the conditions hold. Raises: Refused, DomainError."""
        values = tuple(request.match_info.values())
        form, user_id = path_form(self._route.path), request[CONTEXT].user_id
        async with self._locks.locked(form, values, user_id, self._cap_seconds):
            await self._state.check(conditions, request, values, call)
            return await call(self._route.rpc, message)

    def _read_document(self, document: JsonValue, path: Mapping[str, str]) -> JsonValue:
        """Return the part of a request document that the route's decode takes. Raises: Refused."""
        route = self._route
        if route.linkage is not None:
            return read_linkage(document, route.linkage)
        return read_resources(document, route) if route.takes_list else read_attributes(document, route, path)

    async def _apply(self, view: View, encoded: Encoded, response: Message, call: Call) -> JsonValue:
        """Leaves of the data what is wanted; returns what is to be included, None for nothing asked. Raises: DomainError."""
        data, related = encoded.data, None
        if view.include is not None:
            related = await included(data, response, view.include, self._route, call)
        if view.fieldsets:
            primary = data if isinstance(data, list) else [data] if data is not None else []
            keep_fields([*primary, *(related or ())], view.fieldsets)
        return related

    def _kept_reads(self) -> str:
        return PUBLIC_READS_KEPT if self._route.access.public else "private, no-cache"

    async def _read_body(self, request: web.Request) -> bytes:
        """The request's body. Raises: Refused."""
        if (request.content_length or 0) > self._limits.body_bytes:
            raise Refused(Problem("PAYLOAD_TOO_LARGE"))
        raw = await request.read()
        if raw and not is_supported_content_type(request.headers.get(hdrs.CONTENT_TYPE)):
            raise Refused(Problem("UNSUPPORTED_MEDIA_TYPE", header=hdrs.CONTENT_TYPE))
        return raw

    def _headers(self, request: web.Request, context: RequestContext) -> dict[str, str]:
        """Return the headers of every success. Answers to writes are not cached, reads by the user's own client only, those without
        a token by any cache for a minute; signed URLs are not cached and must reach the client unchanged.
        """
        if self._route.signed_urls:
            kept = f"{NO_STORE}, {NO_TRANSFORM}"
        else:
            kept = self._kept_reads() if request.method in READS else NO_STORE
        return {
            hdrs.VARY: "Accept, Accept-Language",
            hdrs.CONTENT_LANGUAGE: context.language,
            hdrs.CACHE_CONTROL: kept,
        }
