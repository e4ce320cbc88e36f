"""Session moves on their way to the users' live streams."""

from download_svc.feed.application import ProgressFeed
from download_svc.sessions.application import SessionReader
from download_svc.sessions.domain import IN_QUEUE, SessionMoved


async def announce_move(sessions: SessionReader, board: ProgressFeed, moved: SessionMoved, *, event_id: str) -> None:
    """Tells the user's stream, and how the queue stands now if the move changed who is in it.

    An event that was announced before is not announced again. Raises: SERVICE_UNAVAILABLE.
    """
    was_in_queue = moved.previous in IN_QUEUE
    queue = await sessions.queue(moved.user_id) if was_in_queue != (moved.new in IN_QUEUE) else None
    await board.announce(moved, queue, event_id=event_id)
