"""The JSON:API features of an endpoint, resolved to their fields and methods: included resources, orders, resource linkage. Called
by codegen.read.resolve, and reports faults in the same way.
"""

from collections.abc import Callable, Iterable, Mapping

from codegen.read.endpoints import Batch, Data, IncludePath
from codegen.read.model import Contract, Field, Kind, Location, MessageType, Method

Report = Callable[[str, str, Location | None], None]
"""Takes the rule, what is wrong, and where if not at the method."""

LINKAGE_VERBS = frozenset({"GET", "POST", "PATCH", "DELETE"})
_TO_MANY_VERBS = frozenset({"POST", "DELETE"})


class Compounds:
    """Resolves the includes of one method."""

    def __init__(self, contract: Contract, method: Method, report: Report) -> None:
        self._contract = contract
        self._method = method
        self._report = report

    def _fault(self, text: str) -> None:
        self._report("include", text, None)

    def includes(self, data: Data | None) -> tuple[IncludePath, ...]:
        """The paths in an order in which each comes after what it begins with."""
        options = self._method.rest.includes if self._method.rest is not None else ()
        found: dict[str, IncludePath] = {}
        if options and data is None:
            self._fault("nothing can be included where there is no data")
            return ()
        for option in sorted(options, key=lambda one: (one.path.count("."), one.path)):
            start, _, name = option.path.rpartition(".")
            if start and start not in found:
                self._fault(f"{option.path!r} needs {start!r} to be included too")
                continue
            if option.path in found:
                self._fault(f"{option.path!r} comes twice")
                continue
            assert data is not None  # noqa: S101  asked before
            source = found[start].resource if start else data.resource
            key = foreign_key(source, name)
            if key is None:
                self._fault(f"{option.path!r}: {source.path} has no relationship {name!r}")
                continue
            if bool(option.response_field) == bool(option.batch_method):
                self._fault(f"{option.path!r} needs either a response_field or a batch_method")
                continue
            made = self._from_response if option.response_field else self._from_batch
            include = made(option.path, key, option.response_field or option.batch_method, option.ids_field)
            if include is not None:
                found[option.path] = include
        return tuple(found.values())

    def _related(self, path: str, key: Field, holder: Field | None) -> MessageType | None:
        """The resource that a field holds, if it is of the type that the relationship says."""
        wanted = key.relationship.type if key.relationship is not None else ""
        message = self._contract.messages.get(holder.type_name) if holder is not None else None
        if message is None or message.resource is None or message.resource.type != wanted:
            self._fault(f"{path!r}: what is to be included is no resource of type {wanted!r}")
            return None
        return message

    def _from_response(self, path: str, key: Field, name: str, _ids_field: str) -> IncludePath | None:
        response = self._contract.messages[self._method.response]
        field = response.field(name)
        resource = self._related(path, key, field)
        return None if resource is None else IncludePath(path, resource, field, None)

    def _from_batch(self, path: str, key: Field, name: str, ids_field: str) -> IncludePath | None:
        method = next((one for one in self._contract.methods if one.rpc == f"/{name}"), None)
        if method is None or method.server_streaming:
            self._fault(f"{path!r}: there is no method {name!r} that answers once")
            return None
        self._check_access(path, method)
        request, response = self._contract.messages[method.request], self._contract.messages[method.response]
        strings = [one for one in request.fields if one.kind is Kind.STRING and one.repeated]
        ids = [one for one in strings if not ids_field or one.name == ids_field]
        if len(ids) != 1:
            self._fault(f"{path!r}: {request.path} needs one repeated string for the ids; ids_field can name it")
            return None
        wanted = key.relationship.type if key.relationship is not None else ""
        holders = [one for one in response.fields if one.repeated and self._type_of(one) == wanted]
        if len(holders) != 1:
            self._fault(f"{path!r}: {response.path} needs one repeated resource of type {wanted!r}")
            return None
        resource = self._related(path, key, holders[0])
        if resource is None:
            return None
        size = ids[0].rules.repeated.max_items if ids[0].rules is not None else 0
        return IncludePath(path, resource, None, Batch(method, request, response, ids[0], holders[0], size))

    def _type_of(self, field: Field) -> str:
        message = self._contract.messages.get(field.type_name)
        return message.resource.type if message is not None and message.resource is not None else ""

    def _check_access(self, path: str, method: Method) -> None:
        """Check that everyone who may have the document may also call the batch method: the call is made in the user's name."""
        ours, theirs = self._method.access, method.access
        if ours is None or theirs is None or theirs.public:
            return
        if ours.public or not {*ours.roles} <= {*theirs.roles}:
            self._fault(f"{path!r}: not everybody who may call {self._method.name} may call {method.rpc}")

    def include_field(self, request: MessageType, includes: Iterable[IncludePath]) -> Field | None:
        """The request field that says what the service itself shall include."""
        name = self._method.rest.include_field if self._method.rest is not None else ""
        asked = any(one.response_field is not None for one in includes)
        if not name:
            if asked:
                self._fault("a service that includes by itself must be told what: rest.include_field")
            return None
        found = request.field(name)
        if found is None or found.kind is not Kind.STRING or not found.repeated:
            self._fault(f"rest.include_field {name!r} is not a repeated string of {request.path}")
            return None
        if not asked:
            self._fault("rest.include_field means nothing without a rest.includes that has a response_field")
        return found


