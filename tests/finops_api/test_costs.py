"""GET /v1/costs: every amount is what the raw charges say, or it says why it is not there."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any

import httpx
import psycopg
import pytest

from finops_api import snapshots
from finops_api.known import Memory
from finops_api.snapshots import OneSnapshot
from finops_warehouse.database import connect_to
from finops_warehouse.semantic import DIMENSIONS, MEASURES, READ_FROM
from finops_warehouse.tables import CREDIT_COLUMNS

LAST_EXPORT_DAY = date(2026, 10, 20)
COMPLETE_THROUGH = date(2026, 10, 18)
"""Two days before the last export day: worked out by hand, not asked of the code."""

SETTLED = {"start": "2026-09-20", "end": "2026-10-11"}
UNFINISHED = {"start": "2026-10-14", "end": "2026-10-21"}

# What the dimensions and measures are, said a second time in terms of the export's own columns.
RAW_DIMENSIONS = {
    "billing_account": "billing_account_id",
    "invoice_month": "invoice_month",
    "project": "coalesce(sub_account_id, '(unattributed)')",
    "service": "coalesce(service_id, '(unattributed)')",
    "sku": "coalesce(sku_id, '(unattributed)')",
    "region": "coalesce(region, location, '(unattributed)')",
    "charge_category": (
        "case when cost_type = 'tax' then 'Tax' when cost_type <> 'regular' then 'Adjustment' "
        "when sku_description ilike 'commitment%' then 'Purchase' else 'Usage' end"
    ),
    "cost_type": "cost_type",
}
NET = "cost + coalesce((select sum((credit->>'amount')::numeric) from jsonb_array_elements(credits) as credit), 0)"
RAW_MEASURES = {
    "billed_cost": f"sum({NET})",
    "effective_cost": f"sum({NET})",
    "contracted_cost": "sum(coalesce(cost_at_effective_price_default, cost))",
    "list_cost": "sum(coalesce(cost_at_list, cost))",
    "cost": "sum(cost)",
    "charge_count": "count(*)",
    **{column: f"coalesce(sum({column}), 0)" for column in CREDIT_COLUMNS},
}
RAW_PERIODS = {"daily": "usage_day::text", "monthly": "to_char(usage_day, 'YYYY-MM')", "total": "null"}


def test_the_second_telling_knows_every_dimension_and_measure() -> None:
    """A dimension added to the semantic layer is proven here too, or this says so."""
    assert RAW_DIMENSIONS.keys() == DIMENSIONS.keys()
    assert RAW_MEASURES.keys() == MEASURES.keys()


Asked = str | bool | list[str]


def costs(api: httpx.Client, **asked: Asked) -> dict[str, Any]:
    """The answer to a cost question, which must be one."""
    answer = api.get("/v1/costs", params=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def money(text: object) -> Decimal:
    """An amount of an answer: a string, since whoever reads a JSON number reads a float."""
    assert isinstance(text, str), f"{text!r} is not a string"
    return Decimal(text)


def rows_of(answer: dict[str, Any], measure: str = "billed_cost") -> dict[tuple[Any, ...], Decimal]:
    """The rows of an answer by period, currency and members."""
    groups = answer["meta"]["group_by"]
    rows = {
        (item.get("usage_day") or item.get("month"), item["billing_currency"], *(item[name] for name in groups)): money(
            item[measure]
        )
        for item in answer["items"]
    }
    assert len(rows) == len(answer["items"]), "two rows for one period, currency and member"
    return rows


def raw_rows(
    charges: psycopg.Connection,
    groups: tuple[str, ...],
    granularity: str = "daily",
    measure: str = "billed_cost",
    where: str = "true",
    **window: str,
) -> dict[tuple[Any, ...], Decimal]:
    """The same, as a sum over the export's rows."""
    keys = [RAW_PERIODS[granularity], "billing_currency", *(RAW_DIMENSIONS[name] for name in groups)]
    statement = (
        f"select {', '.join(keys)}, {RAW_MEASURES[measure]} from finops.raw_charges "
        f"where usage_day >= '{window['start']}' and usage_day < '{window['end']}' and {where} "
        f"group by {', '.join(str(n) for n in range(1, len(keys) + 1))}"
    )
    return {tuple(row[:-1]): Decimal(row[-1]) for row in charges.execute(statement.encode()).fetchall()}


