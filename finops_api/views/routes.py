"""GET and POST /v1/views, GET, PUT and DELETE /v1/views/{view_id}."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from finops_api.access import Pool, Principal, Reader, event
from finops_api.database import may_write, rows
from finops_api.errors import (
    BadQuestion,
    DatabaseUnreachable,
    LacksScope,
    NameTaken,
    NoSuchView,
    NotAllowed,
    ReadReplica,
    TooMany,
    documented,
)
from finops_api.views.models import MAX_VIEWS, ViewInfo, ViewPage, ViewPlan
from finops_api.views.queries import BY_NAME, INSERT, ONE, OWN, UPDATE, WHOEVER_SEES_IT, owned_by, views
from finops_warehouse.keys import RECORD

router = APIRouter(prefix="/v1/views", tags=["views"])

READS = (NotAllowed, DatabaseUnreachable)
WRITES = (BadQuestion, NotAllowed, DatabaseUnreachable, ReadReplica)

ViewId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("", operation_id="listViews", responses=documented(*READS))
async def list_views(pool: Pool, principal: Reader) -> ViewPage:
    """Your views, and those that others share. A key that sees some rows only sees its own views only."""
    async with pool.aside() as connection:
        return ViewPage(items=await views(connection, BY_NAME, principal))


@router.post("", operation_id="createView", status_code=201, responses=documented(*WRITES, NameTaken, TooMany))
async def create_view(plan: ViewPlan, request: Request, response: Response, pool: Pool, principal: Reader) -> ViewInfo:
    """Keep a view of the dashboard under a name of your own."""
    async with pool.aside() as connection, connection.transaction():
        await may_write(connection)
        # Only one at a time is made, so that those that are counted are all there are.
        await connection.execute("lock table finops.saved_views in share row exclusive mode")
        [(there,)] = await rows(connection, OWN, dict(owned_by(principal)))
        if there >= MAX_VIEWS:
            raise TooMany(f"You keep {there} views, which is the most there may be. Delete one first.")
        try:
            [(view_id,)] = await rows(connection, INSERT, {**plan.model_dump(), **owned_by(principal)})
        except UniqueViolation:
            raise _taken(plan) from None
        made = await _one(connection, principal, view_id)
        await _write_down_what_is_shared(connection, request, principal, "view.create", made)
    response.headers["Location"] = f"/v1/views/{view_id}"
    return made


@router.get("/{view_id}", operation_id="getView", responses=documented(*READS, BadQuestion, NoSuchView))
async def get_view(view_id: ViewId, pool: Pool, principal: Reader) -> ViewInfo:
    """One view. That of somebody else who does not share it is as if it were not there."""
    async with pool.aside() as connection:
        return await _one(connection, principal, view_id)


@router.put("/{view_id}", operation_id="putView", responses=documented(*WRITES, NoSuchView, NameTaken))
async def put_view(view_id: ViewId, plan: ViewPlan, request: Request, pool: Pool, principal: Reader) -> ViewInfo:
    """Change a view: one of your own, or as somebody with the scope admin one that is shared."""
    async with pool.aside() as connection, connection.transaction():
        await may_write(connection)
        before = await _one_to_change(connection, principal, view_id)
        try:
            await connection.execute(UPDATE, {**plan.model_dump(), "view_id": view_id})
        except UniqueViolation:
            raise _taken(plan) from None
        # Whoever takes somebody else's view out of what is shared does not see it any more.
        [now] = await views(connection, WHOEVER_SEES_IT, principal, view_id=view_id)
        await _write_down_what_is_shared(connection, request, principal, "view.change", before, now)
    return now


@router.delete("/{view_id}", operation_id="deleteView", status_code=204, responses=documented(*WRITES, NoSuchView))
async def delete_view(view_id: ViewId, request: Request, pool: Pool, principal: Reader) -> None:
    """Take a view away: one of your own, or as somebody with the scope admin one that is shared."""
    async with pool.aside() as connection, connection.transaction():
        await may_write(connection)
        before = await _one_to_change(connection, principal, view_id)
        await connection.execute("delete from finops.saved_views where view_id = %s", [view_id])
        await _write_down_what_is_shared(connection, request, principal, "view.delete", before)


async def _one(connection: AsyncConnection, principal: Principal, view_id: int) -> ViewInfo:
    found = await views(connection, ONE, principal, view_id=view_id)
    if not found:
        raise NoSuchView("There is no such view among yours and those that are shared. `/v1/views` lists them.")
    return found[0]


async def _one_to_change(connection: AsyncConnection, principal: Principal, view_id: int) -> ViewInfo:
    await connection.execute("select from finops.saved_views where view_id = %s for update", [view_id])
    view = await _one(connection, principal, view_id)
    if not view.is_yours and "admin" not in principal.scopes:
        raise LacksScope(f"This view is {view.owner}'s. Changing it needs a key with the scope admin as well.")
    return view


def _taken(plan: ViewPlan) -> NameTaken:
    return NameTaken(f"There is a view {plan.name!r} already. Change that one with PUT, or take another name.")


async def _write_down_what_is_shared(
    connection: AsyncConnection, request: Request, principal: Principal, action: str, *versions: ViewInfo
) -> None:
    """What others see is written down when it changes; what is somebody's own is nobody's business."""
    if not any(view.shared for view in versions):
        return
    last = versions[-1]
    told = last.model_dump(include={"view_id", "owner", "name", "query", "shared"})
    await connection.execute(RECORD, event(request, principal, action, "read", **told).parameters())
