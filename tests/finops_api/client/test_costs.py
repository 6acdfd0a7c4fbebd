"""Cost questions of the client: every row, exact amounts, and the charges behind each figure."""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pytest

from finops_client import CostQuestion, FinOps, NoEvidence, Row, StaleCursor
from finops_warehouse.database import connect_to

from .between import between

START, END = date(2026, 9, 1), date(2026, 10, 1)
SEPTEMBER: CostQuestion = {"start": START, "end": END}
DETAILED: CostQuestion = {**SEPTEMBER, "group_by": ("project", "sku", "region")}
"""More rows than the API gives in one answer."""


def floats(found: object) -> list[object]:
    """Every float in a document."""
    if isinstance(found, dict):
        return [value for part in found.values() for value in floats(part)]
    if isinstance(found, list):
        return [value for part in found for value in floats(part)]
    return [found] if isinstance(found, float) else []


def test_what_a_service_cost_is_what_its_charges_add_up_to(finops: FinOps, charges: psycopg.Connection) -> None:
    """To the last digit, against the rows of the export themselves."""
    expected = charges.execute(
        "select service_id, currency, sum(cost + credits_total) from ("
        " select service_id, billing_currency as currency, cost, billed_cost - cost as credits_total"
        " from finops.raw_charges where usage_day >= '2026-09-01' and usage_day < '2026-10-01') as raw"
        " group by service_id, currency"
    ).fetchall()

    answer = finops.costs(start=START, end=END, granularity="total", group_by="service")

    found = {(row["service"], row["billing_currency"]): row["billed_cost"] for row in answer.rows}
    assert found == {(service, currency): amount for service, currency, amount in expected}
    assert all(type(amount) is Decimal for amount in found.values())
    assert (answer.rows[0]["start"], answer.rows[0]["end"]) == (date(2026, 9, 1), date(2026, 10, 1))


def test_an_answer_longer_than_a_page_is_whole(finops: FinOps, url: str) -> None:
    """A notebook that silently had the first 5000 rows would be wrong, and look right."""
    refused = httpx.get(f"{url}/v1/costs?start=2026-09-01&end=2026-10-01&group_by=project&group_by=sku&group_by=region")
    assert refused.json()["title"] == "TooManyRows"

    answer = finops.costs(**DETAILED)

    assert len(answer.rows) > 5000
    for total in answer.totals:
        rows = [row for row in answer.rows if row["billing_currency"] == total["billing_currency"]]
        assert sum(row["billed_cost"] for row in rows) == total["billed_cost"]


def touch(dsn: str) -> None:
    """Have the data move, as the end of any build does."""
    with connect_to(dsn, autocommit=True) as connection:
        connection.execute(
            "update finops.materialisation set version = nextval('finops.materialisation_version') where "
            "(asset, partition_key) = ('cost_by_sku_region_daily', '2026-09-10') or "
            "(asset, partition_key) = ('aggregated_cost_data', '2026-09-10')"
        )


def test_data_that_moves_between_two_pages_has_them_read_again(spoilt: str, serve: Callable[..., httpx.Client]) -> None:
    """Pages of two states would add up to nothing that ever was."""
    api = str(serve(spoilt).base_url)
    with between(api) as gateway, FinOps(gateway.url) as finops:
        gateway.answered = lambda count: touch(spoilt) if count == 1 else None
        answer = finops.costs(**DETAILED)

    cursors = ["cursor=" in path for _, path in gateway.asked]
    assert cursors[:4] == [False, True, False, True]
    assert len(answer.rows) > 5000
    assert len({tuple(map(str, row.values())) for row in answer.rows}) == len(answer.rows)


def test_data_that_never_stands_still_is_an_error_after_a_few_tries(
    spoilt: str, serve: Callable[..., httpx.Client]
) -> None:
    """Not an endless loop, and not rows of several states."""
    api = str(serve(spoilt).base_url)
    with between(api) as gateway, FinOps(gateway.url) as finops:
        gateway.answered = lambda _: touch(spoilt)
        with pytest.raises(StaleCursor, match="Begin again"):
            finops.costs(**DETAILED)

    assert len(gateway.asked) == 8


