"""The sample export: the same for everybody, true to Google's schema, and as difficult as a real one.

The files are read with DuckDB and Decimal, never with the generator's own code.
"""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_pipeline.sample_export import SampleExport, write_sample_export
from finops_pipeline.sources.contract import EXPORT_SCHEMA
from finops_warehouse.errors import BadRequest

LAST_DAY = date(2026, 11, 9)
"""In the window: the end of daylight saving time, Labor Day, and three issued invoices."""


@pytest.fixture(scope="session")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> SampleExport:
    out = tmp_path_factory.mktemp("quarter")
    return write_sample_export(out, days=90, rows_per_day=1_500, seed=11, last_export_day=LAST_DAY)


@pytest.fixture(scope="session")
def rows(quarter: SampleExport) -> Iterator[duckdb.DuckDBPyConnection]:
    """The export as the table `rows`: each with its usage day, its exact credits and its exact net."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"""
            create table rows as
            select *, (usage_start_time at time zone 'America/Los_Angeles')::date as usage_day,
                coalesce(list_sum(list_transform(credits, lambda c: c.amount::decimal(28, 9))), 0) as exact_credits,
                cost::decimal(28, 9) + exact_credits as net
            from read_parquet('{quarter.table_dir}/*/*.parquet', hive_partitioning = true)
        """)
        yield connection


def _count(rows: duckdb.DuckDBPyConnection, condition: str) -> int:
    [(count,)] = rows.execute(f"select count(*) from rows where {condition}").fetchall()
    return int(count)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _truth(sample: SampleExport, name: str) -> list[dict[str, str]]:
    with (sample.truth_dir / name).open(newline="") as file:
        return list(csv.DictReader(file))


# The same for everybody


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Somebody else must be able to see the very numbers a report about the sample speaks of."""
    here, there = tmp_path / "here", tmp_path / "there"
    write_sample_export(here, days=40, rows_per_day=700, seed=3, last_export_day=LAST_DAY)
    program = (
        "from datetime import date; from pathlib import Path; import sys;"
        "from finops_pipeline.sample_export import write_sample_export as write;"
        f"write(Path(sys.argv[1]), days=40, rows_per_day=700, seed=3, last_export_day=date({LAST_DAY:%Y, %-m, %-d}))"
    )
    subprocess.run([sys.executable, "-c", program, str(there)], check=True, env={"PYTHONHASHSEED": "77"})

    assert _hashes(here) == _hashes(there)


def test_another_seed_gives_another_bill(tmp_path: Path) -> None:
    """A seed that changes nothing is not one."""
    one, other = (
        write_sample_export(tmp_path / str(seed), days=3, rows_per_day=700, seed=seed, last_export_day=LAST_DAY)
        for seed in (1, 2)
    )

    assert _hashes(one.table_dir) != _hashes(other.table_dir)


def test_a_longer_export_begins_with_the_same_files(tmp_path: Path) -> None:
    """Tomorrow's export adds days and rewrites none, which is how tests let corrections arrive."""
    short = write_sample_export(tmp_path / "a", days=60, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 1))
    longer = write_sample_export(tmp_path / "b", days=65, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 6))
    before, after = _hashes(short.table_dir), _hashes(longer.table_dir)

    assert len(before) == 60
    assert {name: after[name] for name in before} == before
    assert len(after) == 65


def test_writing_over_a_shorter_export_touches_only_the_new_days(tmp_path: Path) -> None:
    """A file whose content is unchanged keeps its age, so nothing is loaded again for nothing."""
    short = write_sample_export(tmp_path, days=5, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 1))
    ages = {path: path.stat().st_mtime_ns for path in short.table_dir.rglob("*.parquet")}
    write_sample_export(tmp_path, days=6, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 2))

    assert {path: path.stat().st_mtime_ns for path in ages} == ages
    assert len(list(short.table_dir.rglob("*"))) == 2 * 6


# Refusals


def test_days_of_another_sample_are_not_mixed_in(tmp_path: Path) -> None:
    """Two samples in one folder would add up to a bill nobody got."""
    write_sample_export(tmp_path, days=2, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 1))

    with pytest.raises(BadRequest, match="export_day=2026-09-30"):
        write_sample_export(tmp_path, days=1, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 1))
    with pytest.raises(BadRequest, match=r"part-000\.parquet exists"):
        write_sample_export(
            tmp_path, days=2, rows_per_day=700, seed=5, last_export_day=date(2026, 10, 1), format="jsonl"
        )


