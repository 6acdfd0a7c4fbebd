"""An older warehouse: its days with commitments are built again once effective cost is spread, the others stay."""

from datetime import date

import sqlalchemy as sa
from alembic import command

from finops_warehouse.database import alembic_config, connect_to, init_db
from finops_warehouse.partitions import ensure_month
from finops_warehouse.settings import Settings, sqlalchemy_url


def test_days_with_commitments_are_behind_after_the_migration(settings: Settings) -> None:
    """Nothing but the ledger is touched: what is served stays until the day is built by the new rule."""
    assert settings.database_url is not None
    dsn = settings.database_url.get_secret_value()
    engine = sa.create_engine(sqlalchemy_url(dsn, "psycopg"), poolclass=sa.NullPool)
    with connect_to(dsn, autocommit=True) as connection:
        connection.execute("drop schema finops cascade")
    with engine.connect() as old:
        command.upgrade(alembic_config(old), "0004")
    with connect_to(dsn, autocommit=True) as connection:
        ensure_month(connection, "aggregated_cost_data", date(2026, 9, 1))
        for day, category in (("2026-09-01", "Purchase"), ("2026-09-02", "Usage")):
            connection.execute("insert into finops.usage_day_ledger values (%s, 3, now())", [day])
            columns = [
                name
                for (name,) in connection.execute(
                    "select column_name from information_schema.columns where table_schema = 'finops' "
                    "and table_name = 'aggregated_cost_data' and is_nullable = 'NO' and data_type = 'numeric'"
                ).fetchall()
            ]
            connection.execute(
                f"insert into finops.aggregated_cost_data (usage_day, invoice_month, billing_account_id, "
                f"billing_currency, charge_category, cost_type, charge_count, from_version, {', '.join(columns)}) "
                f"values ('{day}', '202609', 'A', 'USD', '{category}', 'regular', 1, 1, "
                f"{', '.join('1' for _ in columns)})".encode()
            )

    init_db(settings)
    init_db(settings)

    with connect_to(dsn, autocommit=True) as connection:
        versions = connection.execute(
            "select usage_day::text, source_version from finops.usage_day_ledger order by 1"
        ).fetchall()
        [(rows,)] = connection.execute("select count(*) from finops.focus_cost_and_usage").fetchall()
    assert versions == [("2026-09-01", 4), ("2026-09-02", 3)]
    assert rows == 0
