"""Consumers of the platform's events: they are servicers on another wire. Each decodes, and calls one use case, which
remembers the event's id in its own transaction. What cannot be handled goes to the dead letters (chassis/bus/consumers.py).
Contract section 6.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from catalog.v1.events_pb2 import PriceUpdated, ProductUpdated
from download.v1.downloads_pb2 import DownloadStatus as DownloadStatusMessage
from download.v1.events_pb2 import (
    VERIFICATION_OUTCOME_SUCCESS,
    VERIFICATION_OUTCOME_UNSPECIFIED,
    DownloadSessionStatusChanged,
    FileVerificationCompleted,
    GameInstalled,
    GameUninstalled,
)
from google.protobuf.timestamp_pb2 import Timestamp
from payment.v1.events_pb2 import PurchaseCompleted, PurchasedItem, RefundCompleted, RefundedItem, TransactionCompleted

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from chassis.cloudevents.moments import from_timestamp
from chassis.errors import DomainError, Kind
from library_svc.access.application import AccessCache
from library_svc.catalog import application as catalog
from library_svc.catalog.domain import Product
from library_svc.entitlements import application as entitlements
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import DeviceId, DownloadSessionId, EventId, ProductId, SaleId, UserId, VersionId
from library_svc.installations import application as installations
from library_svc.installations.domain import NO_DEVICE, Download, DownloadStatus, Installation, Verification
from library_svc.items.domain import RemovalReason
from library_svc.playtime.application import HeartbeatStore
from library_svc.sales import application as sales
from library_svc.sales.domain import Sale
from library_svc.stamps import stamp
from library_svc.transaction import Begin

_STATUS_OF: Final = {DownloadStatusMessage.Value(f"DOWNLOAD_STATUS_{status.name}"): status for status in DownloadStatus}


_UNTIMED: Final = Timestamp()

MAX_DISCOUNT_PERCENT: Final = 100


class Consumers:
    """Hears Payment, Download and Catalog."""

    def __init__(
        self,
        begin: Begin,
        access_cache: AccessCache,
        heartbeat_store: HeartbeatStore,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._begin = begin
        self._known_access = access_cache
        self._pulses = heartbeat_store
        self._now = now

    def subscriptions(self) -> Sequence[Subscription]:
        return (
            Subscription(PurchaseCompleted, self.purchase_completed),
            Subscription(TransactionCompleted, self.purchase_completed),
            Subscription(RefundCompleted, self.refund_completed),
            Subscription(DownloadSessionStatusChanged, self.session_status_changed),
            Subscription(GameInstalled, self.game_installed),
            Subscription(GameUninstalled, self.game_uninstalled),
            Subscription(FileVerificationCompleted, self.verification_completed),
            Subscription(ProductUpdated, self.product_updated),
            Subscription(PriceUpdated, self.price_updated),
        )

    def _time(self, timestamp: Timestamp, event: CloudEvent) -> datetime:
        """When it happened: not later than now, whatever a sender's clock says, or nothing after it would count until then."""
        return min(_moment(timestamp, event), self._now())

    async def purchase_completed(self, message: PurchaseCompleted | TransactionCompleted, event: CloudEvent) -> None:
        await entitlements.grant(
            self._begin,
            self._known_access,
            event_id=EventId(event.source, event.id),
            user_id=UserId(_uuid(message.user_id, "userId")),
            product_ids=_bought(message.items),
            source=_order(message.order_id),
            at=self._time(message.purchase_timestamp, event),
        )

    async def refund_completed(self, message: RefundCompleted, event: CloudEvent) -> None:
        # Without items it is all of the order.
        revoke = (
            partial(entitlements.revoke, product_ids=_products(message.items))
            if message.items
            else entitlements.revoke_whole
        )
        await revoke(
            self._begin,
            self._known_access,
            self._pulses,
            event_id=EventId(event.source, event.id),
            user_id=UserId(_uuid(message.user_id, "userId")),
            source=_order(message.order_id),
            reason=RemovalReason.REFUND,
            at=self._time(message.refunded_at, event),
        )

    async def session_status_changed(self, message: DownloadSessionStatusChanged, event: CloudEvent) -> None:
        if message.new_status not in _STATUS_OF:
            raise _invalid("newStatus is not a status of a session")
        await installations.follow(
            self._begin,
            event_id=EventId(event.source, event.id),
            user_id=UserId(_uuid(message.user_id, "userId")),
            product_id=ProductId(_uuid(message.product_id, "productId")),
            news=Download(
                session_id=DownloadSessionId(_uuid(message.download_session_id, "downloadSessionId")),
                version_id=VersionId(_uuid(message.version_id, "versionId")),
                status=_STATUS_OF[message.new_status],
                changed_at=self._time(message.timestamp, event),
                event_id=_name(event),
            ),
        )

    async def game_installed(self, message: GameInstalled, event: CloudEvent) -> None:
        await self._device_changed(message, event, is_installed=True)

    async def game_uninstalled(self, message: GameUninstalled, event: CloudEvent) -> None:
        await self._device_changed(message, event, is_installed=False)

    async def _device_changed(
        self, message: GameInstalled | GameUninstalled, event: CloudEvent, *, is_installed: bool
    ) -> None:
        await installations.follow(
            self._begin,
            event_id=EventId(event.source, event.id),
            user_id=UserId(_uuid(message.user_id, "userId")),
            product_id=ProductId(_uuid(message.product_id, "productId")),
            news=Installation(
                device_id=DeviceId(_uuid(message.device_id, "deviceId")) if message.device_id else NO_DEVICE,
                version_id=VersionId(_uuid(message.version_id, "versionId")),
                is_installed=is_installed,
                changed_at=self._time(message.timestamp, event),
                event_id=_name(event),
            ),
        )

    async def verification_completed(self, message: FileVerificationCompleted, event: CloudEvent) -> None:
        if message.verification_status == VERIFICATION_OUTCOME_UNSPECIFIED:
            raise _invalid("verificationStatus is missing")
        await installations.follow(
            self._begin,
            event_id=EventId(event.source, event.id),
            user_id=UserId(_uuid(message.user_id, "userId")),
            product_id=ProductId(_uuid(message.product_id, "productId")),
            news=Verification(
                device_id=DeviceId(_uuid(message.device_id, "deviceId")) if message.device_id else NO_DEVICE,
                version_id=VersionId(_uuid(message.version_id, "versionId")),
                is_damaged=message.verification_status != VERIFICATION_OUTCOME_SUCCESS,
                changed_at=self._time(message.timestamp, event),
                event_id=_name(event),
            ),
        )

    async def product_updated(self, message: ProductUpdated, event: CloudEvent) -> None:
        product = Product(
            product_id=ProductId(_uuid(message.product_id, "productId")),
            as_of=self._time(_UNTIMED, event),
            is_complete=False,
            event_id=_name(event),
            title_ru=message.titles.ru or message.new_title or None,
            title_en=message.titles.en or None,
            cover_image_url=message.new_cover_image_url or None,
        )
        await catalog.record_change(self._begin, event_id=EventId(event.source, event.id), product=product)

    async def price_updated(self, message: PriceUpdated, event: CloudEvent) -> None:
        is_sale = message.discount_percent > 0
        if not 0 <= message.discount_percent <= MAX_DISCOUNT_PERCENT:
            raise _invalid("discountPercent is not a percentage")
        if is_sale and not (message.sale_id and message.HasField("ends_at")):
            raise _invalid("a sale has a saleId and an endsAt")
        now = self._now()
        news = Sale(
            product_id=ProductId(_uuid(message.product_id, "productId")),
            sale_id=SaleId(message.sale_id),
            discount_percent=message.discount_percent,
            ends_at=_moment(message.ends_at, event),
            heard_at=now,
        )
        await sales.hear(
            self._begin,
            event_id=EventId(event.source, event.id),
            news=news,
            price=stamp(self._time(_UNTIMED, event), _name(event)),
            now=now,
        )


def _order(order_id: str) -> Source:
    if not order_id:
        raise _invalid("orderId is empty")
    return Source(SourceKind.ORDER, order_id)


def _bought(items: Sequence[PurchasedItem]) -> Sequence[ProductId]:
    if not items:
        raise _invalid("items is empty")
    if any(item.quantity < 1 for item in items):
        raise _invalid("items.quantity is less than 1")
    return _products(items)


def _products(items: Sequence[PurchasedItem | RefundedItem]) -> Sequence[ProductId]:
    return [ProductId(_uuid(item.product_id, "items.productId")) for item in items]


def _name(event: CloudEvent) -> str:
    """Return the name that decides between events of the same time: an id is unique only within its source."""
    return f"{event.source} {event.id}"


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _invalid(f"{name} is not a UUID") from None


def _moment(timestamp: Timestamp, event: CloudEvent) -> datetime:
    """Return the time of the event; without one of its own, the time at which it was created."""
    return from_timestamp(timestamp) if timestamp.ByteSize() else event.time


def _invalid(description: str) -> DomainError:
    return DomainError(Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": description})