def test_an_export_that_cannot_be_is_refused_in_plain_words(tmp_path: Path) -> None:
    """The message says what would work."""
    a_file = tmp_path / "file"
    a_file.touch()

    with pytest.raises(BadRequest, match="at least one day"):
        write_sample_export(tmp_path, days=0, rows_per_day=700, seed=1, last_export_day=LAST_DAY)
    with pytest.raises(BadRequest, match=r"Ask for at least \d+"):
        write_sample_export(tmp_path, days=1, rows_per_day=10, seed=1, last_export_day=LAST_DAY)
    with pytest.raises(BadRequest, match="is a file"):
        write_sample_export(a_file, days=1, rows_per_day=700, seed=1, last_export_day=LAST_DAY)


# True to the schema


def test_files_have_exactly_the_columns_of_the_detailed_export(quarter: SampleExport) -> None:
    """Whatever reads the sample reads Google's own export."""
    wanted = pa.schema([field for field in EXPORT_SCHEMA if field.name != "extra"])

    for path in quarter.table_dir.rglob("*.parquet"):
        assert pq.read_schema(path).equals(wanted)
    assert len(wanted) == 28


def test_an_export_of_2023_lacks_the_columns_that_came_later(tmp_path: Path) -> None:
    """Older tables are read too; what they lack is absent, not NULL."""
    sample = write_sample_export(tmp_path, days=2, rows_per_day=700, seed=1, last_export_day=LAST_DAY, schema="2023")
    schema = pq.read_schema(next(sample.table_dir.rglob("*.parquet")))

    assert not set(schema.names) & {
        "cost_at_effective_price_default",
        "cost_at_list_consumption_model",
        "consumption_model",
        "subscription",
        "transaction_type",
        "seller_name",
    }
    assert [field.name for field in schema.field("invoice").type] == ["month"]
    assert [field.name for field in schema.field("price").type] == [
        "effective_price",
        "tier_start_amount",
        "unit",
        "pricing_unit_quantity",
    ]


