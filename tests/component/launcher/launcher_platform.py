"""A real HTTP server that speaks the part of the contract that the launcher uses: sessions, links, reports, library, two CDNs.
Written for the launcher's tests; content is made with depot, faults are asked for by the tests.
"""

import asyncio
import base64
import hashlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from aiohttp import web
from content.v1 import manifest_pb2 as content
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from depot import manifest as depot_manifest
from depot import patches, signing
from depot.chunks import compress
from launcher.settings import Account

TOKEN = "token-of-the-test"
LIVE = {"queued", "initializing", "downloading", "paused", "verifying"}
HOLDING = {"initializing", "downloading", "verifying"}
INSTALLATIONS = "/api/v1/download-client/installations"
VERIFICATIONS = "/api/v1/download-client/verifications"
REPOSITORY = Path(__file__).parents[3]


@dataclass
class Game:
    """A published version: its tree as it must come out, and what the object store holds."""

    product_id: UUID
    version_id: UUID
    files: dict[str, bytes]
    modes: dict[str, int]
    links: dict[str, str]
    directories: list[str]
    manifest: content.Manifest
    stored_manifest: bytes
    signature: content.ManifestSignature
    chunks: dict[str, bytes]
    """Stored objects by the hex SHA-256 of their plain bytes."""

    @property
    def stored_bytes(self) -> int:
        return sum(map(len, self.chunks.values()))


def make_game(
    key: Ed25519PrivateKey,
    files: Mapping[str, bytes],
    *,
    chunk_bytes: int = 64 * 1024,
    executables: tuple[str, ...] = (),
    links: Mapping[str, str] | None = None,
    directories: tuple[str, ...] = (),
    change: Callable[[content.Manifest], None] | None = None,
    key_id: str = "test",
    product_id: UUID | None = None,
) -> Game:
    """Publishes a tree. `change` spoils the manifest before it is signed."""
    links = dict(links or {})
    folders = set(directories)
    for path in (*files, *links, *directories):
        parts = path.split("/")[:-1]
        folders |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    manifest = content.Manifest(
        format=1, product_id=str(product_id or uuid4()), version_id=str(uuid4()), platform=content.PLATFORM_LINUX
    )
    manifest.created_at.FromDatetime(datetime.now(UTC))
    chunks: dict[str, bytes] = {}
    modes = {path: 0o755 if path in executables else 0o644 for path in files}
    for path in sorted({*files, *links, *folders}, key=lambda path: path.encode()):
        entry = manifest.entries.add(path=path)
        if path in links:
            entry.type, entry.link_target = content.ENTRY_TYPE_SYMLINK, links[path]
        elif path in folders:
            entry.type = content.ENTRY_TYPE_DIRECTORY
        else:
            _add_file(entry, files[path], modes[path], chunk_bytes, chunks)
    if change is not None:
        change(manifest)
    stored = depot_manifest.serialise(manifest)
    return Game(
        product_id=UUID(manifest.product_id),
        version_id=UUID(manifest.version_id),
        files=dict(files),
        modes=modes,
        links=links,
        directories=sorted(folders),
        manifest=manifest,
        stored_manifest=stored,
        signature=signing.sign(stored, key_id, key),
        chunks=chunks,
    )


def _add_file(entry: content.Entry, data: bytes, mode: int, chunk_bytes: int, chunks: dict[str, bytes]) -> None:
    entry.type, entry.size_bytes, entry.mode = content.ENTRY_TYPE_FILE, len(data), mode
    entry.sha256 = hashlib.sha256(data).digest()
    for start in range(0, len(data), chunk_bytes):
        plain = data[start : start + chunk_bytes]
        name = hashlib.sha256(plain).hexdigest()
        stored = chunks.setdefault(name, compress(plain))
        entry.chunks.add(
            sha256=bytes.fromhex(name),
            size_bytes=len(plain),
            stored_sha256=hashlib.sha256(stored).digest(),
            stored_size_bytes=len(stored),
        )


