"""The context of one HTTP request while it is served: created by the outermost middleware, read by everything inside it."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from random import getrandbits
from uuid import UUID

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, istr

from gateway.request.negotiation import JSON_API, choose_language, choose_media_type
from gateway.settings import Network

# What aiohttp looks headers up by; a plain string is folded to lower case each time.
REQUEST_ID_HEADER = istr("X-Request-ID")
FORWARDED_FOR_HEADER = istr("X-Forwarded-For")

_WITH_PORT = re.compile(
    r"\[(?P<v6>[0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|(?P<v4>\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}", re.ASCII
)
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:/+=@-]+$")


@dataclass(slots=True)
class RequestContext:
    """`media_type` is the answer's, `acceptable` is False when nothing that the client accepts can be given.

    `user_id` is filled in once the user is known, `headers` by each part that adds a header to every answer to the request.
    """

    request_id: str
    trace_id: str
    client_ip: str
    language: str
    media_type: str
    acceptable: bool
    user_id: UUID | None = None
    headers: dict[str, str] = field(default_factory=dict)


CONTEXT: web.RequestKey[RequestContext] = web.RequestKey("context", RequestContext)


def make_context(
    request: web.Request,
    headers: CIMultiDictProxy[str],
    *,
    trace_id: str,
    trusted_proxies: Collection[Network],
    request_id_characters: int,
) -> RequestContext:
    """The context of a request by those of its headers that may be read."""
    media_type = choose_media_type(tuple(headers.getall(hdrs.ACCEPT, ())), headers.get(hdrs.CONTENT_TYPE))
    return RequestContext(
        request_id=request_id(headers.get(REQUEST_ID_HEADER), request_id_characters),
        trace_id=trace_id,
        client_ip=client_ip(request.remote, headers.getall(FORWARDED_FOR_HEADER, ()), trusted_proxies),
        language=choose_language(tuple(headers.getall(hdrs.ACCEPT_LANGUAGE, ()))),
        media_type=media_type or JSON_API,
        acceptable=media_type is not None,
    )


def request_id(given: str | None, limit_characters: int) -> str:
    """The client's own id when it is harmless in headers and logs, a new one otherwise."""
    if given and len(given) <= limit_characters and _REQUEST_ID.match(given):
        return given
    return _new_id()


def _new_id() -> str:
    """A UUID (version 4) as text; it need not be secret, so it need not come from the operating system."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def client_ip(peer: str | None, forwarded: Collection[str], trusted: Collection[Network]) -> str:
    """The address nearest to us that is not a trusted proxy's; the values to its left have an unknown author."""
    address = peer or ""
    if not trusted or not _is_trusted(address, trusted):
        return address
    hops = [hop.strip() for header in forwarded for hop in header.split(",")]
    for hop in map(_without_port, reversed(hops)):
        if not _is_address(hop):
            break
        address = hop
        if not _is_trusted(hop, trusted):
            break
    return address


def _without_port(hop: str) -> str:
    """Some proxies write the port too, which sets brackets around an IPv6 address (RFC 7239, section 6)."""
    found = _WITH_PORT.fullmatch(hop)
    return hop if found is None else found["v6"] or found["v4"]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(text: str, trusted: Collection[Network]) -> bool:
    if not trusted or not _is_address(text):
        return False
    address = ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in trusted)
