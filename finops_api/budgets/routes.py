"""GET and POST /v1/budgets, GET, PUT and DELETE /v1/budgets/{budget_id}."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from finops_api.access import Admin, Pool, Principal, Reader, event
from finops_api.budgets.models import BudgetInfo, BudgetPage, BudgetQuery, MonthQuery
from finops_api.budgets.queries import BY_NAME, ONE, with_statuses
from finops_api.catalogue.queries import refuse_unknown
from finops_api.database import may_write, rows, snapshot
from finops_api.errors import (
    AskedTwice,
    BadQuestion,
    ChangedMeanwhile,
    DatabaseUnreachable,
    NameTaken,
    NoSuchBudget,
    NotAllowed,
    ReadReplica,
    TooMany,
    UnknownDimension,
    documented,
)
from finops_api.questions import each_once
from finops_warehouse.budgets import INSERT, MAX_BUDGETS, UPDATE, Budget, BudgetPlan
from finops_warehouse.keys import RECORD

router = APIRouter(prefix="/v1/budgets", tags=["budgets"])

REFUSALS = (AskedTwice, BadQuestion, NotAllowed, DatabaseUnreachable)
WRITES = (BadQuestion, NotAllowed, DatabaseUnreachable, ReadReplica)

BudgetId = Annotated[int, Path(ge=1, le=2**63 - 1)]
IfMatch = Annotated[
    str,
    Header(
        max_length=30,
        pattern=r'^("[0-9]{1,9}"|\*)$',
        description='The version that is to be changed, as `ETag` and `version` tell it: `"3"`. `*`: whichever it is.',
    ),
]


@router.get("", operation_id="listBudgets", responses=documented(*REFUSALS))
async def list_budgets(
    query: Annotated[BudgetQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(BudgetQuery)]
) -> BudgetPage:
    """Every budget, how much of it is spent on the complete days of a month, what is forecast, and what was told."""
    async with snapshot(pool) as moment:
        found = await rows(moment, BY_NAME, {"currencies": query.billing_currency})
        budgets = [Budget.model_validate(budget) for (budget,) in found]
        items, meta = await with_statuses(moment, budgets, query.month)
    return BudgetPage(items=items, meta=meta)


@router.post(
    "",
    operation_id="createBudget",
    status_code=201,
    responses=documented(*WRITES, NameTaken, TooMany, UnknownDimension),
)
async def create_budget(plan: BudgetPlan, request: Request, response: Response, pool: Pool, principal: Admin) -> Budget:
    """Make a budget. Its alerts follow within minutes, where Dagster runs, or with the next `finops sync`."""
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        await refuse_unknown(connection, plan.filters)
        # Only one at a time is made, so that those that are counted are all there are.
        await connection.execute("lock table finops.budgets in share row exclusive mode")
        [(there,)] = await rows(connection, "select count(*) from finops.budgets")
        if there >= MAX_BUDGETS:
            raise TooMany(f"There are {there} budgets, which is the most there may be. Delete one first.")
        try:
            [(budget_id,)] = await rows(connection, INSERT, {**plan.parameters(), "actor": principal.name})
        except UniqueViolation:
            raise _taken(plan) from None
        await _write_down(connection, request, principal, "budget.create", budget_id, plan)
        made = await _one(connection, budget_id)
    response.headers["Location"] = f"/v1/budgets/{budget_id}"
    response.headers["ETag"] = _etag(made)
    return made


@router.get("/{budget_id}", operation_id="getBudget", responses=documented(*REFUSALS, NoSuchBudget))
async def get_budget(
    budget_id: BudgetId,
    query: Annotated[MonthQuery, Query()],
    response: Response,
    pool: Pool,
    _: Reader,
    __: Annotated[None, each_once(MonthQuery)],
) -> BudgetInfo:
    """One budget and its month. `ETag` is the version of the budget, whatever is spent of it."""
    async with snapshot(pool) as moment:
        [info], _meta = await with_statuses(moment, [await _one(moment, budget_id)], query.month)
    response.headers["ETag"] = _etag(info)
    return info


@router.put(
    "/{budget_id}",
    operation_id="putBudget",
    responses=documented(*WRITES, NoSuchBudget, NameTaken, ChangedMeanwhile, UnknownDimension),
)
async def put_budget(
    budget_id: BudgetId,
    plan: BudgetPlan,
    if_match: IfMatch,
    request: Request,
    response: Response,
    pool: Pool,
    principal: Admin,
) -> Budget:
    """Change a budget, all of it. One that is so already stays as it is, so that sending it again is safe.

    Alerts that would not have been given by the changed budget are withdrawn, and new ones given.
    """
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        await refuse_unknown(connection, plan.filters)
        before = await _one(connection, budget_id, to_change=True)
        if before.plan() != plan:
            _refuse_another_version(before, if_match)
            try:
                given = {**plan.parameters(), "budget_id": budget_id, "actor": principal.name}
                await connection.execute(UPDATE, given)
            except UniqueViolation:
                raise _taken(plan) from None
            await _write_down(connection, request, principal, "budget.change", budget_id, plan)
        now = await _one(connection, budget_id)
    response.headers["ETag"] = _etag(now)
    return now


@router.delete(
    "/{budget_id}",
    operation_id="deleteBudget",
    status_code=204,
    responses=documented(*WRITES, NoSuchBudget, ChangedMeanwhile),
)
async def delete_budget(budget_id: BudgetId, if_match: IfMatch, request: Request, pool: Pool, principal: Admin) -> None:
    """Take a budget away, with its alerts. What it was stays written down in `audit_event`."""
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        before = await _one(connection, budget_id, to_change=True)
        _refuse_another_version(before, if_match)
        await connection.execute("delete from finops.budgets where budget_id = %s", [budget_id])
        await _write_down(connection, request, principal, "budget.delete", budget_id, before.plan())


async def _one(connection: AsyncConnection, budget_id: int, *, to_change: bool = False) -> Budget:
    found = await rows(connection, f"{ONE} for update" if to_change else ONE, {"budget_id": budget_id})
    if not found:
        raise NoSuchBudget(f"There is no budget {budget_id}. `/v1/budgets` lists those there are.")
    return Budget.model_validate(found[0][0])


def _refuse_another_version(budget: Budget, if_match: str) -> None:
    if if_match not in ("*", _etag(budget)):
        raise ChangedMeanwhile(
            f"The budget is at version {budget.version} by now, changed by {budget.updated_by}. Get it again, and send "
            "your change with its ETag as If-Match."
        )


def _etag(budget: Budget) -> str:
    return f'"{budget.version}"'


def _taken(plan: BudgetPlan) -> NameTaken:
    return NameTaken(f"There is a budget {plan.name!r} already. Change that one with PUT, or take another name.")


async def _write_down(
    connection: AsyncConnection, request: Request, principal: Principal, action: str, budget_id: int, plan: BudgetPlan
) -> None:
    done = event(request, principal, action, "admin", budget_id=budget_id, **plan.model_dump())
    await connection.execute(RECORD, done.parameters())
