"""One user's live sessions as a queue: who may join, who gets a slot next, who stands where. Loaded under the user's lock."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from chassis.errors import DomainError, Kind
from download_svc.sessions.domain import IN_QUEUE, Session, Status

MAX_LIVE_SESSIONS_PER_USER = 100


def already_active() -> DomainError:
    return DomainError(Kind.ALREADY_EXISTS, "DOWNLOAD_ALREADY_ACTIVE")


def queue_full() -> DomainError:
    return DomainError(
        Kind.RESOURCE_EXHAUSTED, "DOWNLOAD_QUEUE_FULL", details={"limit": str(MAX_LIVE_SESSIONS_PER_USER)}
    )


class Queue:
    """The live sessions of one user and the number of slots they share."""

    def __init__(self, sessions: Iterable[Session], *, slots: int) -> None:
        self._sessions = [session for session in sessions if session.is_live]
        self._slots = slots

    def require_place(self, session: Session) -> None:
        """Check that a new or failed session may become live.

        Raises:
            DOWNLOAD_ALREADY_ACTIVE: the product is live for this device (no device counts as one).
            DOWNLOAD_QUEUE_FULL: the user has as many live sessions as one may have.
        """
        others = [other for other in self._sessions if other.id != session.id]
        if any(other.product_id == session.product_id and other.device_id == session.device_id for other in others):
            raise already_active()
        if len(others) >= MAX_LIVE_SESSIONS_PER_USER:
            raise queue_full()

    def join(self, session: Session) -> None:
        """Takes a session in that has become live."""
        self._sessions.append(session)

    def promote(self, now: datetime) -> Sequence[Session]:
        """Gives free slots to the first that wait. Answers those that got one; a session that has one never loses it here."""
        free = self._slots - sum(session.holds_slot for session in self._sessions)
        waiting = sorted(
            (session for session in self._sessions if session.status is Status.QUEUED),
            key=lambda session: session.queue_key,
        )
        promoted = waiting[: max(0, free)]
        for session in promoted:
            session.begin(now)
        return promoted

    def position(self, session: Session) -> int | None:
        """Place among the sessions that run or wait, from 1."""
        if session.status not in IN_QUEUE:
            return None
        others = (other for other in self._sessions if other.id != session.id and other.status in IN_QUEUE)
        return 1 + sum(other.queue_key < session.queue_key for other in others)
