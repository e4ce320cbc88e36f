"""download.v1.ClientUpdateService: which release of the launcher to have, for everybody; releases, for their publisher."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import grpc.aio
from content.v1 import manifest_pb2 as content
from download.v1 import client_updates_pb2 as pb
from download.v1 import client_updates_pb2_grpc

from download_svc.client_updates.application import ReleaseBook, add_release, check, roll_back, set_rollout
from download_svc.client_updates.domain import Arch, Channel, ClientRelease, ClientVersion, Line, Offer
from download_svc.versions.manifests import Platform

SERVICE: Final = "download.v1.ClientUpdateService"

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ClientUpdatePorts:
    """The ports that the servicer uses."""

    book: ReleaseBook
    now: Callable[[], datetime]


class ClientUpdateServicer(client_updates_pb2_grpc.ClientUpdateServiceServicer):
    """The servicer of client updates; the right to call it was checked before."""

    def __init__(self, ports: ClientUpdatePorts) -> None:
        self._ports = ports

    async def CheckClientUpdate(
        self, request: pb.CheckClientUpdateRequest, _context: Context
    ) -> pb.CheckClientUpdateResponse:
        installation_id = UUID(request.install_id) if request.HasField("install_id") else None
        version = ClientVersion(request.version)
        found = await check(self._ports.book, _line(request), version, installation_id, is_manual=request.is_manual)
        return pb.CheckClientUpdateResponse(update=_update_message(found, version))

    async def AddClientRelease(
        self, request: pb.AddClientReleaseRequest, _context: Context
    ) -> pb.AddClientReleaseResponse:
        kept = await add_release(
            self._ports.book,
            _line(request),
            ClientVersion(request.version),
            minimum_version=ClientVersion(request.minimum_version) if request.HasField("minimum_version") else None,
            target_sha256=bytes.fromhex(request.target_sha256),
            target_size_bytes=request.target_size_bytes,
            now=self._ports.now(),
        )
        return pb.AddClientReleaseResponse(release=_release_message(kept))

    async def ListClientReleases(
        self, request: pb.ListClientReleasesRequest, _context: Context
    ) -> pb.ListClientReleasesResponse:
        found = sorted(await self._ports.book.of_line(_line(request)), key=lambda one: one.version, reverse=True)
        return pb.ListClientReleasesResponse(releases=map(_release_message, found))

    async def SetClientRollout(
        self, request: pb.SetClientRolloutRequest, _context: Context
    ) -> pb.SetClientRolloutResponse:
        kept = await set_rollout(self._ports.book, UUID(request.release_id), request.rollout_permille)
        return pb.SetClientRolloutResponse(release=_release_message(kept))

    async def RollBackClientRelease(
        self, request: pb.RollBackClientReleaseRequest, _context: Context
    ) -> pb.RollBackClientReleaseResponse:
        kept = await roll_back(self._ports.book, UUID(request.release_id))
        return pb.RollBackClientReleaseResponse(release=_release_message(kept))


def _line(request: Any) -> Line:
    """Of a request; none of its enums is one that is not declared."""
    platform = content.Platform.Name(request.platform).removeprefix("PLATFORM_").lower()
    arch = pb.ClientArch.Name(request.arch).removeprefix("CLIENT_ARCH_").lower()
    channel = pb.ClientChannel.Name(request.channel or pb.CLIENT_CHANNEL_STABLE).removeprefix("CLIENT_CHANNEL_").lower()
    return Line(Platform(platform), Arch(arch), Channel(channel))


def _update_message(found: Offer, installed: ClientVersion) -> pb.ClientUpdate:
    release = found.release
    return pb.ClientUpdate(
        id=str(release.id),
        version=str(release.version),
        is_available=found.is_available,
        is_mandatory=found.is_mandatory,
        is_rollback=found.is_available and release.version < installed,
        minimum_version=None if found.minimum_version is None else str(found.minimum_version),
        target_sha256=release.target_sha256.hex(),
        target_size_bytes=release.target_size_bytes,
    )


def _release_message(release: ClientRelease) -> pb.ClientRelease:
    line = release.line
    message = pb.ClientRelease(
        id=str(release.id),
        version=str(release.version),
        platform=getattr(content, f"PLATFORM_{line.platform.name}"),
        arch=getattr(pb, f"CLIENT_ARCH_{line.arch.name}"),
        channel=getattr(pb, f"CLIENT_CHANNEL_{line.channel.name}"),
        rollout_permille=release.rollout_permille,
        minimum_version=None if release.minimum_version is None else str(release.minimum_version),
        is_rollback=release.is_rollback,
        target_sha256=release.target_sha256.hex(),
        target_size_bytes=release.target_size_bytes,
    )
    message.created_at.FromDatetime(release.created_at)
    return message