def test_json_lines_hold_what_parquet_holds(tmp_path: Path) -> None:
    """JSON as BigQuery writes it: NUMERIC as text, instants named UTC, nothing where there is NULL."""
    day = date(2026, 10, 2)
    parquet, jsonl = (
        write_sample_export(tmp_path / name, days=2, rows_per_day=700, seed=1, last_export_day=day, format=name)
        for name in ("parquet", "jsonl")
    )
    lines = [
        json.loads(line) for path in sorted(jsonl.table_dir.rglob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    table = pa.concat_tables(pq.read_table(path) for path in sorted(parquet.table_dir.rglob("part*.parquet")))
    table = table.select([name for name in table.column_names if name != "export_day"])

    assert len(lines) == table.num_rows == parquet.rows == jsonl.rows
    for line, row in zip(lines, table.to_pylist(), strict=True):
        assert line["cost"] == row["cost"]
        assert (
            datetime.fromisoformat(line["export_time"].removesuffix(" UTC")).replace(tzinfo=UTC) == row["export_time"]
        )
        assert line.get("project", {}).get("id") == (row["project"] or {}).get("id")
        assert line["credits"] == [{k: v for k, v in credit.items() if v is not None} for credit in row["credits"]]
        if row["price"]:
            assert Decimal(line["price"]["list_price"]) == row["price"]["list_price"]
    assert not any(value is None for line in lines for value in line.values())


# Days and months


def test_every_row_is_in_the_folder_of_its_export_day(quarter: SampleExport, rows: duckdb.DuckDBPyConnection) -> None:
    """The folder is the UTC date of the export, without gaps from the first day to the last."""
    days = [day for (day,) in rows.execute("select distinct export_day from rows order by 1").fetchall()]

    assert _count(rows, "export_time::date <> export_day") == 0
    assert days == [quarter.first_export_day + timedelta(days=number) for number in range(90)]
    assert quarter.last_export_day == LAST_DAY
    assert _count(rows, "true") == quarter.rows


def test_rows_per_day_are_about_what_was_asked_for(tmp_path: Path) -> None:
    """Within a tenth, at any size, and the bill is the same in more rows."""
    for asked in (700, 2_500, 6_000):
        sample = write_sample_export(
            tmp_path / str(asked), days=12, rows_per_day=asked, seed=1, last_export_day=LAST_DAY
        )
        assert sample.rows / 12 == pytest.approx(asked, rel=0.1)


def test_nothing_was_used_before_the_export_began_or_exported_before_it_was_used(
    quarter: SampleExport, rows: duckdb.DuckDBPyConnection
) -> None:
    """The first usage day is the first export day, in California."""
    [(first, last)] = rows.execute("select min(usage_day), max(usage_day) from rows").fetchall()

    assert (first, last) == (quarter.first_export_day, LAST_DAY)
    assert _count(rows, "usage_end_time > export_time or usage_end_time <= usage_start_time") == 0


def test_hours_are_utc_windows_and_the_day_the_clocks_go_back_has_25(rows: duckdb.DuckDBPyConnection) -> None:
    """On 1 November 2026 California has 25 hours; a day cut at UTC midnight would not."""
    hours_by_day = dict(
        rows.execute("""
            select usage_day, count(distinct usage_start_time) from rows
            where usage_end_time - usage_start_time = interval 1 hour and cost_type = 'regular'
              and usage_day between '2026-10-30' and '2026-11-02' group by 1
        """).fetchall()
    )

    assert hours_by_day[date(2026, 11, 1)] == 25
    assert hours_by_day[date(2026, 10, 31)] == hours_by_day[date(2026, 11, 2)] == 24
    assert _count(rows, "usage_end_time - usage_start_time > interval 23 hour") > 0


def test_rows_arrive_within_hours_and_one_in_a_hundred_days_late(rows: duckdb.DuckDBPyConnection) -> None:
    """Totals of the last days move; how much is what the product has to learn."""
    regular = _count(rows, "cost_type = 'regular'")
    late = _count(rows, "cost_type = 'regular' and export_time - usage_end_time > interval 49 hour")

    assert 0.006 < late / regular < 0.014
    assert _count(rows, "cost_type = 'regular' and export_time - usage_end_time > interval 11 day") == 0


def test_a_row_that_misses_the_cut_off_goes_to_the_next_invoice(rows: duckdb.DuckDBPyConnection) -> None:
    """An invoice that was sent never changes."""
    month_of_use = "strftime(usage_day, '%Y%m')"

    assert _count(rows, f"cost_type = 'regular' and invoice.month > {month_of_use}") > 0
    assert _count(rows, f"cost_type <> 'adjustment' and invoice.month < {month_of_use}") == 0
    assert (
        _count(
            rows,
            "export_time >= strptime(invoice.month || '01', '%Y%m%d') + interval 1 month + interval 1 day "
            "and cost_type not in ('tax', 'rounding_error')",
        )
        == 0
    )
    assert (
        _count(rows, "export_time >= strptime(invoice.month || '01', '%Y%m%d') + interval 1 month + interval 4 day")
        == 0
    )


# Money


def test_every_amount_is_the_float_nearest_to_a_decimal_of_six_places(quarter: SampleExport) -> None:
    """Cast to NUMERIC, the amounts are exactly the ones that were meant."""
    table = pq.read_table(next(quarter.table_dir.glob("export_day=2026-10-02/*.parquet")))
    amounts = table["cost"].to_pylist() + [
        credit["amount"] for credits_of_row in table["credits"].to_pylist() for credit in credits_of_row or []
    ]

    assert all(amount is not None and float(round(Decimal(amount), 6)) == amount for amount in amounts)


def test_each_invoice_is_the_sum_of_its_rows_to_the_last_digit(
    quarter: SampleExport, rows: duckdb.DuckDBPyConnection
) -> None:
    """The whole product's first promise, provable on the sample."""
    billed = {
        (account, month, currency): {"total": total, "regular": r, "tax": t, "adjustment": a, "rounding_error": e}
        for account, month, currency, total, r, t, a, e in rows.execute("""
            select billing_account_id, invoice.month, currency, sum(net),
                sum(net) filter (cost_type = 'regular'), sum(net) filter (cost_type = 'tax'),
                sum(net) filter (cost_type = 'adjustment'), sum(net) filter (cost_type = 'rounding_error')
            from rows group by all
        """).fetchall()
    }
    invoices = _truth(quarter, "invoices.csv")

    assert len(invoices) == 6
    for invoice in invoices:
        sums = billed[invoice["billing_account_id"], invoice["invoice_month"], invoice["billing_currency"]]
        assert {name: Decimal(invoice[name]) for name in sums} == sums
        assert Decimal(invoice["total"]).as_tuple().exponent == -2


def test_an_invoice_is_listed_once_it_was_issued(tmp_path: Path) -> None:
    """October 2026 is invoiced on the fifth business day of November, a Friday."""
    months = []
    for last_day in (date(2026, 11, 5), date(2026, 11, 6)):
        sample = write_sample_export(
            tmp_path / str(last_day), days=20, rows_per_day=700, seed=1, last_export_day=last_day
        )
        months.append({invoice["invoice_month"] for invoice in _truth(sample, "invoices.csv")})

    assert months == [set(), {"202610"}]


def test_tax_and_rounding_close_a_month(rows: duckdb.DuckDBPyConnection) -> None:
    """One tax row for each project that pays tax, one for the account, one rounding row."""
    closing = rows.execute("""
        select billing_account_id, invoice.month, count(*) filter (cost_type = 'rounding_error'),
            count(distinct project.id) filter (cost_type = 'tax')
                = count(*) filter (cost_type = 'tax' and project is not null),
            count(*) filter (cost_type = 'tax' and project is null),
            min(day(export_time)), max(day(export_time))
        from rows where cost_type in ('tax', 'rounding_error') group by 1, 2
    """).fetchall()

    assert len(closing) == 6
    assert {entry[2:] for entry in closing} == {(1, True, 1, 2, 3)}


def test_a_credit_never_comes_to_more_than_its_cost(rows: duckdb.DuckDBPyConnection) -> None:
    """Corrections turn the sign of both; nothing turns only one of them."""
    assert _count(rows, "cost_type = 'regular' and net < 0") == 0
    assert _count(rows, "cost_type = 'regular' and exact_credits > 0") == 0
    assert _count(rows, "len(credits) > 1") > 0


def test_prices_times_usage_are_the_costs(rows: duckdb.DuckDBPyConnection) -> None:
    """Cost, list cost and default cost are three readings of one amount of usage."""
    condition = (
        "cost_type = 'regular' and price is not null and abs({cost} - usage.amount_in_pricing_units * {price}) > 2e-6"
    )

    assert _count(rows, condition.format(cost="cost", price="price.effective_price::double")) == 0
    assert _count(rows, condition.format(cost="cost_at_list", price="price.list_price::double")) == 0
    assert _count(rows, "cost_type = 'regular' and cost < cost_at_list") > 0
    assert _count(rows, "cost_type = 'regular' and cost > cost_at_list + 1e-6") == 0


def test_the_two_accounts_cost_what_the_sample_says(rows: duckdb.DuckDBPyConnection) -> None:
    """A large bill in dollars and a smaller one in euros, whose exchange rate moves by the month."""
    daily = dict(
        rows.execute("""
            select currency, median(day_net) from (
                select currency, usage_day, sum(net)::double as day_net from rows
                where cost_type = 'regular' and usage_day < '2026-11-05' group by all) group by 1
        """).fetchall()
    )
    [(rates, months)] = rows.execute("""
        select count(distinct currency_conversion_rate), count(distinct strftime(usage_day, '%Y%m'))
        from rows where currency = 'EUR'
    """).fetchall()

    assert 12_000 < daily["USD"] < 20_000
    assert 1_500 < daily["EUR"] < 4_000
    assert rates == months
    assert _count(rows, "currency = 'USD' and currency_conversion_rate <> 1") == 0


# Commitments and corrections


def test_the_new_commitment_fee_is_offset_as_far_as_it_was_used(rows: duckdb.DuckDBPyConnection) -> None:
    """Hour by hour, the offset is the cost of the usage sold at the committed price; at night some fee remains."""
    hours = rows.execute("""
        select sum(cost) filter (sku.description like 'Commitment - dollar based v1: GCE%') as fee,
            sum(exact_credits) filter (sku.description like 'Commitment - dollar based v1: GCE%') as offset_credit,
            sum(cost) filter (consumption_model.description = 'Compute Flexible CUDs 1 Year') as covered
        from rows where cost_type = 'regular' and currency = 'USD'
          and usage_start_time in (select usage_start_time from rows where subscription is not null
            and currency = 'USD' and usage_day < '2026-10-25')
          and (subscription is not null or consumption_model.description <> 'Default')
        group by usage_start_time
    """).fetchall()
    used_up = [hour for hour in hours if hour[0] == -float(hour[1])]

    assert used_up
    assert len(used_up) < len(hours)
    assert all(abs(covered + float(offset)) < 0.002 for _, offset, covered in hours)


def test_the_older_commitments_credit_usage_and_keep_their_fee(rows: duckdb.DuckDBPyConnection) -> None:
    """The euro account has resource-based and old spend-based commitments."""
    kinds = "list_contains(list_transform(credits, lambda c: c.type), '{kind}')"

    assert _count(rows, "currency = 'EUR' and sku.description like 'Commitment v1: N2%' and len(credits) = 0") > 0
    assert _count(rows, f"currency = 'EUR' and {kinds.format(kind='COMMITTED_USAGE_DISCOUNT')}") > 0
    assert _count(rows, f"currency = 'EUR' and {kinds.format(kind='COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE')}") > 0


def test_a_correction_repeats_its_original_in_all_but_amounts_and_dates(rows: duckdb.DuckDBPyConnection) -> None:
    """There is no row id: only the unchanged columns say what was corrected, up to 45 days later."""
    unchanged = """billing_account_id, service, sku, usage_start_time, usage_end_time, project, labels, system_labels,
        location, tags, transaction_type, seller_name, currency, currency_conversion_rate, price, consumption_model,
        resource, subscription, usage.unit, usage.pricing_unit"""
    corrections = "cost_type = 'adjustment' and adjustment_info.type like '%_CORRECTION'"
    [(found, orphans, longest, negated)] = rows.execute(f"""
        with original as (select distinct {unchanged}, true as known from rows where cost_type = 'regular'),
        corrections as (select * from rows where {corrections})
        select (select count(*) from corrections),
            (select count(*) from (select {unchanged} from corrections except select * exclude known from original)),
            (select max(export_day - usage_day) from corrections),
            (select count(*) from corrections c where cost < 0 and exists (select 1 from rows r
                where r.cost_type = 'regular' and r.cost = -c.cost and r.sku = c.sku
                and r.usage_start_time = c.usage_start_time))
    """).fetchall()

    assert found > 200
    assert orphans == 0
    assert 30 < longest <= 45
    assert negated > 100
    assert _count(rows, f"{corrections} and invoice.month <> strftime(export_day, '%Y%m')") == 0


def test_identical_rows_are_two_charges(rows: duckdb.DuckDBPyConnection) -> None:
    """The same bytes twice in one export day; who removes one of them is wrong by its cost."""
    [(duplicated,)] = rows.execute(
        "select (select count(*) from rows) - (select count(*) from (select distinct * from rows))"
    ).fetchall()

    assert duplicated > 50


# As difficult as a real one

ALL_CREDIT_TYPES = {
    "FEE_UTILIZATION_OFFSET",
    "COMMITTED_USAGE_DISCOUNT",
    "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE",
    "SUSTAINED_USAGE_DISCOUNT",
    "DISCOUNT",
    "FREE_TIER",
    "PROMOTION",
    "RESELLER_MARGIN",
    "SUBSCRIPTION_BENEFIT",
    None,
}


def test_every_type_of_credit_occurs_and_so_does_one_without(rows: duckdb.DuckDBPyConnection) -> None:
    """Each type counts differently; a reader that never met one would not know."""
    given = rows.execute("select distinct c.type from (select unnest(credits) as c from rows)").fetchall()

    assert {kind for (kind,) in given} == ALL_CREDIT_TYPES


FEATURES = {
    "support without a project": "service.description = 'Support' and project is null",
    "account-level tax": "cost_type = 'tax' and project is null",
    "a new project's nameless first day": "project is null and sku.description like 'Services CPU%'",
    "a free tier": "cost > 0 and net = 0 and list_contains(list_transform(credits, lambda c: c.type), 'FREE_TIER')",
    "a marketplace reseller": "transaction_type = 'THIRD_PARTY_RESELLER' and seller_name is not null "
    "and invoice.publisher_type = 'PARTNER'",
    "a marketplace agency": "transaction_type = 'THIRD_PARTY_AGENCY'",
    "a tier price": "price.tier_start_amount > 0 and sku.description like 'Network Internet%'",
    "a project before its move": "project.id = 'nw-search-prod' and project.ancestors[2].display_name = 'Commerce'",
    "a project after its move": "project.id = 'nw-search-prod' and project.ancestors[2].display_name = 'Data'",
    "ancestry numbers": "project.ancestry_numbers like '/%/%/'",
    "a team before its renaming": "list_contains(labels, {'key': 'team', 'value': 'search'})",
    "a team after its renaming": "list_contains(labels, {'key': 'team', 'value': 'discovery'})",
    "another spelling": "list_contains(labels, {'key': 'env', 'value': 'prd'})",
    "another case": "list_contains(labels, {'key': 'env', 'value': 'Prod'})",
    "a trailing space": "list_bool_or(list_transform(labels, lambda l: l.value like '% '))",
    "a wrong key": "list_bool_or(list_transform(labels, lambda l: l.key = 'Team'))",
    "a spreadsheet formula": "list_bool_or(list_transform(labels, lambda l: l.value like '=HYPERLINK%'))",
    "a script": "list_bool_or(list_transform(labels, lambda l: l.value like '<img src=x onerror%'))",
    "an instruction to a model": "list_bool_or(list_transform(labels, lambda l: l.value like 'ignore previous%'))",
    "a project label against the row's": "project.id = 'nw-data-lake' and list_contains(project.labels, "
    "{'key': 'team', 'value': 'analytics'}) and list_contains(labels, {'key': 'team', 'value': 'data-platform'})",
    "an inherited tag": "list_bool_or(list_transform(tags, lambda t: t.inherited and t.namespace is not null))",
    "a tag of its own": "list_bool_or(list_transform(tags, lambda t: not t.inherited))",
    "a cluster's system labels": "list_bool_or(list_transform(system_labels, lambda l: l.key like '%k8s%'))",
    "goodwill": "adjustment_info.type = 'GOODWILL' and adjustment_info.mode = 'MANUAL_ADJUSTMENT'",
    "a broken service level": "adjustment_info.type = 'SLA_VIOLATION'",
    "a charge taken back": "adjustment_info.mode = 'COMPLETE_NEGATION'",
    "a charge corrected in part": "adjustment_info.mode = 'PARTIAL_CORRECTION'",
    "a charge billed again": "adjustment_info.mode = 'COMPLETE_NEGATION_WITH_REMONETIZATION' and cost > 0",
    "a commitment's id": "subscription.instance_id is not null",
}


@pytest.mark.parametrize("condition", FEATURES.values(), ids=FEATURES.keys())
def test_what_makes_real_exports_hard_occurs(rows: duckdb.DuckDBPyConnection, condition: str) -> None:
    """Everything the product claims to cope with is there to be coped with."""
    assert _count(rows, condition) > 0


RULE_PATTERNS = {
    "cores to commit to": "(Core|Ram) running",
    "an unattached address": "Static Ip Charge",
    "disks": "PD Capacity",
    "snapshots": "Storage PD Snapshot",
    "traffic between regions": "Inter[- ]?(Region|Zone) .*(Egress|Data Transfer)",
    "premium traffic": "Network.*(Premium|Internet).*(Egress|Data Transfer)",
    "an old machine generation": "N1 (Predefined )?Instance (Core|Ram)",
    "logs": "Log Storage cost|Log Volume",
    "queries on demand": "Analysis",
    "active storage": "Active (Logical )?.*Storage",
    "an idle load balancer": "Forwarding Rule",
    "redundant databases": "Regional - ",
    "clusters": "Kubernetes Clusters",
    "commitments": "^Commitment",
}


@pytest.mark.parametrize("pattern", RULE_PATTERNS.values(), ids=RULE_PATTERNS.keys())
def test_what_the_saving_rules_look_for_is_there(rows: duckdb.DuckDBPyConnection, pattern: str) -> None:
    """A rule nobody can trip is not shown to work."""
    assert _count(rows, f"regexp_matches(sku.description, '{pattern}', 'i')") > 0


def test_labels_are_missing_and_partial_about_as_often_as_people_forget_them(tmp_path: Path) -> None:
    """An eighth of all resources has none, a sixth lacks one of two."""
    sample = write_sample_export(tmp_path, days=1, rows_per_day=20_000, seed=1, last_export_day=LAST_DAY)
    [(missing, partial)] = (
        duckdb.connect()
        .execute(f"""
        select avg((len(labels) = 0)::int), avg((len(labels) = 2)::int)
        from '{sample.table_dir}/*/*.parquet'
        where project.id <> 'nw-sandbox' and cost_type = 'regular' and resource is not null
    """)
        .fetchall()
    )

    assert missing == pytest.approx(0.12, abs=0.05)
    assert partial == pytest.approx(0.18, abs=0.05)


def test_test_machines_run_all_night_and_shops_do_not(rows: duckdb.DuckDBPyConnection) -> None:
    """Idle nights can be seen only in hours, and only where somebody forgot to switch off."""
    night_to_day = dict(
        rows.execute("""
            with hours as (
                select project.id as project, hour(usage_start_time at time zone 'America/Los_Angeles') as clock,
                    usage.amount_in_pricing_units as cores
                from rows where cost_type = 'regular' and sku.description like '% Core running %'
                  and usage_end_time - usage_start_time = interval 1 hour
                  and project.id in ('nw-shop-staging', 'nw-shop-prod'))
            select project, sum(cores) filter (clock between 2 and 4) / sum(cores) filter (clock between 12 and 14)
            from hours group by 1
        """).fetchall()
    )

    assert night_to_day["nw-shop-staging"] > 0.9
    assert night_to_day["nw-shop-prod"] < 0.7


# Anomalies


def test_every_kind_of_anomaly_and_of_look_alike_is_in_the_answer_key(quarter: SampleExport) -> None:
    """A quarter shows all of them, after five quiet weeks to learn from."""
    events = _truth(quarter, "anomalies.csv")
    kinds = {(event["is_anomaly"], event["kind"]) for event in events}
    anomalies = [event for event in events if event["is_anomaly"] == "true"]
    starts = [date.fromisoformat(event["start_day"]) for event in anomalies]
    gaps = {(later - earlier).days for earlier, later in pairwise(starts)}

    assert {kind for anomaly, kind in kinds if anomaly == "true"} == {
        "spike", "burst", "level step", "ramp", "egress burst", "new sku", "drop", "credit expiry",
    }  # fmt: skip
    assert {kind for anomaly, kind in kinds if anomaly == "false"} == {
        "month-end batch", "holiday dip", "launch", "price change", "monthly fee",
    }  # fmt: skip
    assert min(starts) >= quarter.first_export_day + timedelta(days=35)
    assert gaps <= {5, 6, 7}
    assert len({(event["project_id"], event["service"]) for event in anomalies}) == len(anomalies)


def test_anomalies_matter_and_are_in_the_rows(quarter: SampleExport, rows: duckdb.DuckDBPyConnection) -> None:
    """More than fifty a day and two fifths of the level of the project's service before; and the rows say the same."""
    for event in _truth(quarter, "anomalies.csv"):
        start, end = date.fromisoformat(event["start_day"]), date.fromisoformat(event["end_day"])
        if event["is_anomaly"] == "false" or end > LAST_DAY - timedelta(days=12):
            continue
        scope = f"project.id = '{event['project_id']}' and cost_type = 'regular'"
        if event["service"]:
            scope += f" and service.description = '{event['service']}'"
        [(level,)] = rows.execute(f"""
            select sum(net)::double / 14 from rows
            where {scope} and usage_day >= date '{start}' - 14 and usage_day < date '{start}'
        """).fetchall()
        if event["sku"]:
            scope += f" and sku.description = '{event['sku']}'"
        [(actual,)] = rows.execute(
            f"select sum(net) from rows where {scope} and usage_day between '{start}' and '{end}'"
        ).fetchall()
        excess_a_day = abs(float(event["excess_cost"])) / ((end - start).days + 1)

        assert excess_a_day > 50, event
        assert excess_a_day > 0.4 * level, event
        # The same charge may really occur twice, which the answer key does not count as the event's doing.
        assert float(actual) == pytest.approx(float(event["actual_cost"]), rel=0.05), event
        assert Decimal(event["actual_cost"]) - Decimal(event["expected_cost"]) == pytest.approx(
            Decimal(event["excess_cost"]), abs=Decimal("0.01")
        )


def test_the_caller_hears_of_every_day(tmp_path: Path) -> None:
    """A progress display needs no other way to know."""
    heard: list[date] = []
    write_sample_export(tmp_path, days=3, rows_per_day=700, seed=1, last_export_day=LAST_DAY, on_day=heard.append)

    assert heard == [LAST_DAY - timedelta(days=2), LAST_DAY - timedelta(days=1), LAST_DAY]
