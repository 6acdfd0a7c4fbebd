"""What reading the export costs: budgets that stop before they are crossed, and a record of what was billed.

A plan is written down before it is carried out, so two runs side by side cannot both take the last of a budget, and
what a killed process may have been billed for counts against it.
"""

import uuid
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Self

from finops_pipeline.sources.base import Spend
from finops_warehouse.database import connect
from finops_warehouse.errors import BudgetReached
from finops_warehouse.settings import Settings

TIB = 2**40


def estimated_usd(settings: Settings, kind: str, size: int) -> Decimal:
    """What `size` bytes cost at the prices of the settings, without the free tier: it is an account's, not ours."""
    per_tib = {
        "query": settings.bigquery_usd_per_tib_queried,
        "storage_read": settings.bigquery_usd_per_tib_read,
        "file": Decimal(0),
    }
    return (per_tib[kind] * size / TIB).quantize(Decimal("0.000001"))


class LedgerPurse:
    """A purse that keeps its books in `source_spending`, in transactions of its own: a load that is rolled back has
    been billed all the same."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        """`run_id` names one run: what all purses of that name spent together is held to BIGQUERY_MAX_USD_PER_RUN."""
        self._settings = settings
        self.run_id = run_id
        self._planned: dict[tuple[str, str, date | None], int] = {}
        self._done: list[Spend] = []

    @classmethod
    def of_one_pass(cls, settings: Settings, who: str) -> Self:
        """The purse of a command or a tick of a sensor, each of which is a run of its own."""
        return cls(settings, f"{who} {uuid.uuid4().hex[:12]}")

    def allow(self, planned: Spend) -> None:
        """Raises `BudgetReached`, naming the budget and what is left of it."""
        usd = estimated_usd(self._settings, planned.kind, planned.estimated_bytes)
        with connect(self._settings, autocommit=True) as connection, connection.transaction():
            connection.execute("select pg_advisory_xact_lock(hashtext('finops.source_spending'))")
            [(of_day, of_run)] = connection.execute(
                """
                select coalesce(sum(estimated_usd) filter (
                        where (spent_at at time zone 'UTC')::date = (now() at time zone 'UTC')::date
                    ), 0),
                    coalesce(sum(estimated_usd) filter (where run_id = %(run)s), 0)
                from finops.source_spending
                where spent_at >= now() - interval '1 day' or run_id = %(run)s
                """,
                {"run": self.run_id},
            ).fetchall()
            self._refuse("BIGQUERY_MAX_USD_PER_RUN", self._settings.bigquery_max_usd_per_run, of_run, usd, planned)
            self._refuse("BIGQUERY_MAX_USD_PER_DAY", self._settings.bigquery_max_usd_per_day, of_day, usd, planned)
            [(spending_id,)] = connection.execute(
                "insert into finops.source_spending "
                "(run_id, kind, purpose, export_day, estimated_bytes, estimated_usd) "
                "values (%s, %s, %s, %s, %s, %s) returning spending_id",
                [self.run_id, planned.kind, planned.purpose, planned.export_day, planned.estimated_bytes, usd],
            ).fetchall()
        self._planned[(planned.kind, planned.purpose, planned.export_day)] = spending_id

    def pay(self, done: Spend) -> None:
        """Note what was billed for what was allowed."""
        with connect(self._settings, autocommit=True) as connection:
            connection.execute(
                "update finops.source_spending set billed_bytes = %s, slot_ms = %s, job_id = %s, estimated_usd = %s "
                "where spending_id = %s",
                [
                    done.billed_bytes,
                    done.slot_ms,
                    done.job_id,
                    estimated_usd(self._settings, done.kind, done.billed_bytes),
                    self._planned.pop((done.kind, done.purpose, done.export_day)),
                ],
            )
        self._done.append(done)

    def spent_on(self, export_day: date) -> list[Spend]:
        """What this purse paid for a day."""
        return [done for done in self._done if done.export_day == export_day]

    def usd(self, spent: Iterable[Spend]) -> Decimal:
        """What these came to, at the prices of the settings."""
        return sum((estimated_usd(self._settings, done.kind, done.billed_bytes) for done in spent), Decimal(0))

    def _refuse(self, setting: str, budget: Decimal, spent: Decimal, usd: Decimal, planned: Spend) -> None:
        if spent + usd <= budget:
            return
        about = planned.purpose if planned.export_day is None else f"{planned.purpose} {planned.export_day}"
        raise BudgetReached(
            f"To {about} would cost about {usd:f} USD ({planned.estimated_bytes:,} bytes), {spent:f} are spent and "
            f"{setting} is {budget:f}. Nothing of it was read; what was loaded before stays. Raise {setting}, or wait: "
            "the budget of a day is renewed at midnight UTC."
        )