GROUPINGS = [
    (),
    *((name,) for name in DIMENSIONS),
    ("project", "service"),
    ("service", "region"),
    ("sku", "region", "project"),
    ("billing_account", "invoice_month", "charge_category"),
    ("cost_type", "service"),
]


@pytest.mark.parametrize("granularity", ["daily", "monthly", "total"])
@pytest.mark.parametrize("groups", GROUPINGS, ids="-".join)
def test_every_row_is_the_sum_of_its_raw_charges(
    api: httpx.Client, charges: psycopg.Connection, groups: tuple[str, ...], granularity: str
) -> None:
    """To the last digit, and with no row too many or too few: a chart drawn from these is the bill."""
    # Three dimensions a day are more rows than one answer holds.
    window = {"start": "2026-10-01", "end": "2026-10-04"} if len(groups) == 3 else SETTLED

    answer = costs(api, group_by=list(groups), granularity=granularity, **window)

    assert rows_of(answer) == raw_rows(charges, groups, granularity, **window)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_what_the_export_says(api: httpx.Client, charges: psycopg.Connection, measure: str) -> None:
    """A discount shown as another, or a list price shown as paid, would be believed."""
    answer = costs(api, measure=measure, group_by="service", **SETTLED)

    assert {key: amount for key, amount in rows_of(answer, measure).items() if amount} == {
        key: amount for key, amount in raw_rows(charges, ("service",), measure=measure, **SETTLED).items() if amount
    }


@pytest.mark.parametrize("granularity", ["daily", "monthly", "total"])
@pytest.mark.parametrize("groups", [("project",), ("sku", "region"), ("cost_type",)], ids="-".join)
def test_the_rows_add_up_to_the_totals_exactly(
    api: httpx.Client, charges: psycopg.Connection, groups: tuple[str, ...], granularity: str
) -> None:
    """Somebody will add the table up by hand; a cent that is missing then is trust that is gone."""
    window = {"start": "2026-09-28", "end": "2026-10-05"}
    answer = costs(api, group_by=list(groups), granularity=granularity, **window)

    added: dict[str, Decimal] = {}
    for (_, currency, *_members), amount in rows_of(answer).items():
        added[currency] = added.get(currency, Decimal(0)) + amount

    assert added == {total["billing_currency"]: money(total["billed_cost"]) for total in answer["totals"]}
    assert added == {currency: amount for (_, currency), amount in raw_rows(charges, (), "total", **window).items()}


def test_no_two_currencies_are_ever_added(api: httpx.Client) -> None:
    """Dollars and euros make a number that is true of nothing: each row and each total has one currency."""
    answer = costs(api, granularity="total", **SETTLED)

    assert sorted(item["billing_currency"] for item in answer["items"]) == ["EUR", "USD"]
    assert [total["billing_currency"] for total in answer["totals"]] == ["EUR", "USD"]


def test_one_currency_can_be_asked_for(api: httpx.Client, charges: psycopg.Connection) -> None:
    """The euro account's owner reads euros only, and the totals are theirs too."""
    answer = costs(api, billing_currency="EUR", group_by="project", **SETTLED)

    assert rows_of(answer) == raw_rows(charges, ("project",), where="billing_currency = 'EUR'", **SETTLED)
    assert [total["billing_currency"] for total in answer["totals"]] == ["EUR"]


@pytest.mark.parametrize("name", DIMENSIONS)
def test_a_filter_keeps_exactly_the_charges_of_its_members(
    api: httpx.Client, charges: psycopg.Connection, name: str
) -> None:
    """Every dimension can be filtered by, also when it is not one that is shown."""
    members = [member for (_, _, member) in raw_rows(charges, (name,), "total", **SETTLED)]
    two = sorted(set(members))[:2]
    chosen = " or ".join(f"{RAW_DIMENSIONS[name]} = '{member}'" for member in two)

    answer = costs(api, **{name: two}, group_by="service", **SETTLED)

    assert rows_of(answer) == raw_rows(charges, ("service",), where=f"({chosen})", **SETTLED)
    assert {name: two} == answer["meta"]["filters"]


