"""Each database of the platform belongs to a role of its own, which is not a superuser: a compromised service can reach no more
than its own database. Used by sandbox.devstack.platform for both sets of servers.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from chassis.postgres.migrations import ensure_database

_CONNECT_TIMEOUT_SECONDS = 10.0

# Objects that an administrator created in the database before it had an owner. A sequence follows its column; a partition does
# not follow its table.
_ADOPT = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass) AS what
        FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relowner <> %(owner)s
          AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
              AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('a', 'i')))
        UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure)
        FROM pg_proc p
        WHERE pronamespace = 'public'::regnamespace AND proowner <> %(owner)s
          AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e')
    LOOP
        EXECUTE format('ALTER %s OWNER TO %s', one.what, %(owner)s);
    END LOOP;
END
$$
"""


async def give_databases(admin_dsn: str, owners: Mapping[str, str]) -> None:
    """Creates each database (the keys) if it is missing, and its owner: a role of the database's name with the given password. What
    an earlier version created there as superuser becomes the owner's; nobody else may connect.

    Raises:
        OSError, asyncpg.PostgresError: the server is unavailable, or the administrator may not.
    """
    connection = await asyncpg.connect(admin_dsn, timeout=_CONNECT_TIMEOUT_SECONDS)
    try:
        for name, password in owners.items():
            role = _quoted(name)
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", name):
                await connection.execute(f"CREATE ROLE {role}")
            verb = f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {_literal(password)}"
            await connection.execute(verb)
            await ensure_database(_with(admin_dsn, path=f"/{name}"))
            await connection.execute(f"ALTER DATABASE {role} OWNER TO {role}")
            await connection.execute(f"REVOKE CONNECT ON DATABASE {role} FROM PUBLIC")
    finally:
        await connection.close()
    for name in owners:
        await _adopt(_with(admin_dsn, path=f"/{name}"), name)


async def _adopt(dsn: str, owner: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_SECONDS)
    try:
        await connection.execute(_ADOPT.replace("%(owner)s", f"{_literal(_quoted(owner))}::regrole"))
    finally:
        await connection.close()


def owner_dsn(admin_dsn: str, database: str, password: str) -> str:
    """The way of the database's owner to it, on the administrator's server."""
    _, _, address = urlsplit(admin_dsn).netloc.rpartition("@")
    return _with(admin_dsn, netloc=f"{quote(database)}:{quote(password)}@{address}", path=f"/{database}")


def _with(dsn: str, **parts: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(**parts))


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
