"""Alerts of budgets: noticed once, on the right day, withdrawn when they never were, and told of once."""

import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import dagster as dg
import psycopg
import pytest
from helpers.road import Export, Road, charge

from finops_pipeline.budget_alerts import POSTING, tell_of_alerts, watch_month
from finops_pipeline.definitions import defs
from finops_pipeline.sensors import budgets_behind, tell_of_budgets
from finops_pipeline.warehouse import Warehouse
from finops_warehouse import ledger
from finops_warehouse.budgets import BudgetPlan, behind_months, hand_in
from finops_warehouse.database import connect
from finops_warehouse.errors import FinopsError
from finops_warehouse.freshness import complete_through
from finops_warehouse.settings import Settings, load_settings

AUGUST = date(2026, 8, 1)


def plan(name: str = "All", amount: str = "100", **more: Any) -> BudgetPlan:  # noqa: ANN401 -- what a plan takes
    """A budget from August on."""
    given = {"billing_currency": "USD", "start_month": "2026-08", "thresholds": [50, 100], "forecast_thresholds": []}
    return BudgetPlan.model_validate({"name": name, "amount": amount, **given, **more})


def spend(export: Export, day: int, *costs: float, **more: object) -> None:
    """August's day, exported in the night after it."""
    used = date(2026, 8, day)
    exported = used + timedelta(days=1)
    rows = [charge(cost, start=f"{used}T20:00", exported=f"{exported}T03:00", **more) for cost in costs]  # type: ignore[arg-type]
    export.write(exported.isoformat(), rows)


def watch(connection: psycopg.Connection) -> list[tuple[int, int]]:
    """Look at every month that is behind; how many alerts were noticed and withdrawn in each."""
    found = []
    while months := behind_months(connection, complete_through(connection)):
        for month in months:
            watched = watch_month(connection, month, run_id="test")
            found.append((watched.added, watched.withdrawn))
    return found


def alerts(connection: psycopg.Connection, *, standing: bool = True) -> list[tuple[str, str, int, str, Decimal]]:
    """Budget, kind, threshold, day and amount of those that stand, or of those that were withdrawn."""
    return connection.execute(
        "select budgets.name, kind, threshold, crossed_on::text, alerts.amount from finops.budget_alerts as alerts "
        "join finops.budgets using (budget_id) where (withdrawn_at is null) = %s order by 1, 2, 3, alert_id",
        [standing],
    ).fetchall()


@pytest.fixture
def august(export: Export, road: Road) -> Road:
    """Twenty a day on the first six days of August; complete through the fifth."""
    for day in range(1, 7):
        spend(export, day, 20)
    road.walk()
    assert complete_through(road.connection) == date(2026, 8, 5)
    return road


def test_a_threshold_is_noticed_on_the_day_it_was_reached(august: Road) -> None:
    """50 on the third day, when 60 are spent, and 100 on the fifth, exactly; nothing for who may spend more."""
    hand_in(august.connection, [plan(), plan("Rich", "1000"), plan("Later", "1", start_month="2026-09")], actor="test")
    watch(august.connection)

    assert alerts(august.connection) == [
        ("All", "actual", 50, "2026-08-03", Decimal(60)),
        ("All", "actual", 100, "2026-08-05", Decimal(100)),
    ]


def test_looking_twice_notices_nothing_twice(august: Road) -> None:
    """Nothing is behind then; and whoever looks all the same, many at once, writes nothing."""
    hand_in(august.connection, [plan()], actor="test")
    before = august.connection.execute("select * from finops.budget_alerts").fetchall()
    assert before == []
    settings = load_settings()

    def look(_: int) -> int:
        with connect(settings, autocommit=True) as connection:
            return watch_month(connection, AUGUST, run_id="test").added

    with ThreadPoolExecutor(8) as people:
        added = list(people.map(look, range(24)))

    assert sorted(added) == [0] * 23 + [2]
    assert watch(august.connection) == []
    assert len(alerts(august.connection)) == 2
    assert alerts(august.connection, standing=False) == []


def test_an_unfinished_day_is_not_spent_yet(export: Export, august: Road) -> None:
    """Its charges still arrive; it counts once it is complete, and then on its own day."""
    hand_in(august.connection, [plan(amount="120", thresholds=[100])], actor="test")
    watch(august.connection)
    assert alerts(august.connection) == []

    spend(export, 7, 1)
    august.walk()
    watch(august.connection)
    assert alerts(august.connection) == [("All", "actual", 100, "2026-08-06", Decimal(120))]


