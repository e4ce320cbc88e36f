"""The shapes that generated code fills (gen/rest) and the gateway serves: routes, streams, and what goes in and out of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from google.protobuf.message import Message

JsonValue = Any
"""A value that orjson reads and writes: None, bool, int, float, str, list, dict."""


class Listed(str):
    """A query parameter's value with percent-encoded commas: `items` are what the other commas part it into. An encoded one belongs
    to the value (RFC 3986, section 2.2).
    """

    __slots__ = ("items",)
    items: tuple[str, ...]

    def __new__(cls, value: str, items: Iterable[str]) -> Self:
        made = super().__new__(cls, value)
        made.items = tuple(items)
        return made


Query = Sequence[tuple[str, str]]
"""Decoded query parameters in order; a name may come more than once."""


ResourceList = Sequence[tuple[str, Mapping[str, JsonValue]]]
"""`id` and `attributes` of each resource object of a document whose data is a list."""


LinkedIds = Sequence[str]
"""Ids of a relationship's resource linkage; of a to-one relationship one, or none for null."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: an error code, where it is (one of the three), members for its texts."""

    code: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    details: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The position of a page in its collection."""

    total_items: int
    current_page: int
    per_page: int


@dataclass(frozen=True, slots=True)
class Cursors:
    """The position of a page in a collection that is walked by cursors; "" = there is no such page."""

    next: str
    prev: str
    per_page: int
    total_items: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """The position of a page in a collection walked by page_token (AIP-158): the token of the next page, "" = no next page."""

    next: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """A response as JSON:API: primary data (one resource object, a list of them, resource linkage, or nothing), its page, the
    entity tag that the service gave it, without quotes, the links of a relationship, and what else goes into the document's meta.
    """

    data: JsonValue
    page: Page | Cursors | Tokens | None = None
    tag: str = ""
    links: Mapping[str, str] | None = None
    meta: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Fetch:
    """A method that gives resources by their ids: at most `batch_size` in a call, 0 = any number. `ask(ids)` makes its request."""

    rpc: str
    request_type: type[Message]
    response_type: type[Message]
    ask: Callable[[Sequence[str]], Message]
    batch_size: int


@dataclass(frozen=True, slots=True)
class Include:
    """The meaning of a path of `include`: `read` makes resource objects of the route's response, or of the answer to `fetch`."""

    read: Callable[[Any], list[JsonValue]]
    fetch: Fetch | None = None


@dataclass(frozen=True, slots=True)
class Linkage:
    """A request field that a relationship of the document sets: with an id, or with several where `is_many`, `most` of them at
    most (0: any number).
    """

    field: str
    type: str
    is_many: bool
    most: int = 0


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One message of a stream in the form for the envelope.

    `supersedes` is a key: a newer event with an equal key may replace this one while it was not sent; None = never dropped.
    """

    event_type: str
    id: str
    """Empty when the stream has no ids."""
    timestamp: str | None
    """None when the stream has no times: then the time of forwarding is used."""
    payload: JsonValue
    supersedes: str | None


@dataclass(frozen=True, slots=True)
class AccessRule:
    """The proto's access option."""

    public: bool
    roles: tuple[str, ...]
    services: tuple[str, ...]
    rate_class: str
    """`read`, `write` or `none`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One REST endpoint.

    `decode(path, query, attributes, problems)` builds the request message from path parameters, query and `data.attributes` (None
    when the method takes no body, a ResourceList where data is a list, LinkedIds where it is resource linkage), and appends what
    is wrong to `problems` instead of raising; with problems the message is not to be used. `pointers` maps a request field's path
    (`item.user_rating`) to where it came from: a JSON pointer (`/data/#` = a list of resource objects, `/data/@` = one of
    resource identifiers), `?name` for a query parameter, `{name}` for a path parameter, or `:Name` for a header.
    """

    method: str
    path: str
    rpc: str
    request_type: type[Message]
    response_type: type[Message]
    decode: Callable[[Mapping[str, str], Query, JsonValue, list[Problem]], Message]
    encode: Callable[[Message], Encoded]
    pointers: Mapping[str, str]
    access: AccessRule
    has_body: bool
    takes_list: bool
    """The document's data is a list of resource objects with ids (of one of `request_types`), not one object."""
    resource_type: str
    request_types: tuple[str, ...]
    document_id_parameter: str | None
    """Path parameter that `data.id`, when present, must equal, or a text with such parameters in braces; None on a create, where
    any `data.id` is refused.
    """
    is_collection: bool
    success_status: int
    no_content: bool
    location: bool
    signed_urls: bool
    idempotent: bool
    most_items: int = 0
    """The most resource objects that the document's list may hold; 0 = any number."""
    body_is_optional: bool = False
    """True = a request without a body is valid, and sets nothing."""
    if_match_field: str | None = None
    """The request field (a repeated string) that receives the tags of If-Match."""
    is_conditional: bool = False
    """If-Match (where no field takes it) and If-None-Match are compared with what the GET route of the same address answers."""
    spellings: Mapping[str, str] = field(default_factory=dict)
    """JSON:API's names of query parameters, each with the plain one."""
    sort_field: str | None = None
    """The request field that `sort` sets."""
    fieldsets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The members that `fields[TYPE]` may name, by the types that an answer can hold."""
    includes: Mapping[str, Include] = field(default_factory=dict)
    """The paths that `include` may name; a path comes after its own beginning. Empty = the parameter is refused."""
    include_field: str | None = None
    """The request field (a repeated string) that receives the paths that the service itself answers."""
    linkage: Linkage | None = None
    """The document is resource linkage, and this is where its ids go."""
    linkages: Mapping[str, Linkage] = field(default_factory=dict)
    """The relationships that a request document may have, by name: other ways of saying attributes."""
    fixed_relationships: frozenset[str] = frozenset()
    """The relationships of the resource that a request document may not have."""

    @property
    def fetches(self) -> Iterator[Fetch]:
        """The methods that are called for what is included."""
        return (include.fetch for include in self.includes.values() if include.fetch is not None)

    @property
    def rpcs(self) -> Iterator[str]:
        """Every method that is called for the route."""
        yield self.rpc
        yield from (fetch.rpc for fetch in self.fetches)


@dataclass(frozen=True, slots=True)
class StreamRoute:
    """One address over a server-streaming method: WebSocket, Server-Sent Events, lines of JSON.

    `request(path, query, last_event_id, problems)` builds the request message; `query` is without the handshake's own parameters
    there. With problems the message is not to be used.
    """

    path: str
    rpc: str
    request_type: type[Message]
    response_type: type[Message]
    request: Callable[[Mapping[str, str], Query, str | None, list[Problem]], Message]
    encode: Callable[[Message], StreamedEvent]
    access: AccessRule
    resumable: bool
