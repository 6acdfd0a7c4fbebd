"""GET /v1/invoice-months, GET /v1/invoice-months/parts, PUT /v1/invoices/…"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from finops_api.access import Admin, Pool, Reader, event
from finops_api.database import may_write, rows
from finops_api.errors import AskedTwice, BadQuestion, DatabaseUnreachable, NotAllowed, ReadReplica, documented
from finops_api.invoices.models import (
    InvoiceMonthQuery,
    InvoiceMonths,
    InvoiceProof,
    InvoiceTotal,
    Part,
    Parts,
    PartsQuery,
    Taken,
)
from finops_api.questions import each_once
from finops_warehouse import invoices
from finops_warehouse.keys import RECORD
from finops_warehouse.ledger import TOUCH_INVOICE_MONTHS
from finops_warehouse.tables import CREDIT_COLUMNS, INVOICE_COSTS

router = APIRouter(prefix="/v1", tags=["invoices"])

REFUSALS = documented(AskedTwice, BadQuestion, NotAllowed, DatabaseUnreachable)


def _as_text(column: str) -> str:
    # As text: json writes numerics as bare numbers, and JavaScript would read those as floats.
    return f"'{column}', trim_scale({column})::text"


_CREDITS = ", ".join(
    f"'{name.removeprefix('credit_')}', trim_scale(nullif({name}, 0))::text" for name in CREDIT_COLUMNS
)

PROOFS = f"""
    with moved as ({invoices.MOVED_AFTER_CLOSE}),
    seals as ({invoices.NEWEST_SEAL})
    select json_build_object(
        'invoice_month', invoice_month, 'billing_account_id', billing_account_id,
        'billing_currency', billing_currency, 'state', {invoices.STATE}, 'closing_from', closing_from,
        'closed_from', closed_from, {", ".join(map(_as_text, (*INVOICE_COSTS, "billed_cost", "late_billed_cost")))},
        'credits', json_strip_nulls(json_build_object({_CREDITS})), 'charge_count', charge_count,
        'late_charge_count', late_charge_count, 'input_hash', input_hash, 'invoice_id', invoice_id,
        {_as_text("invoice_total")}, {_as_text("residual")},
        'focus_export_total', (
            select trim_scale(witness.billed_cost)::text from finops.focus_export_months as witness
            where (witness.invoice_month, witness.billing_account_id, witness.billing_currency)
                = (months.invoice_month, months.billing_account_id, months.billing_currency)
        ),
        'focus_export_residual', (
            select trim_scale(months.billed_cost - witness.billed_cost)::text
            from finops.focus_export_months as witness
            where (witness.invoice_month, witness.billing_account_id, witness.billing_currency)
                = (months.invoice_month, months.billing_account_id, months.billing_currency)
        ),
        'seal', (
            select json_build_object(
                'billed_cost', trim_scale(seals.billed_cost)::text, 'charge_count', seals.charge_count,
                'input_hash', seals.input_hash, 'sealed_at', seals.sealed_at, 'reason', seals.reason
            ) from seals where (seals.invoice_month, seals.billing_account_id, seals.billing_currency)
                = (months.invoice_month, months.billing_account_id, months.billing_currency)
        ),
        'moved_after_close', exists (
            select from moved where (moved.invoice_month, moved.billing_account_id, moved.billing_currency)
                = (months.invoice_month, months.billing_account_id, months.billing_currency)
        )
    )
    from finops.invoice_months as months
    where (%(months)s::text[] = '{{}}' or invoice_month = any(%(months)s))
    and (%(accounts)s::text[] = '{{}}' or billing_account_id = any(%(accounts)s))
    order by invoice_month, billing_account_id, billing_currency
"""  # noqa: S608 -- made of constants of ours

PARTS = f"""
    select json_build_object(
        'billing_account_id', billing_account_id, 'billing_currency', billing_currency, 'export_day', export_day,
        'cost_type', cost_type, {_as_text("cost")}, {_as_text("billed_cost")}, 'charge_count', charge_count,
        'credits', json_strip_nulls(json_build_object({_CREDITS}))
    )
    from finops.invoice_month_parts
    where invoice_month = %(month)s and (%(accounts)s::text[] = '{{}}' or billing_account_id = any(%(accounts)s))
    order by billing_account_id, billing_currency, export_day, cost_type
"""  # noqa: S608 -- made of constants of ours


@router.get("/invoice-months", operation_id="listInvoiceMonths", responses=REFUSALS)
async def list_invoice_months(
    query: Annotated[InvoiceMonthQuery, Query()],
    pool: Pool,
    _: Reader,
    __: Annotated[None, each_once(InvoiceMonthQuery)],
) -> InvoiceMonths:
    """Each invoice month as the identity it is, with what is left of the total Google sent, and its seal."""
    parameters = {"months": query.invoice_month, "accounts": query.billing_account, "first": None, "last": None}
    return InvoiceMonths(
        items=[InvoiceProof.model_validate(proof) for (proof,) in await rows(pool, PROOFS, parameters)]
    )


@router.get("/invoice-months/parts", operation_id="listInvoiceMonthParts", responses=REFUSALS)
async def list_invoice_month_parts(
    query: Annotated[PartsQuery, Query()], pool: Pool, _: Reader, __: Annotated[None, each_once(PartsQuery)]
) -> Parts:
    """What each export day brought for an invoice, by cost type and credit type. The parts add up to the month."""
    found = await rows(pool, PARTS, {"month": query.invoice_month, "accounts": query.billing_account})
    return Parts(items=[Part.model_validate(part) for (part,) in found])


@router.put(
    "/invoices/{billing_account}/{invoice_month}/{billing_currency}",
    operation_id="putInvoice",
    responses=documented(AskedTwice, BadQuestion, NotAllowed, DatabaseUnreachable, ReadReplica),
)
async def put_invoice(
    billing_account: Annotated[str, Path(max_length=100, pattern=r"^[^\s\x00]+$")],
    invoice_month: Annotated[str, Path(pattern=r"^[0-9]{4}(0[1-9]|1[0-2])$")],
    billing_currency: Annotated[str, Path(pattern=r"^[A-Z]{3}$")],
    invoice: InvoiceTotal,
    request: Request,
    pool: Pool,
    principal: Admin,
) -> Taken:
    """Hand in the total of an invoice, as Google sent it. One that is handed in again replaces the one before."""
    named = {
        "billing_account_id": billing_account,
        "invoice_month": invoice_month,
        "billing_currency": billing_currency,
        **invoice.model_dump(),
    }
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        taken = await connection.execute(invoices.TAKE, named)
        if taken.rowcount:
            await connection.execute(TOUCH_INVOICE_MONTHS, {"months": [invoice_month]})
            told = {name: str(value) for name, value in named.items() if value is not None}
            await connection.execute(RECORD, event(request, principal, "invoice.put", "admin", **told).parameters())
    return Taken(changed=bool(taken.rowcount))