def test_a_restatement_takes_a_crossing_back_and_may_bring_it_again(export: Export, august: Road) -> None:
    """The old one stays, withdrawn; the new one is another, on the day on which it now was."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)
    spend(export, 5, 19.99)
    august.walk()
    assert watch(august.connection) == [(0, 1)]
    assert alerts(august.connection) == [("All", "actual", 50, "2026-08-03", Decimal(60))]
    assert alerts(august.connection, standing=False) == [("All", "actual", 100, "2026-08-05", Decimal(100))]

    spend(export, 1, 20.01)
    august.walk()
    assert watch(august.connection) == [(1, 0)]
    assert alerts(august.connection)[1] == ("All", "actual", 100, "2026-08-05", Decimal("100.00"))
    assert len(alerts(august.connection, standing=False)) == 1


def test_a_restatement_that_takes_nothing_back_leaves_what_was_noticed(export: Export, august: Road) -> None:
    """It was reached on the third day by what was known then, and still is: nobody is told again."""
    hand_in(august.connection, [plan(thresholds=[50])], actor="test")
    watch(august.connection)
    spend(export, 2, 35)
    august.walk()

    assert watch(august.connection) == [(0, 0)]
    assert alerts(august.connection) == [("All", "actual", 50, "2026-08-03", Decimal(60))]


def test_a_credit_later_in_the_month_takes_nothing_back(export: Export, august: Road) -> None:
    """On the fifth so much was spent, whatever is paid back on the sixth."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)
    spend(export, 6, -90)
    spend(export, 7, 1)
    august.walk()

    watch(august.connection)
    assert len(alerts(august.connection)) == 2
    assert alerts(august.connection, standing=False) == []


