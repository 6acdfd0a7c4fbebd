"""GET /v1/exports: HTTP words only; what is exported, how it is written and how it is sent are elsewhere."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from finops_api.access import Exporter, Pool, Principal, Written, event
from finops_api.database import rows
from finops_api.errors import (
    AskedTwice,
    DatabaseUnreachable,
    EmptyWindow,
    NoSuchMonth,
    NotAddable,
    NotAllowed,
    NotExported,
    NothingLoaded,
    NothingServedThen,
    TooManyExports,
    TooManyGroups,
    UnknownDimension,
    WindowTooLong,
    documented,
)
from finops_api.exports.formats import MEDIA_TYPES, Format
from finops_api.exports.models import CostExportQuery, FocusExportQuery
from finops_api.exports.queries import costs_export, focus_export
from finops_api.exports.stream import Download, Running
from finops_api.questions import Question, each_once, within
from finops_warehouse.ledger import SETTLED

router = APIRouter(prefix="/v1/exports", tags=["exports"])

FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
        "headers": {
            "X-Data-Version": {
                "description": "Rises with the data the file is made from.", "schema": {"type": "integer"}
            },
        },
    }
}  # fmt: skip

Form = Annotated[Format, Path(alias="format", description="What kind of file.")]


@router.get(
    "/costs.{format}",
    operation_id="exportCosts",
    response_class=Response,
    responses=FILE
    | documented(
        AskedTwice, EmptyWindow, WindowTooLong, TooManyGroups, UnknownDimension, NotAddable, NothingServedThen,
        NotExported, NotAllowed, NothingLoaded, TooManyExports, DatabaseUnreachable,
    ),
)  # fmt: skip
async def export_costs(
    form: Form,
    query: Annotated[CostExportQuery, Query()],
    pool: Pool,
    exports: Running,
    principal: Exporter,
    journal: Written,
    request: Request,
    _: Annotated[None, each_once(CostExportQuery)],
) -> Download:
    """The answer of `/v1/costs` with every row, as a file of one moment; without `compare`, `top` and `limit`.

    Columns and rows are those of `items`, in their order. `X-Complete-Through` and `X-Missing-Days` say how far they
    can be trusted: a day that is missing has no rows, which is not a zero. Amounts are exact: decimal strings in
    NDJSON, decimal128(38, 9) in Arrow and Parquet. In CSV, text that a spreadsheet would run as a formula gets an
    apostrophe before it, unless `formula_safe` is false. A transfer that fails is broken off, never ended. Needs the
    scope `export`, and is written down.
    """
    query = within(query, pool.scope)
    if query.as_of:
        await rows(pool, SETTLED)
    return Download(
        exports,
        form,
        partial(costs_export, query=query),
        rows=principal.rows,
        ended=_written_down(request, principal, journal, "export.costs", query),
        formula_safe=query.formula_safe,
    )


@router.get(
    "/focus.{format}",
    operation_id="exportFocus",
    response_class=Response,
    responses=FILE | documented(AskedTwice, NoSuchMonth, NotAllowed, TooManyExports, DatabaseUnreachable),
)
async def export_focus(
    form: Form,
    query: Annotated[FocusExportQuery, Query()],
    exports: Running,
    principal: Exporter,
    journal: Written,
    request: Request,
    _: Annotated[None, each_once(FocusExportQuery)],
) -> Download:
    """The charges on the invoices of a month in the columns of FOCUS, as a file of one moment.

    The rows and columns are those of the view `focus_cost_and_usage`; they have no order. Amounts are decimal strings
    in NDJSON. Arrow and Parquet hold costs as decimal128(38, 9), quantities with 12 and prices with 18 decimal
    places; CSV and NDJSON hold every digit. In CSV, text that a spreadsheet would run as a formula gets an apostrophe
    before it, unless `formula_safe` is false. A transfer that fails is broken off, never ended. Needs the
    scope `export`, and is written down.
    """
    return Download(
        exports,
        form,
        partial(focus_export, query=query),
        rows=principal.rows,
        ended=_written_down(request, principal, journal, "export.focus", query),
        formula_safe=query.formula_safe,
    )


def _written_down(
    request: Request, principal: Principal, journal: Written, action: str, query: Question
) -> Callable[[int], None]:
    """Writes down, once it is over, what was asked for and how many bytes were given away."""
    asked = query.model_dump(mode="json", exclude_defaults=True)
    return lambda sent: journal.record(event(request, principal, action, "export", query=asked, bytes=sent))
