"""Events that the Download Service reads, each one use case. Two groups: `download-service` changes state, `download-service-live`
tells users' live streams, so that hot state that is away holds nothing else up.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from logging import getLogger

from catalog.v1 import events_pb2 as catalog_events
from download.v1 import events_pb2 as download_events
from library.v1 import events_pb2 as library_events
from prometheus_client import Counter

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from download_svc.access.application import CachedAccess, follow_removal
from download_svc.feed.application import ProgressFeed
from download_svc.installations.application import InstallationReader
from download_svc.sessions import messages
from download_svc.sessions.application import Policy, SessionReader
from download_svc.sessions.domain import IN_QUEUE, Status
from download_svc.sessions.live import announce_move
from download_svc.transaction import Begin
from download_svc.updates.announcements import offer_newer
from download_svc.updates.planning import Plans
from download_svc.versions.application import VersionReader, publish_version, withdraw_version
from download_svc.versions.domain import ManifestSource

INBOX_NAME = "download-service"

_log = getLogger(__name__)

_moves = Counter("download_session_moves", "Moves of download sessions, by where they went.", ["status"])


def state_subscriptions(
    begin: Begin, manifests: ManifestSource, access: CachedAccess, policy: Policy, now: Callable[[], datetime]
) -> Sequence[Subscription]:
    """Return the subscriptions that change rows; each effect is recorded in the inbox together with its event."""

    async def version_published(message: catalog_events.VersionPublished, event: CloudEvent) -> None:
        await publish_version(
            begin, manifests, messages.announcement(message, now=now()), event=(INBOX_NAME, event.source, event.id)
        )

    async def version_withdrawn(message: catalog_events.VersionWithdrawn, event: CloudEvent) -> None:
        await withdraw_version(
            begin,
            product_id=messages.event_uuid(message.product_id, "productId"),
            version_id=messages.event_uuid(message.version_id, "versionId"),
            event=(INBOX_NAME, event.source, event.id),
        )

    async def game_removed(message: library_events.GameRemoved, event: CloudEvent) -> None:
        await follow_removal(
            begin,
            access,
            user_id=messages.event_uuid(message.user_id, "userId"),
            product_id=messages.event_uuid(message.product_id, "productId"),
            slots=policy.slots_per_user,
            now=now(),
            event=(INBOX_NAME, event.source, event.id),
        )

    return [
        Subscription(catalog_events.VersionPublished, version_published),
        Subscription(catalog_events.VersionWithdrawn, version_withdrawn),
        Subscription(library_events.GameRemoved, game_removed),
    ]


def offer_subscriptions(
    begin: Begin,
    versions: VersionReader,
    installations: InstallationReader,
    plans: Plans,
    now: Callable[[], datetime],
) -> Sequence[Subscription]:
    """Our own events that make a newer version worth offering."""

    async def installed(message: download_events.GameInstalled, _: CloudEvent) -> None:
        await offer_newer(
            begin,
            versions,
            installations,
            plans,
            user_id=messages.event_uuid(message.user_id, "userId"),
            device_id=messages.event_uuid(message.device_id, "deviceId") if message.device_id else None,
            product_id=messages.event_uuid(message.product_id, "productId"),
            now=now(),
        )

    return [Subscription(download_events.GameInstalled, installed)]


def live_subscriptions(sessions: SessionReader, board: ProgressFeed) -> Sequence[Subscription]:
    """Our own events, on their way to the users' live streams."""
    for status in Status:
        _moves.labels(status.value)

    async def session_moved(message: download_events.DownloadSessionStatusChanged, event: CloudEvent) -> None:
        moved = messages.session_moved(message)
        await announce_move(sessions, board, moved, event_id=event.key)
        _moves.labels(moved.new.value).inc()
        if moved.previous is None or moved.new not in IN_QUEUE:
            _log.info(
                "download moved",
                extra={
                    "download_id": str(moved.session_id),
                    "product_id": str(moved.product_id),
                    "status": moved.new.value,
                    "error_code": moved.failure.code if moved.failure else None,
                },
            )

    async def update_available(message: download_events.DownloadUpdateAvailable, event: CloudEvent) -> None:
        await board.offer(messages.update_offered(message), event_id=event.key)

    return [
        Subscription(download_events.DownloadSessionStatusChanged, session_moved),
        Subscription(download_events.DownloadUpdateAvailable, update_available),
    ]
