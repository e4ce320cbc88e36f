"""Account's word that a user is deleted. The job of chassis.erasure.job does the rest."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from account.v1.events_pb2 import UserDeleted

from chassis.bus.consumers import Subscription
from chassis.cloudevents.events import CloudEvent
from chassis.cloudevents.moments import from_timestamp
from chassis.errors import DomainError, Kind


def erasure_subscriptions(
    request: Callable[[UUID, datetime], Awaitable[None]], *, now: Callable[[], datetime]
) -> Sequence[Subscription]:
    """`request` has a user erased who was deleted at that time; it may be asked again."""

    async def user_deleted(message: UserDeleted, event: CloudEvent) -> None:
        try:
            user_id = UUID(message.user_id)
        except ValueError:
            raise DomainError(
                Kind.INVALID_ARGUMENT, "EVENT_INVALID", details={"description": "userId is not a UUID"}
            ) from None
        deleted_at = from_timestamp(message.deleted_at) if message.HasField("deleted_at") else event.time
        await request(user_id, min(deleted_at, now()))

    return [Subscription(UserDeleted, user_deleted)]