@dataclass
class FakeSession:
    id: UUID
    product_id: UUID
    version_id: UUID
    device_id: str | None
    status: str
    path: str | None
    items: dict[str, dict[str, Any]]
    sequence: int = -1
    error: dict[str, str] | None = None
    from_version_id: str | None = None
    pause_reason: str | None = None

    def lapse(self) -> None:
        """As the server does it to a client that it has not heard of for long."""
        self.status, self.pause_reason = "paused", "client_silent"


@dataclass
class FakeVerification:
    id: UUID
    attributes: dict[str, Any]
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    is_complete: bool = False

    @property
    def entries(self) -> dict[str, dict[str, Any]]:
        return {entry["path"]: entry for batch in self.batches for entry in batch}


Fault = Callable[[str, str, int], str | None]
"""Given provider, chunk and how often it was asked for: what goes wrong, if anything."""


@dataclass
class FakePlatform:
    game: Game
    url: str = ""
    slots: int = 3
    providers: tuple[str, ...] = ("north", "south")
    fault: Fault = lambda _provider, _chunk, _times: None
    chunk_delay_seconds: float = 0.0
    link_seconds: float = 600.0
    link_generation: int = 0
    """Links of an earlier generation are refused."""
    token: str = TOKEN
    titles: dict[str, UUID] = field(default_factory=dict)
    sessions: dict[UUID, FakeSession] = field(default_factory=dict)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests by provider and chunk."""
    delivered: Counter[str] = field(default_factory=Counter)
    """Whole right answers by chunk."""
    reports: list[dict[str, Any]] = field(default_factory=list)
    link_batches: list[int] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    authorized_cdn_requests: int = 0
    chunk_times: list[float] = field(default_factory=list)
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_mute_on: Callable[[dict[str, Any]], bool] = lambda _report: False
    """Whether a report is taken in and never answered."""
    uninstalled: list[str] = field(default_factory=list)
    verifications: dict[UUID, FakeVerification] = field(default_factory=dict)
    knows_verifications: bool = True
    manifest_may_come: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, unless a test clears it."""
    refuse_manifests: bool = False
    platforms: tuple[str, ...] = ("linux",)
    """What the product has versions for: with several, a download that means the newest has to say for which."""
    older: set[UUID] = field(default_factory=set)
    """Versions that are gone back to where the one in place was withdrawn."""
    lies: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of sessions that are answered instead of what they are."""
    refuse: Callable[[web.Request], web.Response | None] = lambda _request: None
    """Answers a REST request instead of the platform."""
    patches: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the plan offers, by path."""
    patch_objects: dict[str, bytes] = field(default_factory=dict)
    """By the hex SHA-256 that links are asked for by; a test may put other bytes there."""
    next_failures: list[int] = field(default_factory=list)
    """Statuses that the next REST requests are answered with."""

    @property
    def session(self) -> FakeSession:
        """The newest session."""
        return list(self.sessions.values())[-1]

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await asyncio.wait_for(self.changed.wait_for(condition), 60)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=16 << 20)
        downloads = "/api/v1/download-client/downloads"
        application.add_routes(
            [
                web.post(downloads, self._start),
                web.get(downloads, self._list),
                web.get(downloads + "/{id}", self._get),
                web.delete(downloads + "/{id}", self._cancel),
                web.post(downloads + "/{id}/{action:pause|resume|retry}", self._move),
                web.get(downloads + "/{id}/manifest", self._manifest),
                web.post(downloads + "/{id}/links", self._links),
                web.post(downloads + "/{id}/report", self._report),
                web.get("/api/v1/library/items", self._library),
                web.post("/api/v1/download-client/updates/check", self._check),
                web.post("/api/v1/download-client/updates/apply", self._apply),
                web.post("/api/v1/download-client/updates/rollback", self._rollback),
                web.get(downloads + "/{id}/items", self._items),
                web.get(downloads + "/{id}/plan", self._plan),
                web.post(VERIFICATIONS, self._verify),
                web.get(VERIFICATIONS + "/{id}", self._verification),
                web.post(VERIFICATIONS + "/{id}/hashes", self._hashes),
                web.post(VERIFICATIONS + "/{id}/repair", self._repair),
                web.get(INSTALLATIONS, self._installations),
                web.delete(INSTALLATIONS + "/{id}", self._uninstalled),
                web.get("/cdn/{provider}/{generation}/manifest", self._manifest_bytes),
                web.get("/cdn/{provider}/{generation}/{chunk}", self._chunk),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/cdn/"):
            self.authorized_cdn_requests += "Authorization" in request.headers
            return await handler(request)
        if self.next_failures:
            return web.Response(status=self.next_failures.pop(0), text="<html>proxy</html>")
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return problem(401, "UNAUTHENTICATED")
        if (refused := self.refuse(request)) is not None:
            return refused
        try:
            return await handler(request)
        finally:
            await self._notify()

    async def _check(self, request: web.Request) -> web.Response:
        (installed,) = (await request.json())["data"]
        assert (installed["type"], installed["id"]) == ("installedProduct", str(self.game.product_id))
        newest, is_older = str(self.game.version_id), self.game.version_id in self.older
        attributes = {
            "is_update_available": installed["attributes"]["current_version_id"] != newest,
            "latest_version_id": newest,
            "is_rollback": is_older,
        }
        return document([{"type": "updateAvailability", "id": installed["id"], "attributes": attributes}])

    async def _apply(self, request: web.Request) -> web.Response:
        attributes = await attributes_of(request, "updateRequest")
        if attributes["from_version_id"] == str(self.game.version_id):
            return problem(400, "INVALID_ARGUMENT")
        return self._started(attributes)

    async def _rollback(self, request: web.Request) -> web.Response:
        return self._started(await attributes_of(request, "rollbackRequest"))

    async def _items(self, request: web.Request) -> web.Response:
        session = self._found(request)
        assert session is not None
        items = [{"type": "downloadItem", "id": item_id, "attributes": {}} for item_id in session.items]
        return document(items, meta={"total_pages": 1})

    async def _plan(self, request: web.Request) -> web.Response:
        """Two files a page."""
        assert request.query["action"] == "patch"
        after = request.query.get("after", "")
        paths = [path for path in sorted(self.patches) if path > after]
        files = [{"path": path, "action": "patch", "patch": self.patches[path]} for path in paths[:2]]
        attributes: dict[str, Any] = {"files": files} | ({"next_after": paths[1]} if len(paths) > 2 else {})
        return document({"type": "downloadPlan", "id": request.match_info["id"], "attributes": attributes})

    def offer_patch(self, old: Game, path: str) -> str:
        """Builds the patch of a file of the game from that of an older one; returns its name."""
        base, new = old.files[path], self.game.files[path]
        stored = patches.build(base, new)
        name = hashlib.sha256(stored).hexdigest()
        self.patch_objects[name] = stored
        self.patches[path] = {
            "algorithm": patches.ALGORITHM,
            "from_path": path,
            "from_sha256": hashlib.sha256(base).hexdigest(),
            "from_size_bytes": len(base),
            "to_sha256": hashlib.sha256(new).hexdigest(),
            "sha256": name,
            "size_bytes": len(stored),
        }
        return name

    async def _verify(self, request: web.Request) -> web.Response:
        attributes = await attributes_of(request, "verificationRequest")
        if not self.knows_verifications or attributes["version_id"] != str(self.game.version_id):
            return problem(404, "VERSION_NOT_FOUND")
        made = FakeVerification(uuid4(), attributes)
        self.verifications[made.id] = made
        return document(self._verification_resource(made), status=202)

    async def _verification(self, request: web.Request) -> web.Response:
        return document(self._verification_resource(self.verifications[UUID(request.match_info["id"])]))

    async def _hashes(self, request: web.Request) -> web.Response:
        one = self.verifications[UUID(request.match_info["id"])]
        attributes = await attributes_of(request, "verificationHashes")
        assert len(attributes["files"]) <= 1000
        assert "Idempotency-Key" in request.headers
        if one.is_complete:
            return problem(409, "INVALID_STATE_TRANSITION")
        one.batches.append(attributes["files"])
        one.is_complete = attributes["is_last"]
        return document(self._verification_resource(one), status=202)

    async def _repair(self, request: web.Request) -> web.Response:
        one = self.verifications[UUID(request.match_info["id"])]
        attributes = await attributes_of(request, "repairRequest")
        damaged = self._damaged_files(one)
        if not one.is_complete or not damaged:
            return problem(409, "INVALID_STATE_TRANSITION")
        version_id = str(self.game.version_id)
        named = {name: one.attributes[name] for name in ("product_id", "device_id")}
        return self._started({**attributes, **named, "from_version_id": version_id, "repair": True}, damaged)

    def _damaged_files(self, one: FakeVerification) -> set[str]:
        found = one.entries
        return {
            entry.path
            for entry in self.game.manifest.entries
            if entry.type == content.ENTRY_TYPE_FILE
            and (
                entry.path not in found
                or found[entry.path].get("sha256") != entry.sha256.hex()
                or found[entry.path]["mode"] != entry.mode
            )
        }

    def _verification_resource(self, one: FakeVerification) -> dict[str, Any]:
        damaged = self._damaged_files(one) if one.is_complete else ()
        status = "in_progress" if not one.is_complete else "completed_errors" if damaged else "completed_ok"
        attributes = {"status": status, "corrupted_files_count": len(damaged)}
        return {"type": "verification", "id": str(one.id), "attributes": attributes}

    async def _start(self, request: web.Request) -> web.Response:
        return self._started(await attributes_of(request, "downloadRequest"))

    def _started(self, attributes: dict[str, Any], only: Collection[str] | None = None) -> web.Response:
        self.starts.append(attributes)
        names_one = {"version_id", "from_version_id", "platform"} & attributes.keys()
        if len(self.platforms) > 1 and not names_one:
            return problem(400, "INVALID_ARGUMENT")
        if attributes["product_id"] != str(self.game.product_id):
            return problem(403, "PRODUCT_ACCESS_DENIED")
        for session in self.sessions.values():
            if session.status in LIVE and session.device_id == attributes.get("device_id"):
                return problem(409, "DOWNLOAD_ALREADY_ACTIVE")
        made = FakeSession(
            id=uuid4(),
            product_id=self.game.product_id,
            version_id=self.game.version_id,
            device_id=attributes.get("device_id"),
            status="queued",
            path=attributes.get("installation_path"),
            items={},
            from_version_id=attributes.get("from_version_id"),
        )
        for entry in self.game.manifest.entries:
            if entry.type == content.ENTRY_TYPE_FILE and (only is None or entry.path in only):
                item = {"path": entry.path, "size": entry.size_bytes, "status": "pending", "bytes": 0}
                made.items[str(uuid5(made.id, entry.path))] = item
        self.sessions[made.id] = made
        self._give_slots()
        return document(self._resource(made), status=202)

    def _give_slots(self) -> None:
        for session in self.sessions.values():
            running = sum(other.status in HOLDING for other in self.sessions.values())
            if session.status == "queued" and running < self.slots:
                session.status = "initializing"

    def give_slots(self, slots: int) -> None:
        self.slots = slots
        self._give_slots()

    def _resource(self, session: FakeSession) -> dict[str, Any]:
        return {
            "type": "downloadSession",
            "id": str(session.id),
            "attributes": {
                "product_id": str(session.product_id),
                "version_id": str(session.version_id),
                "device_id": session.device_id,
                "status": session.status,
                "platform": "linux",
                "installation_path": session.path,
                "from_version_id": session.from_version_id,
                "error": session.error,
                "pause_reason": session.pause_reason if session.status == "paused" else None,
                "progress_percentage": 12.5,
                "queue_position": 1 if session.status == "queued" else None,
                "report_sequence": session.sequence if session.sequence >= 0 else None,
                **self.lies,
            },
        }

    async def _list(self, request: web.Request) -> web.Response:
        wanted, status = request.query.get("product_id"), request.query.get("status")
        found = [
            session
            for session in reversed(self.sessions.values())
            if wanted in (None, str(session.product_id)) and status in (None, session.status)
        ]
        limit, page = int(request.query["limit"]), int(request.query["page"])
        total_pages = max(1, -(-len(found) // limit))
        some = found[(page - 1) * limit : page * limit]
        return document([self._resource(session) for session in some], meta={"total_pages": total_pages})

    def _found(self, request: web.Request) -> FakeSession | None:
        return self.sessions.get(UUID(request.match_info["id"]))

    async def _get(self, request: web.Request) -> web.Response:
        session = self._found(request)
        return document(self._resource(session)) if session else problem(404, "DOWNLOAD_NOT_FOUND")

    async def _cancel(self, request: web.Request) -> web.Response:
        session = self._found(request)
        if session is None or session.status not in LIVE:
            return problem(409, "INVALID_STATE_TRANSITION")
        session.status = "cancelled"
        return web.Response(status=204)

    async def _move(self, request: web.Request) -> web.Response:
        session = self._found(request)
        moves = {
            "pause": ({"queued", "initializing", "downloading"}, "paused"),
            "resume": ({"paused"}, "queued"),
            "retry": ({"error"}, "queued"),
        }
        allowed, status = moves[request.match_info["action"]]
        if session is None or session.status not in allowed:
            return problem(409, "INVALID_STATE_TRANSITION")
        session.status, session.error, session.pause_reason = status, None, None
        for item in session.items.values():
            if item["status"] == "error":
                item["status"] = "pending"
        self._give_slots()
        return document(self._resource(session))

    async def _manifest(self, request: web.Request) -> web.Response:
        session = self._found(request)
        assert session is not None
        stored = self.game.stored_manifest
        attributes = {
            "manifest_url": f"{self.url}/cdn/{self.providers[0]}/{self.link_generation}/manifest",
            "size_bytes": len(stored),
            "sha256": hashlib.sha256(stored).hexdigest(),
            "signature": base64.b64encode(self.game.signature.signature).decode(),
            "key_id": self.game.signature.key_id,
            "expires_at": self._expires_at(),
        }
        return document({"type": "manifestReference", "id": str(session.id), "attributes": attributes})

    def _expires_at(self) -> str:
        ends_at = datetime.now(UTC) + timedelta(seconds=self.link_seconds)
        return ends_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def _links(self, request: web.Request) -> web.Response:
        session = self._found(request)
        ids = (await attributes_of(request, "linkRequest"))["ids"]
        assert 1 <= len(ids) <= 1000
        assert session is not None
        if session.status not in HOLDING:
            return problem(409, "INVALID_STATE_TRANSITION")
        if any(chunk not in self.game.chunks and chunk not in self.patch_objects for chunk in ids):
            return problem(404, "FILE_NOT_FOUND")
        self.link_batches.append(len(ids))
        return document([self._link(chunk) for chunk in dict.fromkeys(ids)])

    def _link(self, chunk: str) -> dict[str, Any]:
        candidates = [
            {
                "url": f"{self.url}/cdn/{provider}/{self.link_generation}/{chunk}?signature=a%2Fb",
                "cdn_provider": provider,
                "expires_at": self._expires_at(),
            }
            for provider in self.providers
        ]
        stored = self.patch_objects[chunk] if chunk in self.patch_objects else self.game.chunks[chunk]
        attributes = {
            "stored_size_bytes": len(stored),
            "stored_sha256": hashlib.sha256(stored).hexdigest(),
            "candidates": candidates,
        }
        return {"type": "downloadLink", "id": chunk, "attributes": attributes}

    async def _report(self, request: web.Request) -> web.Response:
        session = self._found(request)
        if session is None:
            return problem(404, "DOWNLOAD_NOT_FOUND")
        report = await attributes_of(request, "downloadReport")
        assert len(report["items"]) <= 1000
        if session.status == "paused" and session.pause_reason:
            session.status, session.pause_reason = "queued", None
            self._give_slots()
        if report["sequence"] <= session.sequence or session.status not in HOLDING:
            return document(self._resource(session), status=202)
        self.reports.append(report)
        session.sequence = report["sequence"]
        for item in report["items"]:
            kept = session.items[item["item_id"]]
            kept["status"], kept["bytes"] = item["status"], item["downloaded_bytes"]
            assert 0 <= kept["bytes"] <= kept["size"]
            if item["status"] == "error":
                session.status, session.error = "error", {"code": item["error_code"], "message": "it failed"}
        statuses = {item["status"] for item in session.items.values()}
        if session.status in HOLDING:
            ended = statuses <= {"completed"}
            session.status = (
                "completed" if ended else "verifying" if statuses <= {"verifying", "completed"} else "downloading"
            )
        if self.is_mute_on(report):
            await self.hung.wait()
        return document(self._resource(session), status=202)

    async def _installations(self, request: web.Request) -> web.Response:
        """What the completed sessions brought, one per device."""
        product_id, device_id = request.query.get("product_id"), request.query["device_id"]
        found = {
            session.device_id: session
            for session in self.sessions.values()
            if session.status == "completed"
            and session.device_id == device_id
            and product_id in (None, str(session.product_id))
        }
        resources = [
            {
                "type": "installation",
                "id": str(uuid5(self.game.product_id, str(session.device_id))),
                "attributes": {
                    "product_id": str(session.product_id),
                    "version_id": str(session.version_id),
                    "device_id": session.device_id,
                    "installation_path": session.path,
                },
            }
            for session in found.values()
        ]
        return document(resources, meta={"total_pages": 1})

    async def _uninstalled(self, request: web.Request) -> web.Response:
        self.uninstalled.append(request.match_info["id"])
        return web.Response(status=204)

    async def _library(self, request: web.Request) -> web.Response:
        wanted = request.query.get("search", "").casefold()
        resources = [
            {
                "type": "libraryItem",
                "id": str(uuid4()),
                "attributes": {
                    "product_id": str(product_id),
                    "title": title,
                    "installation_status": "not_installed",
                    "acquisition_type": "purchase",
                    "added_at": "2026-01-01T00:00:00Z",
                    "total_playtime_seconds": 0,
                },
            }
            for title, product_id in self.titles.items()
            if wanted in title.casefold()
        ]
        return document(resources, meta={"total_pages": 1})

    async def _manifest_bytes(self, request: web.Request) -> web.Response:
        await self.manifest_may_come.wait()
        if self.refuse_manifests:
            return web.Response(status=500)
        if request.match_info["generation"] != str(self.link_generation):
            return web.Response(status=403)
        return web.Response(body=self.game.stored_manifest)

    async def _chunk(self, request: web.Request) -> web.StreamResponse:
        provider, chunk = request.match_info["provider"], request.match_info["chunk"]
        assert request.rel_url.raw_query_string == "signature=a%2Fb", "a signed URL must go out as it came"
        self.asked[provider, chunk] += 1
        self.chunk_times.append(asyncio.get_running_loop().time())
        if request.match_info["generation"] != str(self.link_generation):
            return web.Response(status=403)
        if self.chunk_delay_seconds:
            await asyncio.sleep(self.chunk_delay_seconds)
        stored = self.patch_objects[chunk] if chunk in self.patch_objects else self.game.chunks[chunk]
        fault = self.fault(provider, chunk, self.asked[provider, chunk])
        try:
            if fault is not None:
                return await self._spoilt(request, stored, fault)
            self.delivered[chunk] += 1
            return web.Response(body=stored)
        finally:
            await self._notify()

    async def _spoilt(self, request: web.Request, stored: bytes, fault: str) -> web.StreamResponse:
        if fault.isdigit():
            return web.Response(status=int(fault))
        if fault == "hang":
            await self.hung.wait()
            return web.Response(body=stored)
        if fault == "redirect":
            return web.Response(status=302, headers={"Location": f"{self.url}/elsewhere"})
        if fault == "flip":
            middle = len(stored) // 2
            return web.Response(body=stored[:middle] + bytes([stored[middle] ^ 1]) + stored[middle + 1 :])
        if fault == "other":
            return web.Response(body=os.urandom(len(stored)))
        if fault == "short":
            return web.Response(body=stored[:-1])
        if fault == "long":
            return web.Response(body=stored + b"!")
        if fault in {"chunked-short", "chunked-long"}:
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            await response.write(stored[:-1] if fault == "chunked-short" else stored + b"!" * 4096)
            await response.write_eof()
            return response
        assert fault == "drop"
        response = web.StreamResponse(headers={"Content-Length": str(len(stored))})
        await response.prepare(request)
        await response.write(stored[: len(stored) // 2])
        assert request.transport is not None
        request.transport.close()
        return response


async def attributes_of(request: web.Request, resource_type: str) -> dict[str, Any]:
    assert request.content_type == "application/vnd.api+json"
    data = (await request.json())["data"]
    assert data["type"] == resource_type
    assert set(data) == {"type", "attributes"}
    return data["attributes"]


def document(data: Any, *, status: int = 200, meta: Mapping[str, Any] | None = None) -> web.Response:
    body = {"data": data} | ({"meta": dict(meta)} if meta else {})
    return web.json_response(body, status=status, content_type="application/vnd.api+json")


def problem(status: int, code: str) -> web.Response:
    error = {"id": "1", "status": str(status), "code": code, "title": code.lower(), "detail": f"detail of {code}"}
    return web.json_response({"errors": [error]}, status=status, content_type="application/vnd.api+json")


@asynccontextmanager
async def run_platform(game: Game, **settings: Any) -> AsyncIterator[FakePlatform]:
    platform = FakePlatform(game, **settings)
    platform.titles.setdefault("The Game", game.product_id)
    platform.manifest_may_come.set()
    runner = web.AppRunner(platform.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    platform.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield platform
    finally:
        platform.hung.set()
        platform.manifest_may_come.set()
        await runner.cleanup()


def make_account(platform: FakePlatform, key: Ed25519PrivateKey, *, device_id: UUID | None = None) -> Account:
    keys = signing.format_public_keys({"test": signing.public_key(key)})
    return Account(platform.url, platform.token, device_id or uuid4(), keys)


def environment(platform: FakePlatform, key: Ed25519PrivateKey, home: Path) -> dict[str, str]:
    """For a real launcher process."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'gen'}",
        "HOME": str(home),
        "SAMOVAR_CONFIG_HOME": str(home / "config"),
        "SAMOVAR_HOME": str(home / "platform"),
        "SAMOVAR_GATEWAY": platform.url,
        "SAMOVAR_TOKEN": platform.token,
        "MANIFEST_PUBLIC_KEYS": signing.format_public_keys({"test": signing.public_key(key)}),
    }


@dataclass
class Finished:
    code: int
    stdout: str
    stderr: str


async def spawn(env: dict[str, str], *arguments: str, prefix: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        "-m",
        "launcher",
        *arguments,
        env=env,
        cwd=env["HOME"],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finished(process: asyncio.subprocess.Process, stdin: str = "") -> Finished:
    stdout, stderr = await asyncio.wait_for(process.communicate(stdin.encode()), 90)
    assert process.returncode is not None
    return Finished(process.returncode, stdout.decode(), stderr.decode())


def assert_installed(directory: Path, game: Game) -> None:
    """The tree is what was published: every byte, mode, link and folder, and nothing else."""
    found_files, found_links, found_folders = {}, {}, []
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if name.split("/")[0] == ".samovar":
            continue
        if path.is_symlink():
            found_links[name] = str(path.readlink())
        elif path.is_dir():
            found_folders.append(name)
        else:
            found_files[name] = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode & 0o777)
    expected = {name: (hashlib.sha256(data).hexdigest(), game.modes[name]) for name, data in game.files.items()}
    assert found_files == expected
    assert found_links == game.links
    assert found_folders == game.directories
    own = {path.name for path in (directory / ".samovar").iterdir()}
    assert own == {"lock", "staging", "installed.json", next(name for name in own if name.startswith("manifest-"))}
    assert not list((directory / ".samovar" / "staging").iterdir())
