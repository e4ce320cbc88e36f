"""The addresses of a method's bindings and of its stream, resolved to the fields that they set. Called by
codegen.read.resolve, and reports faults in the same way.
"""

from collections.abc import Callable, Iterator

from codegen.path_templates import BadTemplate, Template, parse_template
from codegen.read.endpoints import PATH_KINDS, PathName
from codegen.read.model import Binding, Contract, Field, Kind, Location, MessageType

_VERBS = frozenset({"GET", "PUT", "POST", "DELETE", "PATCH"})

Report = Callable[[str, str, Location | None], None]


class Paths:
    """Resolves the paths of one method."""

    def __init__(self, contract: Contract, request: MessageType, report: Report) -> None:
        self._contract = contract
        self._request = request
        self._report = report

    def _fault(self, rule: str, text: str, location: Location | None = None) -> None:
        self._report(rule, text, location)

    def of_binding(self, binding: Binding) -> Template | None:
        """The template of a binding; None for one that cannot be served."""
        if binding.verb not in _VERBS:
            self._fault("http-path", f"{binding.verb or 'no method'} is not one of GET, PUT, POST, DELETE, PATCH")
            return None
        try:
            return parse_template(binding.path)
        except BadTemplate as error:
            self._fault("http-path", f"{binding.verb} {binding.path!r} cannot be served: {error}")
            return None

    def of_stream(self, path: str) -> Template | None:
        """The template of a stream's address; None for one that cannot be served."""
        try:
            template = parse_template(path)
        except BadTemplate as error:
            self._fault("stream-path", f"{path!r} cannot be served: {error}")
            return None
        if not all(one.is_plain for one in template.variables):
            self._fault("stream-path", f"{path!r}: a stream's parameters are one segment each, `{{field}}`")
        return template

    def fields(self, template: Template) -> Iterator[Field]:
        """Fields of the request that take one segment each, under their own names."""
        names = [one.field_path[0] for one in template.variables if one.is_plain]
        for name in dict.fromkeys(names):
            found = self._request.field(name)
            if found is None:
                self._fault("path-parameter", f"{{{name}}} of {template.path} is not a field of {self._request.path}")
            elif found.repeated or found.kind not in PATH_KINDS:
                kind = "repeated" if found.repeated else f"a {found.type_name or found.kind}"
                self._fault("path-parameter", f"{{{name}}} is {kind}, neither a string nor an integer", found.location)
            elif names.count(name) > 1:
                self._fault("path-parameter", f"{{{name}}} comes twice in {template.path}")
            else:
                yield found

    def names(self, template: Template) -> Iterator[PathName]:
        """Variables of several segments, or of a message that the request holds."""
        seen = {one.field_path for one in template.variables if one.is_plain}
        for variable in (one for one in template.variables if not one.is_plain):
            name, found = ".".join(variable.field_path), self._leaf(variable.field_path)
            if found is None or found.kind is not Kind.STRING:
                self._fault(
                    "path-parameter",
                    f"{{{name}}} is not a string that {self._request.path} has, itself or in a message",
                )
            elif variable.field_path in seen:
                self._fault("path-parameter", f"{{{name}}} comes twice")
            else:
                seen.add(variable.field_path)
                yield PathName(variable.field_path, found, variable.segments)

    def _leaf(self, field_path: tuple[str, ...]) -> Field | None:
        """The field at the end of a path through messages; None where one is not there or repeated."""
        holder: MessageType | None = self._request
        found: Field | None = None
        for part in field_path:
            found = holder.field(part) if holder is not None else None
            if found is None or found.repeated:
                return None
            holder = self._contract.messages.get(found.type_name) if found.kind is Kind.MESSAGE else None
        return found
