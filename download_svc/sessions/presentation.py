"""download.v1.DownloadService: each method turns a message into a use case or a read, and the result into a message."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import grpc.aio
from download.v1 import downloads_pb2 as downloads
from download.v1 import downloads_pb2_grpc

from chassis.auth.access import current_caller
from chassis.cloudevents.events import uuid7
from download_svc.access.application import CachedAccess
from download_svc.feed.application import ProgressFeed
from download_svc.links import application as links
from download_svc.links.application import LinkSigner, ManifestLinks
from download_svc.patches.application import PatchReader
from download_svc.sessions import application as sessions
from download_svc.sessions import messages, reports
from download_svc.sessions.application import Policy, SessionReader, SessionView
from download_svc.sessions.domain import download_not_found
from download_svc.transaction import Begin
from download_svc.versions.application import VersionReader

SERVICE = "download.v1.DownloadService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the servicer uses."""

    begin: Begin
    sessions: SessionReader
    versions: VersionReader
    patches: PatchReader
    access: CachedAccess
    signer: LinkSigner
    manifests: ManifestLinks
    board: ProgressFeed
    policy: Policy
    now: Callable[[], datetime]


class DownloadServicer(downloads_pb2_grpc.DownloadServiceServicer):
    """For users; whose call it is comes from the caller's token alone."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def StartDownload(
        self, request: downloads.StartDownloadRequest, _context: Context
    ) -> downloads.StartDownloadResponse:
        ports, caller = self._ports, current_caller()
        view = await sessions.start_download(
            ports.begin,
            ports.versions,
            ports.access,
            ports.policy,
            messages.start_request(request),
            user_id=caller.require_user(),
            permissions=caller.permissions,
            session_id=uuid7(ports.now()),
            now=ports.now(),
        )
        return downloads.StartDownloadResponse(session=await self._shown(view))

    async def ListDownloads(
        self, request: downloads.ListDownloadsRequest, _context: Context
    ) -> downloads.ListDownloadsResponse:
        caller, page = current_caller(), messages.page_request(request)
        found = await self._ports.sessions.page(
            caller.require_user(),
            page,
            status=messages.status_filter(request),
            product_id=UUID(request.product_id) if request.HasField("product_id") else None,
        )
        live = await self._ports.board.read([view.session.id for view in found.items if view.session.holds_slot])
        return downloads.ListDownloadsResponse(
            sessions=[
                messages.session_message(view, live.get(view.session.id), caller.language) for view in found.items
            ],
            page=messages.page_info(page, found.total),
        )

    async def GetDownload(
        self, request: downloads.GetDownloadRequest, _context: Context
    ) -> downloads.GetDownloadResponse:
        return downloads.GetDownloadResponse(session=await self._shown(await self._view(request.download_id)))

    async def ListDownloadItems(
        self, request: downloads.ListDownloadItemsRequest, _context: Context
    ) -> downloads.ListDownloadItemsResponse:
        view, page = await self._view(request.download_id), messages.page_request(request)
        found = await self._ports.sessions.items(view.session, page, status=messages.item_status_filter(request))
        return downloads.ListDownloadItemsResponse(
            items=map(messages.item_message, found.items), page=messages.page_info(page, found.total)
        )

    async def PauseDownload(
        self, request: downloads.PauseDownloadRequest, _context: Context
    ) -> downloads.PauseDownloadResponse:
        view = await sessions.pause_download(*self._writing(), **self._named(request.download_id))
        return downloads.PauseDownloadResponse(session=await self._shown(view))

    async def ResumeDownload(
        self, request: downloads.ResumeDownloadRequest, _context: Context
    ) -> downloads.ResumeDownloadResponse:
        view = await sessions.resume_download(*self._writing(), **self._named(request.download_id))
        return downloads.ResumeDownloadResponse(session=await self._shown(view))

    async def RetryDownload(
        self, request: downloads.RetryDownloadRequest, _context: Context
    ) -> downloads.RetryDownloadResponse:
        view = await sessions.retry_download(*self._writing(), **self._named(request.download_id))
        return downloads.RetryDownloadResponse(session=await self._shown(view))

    async def CancelDownload(
        self, request: downloads.CancelDownloadRequest, _context: Context
    ) -> downloads.CancelDownloadResponse:
        await sessions.cancel_download(*self._writing(), **self._named(request.download_id))
        return downloads.CancelDownloadResponse()

    async def GetDownloadManifest(
        self, request: downloads.GetDownloadManifestRequest, _context: Context
    ) -> downloads.GetDownloadManifestResponse:
        ports = self._ports
        link = await links.manifest_link(
            ports.sessions, ports.versions, ports.manifests, **self._named(request.download_id)
        )
        return downloads.GetDownloadManifestResponse(manifest=messages.manifest_message(link))

    async def CreateDownloadLinks(
        self, request: downloads.CreateDownloadLinksRequest, _context: Context
    ) -> downloads.CreateDownloadLinksResponse:
        ports = self._ports
        found = await links.create_links(
            ports.begin,
            ports.sessions,
            ports.versions,
            ports.patches,
            ports.access,
            ports.signer,
            ports.policy,
            ids=messages.link_ids(request),
            **self._named(request.download_id),
        )
        return downloads.CreateDownloadLinksResponse(links=map(messages.link_message, found))

    async def ReportDownload(
        self, request: downloads.ReportDownloadRequest, _context: Context
    ) -> downloads.ReportDownloadResponse:
        ports = self._ports
        view = await reports.report_download(
            ports.begin,
            ports.sessions,
            ports.board,
            ports.policy,
            sequence=request.sequence,
            reports=messages.item_reports(request),
            **self._named(request.download_id),
        )
        return downloads.ReportDownloadResponse(session=await self._shown(view))

    async def WatchDownloads(
        self, request: downloads.WatchDownloadsRequest, context: Context
    ) -> AsyncIterator[downloads.WatchDownloadsResponse]:
        after = request.last_event_id if request.HasField("last_event_id") else None
        feed = await self._ports.board.watch(current_caller().require_user(), after or None)
        # Tells the caller, before there is any event, that from here on it misses none.
        await context.send_initial_metadata(())
        async for record in feed:
            event = downloads.WatchDownloadsResponse.FromString(record.payload)
            event.event_id = record.id
            yield event

    def _writing(self) -> tuple[Begin, Policy]:
        return self._ports.begin, self._ports.policy

    def _named(self, download_id: str) -> dict[str, Any]:
        """Return the caller, the session and the time, as arguments of a use case."""
        return {
            "user_id": current_caller().require_user(),
            "session_id": UUID(download_id),
            "now": self._ports.now(),
        }

    async def _view(self, download_id: str) -> SessionView:
        session_id = UUID(download_id)
        view = await self._ports.sessions.get(current_caller().require_user(), session_id)
        if view is None:
            raise download_not_found(session_id)
        return view

    async def _shown(self, view: SessionView) -> downloads.DownloadSession:
        session = view.session
        live = await self._ports.board.read([session.id]) if session.holds_slot else {}
        return messages.session_message(view, live.get(session.id), current_caller().language)
