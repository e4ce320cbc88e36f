"""A user whose changes wait for each other leaves connections to everybody else."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

from chassis.errors import DomainError
from chassis.postgres.database import CONNECTIONS_PER_KEY, open_database
from download_svc.installations.application import report_uninstalled
from download_svc.postgres import transactions
from download_svc.sessions.application import Policy, pause_download
from download_svc.transaction import Begin

CHANGES = 400
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def pause(begin: Begin, user_id: UUID) -> str:
    try:
        await pause_download(begin, Policy(3, 5), user_id=user_id, session_id=uuid4(), now=NOW)
    except DomainError as error:
        return error.reason
    return ""


async def uninstall(begin: Begin, user_id: UUID) -> str:
    try:
        await report_uninstalled(begin, user_id=user_id, installation_id=uuid4(), now=NOW)
    except DomainError as error:
        return error.reason
    return ""


async def test_a_user_who_pauses_400_downloads_at_once_leaves_the_pool_to_others(download_dsns: tuple[str, str]):
    busy, other = uuid4(), uuid4()
    async with open_database(download_dsns[0], pool_size=CONNECTIONS_PER_KEY + 2) as database:
        begin = transactions(database)
        async with asyncio.TaskGroup() as group, begin() as tx:
            await tx.sessions.lock(busy)
            pauses = [group.create_task(pause(begin, busy)) for _ in range(CHANGES)]
            async with asyncio.timeout(30), database.connect() as connection:
                while (await connection.exec_driver_sql(WAITING)).scalar_one() < CONNECTIONS_PER_KEY:
                    await asyncio.sleep(0.01)
            # They have all connections that are theirs; another user finds one, and something to say.
            assert await uninstall(begin, other) == "INSTALLATION_NOT_FOUND"
        # Free again: what came in time is answered, and the rest refused for now.
        assert {task.result() for task in pauses} <= {"DOWNLOAD_NOT_FOUND", "SERVICE_UNAVAILABLE"}
        assert pauses[0].result() == "DOWNLOAD_NOT_FOUND"