def test_filters_of_several_dimensions_narrow_each_other(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Members of one dimension are alternatives; two dimensions must both hold."""
    asked: dict[str, Asked] = {"project": ["nw-shop-prod", "nw-data-lake"], "charge_category": "Usage"}
    where = (
        "sub_account_id in ('nw-shop-prod', 'nw-data-lake') "
        "and cost_type = 'regular' and sku_description not ilike 'commitment%'"
    )

    assert rows_of(costs(api, group_by="sku", **asked, **SETTLED)) == raw_rows(
        charges, ("sku",), where=where, **SETTLED
    )


@pytest.mark.parametrize("name", [name for name, dimension in DIMENSIONS.items() if dimension.name_column])
def test_a_member_is_found_by_its_name_as_by_its_id(api: httpx.Client, charges: psycopg.Connection, name: str) -> None:
    """People know "Compute Engine" and not 6F81-5844-456A."""
    dimension = DIMENSIONS[name]
    [(named,)] = charges.execute(
        f"select {dimension.name_column} from finops.raw_charges where {dimension.name_column} is not null "
        "group by 1 order by count(*) desc limit 1".encode()
    ).fetchall()
    where = f"{dimension.name_column} = '{named}'"

    answer = costs(api, **{name: named}, group_by=name, **SETTLED)

    assert rows_of(answer) == raw_rows(charges, (name,), where=where, **SETTLED) != {}
    assert {named} == {item[f"{name}_name"] for item in answer["items"]}


def test_charges_without_a_project_are_a_member_of_their_own(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Support and taxes belong to no project and are on the invoice all the same: left out, the sum is short."""
    window = {"start": "2026-09-01", "end": "2026-10-11"}
    everything = rows_of(costs(api, group_by="project", granularity="total", **window))

    alone = rows_of(costs(api, project="(unattributed)", granularity="total", **window))

    unattributed = raw_rows(charges, (), "total", where="sub_account_id is null", **window)
    assert alone == unattributed != {}
    assert unattributed == {key[:2]: amount for key, amount in everything.items() if key[2] == "(unattributed)"}


def test_amounts_keep_their_last_digit(api: httpx.Client, charges: psycopg.Connection) -> None:
    """A cost of a millionth is sent as it is: neither rounded to cents nor written as 1e-06."""
    answer = costs(api, group_by="sku", measure=["cost", "billed_cost"], **SETTLED)

    for item in answer["items"]:
        for measure in ("cost", "billed_cost"):
            assert "e" not in item[measure].lower()
            money(item[measure])
    assert max(-Decimal(item["cost"]).as_tuple().exponent for item in answer["items"]) > 2  # type: ignore[operator]


# -- unfinished days


def test_unfinished_days_are_shown_as_estimates_and_are_in_no_total(
    api: httpx.Client, charges: psycopg.Connection
) -> None:
    """Two thirds of yesterday read as a saving of a third: the day is shown, marked, and not counted."""
    answer = costs(api, **UNFINISHED)

    marked = {item["usage_day"]: item["estimated"] for item in answer["items"]}
    assert {f"2026-10-{n}": n > 18 for n in range(14, 21)} == marked
    assert "2026-10-18" == answer["meta"]["complete_through"] == answer["meta"]["counted_through"]
    assert answer["meta"]["estimated"] is True
    counted = raw_rows(charges, (), "total", start="2026-10-14", end="2026-10-19")
    assert {(None, total["billing_currency"]): money(total["billed_cost"]) for total in answer["totals"]} == counted


@pytest.mark.parametrize("granularity", ["monthly", "total"])
def test_unfinished_days_are_in_no_month_and_no_sum(
    api: httpx.Client, charges: psycopg.Connection, granularity: str
) -> None:
    """A month's bar is not lower because its last two days have not arrived."""
    answer = costs(api, granularity=granularity, **UNFINISHED)

    assert rows_of(answer) == raw_rows(charges, (), granularity, start="2026-10-14", end="2026-10-19")


@pytest.mark.parametrize("granularity", ["daily", "monthly", "total"])
def test_unfinished_days_are_counted_for_whoever_asks(
    api: httpx.Client, charges: psycopg.Connection, granularity: str
) -> None:
    """An estimate of today is sometimes wanted; the answer still says that it is one."""
    answer = costs(api, granularity=granularity, include_unfinished=True, **UNFINISHED)

    counted = raw_rows(charges, (), "total", **UNFINISHED)
    assert {(None, total["billing_currency"]): money(total["billed_cost"]) for total in answer["totals"]} == counted
    assert rows_of(answer) == raw_rows(charges, (), granularity, **UNFINISHED)
    assert (answer["meta"]["counted_through"], answer["meta"]["estimated"]) == ("2026-10-20", True)


def test_a_settled_window_is_no_estimate(api: httpx.Client) -> None:
    """The mark means something only because settled days do not have it."""
    answer = costs(api, start="2026-10-17", end="2026-10-19")

    assert {False} == {item["estimated"] for item in answer["items"]} | {answer["meta"]["estimated"]}


# -- compared with the days before


@pytest.mark.parametrize("granularity", ["daily", "total"])
def test_compare_gives_the_same_days_just_before(
    api: httpx.Client, charges: psycopg.Connection, granularity: str
) -> None:
    """Five days against the five before them, each member against itself."""
    now, before = {"start": "2026-10-06", "end": "2026-10-11"}, {"start": "2026-10-01", "end": "2026-10-06"}

    answer = costs(api, compare="previous", group_by="project", granularity=granularity, **now)

    def moved(key: tuple[Any, ...]) -> tuple[Any, ...]:
        return (key[0] and (date.fromisoformat(key[0]) + timedelta(days=5)).isoformat(), *key[1:])

    was = {moved(key): amount for key, amount in raw_rows(charges, ("project",), granularity, **before).items()}
    is_now = raw_rows(charges, ("project",), granularity, **now)
    keys = was.keys() | is_now.keys()
    assert {key: was.get(key, Decimal(0)) for key in keys} == rows_of(answer, "previous_billed_cost")
    assert {key: is_now.get(key, Decimal(0)) for key in keys} == rows_of(answer)
    assert (answer["meta"]["previous_start"], answer["meta"]["previous_end"]) == ("2026-10-01", "2026-10-06")
    previous = {(None, total["billing_currency"]): money(total["previous_billed_cost"]) for total in answer["totals"]}
    assert raw_rows(charges, (), "total", **before) == previous


def test_a_member_that_is_gone_has_a_row_of_its_own(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """A project switched off explains the fall; without its row the parts would not add up to the change."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.cost_by_project_service_daily set sub_account_id = 'gone', sub_account_name = 'Gone' "
            "where sub_account_id = 'nw-data-lake' and usage_day < '2026-10-06'"
        )
        [(was,)] = connection.execute(
            "select sum(billed_cost) from finops.cost_by_project_service_daily "
            "where sub_account_id = 'gone' and usage_day between '2026-10-01' and '2026-10-05'"
        ).fetchall()

    answer = costs(
        api_over(spoilt), compare="previous", group_by="project", granularity="total",
        start="2026-10-06", end="2026-10-11",
    )  # fmt: skip

    [gone] = [item for item in answer["items"] if item["project"] == "gone"]
    assert (Decimal(0), was) == (money(gone["billed_cost"]), money(gone["previous_billed_cost"]))
    assert (gone["start"], gone["end"], gone["project_name"]) == ("2026-10-06", "2026-10-11", "Gone")
    for currency in ("EUR", "USD"):
        [total] = [t for t in answer["totals"] if t["billing_currency"] == currency]
        rows = [item for item in answer["items"] if item["billing_currency"] == currency]
        for measure in ("billed_cost", "previous_billed_cost"):
            assert sum(money(row[measure]) for row in rows) == money(total[measure])


def test_unfinished_days_are_compared_with_nothing(api: httpx.Client) -> None:
    """Only as many days as are counted are looked back on; the rest gets null, for 0 would read as a rise."""
    answer = costs(api, compare="previous", **UNFINISHED)

    assert (answer["meta"]["previous_start"], answer["meta"]["previous_end"]) == ("2026-10-09", "2026-10-14")
    assert {item["usage_day"]: item["previous_billed_cost"] is None for item in answer["items"]} == {
        f"2026-10-{n}": n > 18 for n in range(14, 21)
    }


def test_days_before_that_were_never_built_are_named(api: httpx.Client) -> None:
    """Without this the first week ever loaded would look like a rise from nothing."""
    answer = costs(api, compare="previous", start="2026-09-04", end="2026-09-10")

    assert answer["meta"]["missing_days"] == ["2026-08-29", "2026-08-30", "2026-08-31"]


@pytest.fixture
def meanwhile(spoilt: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a statement committed by somebody else before each that a question of costs asks."""

    def commit(statement: str) -> None:
        ask = OneSnapshot.rows

        async def after_another(*arguments: Any) -> Any:  # noqa: ANN401 -- passed through
            with connect_to(spoilt, autocommit=True) as other:
                other.execute(statement.encode())
            return await ask(*arguments)

        monkeypatch.setattr(OneSnapshot, "rows", after_another)

    return commit


NEW_VERSIONS = "update finops.materialisation set version = version + 1000000"


def test_rows_and_their_version_are_of_one_moment(
    spoilt: str, api_over: Callable[..., httpx.Client], meanwhile: Callable[[str], None]
) -> None:
    """A rebuild between two statements of an answer must not put new rows under an old version: caches keep those."""
    client = api_over(spoilt)
    meanwhile("update finops.cost_by_service_daily set billed_cost = 0; " + NEW_VERSIONS)

    answer = costs(client, window="7d")

    assert answer["meta"]["data_version"] < 1000000
    assert Decimal(answer["totals"][0]["billed_cost"]) > 0


def test_what_is_held_of_a_table_is_of_the_moment_of_the_rows(
    spoilt: str, api_over: Callable[..., httpx.Client], meanwhile: Callable[[str], None]
) -> None:
    """The second question is answered by one statement, and what is told besides it is held since the first."""
    client = api_over(spoilt, answers_kept_mb=0)
    before = costs(client, window="7d")["meta"]
    assert costs(client, window="7d")["meta"] == before
    meanwhile(NEW_VERSIONS)

    assert costs(client, window="7d")["meta"]["data_version"] > 1000000


def test_what_was_asked_of_a_table_is_not_asked_again(
    spoilt: str, api_over: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the question: while nothing is committed it is one statement, and no transaction is begun."""
    client = api_over(spoilt, answers_kept_mb=0)
    asked: list[int] = []
    read = Memory.read

    async def counted(*arguments: Any) -> Any:  # noqa: ANN401 -- passed through
        asked[-1] += 1
        return await read(*arguments)

    monkeypatch.setattr(Memory, "read", counted)
    for question in ({"granularity": "monthly", "top": "3"}, {"compare": "previous"}, {"billing_currency": "USD"}) * 10:
        asked.append(0)
        assert costs(client, window="30d", group_by="service", **question)["items"]

    # Other tests commit meanwhile, and snapshots are of the whole server.
    assert asked[0] == 1
    assert {0, 1} == set(asked)


def test_more_shapes_of_questions_than_are_prepared(
    spoilt: str, api_over: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those used longest ago are let go of."""
    monkeypatch.setattr(snapshots, "PREPARED_AT_MOST", 2)
    client = api_over(spoilt, answers_kept_mb=0)
    shapes = [{"window": "30d", "group_by": name, "granularity": "total"} for name in ("service", "project", "region")]
    first = [costs(client, **shape)["items"] for shape in shapes]

    for number in range(12):
        assert costs(client, **shapes[number % 3])["items"] == first[number % 3]

    prepared = client._transport.prepared()  # type: ignore[attr-defined]  # the client's of these tests
    assert max(prepared) == 2


def test_what_was_prepared_may_be_gone(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """After a transaction that was rolled back psycopg lets go of all that is prepared on its connection."""
    client = api_over(spoilt, answers_kept_mb=0)
    before = costs(client, window="7d")
    with connect_to(spoilt, autocommit=True) as other:
        for _ in range(3):
            for _ in range(8):  # psycopg prepares what it is given six times
                costs(client, window="7d")
                other.execute("select pg_current_xact_id()")
            assert client.get("/v1/costs", params={"window": "7d", "group_by": "no_such"}).status_code == 422
            assert costs(client, window="7d") == before
            assert costs(client, window="7d") == before


NAMES = ['say "hello"', "back\\slash", "a\nb\tc\x01", "{}, [null]", "Größe 𝄞", "%s %(x)s $1", "</script>", "'; --", ""]


def test_whatever_a_service_is_called_it_is_called_so(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Rows are put together as text: whatever is in a name, it stays within its quotes."""
    with connect_to(spoilt, autocommit=True) as connection:
        for number, name in enumerate(NAMES):
            connection.execute(
                "update finops.cost_by_service_daily set service_name = %s where service_id = "
                "(select distinct service_id from finops.cost_by_service_daily order by 1 offset %s limit 1)",
                [name, number],
            )
        held = connection.execute("select distinct service_id, service_name from finops.cost_by_service_daily")
        called = {service or "(unattributed)": name for service, name in held}

    answer = costs(api_over(spoilt), window="90d", granularity="total", group_by="service")

    assert set(NAMES) <= set(called.values())
    assert {item["service"]: item["service_name"] for item in answer["items"]} == called


# -- what is not there


def test_a_day_that_is_not_built_is_named_and_is_no_zero(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """A gap drawn as a zero has been taken for an outage, and for a saving."""
    with connect_to(spoilt, autocommit=True) as connection:
        for table in ("materialisation where partition_key", "cost_by_service_daily where usage_day::text"):
            connection.execute(f"delete from finops.{table} = '2026-10-05'".encode())

    # Through the rollup; the facts' own stamp is gone too, so nothing after the gap is complete.
    answer = costs(api_over(spoilt), start="2026-10-03", end="2026-10-08")

    assert answer["meta"]["missing_days"] == ["2026-10-05"]
    assert "2026-10-05" not in {item["usage_day"] for item in answer["items"]}
    assert "2026-10-04" == answer["meta"]["complete_through"] == answer["meta"]["counted_through"]


def test_a_day_that_is_being_restated_keeps_its_numbers_and_is_named(
    spoilt: str, api_over: Callable[..., httpx.Client], api: httpx.Client
) -> None:
    """Until the rebuild is through a reader sees the last good numbers, and that they are about to move."""
    window = {"start": "2026-10-03", "end": "2026-10-08"}
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.usage_day_ledger set source_version = source_version + 1 where usage_day = '2026-10-05'"
        )

    answer = costs(api_over(spoilt), **window)

    assert answer["meta"]["behind_days"] == ["2026-10-05"]
    assert answer["items"] == costs(api, **window)["items"]
    assert answer["meta"]["complete_through"] == costs(api, **window)["meta"]["complete_through"]


def test_days_after_the_last_are_missing(api: httpx.Client) -> None:
    """Tomorrow cost nothing yet, which is not the same as costing nothing."""
    answer = costs(api, start="2026-10-19", end="2026-10-24")

    assert answer["meta"]["missing_days"] == ["2026-10-21", "2026-10-22", "2026-10-23"]
    assert answer["totals"] == []
    assert answer["meta"]["counted_through"] is None


def test_days_that_were_restated_are_listed(api: httpx.Client, charges: psycopg.Connection) -> None:
    """Who compares with last week's report sees which of its days have moved since."""
    window = {"start": "2026-09-25", "end": "2026-10-11"}
    moved = [
        day.isoformat()
        for (day,) in charges.execute(
            """
            select usage_day from finops.raw_charges where usage_day >= %(start)s and usage_day < %(end)s
            group by usage_day, billing_account_id, billing_currency
            having bool_or(export_day <= '2026-10-08')  -- it had been served by then
            and coalesce(sum(billed_cost) filter (where export_day > '2026-10-08'), 0) <> 0
            """,
            window,
        )
    ]

    answer = costs(api, **window)

    assert sorted(set(moved)) == answer["meta"]["restated_days"] != []


# -- windows and tables


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ("7d", "2026-10-12", "2026-10-19"),
        ("30d", "2026-09-19", "2026-10-19"),
        ("90d", "2026-07-21", "2026-10-19"),
        ("mtd", "2026-10-01", "2026-10-19"),
        ("lastmonth", "2026-09-01", "2026-10-01"),
    ],
)
def test_a_window_ends_with_the_last_complete_day(api: httpx.Client, window: str, start: str, end: str) -> None:
    """A saved dashboard asks for "the last seven days" and must not get a half day with them."""
    answer = costs(api, window=window, granularity="total")

    assert (start, end) == (answer["meta"]["start"], answer["meta"]["end"])
    assert answer["meta"]["estimated"] is False
    assert (start, end) == (answer["items"][0]["start"], answer["items"][0]["end"])


@pytest.mark.parametrize(
    ("asked", "table"),
    [
        ({}, "cost_by_service_daily"),
        ({"group_by": ["service", "billing_account", "invoice_month"]}, "cost_by_service_daily"),
        ({"group_by": "project"}, "cost_by_project_service_daily"),
        ({"group_by": "service", "project": "nw-shop-prod"}, "cost_by_project_service_daily"),
        ({"group_by": "sku"}, "cost_by_sku_region_daily"),
        ({"region": "us-central1"}, "cost_by_sku_region_daily"),
        ({"group_by": ["sku", "project"]}, "aggregated_cost_data"),
        ({"cost_type": "tax"}, "aggregated_cost_data"),
    ],
)
def test_the_smallest_table_answers(api: httpx.Client, asked: dict[str, Asked], table: str) -> None:
    """The fact table is a hundred times the rollup: it is read only when a filter or a group needs it."""
    assert table == costs(api, granularity="total", **asked, **SETTLED)["meta"]["table"]


@pytest.mark.parametrize(("one", "other"), list(combinations(READ_FROM, 2)))
def test_all_tables_give_the_same_answer(
    built: str, api_over: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    """Which table was read is a matter of speed alone."""
    api = api_over(built, answers_kept_mb=0)
    answers = []
    for table in (one, other):
        monkeypatch.setattr("finops_api.costs.statements.table_for", lambda _, table=table: table)
        answer = costs(api, group_by="charge_category", measure=list(MEASURES), **SETTLED)
        assert table == answer["meta"]["table"]
        answers.append((answer["items"], answer["totals"]))

    assert answers[0] == answers[1]


def test_the_version_rises_when_a_day_is_built_again(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """Whoever keeps an answer can tell whether it is still the newest."""
    before = costs(api_over(spoilt), **SETTLED)["meta"]["data_version"]
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "update finops.materialisation set version = nextval('finops.materialisation_version') "
            "where asset = 'cost_by_service_daily' and partition_key = '2026-09-03'"
        )

    assert before < costs(api_over(spoilt), **SETTLED)["meta"]["data_version"]


def test_asking_twice_gives_the_same_rows_in_the_same_order(api: httpx.Client) -> None:
    """Tables do not shuffle on reload: days first, then currencies, then the largest amount."""
    one = costs(api, group_by="service", **SETTLED)

    assert one == costs(api, group_by="service", **SETTLED)
    order = [(i["usage_day"], i["billing_currency"], -Decimal(i["billed_cost"])) for i in one["items"]]
    assert order == sorted(order)


def test_a_month_is_every_one_of_its_days(api: httpx.Client, charges: psycopg.Connection) -> None:
    """September has 30 days, and all of them are in its bar."""
    answer = costs(api, start="2026-09-01", end="2026-10-01", granularity="monthly")

    assert {"2026-09"} == {item["month"] for item in answer["items"]}
    assert rows_of(answer) == raw_rows(charges, (), "monthly", start="2026-09-01", end="2026-10-01")


@pytest.mark.parametrize("granularity", ["daily", "monthly", "total"])
@pytest.mark.parametrize("top", [1, 3, 50])
def test_the_top_members_and_the_rest_are_the_whole(api: httpx.Client, granularity: str, top: int) -> None:
    """The few that a chart has room for are the largest, and what is folded away is not lost."""
    asked = {"start": "2026-09-10", "end": "2026-10-11", "granularity": granularity, "group_by": "service"}
    answer = api.get("/v1/costs", params={**asked, "top": top}).json()
    whole = api.get("/v1/costs", params={**asked, "granularity": "total"}).json()["items"]

    for total in answer["totals"]:
        currency = total["billing_currency"]
        rows = [row for row in answer["items"] if row["billing_currency"] == currency]
        counted = [row for row in rows if not row.get("estimated")]
        by_size = sorted(
            (r for r in whole if r["billing_currency"] == currency), key=lambda r: -Decimal(r["billed_cost"])
        )

        assert sum(Decimal(row["billed_cost"]) for row in counted) == Decimal(total["billed_cost"])
        assert {row["service"] for row in rows} - {"(other)"} == {row["service"] for row in by_size[:top]}
        others = [row["others"] for row in rows if row["service"] == "(other)"]
        folded = max(0, len(by_size) - top)
        assert max(others, default=0) == folded if granularity == "total" else max(others, default=0) <= folded


def test_the_rest_is_compared_with_the_same_rest(api: httpx.Client) -> None:
    """Who was small before and is large now is shown in both periods, and folded in neither."""
    asked = {"start": "2026-09-25", "end": "2026-10-11", "granularity": "total", "group_by": "project"}
    answer = api.get("/v1/costs", params={**asked, "top": 4, "compare": "previous", "billing_currency": "USD"}).json()

    assert sum(Decimal(row["previous_billed_cost"]) for row in answer["items"]) == Decimal(
        answer["totals"][0]["previous_billed_cost"]
    )
    assert len(answer["items"]) == 5


@pytest.mark.parametrize("groups", [[], ["service", "project"]])
def test_a_top_of_nothing_or_of_two_dimensions_is_refused(api: httpx.Client, groups: list[str]) -> None:
    """It ranks the members of one."""
    answer = api.get("/v1/costs", params={"window": "7d", "group_by": groups, "top": 3})

    assert answer.status_code == 422
    assert "exactly one group_by" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("window", "before"),
    [
        (("2026-10-01", "2026-10-11"), ("2026-09-01", "2026-09-11")),
        (("2026-10-05", "2026-10-08"), ("2026-09-05", "2026-09-08")),
    ],
)
def test_the_month_before_is_compared_day_for_day(
    api: httpx.Client, window: tuple[str, str], before: tuple[str, str]
) -> None:
    """Ten days of October beside the first ten of September: what a reader of a month to date means."""
    asked = {"granularity": "total", "group_by": "service", "start": window[0], "end": window[1]}
    answer = api.get("/v1/costs", params={**asked, "compare": "previous_month"}).json()
    then = api.get("/v1/costs", params={**asked, "start": before[0], "end": before[1]}).json()

    assert (answer["meta"]["previous_start"], answer["meta"]["previous_end"]) == before
    assert [total["previous_billed_cost"] for total in answer["totals"]] == [
        total["billed_cost"] for total in then["totals"]
    ]


def test_a_longer_month_is_compared_with_all_of_the_shorter_one(api: httpx.Client) -> None:
    """October has a day that September has not; no day is on both sides."""
    asked = {"start": "2026-10-01", "end": "2026-11-01", "include_unfinished": "true", "granularity": "total"}
    meta = api.get("/v1/costs", params={**asked, "compare": "previous_month"}).json()["meta"]

    assert (meta["previous_start"], meta["previous_end"]) == ("2026-09-01", "2026-10-01")
