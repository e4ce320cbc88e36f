"""The audit log over gRPC: a call that changes something leaves one row, refused ones too, and one that reads leaves none."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from library.v1 import categories_pb2 as pb

from chassis.erasure.job import Erasures
from chassis.erasure.plan import ErasurePlan
from chassis.postgres.database import open_database
from library_svc.erasure.postgres import ERASED
from tests.component.library.library_rig import Rig, library_rig, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREATE, UPDATE = "library.v1.CategoryService/CreateCategory", "library.v1.CategoryService/UpdateCategory"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(new_database) -> AsyncIterator[Rig]:
    async with library_rig(new_database) as running:
        yield running


async def log_of(rig: Rig, actor: str | None, after: str = "") -> Sequence[tuple[Any, ...]]:
    connection = await asyncpg.connect(rig.postgres_dsn)
    try:
        rows = await connection.fetch(
            "SELECT action, resource, outcome, actor_kind, address::text, request_id FROM audit_log"
            " WHERE actor IS NOT DISTINCT FROM $1 AND action LIKE '%' || $2 ORDER BY at",
            actor,
            after,
        )
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def test_changes_are_told_of_with_those_that_are_refused_and_reads_are_not(rig: Rig):
    user_id = uuid4()
    me = user(user_id)
    made = (await rig.categories.CreateCategory(pb.CreateCategoryRequest(name="RPG"), metadata=me)).category
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.categories.CreateCategory(pb.CreateCategoryRequest(name="RPG"), metadata=me)
    unknown = str(uuid4())
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.categories.UpdateCategory(
            pb.UpdateCategoryRequest(
                category_id=unknown, category=pb.CategoryChanges(name="x"), update_mask=FieldMask(paths=["name"])
            ),
            metadata=me,
        )
    await rig.categories.ListCategories(pb.ListCategoriesRequest(), metadata=me)

    told = await log_of(rig, str(user_id))
    assert [(row[0].lstrip("/"), row[1], row[2]) for row in told] == [
        (CREATE, "", "done"),
        (CREATE, "", "refused: CATEGORY_ALREADY_EXISTS"),
        (UPDATE, f"category_id={unknown}", "refused: CATEGORY_NOT_FOUND"),
    ]
    assert {row[3:5] for row in told} == {("user", "127.0.0.1/32")}
    assert len({row[5] for row in told}) == len(told), "each call has a request id of its own"
    assert made.id


async def test_what_an_erased_user_still_tries_is_told_without_them(rig: Rig):
    user_id: UUID = uuid4()
    async with open_database(rig.postgres_dsn) as database:
        await Erasures(database, ErasurePlan(ERASED)).request(user_id, datetime.now(UTC))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rig.categories.CreateCategory(pb.CreateCategoryRequest(name="again"), metadata=user(user_id))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert await log_of(rig, str(user_id)) == []
    ((_, _, outcome, _, address, request_id),) = await log_of(rig, None, "CreateCategory")
    assert (outcome, address, request_id) == ("refused: ACCOUNT_ERASED", None, None)
