"""The proof of an invoice month: its identity, its parts, the total handed in, and what moves it after it closed."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from helpers.road import Export, Road, charge

from finops_warehouse import identities, invoices
from finops_warehouse.errors import BadRequest, SettingsError

HEADER = "billing_account_id,invoice_month,billing_currency,total"


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """August and what of it was exported in September, before the fifth business day, the 7th."""
    export = Export(tmp_path / "export")
    export.write("2026-08-01", [charge(0, start="2026-08-01T08:00")])
    export.write(
        "2026-08-02",
        [
            charge(10, start="2026-08-01T20:00", paid_by=[("FREE_TIER", -2), ("PROMOTION", -1)]),
            charge(30, start="2026-08-01T20:00", sku="N2 RAM"),
        ],
    )
    export.write(
        "2026-09-02",
        [
            charge(4, start="2026-08-31T20:00", cost_type="tax"),
            charge(-5, start="2026-08-10T20:00", cost_type="adjustment", adjustment_info={"type": "GOODWILL"}),
            charge(0.003, start="2026-08-31T20:00", cost_type="rounding_error"),
        ],
    )
    export.write("2026-09-08", [charge(1, start="2026-09-07T20:00")])
    return export


@pytest.fixture
def road(connection: psycopg.Connection, export: Export) -> Road:
    """The way from this export to this test's tables."""
    road = Road(connection, export.folder)
    road.walk()
    return road


def month(api: httpx.Client, name: str = "202608") -> dict[str, Any]:
    """The proof of a month with one account."""
    [proof] = api.get("/v1/invoice-months", params={"invoice_month": name}).json()["items"]
    found: dict[str, Any] = proof
    return found


def put(api: httpx.Client, total: str, **more: str) -> httpx.Response:
    """Hand in August's total."""
    return api.put("/v1/invoices/A/202608/USD", json={"total": total, **more})


@pytest.mark.usefixtures("road")
def test_a_month_is_its_identity(database_url: str, api_over: Callable[..., httpx.Client]) -> None:
    """Regular, tax, adjustment, rounding and each credit type add up to what the invoice must say."""
    proof = month(api_over(database_url))

    costs = [Decimal(proof[f"cost_{kind}"]) for kind in ("regular", "tax", "adjustment", "rounding_error")]
    assert costs == [40, 4, -5, Decimal("0.003")]
    assert proof["credits"] == {"free_tier": "-2", "promotion": "-1"}
    assert Decimal(proof["billed_cost"]) == sum(costs) + sum(map(Decimal, proof["credits"].values()))
    assert (proof["state"], proof["residual"], proof["late_charge_count"]) == ("closed", None, 0)
    assert (proof["seal"]["billed_cost"], proof["seal"]["reason"]) == ("36.003", "closed")


@pytest.mark.usefixtures("road")
def test_the_parts_add_up_to_the_month(database_url: str, api_over: Callable[..., httpx.Client]) -> None:
    """Whoever finds a cent too much sees on which export day and in which cost type it came."""
    api = api_over(database_url)
    parts = api.get("/v1/invoice-months/parts", params={"invoice_month": "202608"}).json()["items"]

    assert [(p["export_day"], p["cost_type"], p["billed_cost"]) for p in parts] == [
        ("2026-08-01", "regular", "0"),
        ("2026-08-02", "regular", "37"),
        ("2026-09-02", "adjustment", "-5"),
        ("2026-09-02", "rounding_error", "0.003"),
        ("2026-09-02", "tax", "4"),
    ]
    assert sum(Decimal(p["billed_cost"]) for p in parts) == Decimal(month(api)["billed_cost"])
    assert parts[1]["credits"] == {"free_tier": "-2", "promotion": "-1"}


