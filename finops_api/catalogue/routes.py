"""GET /v1/dimensions and /v1/meta."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from finops_api.access import Reader
from finops_api.catalogue.queries import MAX_VALUES, OVERVIEW, last_complete_day, members
from finops_api.costs.models import DimensionName
from finops_api.database import Pool, rows, snapshot
from finops_api.errors import BadQuestion, DatabaseUnreachable, NotAllowed, NothingLoaded, documented
from finops_warehouse.semantic import DIMENSIONS, MEASURES
from finops_warehouse.settings import Settings

router = APIRouter(prefix="/v1", tags=["catalogue"])


class DimensionInfo(BaseModel):
    """Something to group or filter by."""

    name: str
    focus_name: str | None
    description: str


class MeasureInfo(BaseModel):
    """Something to add up."""

    name: str
    focus_name: str | None
    unit: str = Field(description="`currency`: the row's billing_currency.")
    additivity: str
    description: str


class Catalogue(BaseModel):
    """What can be asked."""

    dimensions: list[DimensionInfo]
    measures: list[MeasureInfo]


class MemberInfo(BaseModel):
    """A member of a dimension."""

    id: str
    name: str | None


class Members(BaseModel):
    """Members of a dimension, in the order of their names."""

    items: list[MemberInfo]


class InvoiceMonthInfo(BaseModel):
    """An invoice, what it adds up to, and what is left of it; amounts are decimal strings."""

    invoice_month: str
    billing_account_id: str
    billing_currency: str
    state: Literal["open", "closing", "closed"]
    billed_cost: str
    invoice_total: str | None
    residual: str | None


class Meta(BaseModel):
    """How fresh and how sure the tables are."""

    complete_through: date
    first_usage_day: date
    last_usage_day: date
    last_export_day: date
    loaded_at: datetime
    data_version: int
    billing_currencies: list[str]
    usage_days_behind: int
    partitions_parked: int
    invoice_months: list[InvoiceMonthInfo]
    dagster_url: str = Field(description="Where people reach the Dagster UI.")
    insights_engine: str = Field(description="Who wrote the newest insight: `rules`, or a provider and model.")


@router.get("/dimensions", operation_id="listDimensions", responses=documented(NotAllowed))
async def list_dimensions(_: Reader) -> Catalogue:
    """Every dimension and measure there is."""
    return Catalogue(
        dimensions=[
            DimensionInfo(name=d.name, focus_name=d.focus_name, description=d.description) for d in DIMENSIONS.values()
        ],
        measures=[
            MeasureInfo(
                name=m.name,
                focus_name=m.focus_name,
                unit=m.unit,
                additivity=m.additivity,
                description=m.description,
            )
            for m in MEASURES.values()
        ],
    )


@router.get(
    "/dimensions/{name}/members",
    operation_id="listMembers",
    responses=documented(BadQuestion, NotAllowed, DatabaseUnreachable),
)
async def list_members(
    name: DimensionName,
    pool: Pool,
    _: Reader,
    search: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$", description="Part of an id or name.")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_VALUES)] = 100,
) -> Members:
    """The members of a dimension."""
    found = await members(pool, str(name), search, limit)
    return Members(items=[MemberInfo(**member) for member in found])


@router.get("/meta", operation_id="getMeta", responses=documented(NotAllowed, NothingLoaded, DatabaseUnreachable))
async def get_meta(request: Request, pool: Pool, _: Reader) -> Meta:
    """How fresh the tables are and what is left of each invoice."""
    async with snapshot(pool) as moment:
        complete_through = await last_complete_day(moment)
        [row] = await rows(moment, OVERVIEW)
    names = [
        "first_usage_day", "last_usage_day", "last_export_day", "loaded_at", "data_version", "billing_currencies",
        "usage_days_behind", "partitions_parked", "insights_engine", "invoice_months",
    ]  # fmt: skip
    settings: Settings = request.app.state.settings
    given = {"dagster_url": settings.dagster_url}
    return Meta.model_validate({"complete_through": complete_through, **given, **dict(zip(names, row, strict=True))})
