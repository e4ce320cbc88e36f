"""Names in a contract that Python or this platform makes impossible: files that no import could name, folders that would hide other
modules, fields that are hidden by a message's own methods.
"""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from keyword import iskeyword

from google.protobuf.empty_pb2 import Empty

from codegen.emit.python_source import module_path, pb2_module
from codegen.read.faults import Faults
from codegen.read.model import Contract, Location, MessageType

ROUTES = "routes"
"""The module beside those of proto files in the root."""

_OF_MESSAGES = frozenset(dir(Empty()))


def check_files(contract: Contract, faults: Faults) -> None:
    """Reports what of the contract's files cannot be imported when it is generated."""
    seen: dict[tuple[str, str], str] = {}
    for file in contract.own_files:
        at = Location(file, 1)
        package, module = pb2_module(file)
        bad = [part for part in module_path(file).split("/") if not part.isidentifier() or iskeyword(part)]
        if bad:
            faults.add(at, "file-name", f"{bad[0]!r} is no name that Python could import; rename the folder or file")
        other = seen.setdefault((package, module), file)
        if other != file:
            faults.add(at, "file-name", f"{other} makes the same Python module, {package}.{module}")
        if file == f"{ROUTES}.proto":
            faults.add(at, "file-name", "routes.py is the table of all routes; rename the file or put it into a folder")
        top = package.partition(".")[0]
        if top and hides_module(top):
            text = (
                f"the folder {top!r} is the name of a module that programs import, and would never be found beside it"
            )
            faults.add(at, "package-hides", text)
    for method in contract.methods:
        if "." not in method.service and (method.bindings or method.stream is not None):
            text = f"{method.service} has no package, and the package is what its backend is called by"
            faults.add(method.location, "package-missing", text)


def hides_module(top: str) -> bool:
    """True for the name of a module or package of Python, of this platform or of its dependencies. Namespace packages, such as
    `google`, share their name.
    """
    if top in sys.stdlib_module_names:
        return True
    try:
        found = find_spec(top)
    except (ImportError, ValueError):
        return True
    return found is not None and found.origin is not None


def check_messages(messages: Iterable[MessageType], faults: Faults) -> None:
    """Reports names of messages and fields that generated code could not say."""
    for message in messages:
        for part in message.path.split("."):
            if iskeyword(part):
                faults.add(message.location, "message-name", f"{message.path}: {part!r} is a keyword of Python")
        for one in message.fields:
            if one.name in _OF_MESSAGES:
                text = f"{message.path}.{one.name}: every message has a method of this name"
                faults.add(one.location, "field-name", text)
