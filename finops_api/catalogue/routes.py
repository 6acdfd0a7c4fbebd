"""GET /v1/dimensions and /v1/meta."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from finops_api.access import Pool, Reader
from finops_api.catalogue.queries import (
    MAX_VALUES,
    OVERVIEW,
    applied_rules,
    last_complete_day,
    members,
    refuse_unknown,
)
from finops_api.costs.models import DimensionName
from finops_api.database import rows, snapshot
from finops_api.errors import (
    AskedTwice,
    BadQuestion,
    DatabaseUnreachable,
    NotAllowed,
    NothingLoaded,
    UnknownDimension,
    documented,
)
from finops_api.questions import Question, each_once
from finops_warehouse.conditions import CustomName
from finops_warehouse.dimensions import Rules
from finops_warehouse.freshness import COMPLETE_AFTER, freshness_parameters
from finops_warehouse.row_scope import RowScope
from finops_warehouse.semantic import DIMENSIONS, MEASURES, SHARES, Dimension
from finops_warehouse.settings import Settings

router = APIRouter(prefix="/v1", tags=["catalogue"])


class DimensionInfo(BaseModel):
    """Something to group or filter by."""

    name: str
    focus_name: str | None
    description: str
    custom: bool = Field(description="Whether the rules in force make it; filtered by as `custom=name:member`.")
    sources: list[str] = Field(
        description="Of a custom dimension: where its members come from, the first first. Not told to "
        "keys that see some accounts or projects only."
    )
    default_member: str | None = Field(description="Of a custom dimension: the member of charges no source knows.")


class MeasureInfo(BaseModel):
    """Something to add up."""

    name: str
    focus_name: str | None
    unit: str = Field(description="`currency`: the row's billing_currency. `share`: from 0 to 1.")
    additivity: str
    description: str


class Catalogue(BaseModel):
    """What can be asked."""

    rules_version: int | None = Field(description="Version of the rules of custom dimensions; null before any.")
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
    complete_after_days: int = Field(description="Later export days that have to be loaded before a day is complete.")
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


@router.get("/dimensions", operation_id="listDimensions", responses=documented(NotAllowed, DatabaseUnreachable))
async def list_dimensions(pool: Pool, _: Reader) -> Catalogue:
    """Every dimension and measure there is; custom dimensions are those of the rules in force."""
    version, rules = await applied_rules(pool)
    return Catalogue(
        rules_version=version,
        dimensions=[
            *(
                DimensionInfo(
                    name=d.name,
                    focus_name=d.focus_name,
                    description=d.description,
                    custom=False,
                    sources=[],
                    default_member=None,
                )
                for d in DIMENSIONS.values()
            ),
            *(_custom(rules, d, pool.scope) for d in rules.semantic().values()),
        ],
        measures=[
            MeasureInfo(
                name=m.name,
                focus_name=m.focus_name,
                unit=m.unit,
                additivity=m.additivity,
                description=m.description,
            )
            for m in [*MEASURES.values(), *SHARES.values()]
        ],
    )


def _custom(rules: Rules, of: Dimension, scope: RowScope) -> DimensionInfo:
    is_rule = of.name not in rules.by_name
    # Rules name projects and labels, which may be those of others.
    tells_rules = not is_rule and not scope.is_restricted
    return DimensionInfo(
        name=of.name,
        focus_name=None,
        description=of.description,
        custom=True,
        sources=[source.rule for source in rules.by_name[of.name].sources] if tells_rules else [],
        default_member=None if is_rule else rules.by_name[of.name].default,
    )


class MembersQuery(Question):
    """Which members are asked for."""

    search: str = Field("", max_length=100, description="Part of an id or name.")
    limit: int = Field(100, ge=1, le=MAX_VALUES)


@router.get(
    "/dimensions/{name}/members",
    operation_id="listMembers",
    responses=documented(AskedTwice, BadQuestion, UnknownDimension, NotAllowed, DatabaseUnreachable),
)
async def list_members(
    name: DimensionName | CustomName,
    asked: Annotated[MembersQuery, Query()],
    pool: Pool,
    _: Reader,
    __: Annotated[None, each_once(MembersQuery)],
) -> Members:
    """The members of a dimension."""
    await refuse_unknown(pool, [str(name)])
    found = await members(pool, str(name), asked.search, asked.limit)
    return Members(items=[MemberInfo(**member) for member in found])


@router.get("/meta", operation_id="getMeta", responses=documented(NotAllowed, NothingLoaded, DatabaseUnreachable))
async def get_meta(request: Request, pool: Pool, _: Reader) -> Meta:
    """How fresh the tables are and what is left of each invoice."""
    async with snapshot(pool) as moment:
        complete_through = await last_complete_day(moment)
        [(after_days,)] = await rows(moment, COMPLETE_AFTER, freshness_parameters())
        [row] = await rows(moment, OVERVIEW)
    names = [
        "first_usage_day", "last_usage_day", "last_export_day", "loaded_at", "data_version", "billing_currencies",
        "usage_days_behind", "partitions_parked", "insights_engine", "invoice_months",
    ]  # fmt: skip
    settings: Settings = request.app.state.settings
    given = {"dagster_url": settings.dagster_url, "complete_after_days": after_days}
    return Meta.model_validate({"complete_through": complete_through, **given, **dict(zip(names, row, strict=True))})