@pytest.mark.usefixtures("road")
def test_a_total_over_http_is_proven_by_the_next_build(
    database_url: str, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """The residual is what is left of the invoice, to the last digit; the invoice's number comes along."""
    api = api_over(database_url)

    assert put(api, "36.01", invoice_id="5123456789").json() == {"changed": True}
    assert put(api, "36.010").json() == {"changed": False}
    road.rebuild_behind()

    proof = month(api)
    assert (proof["invoice_total"], proof["residual"], proof["invoice_id"]) == ("36.01", "-0.007", "5123456789")
    assert identities.unsettled_invoices(road.connection) != []
    put(api, "36.003")
    road.rebuild_behind()
    assert month(api)["residual"] == "0"
    assert month(api)["seal"]["reason"] == "adds up to its invoice"


@pytest.mark.parametrize("total", ["12,5", "1e400", "NaN", "", "12 USD", None, 12.5])
@pytest.mark.usefixtures("road")
def test_a_total_that_is_no_amount_is_refused(
    total: object, database_url: str, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """Nothing of it is written; a bare JSON number would have been read as a float on the way."""
    answer = api_over(database_url).put("/v1/invoices/A/202608/USD", json={"total": total})

    assert answer.status_code == 422
    assert road.connection.execute("select count(*) from finops.invoices").fetchall() == [(0,)]


@pytest.mark.parametrize("place", ["A/202613/USD", "A/202608/usd", "A/2026-08/USD"])
@pytest.mark.usefixtures("road")
def test_an_invoice_that_cannot_be_is_refused(
    place: str, database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """A month is YYYYMM, a currency three capitals."""
    assert api_over(database_url).put(f"/v1/invoices/{place}", json={"total": "1"}).status_code == 422


def test_handing_in_needs_the_token(database_url: str, api_over: Callable[..., httpx.Client]) -> None:
    """A total decides whether a month is proven: not anybody's to write."""
    assert put(api_over(database_url, api_token="secret-token-of-some-length"), "1").status_code == 401


def test_rows_for_a_closed_month_are_found_out(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """The invoice is out; its month moves all the same. The sums show it, the seal does not move, the check fails."""
    api = api_over(database_url)
    sealed = month(api)["seal"]
    export.write("2026-10-20", [charge(7, start="2026-08-15T20:00", month="202608")])
    road.walk()

    proof = month(api)
    assert (proof["billed_cost"], proof["late_billed_cost"], proof["late_charge_count"]) == ("43.003", "7", 1)
    assert (proof["seal"], proof["moved_after_close"]) == (sealed, True)
    [difference] = identities.moved_after_close(road.connection)
    assert (
        str(difference)
        == "closed months stand still 202608 A USD: 43.003 (+1 charges) instead of 36.003 when it closed"
    )

    assert invoices.accept(road.connection, "202608", "Google reissued it, ticket 42") == 1
    assert identities.moved_after_close(road.connection) == []
    assert (month(api)["seal"]["reason"], month(api)["moved_after_close"]) == ("Google reissued it, ticket 42", False)
    [(seals,)] = road.connection.execute(
        "select count(*) from finops.invoice_seals where invoice_month = '202608'"
    ).fetchall()
    assert seals == 2


def test_a_re_export_that_keeps_the_sum_is_found_out_too(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """Two charges that trade an amount leave every sum as it was; the hash of the rows is another."""
    api = api_over(database_url)
    before = month(api)
    export.write(
        "2026-08-02",
        [
            charge(11, start="2026-08-01T20:00", paid_by=[("FREE_TIER", -2), ("PROMOTION", -1)]),
            charge(29, start="2026-08-01T20:00", sku="N2 RAM"),
        ],
    )
    road.walk()

    proof = month(api)
    assert proof["billed_cost"] == before["billed_cost"]
    assert (proof["input_hash"] != before["input_hash"], proof["moved_after_close"]) == (True, True)


def test_a_corrected_invoice_settles_it(
    database_url: str, export: Export, road: Road, api_over: Callable[..., httpx.Client]
) -> None:
    """Google sends another invoice, and the month adds up to that one: nobody has to accept anything."""
    api = api_over(database_url)
    put(api, "36.003")
    road.rebuild_behind()
    export.write("2026-10-20", [charge(7, start="2026-08-15T20:00", month="202608")])
    road.walk()
    assert month(api)["moved_after_close"] is True

    put(api, "43.003")
    road.rebuild_behind()

    assert (month(api)["moved_after_close"], month(api)["residual"]) == (False, "0")


def test_a_month_that_is_still_being_backfilled_is_not_sealed(tmp_path: Path, connection: psycopg.Connection) -> None:
    """Half of a history proves nothing: its other half would look like late rows for a closed month."""
    export = Export(tmp_path / "part")
    export.write("2026-08-20", [charge(10, start="2026-08-19T20:00")])
    export.write("2026-09-08", [charge(1, start="2026-09-07T20:00")])
    road = Road(connection, export.folder)
    road.walk()
    assert connection.execute("select count(*) from finops.invoice_seals").fetchall() == [(0,)]

    export.write("2026-08-01", [charge(5, start="2026-08-01T08:00")])
    road.walk()

    assert connection.execute("select billed_cost from finops.invoice_seals").fetchall() == [(15,)]
    assert identities.moved_after_close(connection) == []


def test_only_a_month_that_moved_can_be_accepted(road: Road) -> None:
    """An acceptance nobody needed would hide the next move."""
    with pytest.raises(BadRequest, match="did not move"):
        invoices.accept(road.connection, "202608", "why not")
    with pytest.raises(BadRequest, match="YYYYMM"):
        invoices.accept(road.connection, "2026-08", "why not")


# -- the drop folder


def test_files_that_are_dropped_are_taken_once(tmp_path: Path, road: Road) -> None:
    """CSV or JSON, each looked at again only when it changes."""
    folder = tmp_path / "invoices"
    folder.mkdir()
    (folder / "august.csv").write_text(f"{HEADER},invoice_id\nA,202608,USD,36.003,X-1\n")
    named = {"billing_account_id": "A", "invoice_month": "202609", "billing_currency": "USD"}
    (folder / "september.json").write_text(json.dumps([{**named, "total": 1.10}]))
    (folder / "read me.txt").write_text("not an invoice")

    taken = invoices.take_dropped(road.connection, folder)

    assert [(d.file.name, d.changed_months, d.refused_because) for d in taken] == [
        ("august.csv", 1, None),
        ("september.json", 1, None),
    ]
    assert invoices.take_dropped(road.connection, folder) == []
    assert road.connection.execute(
        "select invoice_month, total, invoice_id from finops.invoices order by 1"
    ).fetchall() == [
        ("202608", Decimal("36.003"), "X-1"),
        ("202609", Decimal("1.1"), None),
    ]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bad.csv", f"{HEADER}\nA,202608,USD,36.003\nA,202609,USD,many\n", "line 3: total"),
        ("bad.csv", "account,total\nA,1\n", "no column billing_account_id"),
        ("bad.json", '{"total": 1}', "list of objects"),
        ("bad.json", '[{"total": 1},\n oops]', "line 2"),
        (
            "bad.json",
            '[{"billing_account_id": "A", "invoice_month": "202608", "total": 1}]',
            "invoice 1: billing_currency",
        ),
        ("bad.csv", b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_dropped_file_that_cannot_be_right_is_refused_whole(
    name: str, text: str | bytes, says: str, tmp_path: Path, road: Road
) -> None:
    """It names what is wrong, nothing of it is taken, and it is told once, not every minute."""
    folder = tmp_path / "invoices"
    folder.mkdir()
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    [dropped] = invoices.take_dropped(road.connection, folder)

    assert says in (dropped.refused_because or "")
    assert road.connection.execute("select count(*) from finops.invoices").fetchall() == [(0,)]
    assert invoices.take_dropped(road.connection, folder) == []
    (folder / name).with_suffix(".csv").write_text(f"{HEADER}\nA,202608,USD,1\n")
    assert [d.refused_because for d in invoices.take_dropped(road.connection, folder)] == [None]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, road: Road) -> None:
    """A mistyped INVOICES_DIR would otherwise be a folder that is empty for ever."""
    with pytest.raises(SettingsError, match="INVOICES_DIR"):
        invoices.take_dropped(road.connection, tmp_path / "nowhere")
