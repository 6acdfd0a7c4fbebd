"""Monthly partitions, made by whoever writes first."""

from datetime import date, timedelta
from threading import Barrier, Thread

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_warehouse.database import connect
from finops_warehouse.partitions import ensure_month, month_of, next_month
from finops_warehouse.settings import Settings

PARTITIONS = """
    select child.relname, pg_get_expr(child.relpartbound, child.oid)
    from pg_inherits join pg_class as child on child.oid = inhrelid
    where inhparent = 'finops.raw_charges'::regclass order by 1
"""


@given(day=st.dates(date(1, 1, 1), date(9999, 11, 30)))
def test_every_day_is_in_exactly_one_month(day: date) -> None:
    """The bounds of neighbouring partitions meet: no day between them, none in two."""
    first, after = month_of(day), next_month(day)

    assert first <= day < after
    assert first.day == after.day == 1
    assert month_of(after - timedelta(days=1)) == first


def test_a_month_takes_its_days_and_no_others(connection: psycopg.Connection) -> None:
    """A row of the 31st goes in, one of the 1st after it is refused rather than hidden somewhere."""
    ensure_month(connection, "aggregated_cost_data", date(2026, 10, 17))
    insert = (
        "insert into finops.aggregated_cost_data select (jsonb_populate_record(null::finops.aggregated_cost_data, "
        "(select jsonb_object_agg(column_name, case when data_type ~ 'time zone' then to_jsonb(now()) else '0' end) "
        "from information_schema.columns where table_schema = 'finops' "
        "and table_name = 'aggregated_cost_data') || jsonb_build_object('usage_day', %s::text))).*"
    )

    connection.execute(insert, ["2026-10-31"])
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        connection.execute(insert, ["2026-11-01"])


def test_two_loads_that_open_a_month_at_once_make_it_once(settings: Settings, connection: psycopg.Connection) -> None:
    """The first of a month is loaded by several runs side by side; none of them may fail for it."""
    start, errors = Barrier(4), list[BaseException]()

    def load() -> None:
        with connect(settings, autocommit=True) as own:
            start.wait()
            try:
                ensure_month(own, "raw_charges", date(2026, 12, 5))
            except BaseException as error:  # noqa: BLE001 -- it would be lost in the thread
                errors.append(error)

    threads = [Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert connection.execute(PARTITIONS).fetchall() == [
        ("raw_charges_202612", "FOR VALUES FROM ('2026-12-01') TO ('2027-01-01')")
    ]


def test_a_new_month_waits_for_no_reader(settings: Settings, connection: psycopg.Connection) -> None:
    """One slow dashboard query must not hold up the load, and behind it everybody else."""
    ensure_month(connection, "raw_charges", date(2026, 10, 1))
    with connect(settings) as reader:
        reader.execute("select count(*) from finops.raw_charges")  # and its transaction stays open
        connection.execute("set lock_timeout = '5s'")

        ensure_month(connection, "raw_charges", date(2026, 11, 1))

    assert len(connection.execute(PARTITIONS).fetchall()) == 2


def test_a_partition_has_the_indexes_of_its_table(connection: psycopg.Connection) -> None:
    """Attached without them, a month would be read from end to end for every usage day."""
    ensure_month(connection, "raw_charges", date(2026, 10, 1))
    [(indexes,)] = connection.execute(
        "select count(*) from pg_indexes where tablename = 'raw_charges_202610' and indexdef like '%(usage_day)%'"
    ).fetchall()

    assert indexes == 1
