"""The documents of the API and the page that shows them: OpenAPI and AsyncAPI as generated, and Swagger UI with its assets from the
wheel it comes in. Everything is public, read once at start and served from memory; tags and codings are gateway.http.conditional'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

from aiohttp import hdrs, web

from gateway.http.addresses import add_address, reading
from gateway.http.conditional import KEPT, Kept

OPENAPI_PATH = "/api/v1/openapi.json"
ASYNCAPI_PATH = "/api/v1/asyncapi.json"
DOCS_PATH = "/api/v1/docs"

VIEWER = "swagger-ui-py"
VIEWER_FOLDER = Path("swagger_ui") / "static"
VIEWER_ASSETS: Mapping[str, str] = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The content policy of the page: its own scripts and its own API, nothing from other origins."""

_CACHE_CONTROL = "public, max-age=300"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="viewer"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  showCommonExtensions: true,
  validatorUrl: null,
});
"""


@dataclass(frozen=True, slots=True)
class Published:
    """One file as it is served."""

    content: bytes
    content_type: str
    kept: Kept = field(default_factory=dict)

    async def answer(self, _: web.Request) -> web.Response:
        """The file."""
        charset = None if self.content_type.startswith(("image/", "application/")) else "utf-8"
        response = web.Response(body=self.content, content_type=self.content_type, charset=charset)
        response.headers[hdrs.CACHE_CONTROL] = _CACHE_CONTROL
        response[KEPT] = self.kept
        return response


def read_documentation(package: str) -> Mapping[str, Published]:
    """Everything that is published, by path; the documents lie in the generated package. Reads files: called once, at start.

    Raises:
        FileNotFoundError: the generated documents or the viewer are not installed.
    """
    generated, viewer = files(package), distribution(VIEWER)
    found = {
        OPENAPI_PATH: Published((generated / "openapi.json").read_bytes(), "application/json"),
        ASYNCAPI_PATH: Published((generated / "asyncapi.json").read_bytes(), "application/json"),
        DOCS_PATH: Published(_PAGE.encode(), "text/html"),
        f"{DOCS_PATH}/start.js": Published(_START.encode(), "text/javascript"),
    }
    for name, content_type in VIEWER_ASSETS.items():
        # Not imported: its module would bring a template engine along, and all we want are files.
        content = Path(str(viewer.locate_file(VIEWER_FOLDER / name))).read_bytes()
        found[f"{DOCS_PATH}/{name}"] = Published(content, content_type)
    return found


def add_documentation(app: web.Application, documentation: Mapping[str, Published]) -> None:
    """Serves the documents. To be called after the hook that puts the common headers on answers: the page needs another policy."""
    for path, published in documentation.items():
        add_address(app, path, reading(published.answer))

    async def allow_own_scripts(request: web.Request, response: web.StreamResponse) -> None:
        if request.path == DOCS_PATH:
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY

    app.on_response_prepare.append(allow_own_scripts)
