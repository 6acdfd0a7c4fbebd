"""The models of dbt_like_sql/ against the tables they make: names, grain, and what the headers promise."""

import psycopg
import pytest
from psycopg import sql

from finops_warehouse.semantic import DIMENSIONS, MEASURES, READ_FROM, table_for
from finops_warehouse.sql_models import ColumnDoc, SqlModel, postgres_models, sql_model
from finops_warehouse.tables import STAMPED_COLUMNS, metadata

MODELS = postgres_models()
EVERY = [*MODELS, sql_model("extract", "raw_charges"), sql_model("extract", "usage_day_arrivals")]
BY_DAY = [sql_model("extract", name) for name in ("raw_charges_by_day", "raw_charges_by_day.bigquery")]


def documented(model: SqlModel) -> dict[str, ColumnDoc]:
    """What is said of a model's columns: a table's own and what it inherits, an extract's own."""
    return model.header.columns if model.layer == "extract" else model.columns


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.table)
def test_header_table_and_database_have_the_same_columns(connection: psycopg.Connection, model: SqlModel) -> None:
    """A column in one of them alone is undocumented, or not there."""
    table = metadata.tables[f"finops.{model.table}"]
    stored = {
        name: nullable == "YES"
        for name, nullable in connection.execute(
            "select column_name, is_nullable from information_schema.columns "
            "where table_schema = 'finops' and table_name = %s",
            [model.table],
        )
    }

    assert {column.name: column.nullable for column in table.columns} == stored
    assert set(model.header.columns) <= set(stored)
    # The extract says of a column of the export only what the export's own documentation does not.
    assert model.layer == "extract" or set(model.columns) == set(stored) - STAMPED_COLUMNS


@pytest.mark.parametrize("model", [*EVERY, *BY_DAY], ids=lambda model: model.table)
def test_every_column_says_what_it_holds_and_money_its_unit(model: SqlModel) -> None:
    """The description is what Dagster, the catalogue and a new colleague see."""
    for name, column in documented(model).items():
        assert len(column.description) > 3, name
        if name.endswith("cost") or (name.startswith(("credit_", "cost_")) and name != "cost_type"):
            assert column.unit == "billing_currency", name


def test_a_row_is_what_the_header_says_it_is(built: psycopg.Connection) -> None:
    """The grain is unique: a row doubled by a join is found here, also where NULL is part of the grain."""
    for model in MODELS:
        keys = sql.SQL(", ").join(map(sql.Identifier, model.header.grain))
        counted = sql.SQL(
            "select count(*), (select count(*) from (select distinct {k} from {t}) as d) from {t}"
        ).format(k=keys, t=sql.Identifier("finops", model.table))
        [(rows, distinct)] = built.execute(counted).fetchall()
        assert rows == distinct > 0, model.table


def test_what_is_never_null_is_never_null(built: psycopg.Connection) -> None:
    """The tests the headers name hold on built data, and the database enforces them."""
    for model in EVERY:
        for name, column in documented(model).items():
            if "not_null" not in column.tests:
                continue
            assert not metadata.tables[f"finops.{model.table}"].columns[name].nullable, f"{model.table}.{name}"
            count = sql.SQL("select count(*) from {} where {} is null").format(
                sql.Identifier("finops", model.table), sql.Identifier(name)
            )
            assert built.execute(count).fetchall() == [(0,)], f"{model.table}.{name}"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.table)
def test_a_model_names_its_inputs_and_its_window(model: SqlModel) -> None:
    """The asset graph is made from the header: an input it leaves out would be a missing edge."""
    read = {table.name for table in metadata.tables.values() if f"finops.{table.name}" in model.query}
    ledger = {"usage_day_arrivals"}  # it says where to look; only the parts of an invoice are made of it

    assert set(model.header.inputs) - ledger == read - ledger
    assert model.table == "invoice_month_parts" or model.header.inputs[0] not in ledger
    assert model.parameters == (
        {"invoice_month"} if model.header.partition == "invoice_month" else {"start_day", "end_day"}
    )


@pytest.mark.parametrize("name", DIMENSIONS)
def test_every_dimension_is_answered_by_the_smallest_table_that_has_it(name: str) -> None:
    """A dimension without a table would be a StopIteration in somebody's request."""
    table = table_for({name})

    assert DIMENSIONS[name].column in metadata.tables[f"finops.{table}"].columns
    smaller = READ_FROM[: READ_FROM.index(table)]
    assert not any(DIMENSIONS[name].column in metadata.tables[f"finops.{t}"].columns for t in smaller)


def test_all_dimensions_and_measures_together_have_a_table() -> None:
    """The last table holds everything; every table holds every measure."""
    assert table_for(set(DIMENSIONS)) == READ_FROM[-1]
    for table in READ_FROM:
        assert {measure.column for measure in MEASURES.values()} <= {
            column.name for column in metadata.tables[f"finops.{table}"].columns
        }


def test_a_percent_sign_and_a_cast_survive_the_parameters() -> None:
    """`::date` is a cast and not a parameter, `%` is a percent sign."""
    model = sql_model("marts", "invoice_months")

    assert "%(invoice_month)s" in model.as_psycopg()
    assert "::date" in model.as_psycopg()


def test_a_model_that_is_not_there_is_named() -> None:
    """A typing mistake in a layer's name."""
    with pytest.raises(FileNotFoundError, match=r"nothing\.sql"):
        sql_model("marts", "nothing")
