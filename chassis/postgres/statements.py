"""Statements that are run often: put into SQL once, and run by the driver itself. A statement of SQLAlchemy takes 0.3 ms of CPU to
execute, of which the driver needs 0.05; most of the rest is the way through its greenlets and results.

Created by infrastructure at import time; run by chassis.postgres.database (`Database.fetch`, `Transaction.fetch`), in
SQLAlchemy's connections and transactions. Listeners to SQLAlchemy's `before_cursor_execute` receive them too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import asyncpg
import orjson
from sqlalchemy import ARRAY, ClauseElement, Select
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection


class Row(Protocol):
    """Values by the names of their columns, whether SQLAlchemy or the driver gives them."""

    def __getitem__(self, name: str, /) -> Any: ...

    def __contains__(self, name: object, /) -> bool: ...

    def keys(self) -> Iterable[str]: ...


def dump_json(value: Any) -> str:
    """JSON as the database gets it."""
    return orjson.dumps(value).decode()


_DIALECT: Final = dialect(json_serializer=dump_json, json_deserializer=orjson.loads)  # type: ignore[no-untyped-call]
_LAST_WORDS: Final = frozenset({"FATAL", "PANIC"})
"""Severities of errors with which the server ends the session."""
_DRIVER_ERROR: Final[type[Exception]] = dialect.import_dbapi().Error  # type: ignore[no-untyped-call]


class Statement:
    """A statement as the driver takes it; `values` are given by the names of its parameters."""

    __slots__ = ("_given", "_names", "_readers", "_writers", "sql")

    def __init__(self, sql: str, names: Sequence[str] = ()) -> None:
        self.sql = sql
        self._names = tuple(names)
        self._given: Mapping[str, Any] = {}
        self._writers: Mapping[str, Callable[[Any], Any]] = {}
        self._readers: Mapping[str, Callable[[Any], Any]] = {}

    @classmethod
    def of(cls, statement: ClauseElement) -> "Statement":
        """Create a statement from SQLAlchemy Core. An INSERT names its values as parameters."""
        # Any: the type of what compile returns is not that of what the dialect makes.
        compiled: Any = statement.compile(dialect=_DIALECT)
        made = cls(str(compiled), compiled.positiontup or ())
        binds = compiled.binds
        made._given = {name: binds[name].effective_value for name in made._names if not binds[name].required}
        made._writers = _processors({name: binds[name].type for name in made._names}, "bind_processor")
        if isinstance(statement, Select):
            columns = statement.selected_columns
            types = {column.key: column.type for column in columns if column.key and not _comes_as_it_is(column.type)}
            made._readers = _processors(types, "result_processor", None)
        return made

    def arguments(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """The values in the order in which the driver takes them; those that have no parameter do no harm."""
        given, writers = self._given, self._writers
        found = [values[name] if name in values else given[name] for name in self._names]
        if writers:
            found = [
                writers[name](value) if name in writers else value
                for name, value in zip(self._names, found, strict=True)
            ]
        return found

    def rows(self, records: Sequence[asyncpg.Record]) -> Sequence[Row]:
        """Convert records of the driver into the rows that SQLAlchemy would return."""
        readers = self._readers
        if not readers:
            return records
        rows = [dict(record.items()) for record in records]
        for row in rows:
            for name, read in readers.items():
                row[name] = read(row[name])
        return rows


def _comes_as_it_is(kind: Any) -> bool:
    """A list whose members need no reading; SQLAlchemy would make another list of it all the same."""
    return isinstance(kind, ARRAY) and not _processors({"member": kind.item_type}, "result_processor", None)


def _processors(types: Mapping[str, Any], kind: str, *rest: Any) -> dict[str, Callable[[Any], Any]]:
    made = {name: getattr(each.dialect_impl(_DIALECT), kind)(_DIALECT, *rest) for name, each in types.items()}
    return {name: process for name, process in made.items() if process is not None}


async def run(connection: AsyncConnection, statement: Statement, values: Mapping[str, Any]) -> Sequence[Row]:
    """Runs the statement on the driver's connection, in its transaction if there is one.

    Raises:
        asyncpg.PostgresError: the server refused it.
        asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError: the connection is gone.
    """
    used = connection.sync_connection
    assert used is not None  # noqa: S101  it was checked out
    arguments = statement.arguments(values)
    # Any: what listens is called so by SQLAlchemy itself, but it is typed as the place to register at.
    heard: Any = used.dispatch.before_cursor_execute
    heard(used, None, statement.sql, arguments, None, False)
    try:
        records = await driver_of(connection).fetch(statement.sql, *arguments)
    except BaseException as error:
        # Cancelled, timed out or broken: its next bytes are unknown. An error of the server is no such end,
        # unless it is its last message: the driver learns of the end only after it.
        if not isinstance(error, asyncpg.PostgresError) or getattr(error, "severity_en", None) in _LAST_WORDS:
            used.invalidate()
        if isinstance(error, TimeoutError):
            raise ConnectionAbortedError("the database does not answer") from error
        raise
    return statement.rows(records)


async def begin(connection: AsyncConnection) -> None:
    """Begins SQLAlchemy's transaction, as its own first statement would: so that both kinds of statements are in it."""
    used = connection.sync_connection
    assert used is not None  # noqa: S101  it was checked out
    if not used.in_transaction():
        used.begin()
    # Any: the dialect's wrapper of the driver's connection, which begins in the database when it executes something.
    adapted: Any = used.connection.dbapi_connection
    if adapted._transaction is None:  # noqa: SLF001  nothing public begins without a statement
        try:
            await adapted._start_transaction()  # noqa: SLF001
        except BaseException as error:
            used.invalidate()
            if isinstance(error, _DRIVER_ERROR) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise


@contextmanager
def autocommit(connection: AsyncConnection) -> Iterator[None]:
    """Each statement of SQLAlchemy is a transaction of its own in the block, whatever it thinks it began."""
    used = connection.sync_connection
    assert used is not None  # noqa: S101  it was checked out
    # Any: the dialect's wrapper of the driver's connection; SQLAlchemy sets this by its option of isolation, which costs more.
    adapted: Any = used.connection.dbapi_connection
    adapted.autocommit = True
    try:
        yield
    finally:
        adapted.autocommit = False
        if used.in_transaction() and not used.invalidated:
            used.rollback()  # there is none in the database, so this waits for nothing


def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The driver's own connection below a connection of the pool."""
    used = connection.sync_connection
    assert used is not None  # noqa: S101  it was checked out
    found: asyncpg.Connection[asyncpg.Record] = used.connection.driver_connection  # type: ignore[assignment]
    return found