def test_alerts_follow_a_budget_that_is_changed_or_deleted(august: Road) -> None:
    """More money, other thresholds, another month: what would not have been noticed is withdrawn."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)

    def change(what: str) -> list[tuple[int, int]]:
        august.connection.execute(f"update finops.budgets set {what}, version = version + 1".encode())
        return watch(august.connection)

    assert change("amount = 101") == [(0, 1)]
    assert change("thresholds = '{50, 60}'") == [(1, 0)]
    assert change('filters = \'{"project": ["nobody"]}\'') == [(0, 2)]
    assert change('filters = \'{"project": ["shop"]}\'') == [(2, 0)]
    assert change("start_month = '2026-09-01'") == [(0, 2)]
    august.connection.execute("delete from finops.budgets")
    assert watch(august.connection) == []
    assert august.connection.execute("select count(*) from finops.budget_alerts").fetchall() == [(0,)]


def test_a_budget_of_a_dimension_that_is_gone_is_left_alone(august: Road) -> None:
    """Nothing is known of it: neither that a threshold is reached, nor that it is not."""
    hand_in(august.connection, [plan(filters={"team": ["(unattributed)", "unassigned", "shop"]})], actor="test")
    hand_in(august.connection, [plan("Other")], actor="test")
    watch(august.connection)
    before = alerts(august.connection)
    august.connection.execute("insert into finops.dimension_rules (rules_hash, rules) values ('x', '{}')")

    watch(august.connection)
    assert alerts(august.connection) == before


def test_hostile_names_are_compared_as_they_are(august: Road) -> None:
    """Literals stand in the statement: none of them ends it, or is a parameter of it."""
    names = ["'; drop table finops.budgets; --", "100%", "%s", "%(month)s", "{month}", "\\", '"']
    hand_in(
        august.connection,
        [plan(name, "1", filters={"project": [name], "team": [name]}) for name in names] + [plan("Good")],
        actor="test",
    )
    watch(august.connection)

    assert {alert[0] for alert in alerts(august.connection)} == {"Good"}


# -- by forecast


def forecast(connection: psycopg.Connection, as_of: date, expected: str, *of: str) -> None:
    """What the pipeline writes as of a day, of a scope and member or of everything."""
    scope, member = of or ("total", "all")
    month = (as_of + timedelta(days=1)).replace(day=1)
    with connection.transaction():
        connection.execute(
            "insert into finops.cost_forecasts (as_of_day, scope, member, billing_currency, period, start_day, "
            "end_day, actual_to_date, expected_cost, low_80, high_80, low_95, high_95, model, status, history_days) "
            "values (%s, %s, %s, 'USD', 'month_end', %s, %s, 0, %s, 0, 0, 0, 0, 'x', 'ok', 20) "
            "on conflict (as_of_day, scope, billing_currency, member, period) "
            "do update set expected_cost = excluded.expected_cost",
            [as_of, scope, member, month, month + timedelta(days=31), expected],
        )
        ledger.materialised(connection, "cost_forecasts", as_of.isoformat(), 1, 1, "test")


def test_a_forecast_is_noticed_on_the_day_it_was_published(august: Road) -> None:
    """Also one of the last day of the month before; one that falls again takes nothing back, one made anew may."""
    hand_in(
        august.connection,
        [plan(thresholds=[], forecast_thresholds=[100, 120]), plan("Shop", forecast_thresholds=[100], thresholds=[])],
        actor="test",
    )
    august.connection.execute("update finops.budgets set filters = '{\"project\": [\"shop\"]}' where name = 'Shop'")
    forecast(august.connection, date(2026, 7, 31), "99.99")
    forecast(august.connection, date(2026, 8, 2), "110")
    forecast(august.connection, date(2026, 8, 3), "90")
    forecast(august.connection, date(2026, 8, 31), "1000")  # of September, and not of a complete day
    watch(august.connection)
    expected = [("All", "forecast", 100, "2026-08-02", Decimal(110))]
    assert alerts(august.connection) == expected

    forecast(august.connection, date(2026, 7, 31), "120")
    forecast(august.connection, date(2026, 8, 4), "5000", "project", "shop")
    assert watch(august.connection) == [(2, 0)]
    assert alerts(august.connection) == [
        *expected,
        ("All", "forecast", 120, "2026-07-31", Decimal(120)),
        ("Shop", "forecast", 100, "2026-08-04", Decimal(5000)),
    ]
    forecast(august.connection, date(2026, 7, 31), "90")
    forecast(august.connection, date(2026, 8, 2), "90")
    assert watch(august.connection) == [(0, 2)]


def test_no_forecast_is_made_for_what_has_none(august: Road) -> None:
    """Of two projects together, or of another cost, none was published."""
    hand_in(
        august.connection,
        [
            plan("Two", filters={"project": ["shop", "data"]}, thresholds=[], forecast_thresholds=[1]),
            plan("List", measure="list_cost", thresholds=[], forecast_thresholds=[1]),
        ],
        actor="test",
    )
    forecast(august.connection, date(2026, 8, 3), "110")
    forecast(august.connection, date(2026, 8, 3), "110", "project", "shop")
    watch(august.connection)

    assert alerts(august.connection) == []


# -- whatever happens in whatever order


def reached(spent: dict[date, Decimal], budget: tuple[Decimal, list[int]], complete: date) -> dict[int, date]:
    """The thinking once more, in Python: on which day each threshold is reached."""
    amount, thresholds = budget
    found: dict[int, date] = {}
    total = Decimal(0)
    for day in sorted(day for day in spent if day <= complete):
        total += spent[day]
        for threshold in thresholds:
            if total * 100 >= amount * threshold:
                found.setdefault(threshold, day)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_alerts_are_those_of_the_charges_after_any_story(seed: int, export: Export, road: Road) -> None:
    """Days come, are restated and credited; budgets change; some looks come late. What stands is what is so."""
    chance = random.Random(seed)
    costs: dict[int, list[float]] = {}
    budgets = {name: (Decimal(100), [50, 100]) for name in ("a", "b", "c")}
    projects = {"a": ("shop",), "b": ("shop", "data"), "c": ("data",)}
    hand_in(
        road.connection,
        [plan(name, filters={"project": list(projects[name])}) for name in budgets],
        actor="test",
    )
    last = 0
    noticed = withdrawn = 0
    for _ in range(25):
        match chance.choice(["day", "day", "day", "restate", "restate", "budget", "look"]):
            case "day" if last < 28:
                last += 1
                costs[last] = [chance.randint(-5, 15), chance.randint(0, 9)]
                changed = last
            case "restate" if last:
                changed = chance.randint(1, last)
                costs[changed] = [chance.randint(-30, 30), chance.randint(0, 9)]
            case "budget":
                name = chance.choice("abc")
                budgets[name] = (Decimal(chance.randint(20, 200)), chance.sample([25, 50, 75, 100], 2))
                road.connection.execute(
                    "update finops.budgets set amount = %s, thresholds = %s, version = version + 1 where name = %s",
                    [*budgets[name], name],
                )
                continue
            case _:
                for added, back in watch(road.connection):
                    noticed, withdrawn = noticed + added, withdrawn + back
                continue
        used = date(2026, 8, changed)
        exported = used + timedelta(days=1)
        export.write(
            exported.isoformat(),
            [
                charge(cost, start=f"{used}T20:00", exported=f"{exported}T03:00", project=project)
                for cost, project in zip(costs[changed], ("shop", "data"), strict=True)
            ],
        )
        road.walk()
    watch(road.connection)

    complete = complete_through(road.connection)
    assert complete is not None
    for name, budget in budgets.items():
        of = [i for i, project in enumerate(("shop", "data")) if project in projects[name]]
        spent = {date(2026, 8, day): Decimal(sum(both[i] for i in of)) for day, both in costs.items()}
        standing = {threshold for found, _, threshold, *_ in alerts(road.connection) if found == name}
        assert standing == set(reached(spent, budget, complete)), (seed, name)
    every = road.connection.execute("select count(*) from finops.budget_alerts").fetchall()[0][0]
    assert every >= noticed
    assert watch(road.connection) == []


# -- telling


class Told:
    """A webhook: what was posted to it, and what it answers."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.status = 204
        told = self

        class Webhook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if told.status == 204:
                    told.posts.append(body)
                self.send_response(told.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as the base class names it
                return

        self.server = HTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[Told]:
    """A webhook that the settings name."""
    webhook = Told()
    monkeypatch.setenv("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{webhook.server.server_port}/")
    load_settings.cache_clear()
    yield webhook
    webhook.server.shutdown()
    webhook.server.server_close()


def test_each_alert_is_told_once(told: Told, august: Road) -> None:
    """In a sentence and in figures; telling again tells nothing, a new one is told alone."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)

    assert [tell_of_alerts(august.connection, load_settings()) for _ in range(3)] == [2, 0, 0]
    assert told.posts[0] == {
        "text": "Budget All: 60.00 USD, 60.0 % of 100.00, was spent in 2026-08 by 2026-08-03; you asked to be told at "
        "50 %.",
        "alert_id": told.posts[0]["alert_id"],
        "budget": "All", "month": "2026-08", "kind": "actual", "threshold": 50, "crossed_on": "2026-08-03",
        "amount": "60", "budget_amount": "100", "billing_currency": "USD", "percent": "60.0",
    }  # fmt: skip
    august.connection.execute("update finops.budgets set thresholds = '{50, 80, 100}', version = 2")
    watch(august.connection)
    assert tell_of_alerts(august.connection, load_settings()) == 1
    assert [post["threshold"] for post in told.posts] == [50, 100, 80]


def test_what_is_withdrawn_or_old_is_not_told(told: Told, august: Road) -> None:
    """A webhook that is set up today is not told of what it never was, nor of last month."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)
    august.connection.execute("update finops.budget_alerts set withdrawn_at = now() where threshold = 100")
    august.connection.execute("update finops.budget_alerts set noticed_at = now() - interval '8 days'")

    assert tell_of_alerts(august.connection, load_settings()) == 0
    assert told.posts == []


def test_a_webhook_that_does_not_answer_is_told_later(told: Told, august: Road) -> None:
    """What it did not take is not told of as if it had been; a kill between post and note posts that one again."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)
    told.status = 500
    with pytest.raises(FinopsError, match="ALERT_WEBHOOK_URL"):
        tell_of_alerts(august.connection, load_settings())
    assert august.connection.execute("select count(posted_at) from finops.budget_alerts").fetchall() == [(0,)]

    told.status = 204
    assert tell_of_alerts(august.connection, load_settings()) == 2
    august.connection.execute("update finops.budget_alerts set posted_at = null where threshold = 100")
    assert tell_of_alerts(august.connection, load_settings()) == 1
    assert told.posts[1] == told.posts[2]


def test_two_at_once_tell_once(told: Told, august: Road) -> None:
    """While somebody tells, nobody else does; and the lock is let go of."""
    hand_in(august.connection, [plan()], actor="test")
    watch(august.connection)
    with connect(load_settings(), autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [POSTING])
        assert tell_of_alerts(august.connection, load_settings()) == 0
    for _ in range(100):
        if tell_of_alerts(august.connection, load_settings()):
            break
    assert len(told.posts) == 2


# -- in Dagster


def sensed(instance: dg.DagsterInstance) -> list[str]:
    """The months the sensor asks for."""
    context = dg.build_sensor_context(instance=instance, resources={"warehouse": Warehouse()}, definitions=defs)
    found = budgets_behind.evaluate_tick(context)
    return [str(request.partition_key) for request in found.run_requests or []]


@pytest.mark.usefixtures("read_export")
def test_the_sensor_asks_for_months_that_are_behind_and_tells(
    told: Told, export: Export, august: Road, instance: dg.DagsterInstance
) -> None:
    """First the days, then their forecasts, then the budgets; the run notices, the next tick tells; then silence."""
    hand_in(august.connection, [plan()], actor="test")
    assert sensed(instance) == []  # forecasts are behind
    august.connection.execute(
        "insert into finops.materialisation select 'cost_forecasts', usage_day::text, "
        "nextval('finops.materialisation_version'), 1000000, 0, 'test', now() from finops.usage_day_ledger"
    )
    assert sensed(instance) == ["202608"]

    ran = defs.resolve_job_def("watch_budgets").execute_in_process(instance=instance, partition_key="202608")
    assert ran.success
    assert len(alerts(august.connection)) == 2
    assert sensed(instance) == []
    told_of = [tell_of_budgets(dg.build_sensor_context(resources={"warehouse": Warehouse()})) for _ in range(2)]
    assert len(told.posts) == 2
    assert [type(skipped) for skipped in told_of] == [dg.SkipReason] * 2

    spend(export, 5, 21)
    august.load_changed()
    assert sensed(instance) == []  # the day is behind
