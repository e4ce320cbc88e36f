"""The sandbox over HTTP: the Auth stand-in's JWKS and token endpoint, the manifests as their publisher offers them, and the signed
objects of the store and the CDN's origin. Opened by sandbox.peers.main.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

from aiohttp import web

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import KeyInvalid, ObjectStore
from depot.chunks import manifest_key, signature_key
from sandbox.peers.auth import SERVICE_TOKEN_LIFE, TokenIssuer

MAX_FORM_BYTES = 16 * 1024
JWKS_PATH = "/.well-known/jwks.json"
NO_STORE = {"Cache-Control": "no-store"}
CLIENT_RELEASES = "client-releases"
"""The folder of the launcher's releases, in the store and in addresses."""
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class AuthHandlers:
    """RFC 7517 keys, and the client credentials grant of OAuth 2 (RFC 6749 section 4.4)."""

    def __init__(self, tokens: TokenIssuer) -> None:
        self._tokens = tokens

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(JWKS_PATH, self.jwks)
        app.router.add_post("/oauth/token", self.token)

    async def jwks(self, _request: web.Request) -> web.Response:
        keys = await asyncio.to_thread(self._tokens.jwks)
        return web.json_response(keys, headers={"Cache-Control": "max-age=30"})

    async def token(self, request: web.Request) -> web.Response:
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type")
        client_id, secret = _credentials(request, form)
        if not self._tokens.is_client(client_id, secret):
            return _oauth_error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="sandbox"'})
        audience = form.get("audience", "")
        if not audience:
            return _oauth_error(400, "invalid_request")
        token = await asyncio.to_thread(self._tokens.issue_service_token, client_id, audience=audience)
        life_seconds = int(SERVICE_TOKEN_LIFE.total_seconds())
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": life_seconds}
        return web.json_response(answer, headers=NO_STORE)


class ManifestHandlers:
    """Manifests without a link: they are signed, and hold nothing by which a chunk could be fetched."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"/manifests/{{product:{_UUID}}}/{{name:{_UUID}\\.manifest(?:\\.sig)?}}", self.manifest)

    async def manifest(self, request: web.Request) -> web.Response:
        version, _, extension = request.match_info["name"].partition(".")
        key_of = signature_key if extension.endswith(".sig") else manifest_key
        try:
            stored = await self._objects.get(key_of(request.match_info["product"], version))
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                raise web.HTTPNotFound from None
            raise
        return web.Response(body=stored, content_type="application/octet-stream")


class ClientReleaseHandlers:
    """Releases of the launcher and their metadata, for everybody: they are signed."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(f"/{CLIENT_RELEASES}/{{key:.+}}", self.read)

    async def read(self, request: web.Request) -> web.Response:
        try:
            stored = await self._objects.get(f"{CLIENT_RELEASES}/{request.match_info['key']}")
        except KeyInvalid:
            raise web.HTTPNotFound from None
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                raise web.HTTPNotFound from None
            raise
        # What has a number or a hash in its name never changes; the timestamp does.
        kept = "no-cache" if request.path.endswith("/timestamp.json") else "public, max-age=86400"
        return web.Response(body=stored, content_type="application/octet-stream", headers={"Cache-Control": kept})


def _credentials(request: web.Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Return id and secret from HTTP Basic, or from the form (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if re.fullmatch("basic", scheme, re.IGNORECASE):
        try:
            client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote_plus(client_id), unquote_plus(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _oauth_error(status: int, error: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": error}, status=status, headers={**NO_STORE, **(headers or {})})