def foreign_key(resource: MessageType, name: str) -> Field | None:
    """Return the field that a relationship of a resource represents."""
    return next(
        (one for one in resource.fields if one.relationship is not None and one.relationship.name == name), None
    )


def find_sort_field(contract: Contract, method: Method, fields: Iterable[Field], report: Report) -> Field | None:
    """The query field that `sort` sets."""
    name = method.rest.sort_field if method.rest is not None else ""
    if not name:
        return None
    found = next((one for one in fields if one.name == name), None)
    if found is None or found.kind is not Kind.ENUM:
        report("sort", f"rest.sort_field {name!r} is not an enum that would be a query parameter", None)
        return None
    enum = contract.enums[found.type_name]
    keys: Mapping[str, int] = dict(enum.sort_keys)
    if not keys or len(keys) != len(enum.sort_keys):
        report("sort", f"the values of {enum.path} need a sort_key each of its own", enum.location)
        return None
    if name == "sort" and not found.repeated and len(keys) != len(enum.texts) - 1:
        report("sort", f"every value of {enum.path} but the unspecified one needs a sort_key", enum.location)
    return found


class LinkageEndpoint:
    """Resolves an endpoint that serves a relationship."""

    def __init__(self, method: Method, verb: str, report: Report) -> None:
        self._method = method
        self._verb = verb
        self._name = method.rest.relationship if method.rest is not None else ""
        self._report = report

    @property
    def is_one(self) -> bool:
        return bool(self._name)

    def _fault(self, text: str, location: Location | None = None) -> None:
        self._report("relationship-endpoint", text, location)

    def body(self, request: MessageType, body: str) -> Field | None:
        """The request field that takes the document's linkage; None for a GET, or when it cannot be had."""
        if self._verb not in LINKAGE_VERBS:
            self._fault(f"a relationship is not served by {self._verb}")
        if self._verb == "GET":
            return None
        found = request.field(body)
        option = found.relationship if found is not None else None
        if found is None or found.kind is not Kind.STRING or option is None or option.name != self._name:
            self._fault(f"the body {body!r} must be a string field with a relationship option named {self._name!r}")
            return None
        if self._verb in _TO_MANY_VERBS and not found.repeated:
            self._fault(f"{self._verb} adds to a to-many relationship or removes from it; this one is to-one")
        return found

    def shown(self, data: Data | None) -> Field | None:
        """The foreign key of the response's resource that is answered with."""
        if data is None:
            if self._verb == "GET":
                self._fault("a GET of a relationship answers with its linkage")
            return None
        found = None if data.is_collection else foreign_key(data.resource, self._name)
        if found is None or found.relationship is None:
            self._fault(
                f"{data.resource.path} in the response has no relationship {self._name!r}, or there are many of them"
            )
            return None
        if not found.relationship.self:
            self._fault(f"the relationship {self._name!r} of {data.resource.path} has no self link", found.location)
        return found
