"""One set of charges, delivered in any order, split and delayed in any way, gives the same tables to the last byte.

And the proof is one: with a statement of the product made wrong, the same test fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from helpers.proofs import count
from helpers.road import TABLES, Export, Road, Row, charge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline import rebuilding
from finops_warehouse.database import connect_to
from finops_warehouse.errors import FinopsError
from finops_warehouse.tables import metadata

DELIVERED_BY_NAME = ("late_billed_cost", "late_charge_count", "input_hash")
"""What an invoice month says of its delivery and not of its charges: it differs where the delivery does."""

SERVED = [table for table in TABLES if table != "invoice_month_parts"]  # its grain is the export day


@dataclass
class Delivery:
    """In which order export days are written, with what in them, and what happens in between."""

    final: dict[str, list[Row]]
    """What each export day holds in the end."""
    steps: list[tuple[str, list[Row] | None]] = field(default_factory=list)
    """An export day and what it holds for now; None is what it holds in the end."""
    rebuild_after: list[bool] = field(default_factory=list)
    during_rebuilds: list[str] = field(default_factory=list)
    """Export days that arrive while a usage day is being rebuilt, after its version was read."""


def rows_of(costs: list[tuple[int, int, int, str | None, str]]) -> list[Row]:
    """Charges that no two are equal of: an equal pair in one export day is worth a question, in two it is not."""
    return [
        charge(
            cost / 100,
            start=f"2026-08-{day:02}T{hour:02}:00",
            project=project,
            month=month,
            resource={"name": f"disk-{number}", "global_name": None},
            adjustment_info={"type": "USAGE_CORRECTION"} if cost < 0 else None,
        )
        for number, (cost, day, hour, project, month) in enumerate(costs)
    ]


charges = st.lists(
    st.tuples(
        st.integers(-500, 5000),
        st.integers(1, 6),
        st.integers(0, 23),
        st.sampled_from(["shop", "data", None]),
        st.sampled_from(["202608", "202609"]),
    ),
    min_size=1,
    max_size=25,
).map(rows_of)

EXPORT_DAYS = st.integers(2, 28).map(lambda day: f"2026-08-{day:02}") | st.just("2026-09-20")


@st.composite
def deliveries(draw: st.DrawFn, rows: list[Row]) -> Delivery:
    """Any split of the charges over export days, in any order, some days first with other content."""
    final: dict[str, list[Row]] = {}
    for row in rows:
        final.setdefault(draw(EXPORT_DAYS), []).append(row)
    delivery = Delivery(final)
    for day in draw(st.permutations(sorted(final))):
        if draw(st.booleans()):
            delivery.steps.append((day, draw(charges)))
        if draw(st.integers(0, 3)) == 0:
            delivery.during_rebuilds.append(day)
        else:
            delivery.steps.append((day, None))
    delivery.rebuild_after = [draw(st.booleans()) for _ in delivery.steps]
    return delivery


def deliver(road: Road, export: Export, delivery: Delivery) -> None:
    """Walk the road as the delivery says."""
    pending = list(delivery.during_rebuilds)
    replace = rebuilding._replace_facts

    def replace_while_a_day_arrives(*arguments: Any) -> Any:  # noqa: ANN401 -- passed through
        if pending:
            day = pending.pop()
            export.write(day, delivery.final[day])
            with connect_to(_dsn(road.connection), autocommit=True) as other:
                Road(other, export.folder).load(day)
        return replace(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilding, "_replace_facts", replace_while_a_day_arrives)
        for (day, content), rebuild in zip(delivery.steps, delivery.rebuild_after, strict=True):
            export.write(day, delivery.final[day] if content is None else content)
            road.load_changed()
            if rebuild:
                road.rebuild_behind()
        road.walk()
    for day, rows in delivery.final.items():
        export.write(day, rows)
    road.walk()


def served(road: Road) -> dict[str, list[tuple[Any, ...]]]:
    """Every served row, in an order of its own."""
    found = {}
    for table in SERVED:
        names = [c.name for c in metadata.tables[f"finops.{table}"].columns]
        shown = [n for n in names if n not in (*DELIVERED_BY_NAME, "from_version")]
        rows = road.connection.execute(f"select {', '.join(shown)} from finops.{table}").fetchall()
        found[table] = sorted(rows, key=repr)
    return found


def rebuilt_in_full(road: Road, export: Export, rows: list[Row]) -> dict[str, list[tuple[Any, ...]]]:
    """What is served when all of it lies in one export day and is built once."""
    road.forget()
    export.write("2026-09-21", rows)
    road.walk()
    return served(road)


@settings(
    max_examples=count(10, 250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(rows=charges, data=st.data())
def test_any_order_split_and_delay_serves_the_same(
    tmp_path_factory: pytest.TempPathFactory, connection: psycopg.Connection, rows: list[Row], data: st.DataObject
) -> None:
    """However billing delivers, with restatements while days are rebuilt: incremental is a full rebuild."""
    export = Export(tmp_path_factory.mktemp("export"))
    road = Road(connection, export.folder)
    road.forget()
    deliver(road, export, data.draw(deliveries(rows)))
    incremental = served(road)

    whole = Export(tmp_path_factory.mktemp("whole"))
    assert incremental == rebuilt_in_full(Road(connection, whole.folder), whole, rows)


# -- the proof proven


class Mutant(psycopg.Connection[Any]):
    """A connection on which one statement of the product says something else."""

    says, instead, heard = "", "", 0

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- passed through
        """Run a statement, or what the mutant makes of it."""
        if isinstance(query, str) and self.says in query:
            type(self).heard += 1
            query = query.replace(self.says, self.instead)
        return super().execute(query, *arguments, **options)


MUTANTS: dict[str, tuple[str, str]] = {
    "the version is stamped as it is at the end, not as it was read": (
        "values (%s, %s, coalesce(%s, nextval('finops.materialisation_version')), %s,",
        "values (%s, %s, coalesce(%s, nextval('finops.materialisation_version')), %s + 1000000,",
    ),
    "a load deletes the export days after its own as well": (
        "delete from finops.raw_charges where export_day = %s",
        "delete from finops.raw_charges where export_day >= %s",
    ),
    "a rebuild deletes the days after its own as well": (
        "as (delete from finops.aggregated_cost_data where usage_day = %(start_day)s returning *)",
        "as (delete from finops.aggregated_cost_data where usage_day >= %(start_day)s returning *)",
    ),
    "a usage day is read from its own export days and the next ten": (
        "where arrivals.usage_day >= %(start_day)s and",
        "where arrivals.export_day <= arrivals.usage_day + 10 and arrivals.usage_day >= %(start_day)s and",
    ),
    "a load leaves the versions of usage days alone": (
        "source_version = ledger.source_version + 1, touched_at = excluded.touched_at\n            returning",
        "source_version = ledger.source_version, touched_at = excluded.touched_at\n            returning",
    ),
}

COSTS = [(100, 1, 20, "shop", "202608"), (200, 1, 20, "data", "202608"), (400, 2, 20, None, "202609")]


def hard_delivery() -> tuple[list[Row], Delivery]:
    """A delivery with everything in it: a late day, one first with other content, one that arrives during a rebuild."""
    rows = rows_of([*COSTS, (800, 1, 20, "shop", "202609"), (1600, 3, 20, "shop", "202608")])
    final = {"2026-08-04": rows[:1], "2026-08-06": rows[2:3], "2026-09-20": rows[3:4], "2026-08-05": [rows[1], rows[4]]}
    other = rows_of([(5000, 1, 21, "shop", "202608"), (6000, 3, 2, None, "202608")])
    steps: list[tuple[str, list[Row] | None]] = [
        ("2026-08-06", None),
        ("2026-08-04", other),
        ("2026-09-20", None),
        ("2026-08-04", None),
    ]
    return rows, Delivery(final, steps, [True, True, True, True], ["2026-08-05"])


@pytest.fixture
def mutate(connection: psycopg.Connection) -> Iterator[Callable[[str, str], psycopg.Connection]]:
    """`mutate(says, instead)` is a connection to the test's database that says the one for the other."""
    opened: list[psycopg.Connection] = []

    def make(says: str, instead: str) -> psycopg.Connection:
        mutant: type[Mutant] = type("ThisMutant", (Mutant,), {"says": says, "instead": instead, "heard": 0})
        opened.append(mutant.connect(_dsn(connection), autocommit=True))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_the_hard_delivery_is_served_right(connection: psycopg.Connection, tmp_path_factory: Any) -> None:  # noqa: ANN401
    """What the mutants fail at, the product does."""
    rows, delivery = hard_delivery()
    export, whole = (Export(tmp_path_factory.mktemp(name)) for name in ("export", "whole"))
    road = Road(connection, export.folder)
    deliver(road, export, delivery)
    incremental = served(road)

    assert incremental == rebuilt_in_full(Road(connection, whole.folder), whole, rows)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_found_out(
    mutant: str,
    connection: psycopg.Connection,
    mutate: Callable[[str, str], psycopg.Connection],
    tmp_path_factory: Any,  # noqa: ANN401
) -> None:
    """Each statement that the protocol stands on, made wrong, ends in a refusal or in other tables."""
    rows, delivery = hard_delivery()
    export, whole = (Export(tmp_path_factory.mktemp(name)) for name in ("export", "whole"))
    wrong = mutate(*MUTANTS[mutant])

    try:
        deliver(Road(wrong, export.folder), export, delivery)
        incremental = served(Road(connection, export.folder))
    except (FinopsError, psycopg.Error):
        incremental = {}

    assert type(wrong).heard > 0  # type: ignore[attr-defined]
    assert incremental != rebuilt_in_full(Road(connection, whole.folder), whole, rows)


def _dsn(connection: psycopg.Connection) -> str:
    return f"{connection.info.dsn} password={connection.info.password}"