QUESTIONS: dict[str, CostQuestion] = {
    "by day": {**SEPTEMBER, "group_by": "service"},
    "by day, of the last ones": {"start": "2026-10-15", "end": "2026-10-21", "group_by": ["project"]},
    "by week": {"start": "2026-09-03", "end": "2026-10-21", "granularity": "weekly", "group_by": "region"},
    "by month": {"start": "2026-09-03", "end": "2026-10-21", "granularity": "monthly", "group_by": "team"},
    "by invoice month": {"start": "2026-09-03", "end": "2026-10-21", "granularity": "invoice_month"},
    "of invoices": {
        "start": "2026-09-01", "end": "2026-11-01", "time_basis": "invoice_month", "granularity": "monthly",
        "group_by": ["service"],
    },
    "of an invoice": {
        "window": "lastmonth", "time_basis": "invoice_month", "granularity": "total", "group_by": "invoice_month",
    },
    "unfinished too": {"window": "mtd", "granularity": "total", "include_unfinished": True, "group_by": "cost_type"},
    "the top and the rest": {"window": "30d", "granularity": "total", "group_by": "project", "top": 3},
    "the top by day": {"window": "7d", "group_by": "service", "top": 2, "measure": ["list_cost", "billed_cost"]},
    "the top by week": {"window": "14d", "granularity": "weekly", "group_by": "project", "top": 50},
    "compared": {"window": "7d", "granularity": "total", "group_by": "service", "compare": "previous"},
    "compared by day": {"window": "7d", "compare": "previous_month", "measure": "charge_count"},
    "compared with a period": {
        "window": "7d", "granularity": "total", "compare": "period", "compare_start": date(2026, 10, 14),
    },
    "filtered": {
        **SEPTEMBER, "granularity": "total", "measure": ("effective_cost", "cost"), "billing_currency": "USD",
        "filters": {"service": "Compute Engine", "team": ["shop", "search", "(unattributed)"]}, "group_by": "team",
    },
    "under conditions": {
        **SEPTEMBER, "granularity": "total", "group_by": "project", "filters": {"charge_category": "Usage"},
        "where": {"and": [{"dimension": "service", "operator": "in", "values": ["BigQuery", "Cloud Storage"]}]},
    },
    "under any conditions": {
        **SEPTEMBER, "granularity": "total", "group_by": "team", "compare": "previous", "where": {
            "or": [
                {"not": {"dimension": "service", "operator": "contains", "values": ["query"]}},
                {"dimension": "project", "operator": "starts_with", "values": ["nw-a"]},
            ]
        },
    },
    "the most of it under conditions": {
        **SEPTEMBER, "granularity": "monthly", "group_by": "project", "top": 2,
        "where": {"not": {"dimension": "service", "operator": "in", "values": ["BigQuery"]}},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_figure_opens_to_charges_that_add_up_to_it(finops: FinOps, name: str) -> None:
    """Of rows and of totals, of the period and of the one before: from the answer's own figure to its charges."""
    answer = finops.costs(**QUESTIONS[name])
    rows = answer.rows[:: max(1, len(answer.rows) // 5)] + answer.rows[-1:] + answer.totals
    assert answer.rows

    opened = 0
    for row in rows:
        for figure in [n for n in row if n.startswith(("previous_", *answer.meta["measures"])) and row[n] is not None]:
            if row.get(answer.meta["group_by"][0] if answer.meta["group_by"] else "") == "(other)" and (
                figure.startswith("previous_") or answer.meta["granularity"] == "weekly"
            ):
                continue
            asked = answer.evidence_of(row, figure)
            asked["limit"] = 1
            found = finops.evidence(**asked)
            assert (found["value"], found["rows_sum"], found["matches"]) == (row[figure], row[figure], True), asked
            opened += 1
    assert opened >= len(rows) - 2


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_amount_is_ever_a_float(finops: FinOps, name: str) -> None:
    """In rows, totals, Arrow and pandas alike; and the table has every row."""
    answer = finops.costs(**QUESTIONS[name])
    table = answer.to_arrow()
    frame = answer.to_pandas()
    figures = [n for n in answer.rows[0] if n.removeprefix("change_percent_").removeprefix("change_").removeprefix(
        "previous_") in answer.meta["measures"]]  # fmt: skip

    assert floats([answer.rows, answer.totals, answer.meta]) == []
    assert set(table.column_names) == set(answer.rows[0])
    assert table.num_rows == len(frame) == len(answer.rows)
    for figure in figures:
        assert pa.types.is_decimal128(table.schema.field(figure).type)
        assert table[figure].to_pylist() == [row[figure] for row in answer.rows]
        assert {type(value) for value in frame[figure]} <= {Decimal, type(None)}
        assert list(frame[figure]) == [row[figure] for row in answer.rows]


def test_amounts_add_up_exactly_in_a_dataframe(finops: FinOps) -> None:
    """What people do next: group and sum. Floats would be off by fractions of a cent here."""
    answer = finops.costs(start=START, end=END, group_by="service")

    sums = answer.to_pandas().groupby("billing_currency")["billed_cost"].sum()

    assert dict(sums) == {total["billing_currency"]: total["billed_cost"] for total in answer.totals}


def test_an_answer_without_rows_is_a_table_with_columns(finops: FinOps) -> None:
    """A notebook that goes on with `frame["billed_cost"]` finds nothing, and not an error."""
    answer = finops.costs(
        start=START, end=END, group_by="project", compare="previous", filters={"service": "no such service"}
    )

    assert answer.rows == []
    assert answer.to_pandas()["change_billed_cost"].sum() == 0
    assert answer.to_arrow().column_names == [
        "usage_day", "estimated", "project", "project_name", "billing_currency", "billed_cost", "previous_billed_cost",
        "change_billed_cost", "change_percent_billed_cost",
    ]  # fmt: skip


def test_digits_beyond_the_ninth_are_kept() -> None:
    """An effective cost is a quotient and may have them; the column gets as many places as it needs."""
    from finops_client.tables import table

    amounts = [Decimal("0.123456789012"), None, Decimal(7)]

    assert table([{"cost": amount} for amount in amounts], {"cost": None})["cost"].to_pylist() == amounts


def test_conditions_are_combined_as_in_sql(finops: FinOps, charges: psycopg.Connection) -> None:
    """The one question that only a body can hold."""
    expected = charges.execute(
        "select billing_currency, sum(billed_cost) from finops.raw_charges "
        "where usage_day >= '2026-09-01' and usage_day < '2026-10-01' and coalesce(sub_account_id, '') like 'nw-%' "
        "and service_name is distinct from 'BigQuery' group by 1"
    ).fetchall()

    answer = finops.costs(
        start=START,
        end=END,
        granularity="total",
        where={
            "and": [
                {"dimension": "project", "operator": "starts_with", "values": ["nw-"]},
                {"not": {"dimension": "service", "operator": "in", "values": ["BigQuery"]}},
            ]
        },
    )

    assert {row["billing_currency"]: row["billed_cost"] for row in answer.rows} == dict(expected)


UNOPENED: dict[str, tuple[CostQuestion, str, str]] = {
    "a change": ({"compare": "previous"}, "change_billed_cost", "no sum of charges"),
    "another measure": ({}, "list_cost", "no sum of charges. These of its row are: billed_cost"),
    "the past": ({"as_of": "2036-01-01T00:00:00Z"}, "billed_cost", "as of the past"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNOPENED)
def test_a_figure_that_no_question_opens_says_why(finops: FinOps, name: str) -> None:
    """Rather than opening to charges that add up to something else."""
    asked, figure, why = UNOPENED[name]
    question: CostQuestion = {**SEPTEMBER, "granularity": "total", **asked}
    answer = finops.costs(**question)

    with pytest.raises(NoEvidence, match=why):
        answer.evidence_of(answer.rows[0], figure)


def test_the_days_of_a_question_may_be_dates_and_its_moment_needs_a_time_zone(finops: FinOps) -> None:
    """A moment without one would mean another day somewhere."""
    from datetime import UTC, datetime

    then = datetime.now(UTC) + timedelta(days=1)
    texts = finops.costs(start="2026-09-01", end="2026-09-03", as_of=then.isoformat())

    assert finops.costs(start=date(2026, 9, 1), end=date(2026, 9, 3), as_of=then).rows == texts.rows
    with pytest.raises(ValueError, match="without a time zone"):
        finops.costs(window="7d", as_of=then.replace(tzinfo=None))


def test_a_parameter_that_is_misspelt_is_refused_with_those_there_are(finops: FinOps) -> None:
    """`groupby=` that is ignored would answer another question."""
    misspelt: dict[str, Any] = {"window": "7d", "groupby": "service"}

    with pytest.raises(TypeError, match=r"no parameter groupby; there are: .*group_by"):
        finops.costs(**misspelt)
    with pytest.raises(TypeError, match="no parameter groupby"):
        finops.evidence(**misspelt)
    with pytest.raises(TypeError, match="no parameter groupby"):
        finops.export_costs_arrow(**misspelt)


def test_one_client_is_used_by_several_threads(finops: FinOps) -> None:
    """A server of ours does: each gets its own answer."""
    answers: dict[str, Row] = {}

    def ask(currency: str) -> None:
        answers[currency] = finops.costs(window="7d", granularity="total", billing_currency=currency).totals[0]

    threads = [threading.Thread(target=ask, args=[currency]) for currency in ("EUR", "USD") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {name: row["billing_currency"] for name, row in answers.items()} == {"EUR": "EUR", "USD": "USD"}


def test_it_closes_its_connections(url: str) -> None:
    """With the block it is used in."""
    with closing(FinOps(url)) as client:
        client.meta()

    with pytest.raises(RuntimeError, match="closed"):
        client.meta()
