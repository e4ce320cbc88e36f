"""The generated package that a gateway serves: its routes and streams, and which backends these need. Nothing in the gateway
names a service: a contract of one's own is another package (docs/adding-a-service.md).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from gateway.contract import Route, StreamRoute

_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")


@dataclass(frozen=True, slots=True)
class Generated:
    """The contents of `<package>.routes`."""

    package: str
    routes: Sequence[Route]
    streams: Sequence[StreamRoute]

    @property
    def rpcs(self) -> Sequence[str]:
        return [rpc for route in self.routes for rpc in route.rpcs] + [stream.rpc for stream in self.streams]


@cache
def load_generated(package: str) -> Generated:
    """Imports the routes of a generated package.

    Raises:
        ImportError: there is no such package on the import path, or something that it needs is missing.
    """
    module = import_module(f"{package}.routes")
    return Generated(package, module.ROUTES, module.STREAMS)


@cache
def backend_of(rpc: str) -> str:
    """Return the service that has a method: its package without the version, `library` of `/library.v1.LibraryService/GetItem` and
    `acme-reviews` of `/acme.reviews.v1.ReviewService/GetReview`.
    """
    *package, _ = rpc.lstrip("/").partition("/")[0].split(".")
    if len(package) > 1 and _VERSION.fullmatch(package[-1]):
        package.pop()
    return "-".join(package).replace("_", "-")


def backends_of(generated: Generated) -> Sequence[str]:
    """The backends that the routes and streams need, by name."""
    return sorted({backend_of(rpc) for rpc in generated.rpcs})
