"""URLs that carry their own permission: HMAC-SHA256 over method, path, query and expiry. Signing and checking need no network.

Signed by services (links, uploads), checked by sandbox.peers.object_http and, with the same rules, by a CDN's edge.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from chassis.errors import DomainError, Kind

EXPIRES = "expires"
SIGNATURE = "signature"


def sign(url: str, *, key: str, expires_at: datetime, method: str = "GET") -> str:
    """The URL with `expires` (Unix seconds) and `signature` (hex) added to its query."""
    parts = urlsplit(url)
    members = [*parse_qsl(parts.query, keep_blank_values=True), (EXPIRES, str(int(expires_at.timestamp())))]
    members.append((SIGNATURE, _signature(method, unquote(parts.path), members, key)))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(members, quote_via=quote), ""))


def verify(method: str, path: str, query: Mapping[str, str], *, key: str, now: datetime) -> None:
    """Accepts a request whose URL `sign` has created; `path` and `query` are percent-decoded. HEAD is allowed where GET is.

    Raises:
        DomainError: PERMISSION_DENIED when anything was changed, is missing, or the time is over.
    """
    members = [(name, value) for name, value in query.items() if name != SIGNATURE]
    expected = _signature("GET" if method == "HEAD" else method, path, members, key)
    given = query.get(SIGNATURE, "")
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise _denied("the signature does not match")
    # Read only after the signature was checked: from here on it is a number that we wrote.
    if int(query[EXPIRES]) <= now.timestamp():
        raise _denied("the link has expired")


def _signature(method: str, path: str, members: Iterable[tuple[str, str]], key: str) -> str:
    canonical_query = urlencode(sorted(members), quote_via=quote)
    text = f"{method.upper()}\n{path}\n{canonical_query}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def _denied(description: str) -> DomainError:
    return DomainError(Kind.PERMISSION_DENIED, "PERMISSION_DENIED", details={"description": description})
