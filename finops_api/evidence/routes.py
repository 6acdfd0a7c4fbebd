"""GET /v1/evidence and POST /v1/evidence/query: from any served number to the charges it is made of."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from finops_api.access import Exporter, Pool, Reader, Written, event
from finops_api.catalogue.queries import refuse_unknown
from finops_api.costs.models import MeasureName
from finops_api.database import ScopedPool, snapshot
from finops_api.errors import (
    AskedTwice,
    BadQuestion,
    DatabaseUnreachable,
    EmptyWindow,
    NotAddable,
    NotAllowed,
    OutOfScope,
    UnknownDimension,
    UnknownFigure,
    documented,
)
from finops_api.evidence.models import ChargeInfo, Evidence, EvidenceQuery, EvidenceQuestion
from finops_api.evidence.queries import charges_of, evidence
from finops_api.questions import each_once, within
from finops_warehouse.row_scope import RowScope

router = APIRouter(prefix="/v1", tags=["evidence"])

REFUSALS = documented(
    BadQuestion, AskedTwice, EmptyWindow, UnknownDimension, NotAddable, UnknownFigure, NotAllowed, DatabaseUnreachable
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@router.get("/evidence", operation_id="getEvidence", responses=REFUSALS)
async def get_evidence(
    query: Annotated[EvidenceQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(EvidenceQuery)]
) -> Evidence:
    """A number computed again, how, and a page of the charges behind it, largest first.

    Their sum over all pages is `rows_sum`; `matches` says whether it is what the served tables say.
    """
    return await _answer(query, pool)


@router.post("/evidence/query", operation_id="queryEvidence", responses=REFUSALS)
async def query_evidence(question: EvidenceQuestion, pool: Pool, _: Reader) -> Evidence:
    """The same as a body, also of a cell of an answer of `/v1/costs/query`. Nothing is changed by it."""
    return await _answer(question, pool)


async def _answer(query: EvidenceQuery, pool: ScopedPool) -> Evidence:
    query = _within(query, pool.scope)
    async with snapshot(pool, reads_charges=True) as moment:
        await refuse_unknown(moment, query.dimensions())
        return await evidence(moment, query)


@router.get("/evidence.csv", operation_id="downloadEvidence", responses=REFUSALS, response_class=StreamingResponse)
async def download_evidence(
    request: Request,
    query: Annotated[EvidenceQuery, Query()],
    pool: Pool,
    principal: Exporter,
    journal: Written,
    _: Annotated[None, each_once(EvidenceQuery)],
) -> StreamingResponse:
    """All charges behind a number, as CSV. Needs the scope `export`, and is written down."""
    query = _within(query, pool.scope)
    async with snapshot(pool, reads_charges=True) as moment:  # refused before a byte is sent
        await refuse_unknown(moment, query.custom_filters())
        await evidence(moment, query.model_copy(update={"limit": 1, "offset": 0}))

    async def lines() -> AsyncIterator[str]:
        yield _line(list(ChargeInfo.model_fields))
        sent = 0
        try:
            async with snapshot(pool, reads_charges=True) as moment:
                async for charges in charges_of(moment, query):
                    yield "".join(_line([_safe(value) for value in charge.model_dump().values()]) for charge in charges)
                    sent += len(charges)
        finally:  # a download that is broken off has given away what it sent
            asked = query.model_dump(mode="json", exclude_defaults=True)
            journal.record(replace(event(request, principal, "export.evidence", "export", query=asked), rows=sent))

    headers = {"Content-Disposition": 'attachment; filename="charges.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def _within(query: EvidenceQuery, scope: RowScope) -> EvidenceQuery:
    if scope.projects is not None and query.measure == MeasureName("effective_cost"):
        raise OutOfScope(
            "You see some projects only, and effective cost spreads the fees of the whole billing account: its "
            "rows do not add up to it. Ask for another measure."
        )
    return within(query, scope)


def _safe(value: object) -> str:
    """A value a spreadsheet will not run: names are written by anybody, and `=…` is a formula there."""
    text = "" if value is None else str(value)
    is_number = text.removeprefix("-").replace(".", "", 1).isdigit()
    return f"'{text}" if text.startswith(FORMULA_STARTS) and not is_number else text


def _line(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue()
