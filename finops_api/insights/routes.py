"""GET /v1/anomalies, /v1/forecasts, /v1/recommendations and /v1/insights."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from psycopg import AsyncConnection

from finops_api.access import Pool, Reader
from finops_api.catalogue.queries import last_complete_day
from finops_api.database import rows, snapshot
from finops_api.errors import AskedTwice, BadQuestion, DatabaseUnreachable, NotAllowed, NothingLoaded, documented
from finops_api.evidence.queries import FACTS, recall
from finops_api.insights.models import (
    AccuracyMeta,
    AccuracyPage,
    AnomalyMeta,
    AnomalyPage,
    AnomalyQuery,
    ForecastMeta,
    ForecastPage,
    ForecastQuery,
    InsightInfo,
    InsightMeta,
    InsightPage,
    InsightQuery,
    Narrowed,
    RecommendationMeta,
    RecommendationPage,
    Text,
    Thresholds,
    Windowed,
)
from finops_api.insights.queries import ACCURACY, ANOMALIES, FORECASTS, INSIGHTS, RECOMMENDATIONS, one_row
from finops_api.questions import each_once
from finops_insights import thresholds
from finops_insights.facts import Fact, recomputed
from finops_insights.rendering import render

router = APIRouter(prefix="/v1", tags=["insights"])

REFUSALS = documented(BadQuestion, AskedTwice, NotAllowed, NothingLoaded, DatabaseUnreachable)
ALWAYS = documented(NotAllowed, DatabaseUnreachable)
DAYS_BACK = 90
THRESHOLDS = Thresholds(
    sensitivity=f"{thresholds.SENSITIVITY:g}",
    min_amount=f"{thresholds.MIN_AMOUNT:g}",
    min_percent_of_account=f"{100 * thresholds.MIN_SHARE_OF_ACCOUNT:g}",
    min_percent=f"{100 * thresholds.MIN_SHARE:g}",
)


@router.get("/anomalies", operation_id="listAnomalies", responses=REFUSALS)
async def list_anomalies(
    query: Annotated[AnomalyQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(AnomalyQuery)]
) -> AnomalyPage:
    """Events of the window: neighbouring days that cost more, or less, than the past explains."""
    async with snapshot(pool) as moment:
        complete = await last_complete_day(moment)
        start, end = _days(query, complete)
        asked = {**_narrowed(query), "start": start, "end": end, "include_explained": query.include_explained}
        items, version = await one_row(moment, ANOMALIES, asked)
    meta = AnomalyMeta(start=start, end=end, complete_through=complete, data_version=version, thresholds=THRESHOLDS)
    return AnomalyPage(items=items, meta=meta)


@router.get("/forecasts", operation_id="listForecasts", responses=REFUSALS)
async def list_forecasts(
    query: Annotated[ForecastQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(ForecastQuery)]
) -> ForecastPage:
    """The month's end and the next 30 days, with 80 and 95 % intervals, as they looked on a day."""
    asked = {
        "as_of": query.as_of, "scope": query.scope, "members": query.member, "currencies": query.billing_currency,
    }  # fmt: skip
    async with snapshot(pool) as moment:
        items, as_of, version = await one_row(moment, FORECASTS, asked)
    why = None if items else "There is no forecast: it takes 14 complete days, and a member that had costs by then."
    return ForecastPage(items=items, meta=ForecastMeta(as_of_day=as_of, data_version=version, why_none=why))


@router.get(
    "/forecasts/accuracy", operation_id="listForecastAccuracy", responses=documented(NotAllowed, DatabaseUnreachable)
)
async def list_forecast_accuracy(pool: Pool, _: Reader) -> AccuracyPage:
    """How good the forecasts of the last 60 as-of days have been, beside the simplest one there is."""
    async with snapshot(pool) as moment:
        items, first, last, version = await one_row(moment, ACCURACY, {})
    return AccuracyPage(
        items=items, meta=AccuracyMeta(first_as_of_day=first, last_as_of_day=last, data_version=version)
    )


@router.get("/recommendations", operation_id="listRecommendations", responses=REFUSALS)
async def list_recommendations(
    query: Annotated[Narrowed, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(Narrowed)]
) -> RecommendationPage:
    """What could be saved, from billing rows alone; each with its evidence and what it assumes."""
    async with snapshot(pool) as moment:
        items, totals, as_of, version = await one_row(moment, RECOMMENDATIONS, _narrowed(query))
    return RecommendationPage(
        items=items, meta=RecommendationMeta(as_of_day=as_of, data_version=version, totals=totals)
    )


@router.get("/insights", operation_id="listInsights", responses=REFUSALS)
async def list_insights(
    query: Annotated[InsightQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(InsightQuery)]
) -> InsightPage:
    """Sentences about the costs. Every figure is a fact that was computed again for this answer.

    An insight whose figures have moved since it was written is withheld and written anew; `meta.withheld` counts.
    """
    async with snapshot(pool) as moment:
        complete = await last_complete_day(moment)
        start, end = _days(query, complete)
        asked = {
            **_narrowed(query), "start": start, "end": end, "complete": complete, "period": query.period,
            "subject": query.subject, "limit": query.limit,
        }  # fmt: skip
        found = await rows(moment, INSIGHTS, asked)
        [(version,)] = await rows(
            moment, "select coalesce(max(version), 0) from finops.materialisation where asset like 'llm_insights%%'", {}
        )
        items = await _verified(moment, [row for (row,) in found])
    meta = InsightMeta(
        start=start, end=end, complete_through=complete, data_version=version, withheld=len(found) - len(items)
    )
    return InsightPage(items=items, meta=meta)


async def _verified(moment: AsyncConnection, found: list[dict[str, Any]]) -> list[InsightInfo]:
    """The insights whose facts still hold, with their text filled in."""
    sets: list[dict[str, Fact]] = [FACTS.validate_python(row["facts"]) for row in found]
    recalled = await recall(moment, [fact for facts in sets for fact in facts.values()])
    items = []
    for row, facts in zip(found, sets, strict=True):
        now = recomputed(facts, recalled)
        if any(now[fact.id] != fact.value for fact in facts.values()):
            continue
        template = Text.model_validate(row["template"])
        text = {name: render(part, facts) for name, part in template.model_dump().items() if part}
        checked = {
            "facts": facts,
            "template": template,
            "text": Text.model_validate(text),
            "figures_verified": sum(fact.value is not None for fact in facts.values()),
            "verified_at": datetime.now(UTC),
        }
        items.append(InsightInfo.model_validate({**row, **checked}))
    return items


def _days(query: Windowed, complete_through: date) -> tuple[date, date]:
    end = query.end or complete_through + timedelta(days=1)
    return query.start or end - timedelta(days=DAYS_BACK), end


def _narrowed(query: Narrowed) -> dict[str, Any]:
    return {"currencies": query.billing_currency, "projects": query.project, "services": query.service}
