"""One page of a query in one statement, with the number of rows on all pages. Used by the PostgreSQL readers of simple lists."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, literal, select, true
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from chassis.postgres.database import Database

Columns = ReadOnlyColumnCollection[str, Any]


async def read_page(
    database: Database,
    found: Select[*tuple[Any, ...]],
    order: Callable[[Columns], Sequence[ColumnElement[Any]]],
    *,
    page: int,
    limit: int,
) -> tuple[Sequence[RowMapping], int]:
    """The rows of the page (from 1) and the total, which is returned beyond the last page too.

    `found` has a column `user_id`, never null; `order` names columns of it.
    """
    everything = found.cte("found")
    one_page = select(everything).order_by(*order(everything.c)).limit(limit).offset((page - 1) * limit).cte("page")
    total = select(func.count()).select_from(everything).scalar_subquery().label("total_items")
    always = select(literal(1)).subquery("always")
    statement = select(total, one_page).select_from(always.outerjoin(one_page, true())).order_by(*order(one_page.c))
    async with database.connect() as connection:
        rows = (await connection.execute(statement)).mappings().all()
    return [row for row in rows if row["user_id"] is not None], rows[0]["total_items"]
