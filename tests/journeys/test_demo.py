"""What a newcomer meets after `make demo`: real numbers from the API, finished backfills, a graph to look at."""

import csv
import re
import signal
import subprocess
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from helpers.demo import PICTURES, Demo
from helpers.processes import TIMEOUT_SECONDS, environment, finops, finops_json
from playwright.sync_api import Page, expect

LAUNCH = """
    mutation launch($parameters: LaunchBackfillParams!) {
        launchPartitionBackfill(backfillParams: $parameters) {
            __typename
            ... on LaunchBackfillSuccess { backfillId }
            ... on PythonError { message }
        }
    }
"""
BACKFILL = """
    query backfill($id: String!) {
        partitionBackfillOrError(backfillId: $id) {
            ... on PartitionBackfill { status numPartitions runs(limit: 50) { id status tags { key value } } }
        }
    }
"""
PARTITIONS = """
    query partitions($key: AssetKeyInput!) {
        assetNodeOrError(assetKey: $key) {
            ... on AssetNode { partitionStats { numMaterialized numPartitions numFailed } }
        }
    }
"""


def graphql(demo: Demo, query: str, **variables: Any) -> Any:  # noqa: ANN401 -- JSON
    """Ask Dagster what its UI asks."""
    answer = httpx.post(f"{demo.dagster_url}/graphql", json={"query": query, "variables": variables}, timeout=30)
    body = answer.json()
    assert "errors" not in body, body
    return body["data"]


def test_every_partition_of_every_table_is_built(demo: Demo) -> None:
    """Ninety days of export end as ninety green partitions, in Dagster's eyes too."""
    days = (demo.last_day - demo.first_day).days + 1
    assert days == 90
    for asset in ("raw_charges", "aggregated_cost_data", "cost_by_service_daily", "cost_by_sku_region_daily"):
        found = graphql(demo, PARTITIONS, key={"path": [asset]})["assetNodeOrError"]["partitionStats"]
        assert (found["numMaterialized"], found["numFailed"]) == (days, 0), asset


def test_the_api_gives_the_numbers_of_the_charges(demo: Demo) -> None:
    """What is read over HTTP is what SQL over the raw rows says, to the last digit."""
    start, end = demo.last_day - timedelta(days=40), demo.last_day - timedelta(days=10)
    answer = httpx.get(
        f"{demo.api_url}/v1/costs",
        params={"start": str(start), "end": str(end), "granularity": "total", "group_by": "service"},
    ).json()
    with demo.connect() as connection:
        rows = connection.execute(
            "select service_id, billing_currency, sum(billed_cost) from finops.raw_charges "
            "where usage_day >= %s and usage_day < %s group by 1, 2",
            [start, end],
        ).fetchall()

    served = {(item["service"], item["billing_currency"]): Decimal(item["billed_cost"]) for item in answer["items"]}
    assert len(served) > 20
    assert served == {(service, currency): total for service, currency, total in rows}


def test_the_demo_is_proven(demo: Demo) -> None:
    """`finops verify` on the newcomer's own data: nothing is a digit apart, every closed invoice is met."""
    proof = finops_json(demo.home, "verify")

    assert proof["holds"]
    assert proof["closed_invoices"] >= 4
    status = finops_json(demo.home, "status")
    assert status["dirty_usage_days"] == []
    assert [m["residual"] for m in status["invoice_months"] if m["state"] == "closed" and Decimal(m["residual"])] == []


def test_a_backfill_from_the_ui_takes_few_runs(demo: Demo) -> None:
    """Ninety days, launched as the UI launches them: every partition materialised, in at most four runs."""
    with demo.connect() as connection:
        before = connection.execute("select * from finops.cost_by_service_daily order by 1, 2, 3, 4, 5, 7").fetchall()
    days = [str(demo.first_day + timedelta(days=n)) for n in range(90)]
    parameters = {"assetSelection": [{"path": ["cost_by_service_daily"]}], "partitionNames": days}

    launched = graphql(demo, LAUNCH, parameters=parameters)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    give_up_at = time.monotonic() + 300
    while time.monotonic() < give_up_at:
        found = graphql(demo, BACKFILL, id=launched["backfillId"])["partitionBackfillOrError"]
        if found["status"] not in ("REQUESTED", "CANCELING"):
            break
        time.sleep(1)

    assert found["status"] == "COMPLETED_SUCCESS"
    assert found["numPartitions"] == 90
    assert len(found["runs"]) <= 4
    with demo.connect() as connection:
        after = connection.execute("select * from finops.cost_by_service_daily order by 1, 2, 3, 4, 5, 7").fetchall()
    assert after == before, "building again what did not move changes no row"


def test_what_the_sample_hides_is_found(demo: Demo) -> None:
    """The injected anomalies of complete days, each by its project; and nothing that only looks like one."""
    with (demo.home / "sample" / "truth" / "anomalies.csv").open() as lines:
        truth = [row for row in csv.DictReader(lines) if row["is_anomaly"] == "true"]
    meta = httpx.get(f"{demo.api_url}/v1/meta").json()
    told = httpx.get(f"{demo.api_url}/v1/anomalies", params={"start": str(demo.first_day)}, timeout=30).json()["items"]
    injected = [row for row in truth if row["start_day"] <= meta["complete_through"]]

    def is_of(anomaly: dict[str, Any], row: dict[str, str]) -> bool:
        return bool(
            anomaly["billing_account_id"] == row["billing_account_id"]
            and (anomaly["scope"] == "billing_account" or anomaly["project"] == row["project_id"])
            and anomaly["start_day"] <= row["end_day"]
            and anomaly["last_day"] >= row["start_day"]
        )

    found = [row for row in injected if any(is_of(anomaly, row) for anomaly in told)]
    assert len(injected) >= 8
    assert len(found) >= 0.8 * len(injected), [row["kind"] for row in injected if row not in found]
    assert sum(not any(is_of(anomaly, row) for row in injected) for anomaly in told) <= 2


def test_the_forecasts_of_the_demo_kept_their_word(demo: Demo) -> None:
    """Better than the same weekday again, and the 95 % interval held at least 92 % of the days that came."""
    with demo.connect() as connection:
        [(points, wape, floor, coverage)] = connection.execute(
            "select sum(points), sum(absolute_error) / sum(actual_cost), sum(floor_absolute_error) / sum(actual_cost), "
            "sum(within_95) / sum(points) from finops.forecast_accuracy"
        ).fetchall()

    assert points > 10_000
    assert wape < floor
    assert coverage >= Decimal("0.92")


def test_the_graph_is_worth_a_look(demo: Demo, page: Page) -> None:
    """The README's first picture: the road from the export to the invoice, every table on it, nothing failed."""
    page.set_viewport_size({"width": 2100, "height": 1000})
    page.goto(f"{demo.dagster_url}/asset-groups")
    page.get_by_role("button", name="Hide navigation").or_(page.get_by_text("Hide navigation")).first.click()
    expect(page.get_by_text("aggregated", exact=False).or_(page.get_by_text("core")).first).to_be_visible()
    page.keyboard.press("Alt+e")  # expand all groups
    page.get_by_label("panel_show_right").last.click()  # give the list's room to the graph
    page.wait_for_timeout(3000)
    for _ in range(12):  # what is outside the window is not drawn
        if page.get_by_text("invoice_months").count():
            break
        page.get_by_role("button", name="zoom_out").click()
        page.wait_for_timeout(1000)

    for name in ("raw_charges", "usage_day_charges", "invoice_months"):
        expect(page.get_by_text(name).first).to_be_visible()
    expect(page.get_by_text("Failed")).to_have_count(0)
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "dagster-graph.png", clip={"x": 0, "y": 0, "width": 1760, "height": 900})


def test_a_partition_tells_its_rows_and_its_total(demo: Demo, page: Page) -> None:
    """What a data engineer opens at 3 a.m.: the day, how many rows, what it cost, which version it was built from."""
    day = str(demo.last_day - timedelta(days=14))
    with demo.connect() as connection:
        [(rows, total)] = connection.execute(
            "select count(*), sum(billed_cost) filter (where billing_currency = 'USD') "
            "from finops.aggregated_cost_data where usage_day = %s",
            [day],
        ).fetchall()

    page.goto(f"{demo.dagster_url}/assets/aggregated_cost_data?view=partitions&partition={day}")

    expect(page.get_by_text("billed_cost_USD", exact=True).first).to_be_visible(timeout=20_000)
    expect(page.get_by_text(str(total)).first).to_be_visible()
    expect(page.get_by_text(str(rows), exact=True).first).to_be_visible()
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "dagster-partition.png")


def test_the_api_explains_itself(demo: Demo, page: Page) -> None:
    """/docs is the first page a developer opens, and the schema is what their client is made from."""
    schema = httpx.get(f"{demo.api_url}/openapi.json").json()

    assert {"/v1/costs", "/v1/dimensions", "/v1/meta", "/livez", "/readyz", "/metrics"} <= set(schema["paths"])
    assert httpx.get(f"{demo.api_url}/docs").status_code == 200


README = Path(__file__).parents[2] / "README.md"
RUNNABLE = re.findall(r"<!-- run(?:: api)? -->\n```sh\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("commands", RUNNABLE, ids=[block.splitlines()[0][:40] for block in RUNNABLE])
def test_every_command_of_the_readme_works(commands: str, demo: Demo) -> None:
    """A README command nobody ran is a promise nobody keeps."""
    script = commands.replace("http://127.0.0.1:8000", demo.api_url).replace("curl -s ", "curl -sSf ")
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=README.parent,
        env=environment(demo.home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout + ran.stderr


def test_it_said_that_it_is_open(demo: Demo) -> None:
    """Without a token the API serves this machine only, and its log says so."""
    assert "open without a key" in (demo.home / "stderr.log").read_text()


def test_ctrl_c_stops_all_of_it(demo: Demo) -> None:
    """The last thing a newcomer does: nothing of ours may be left running, and the data is there next time."""
    parent = psutil.Process(demo.pid)
    children = parent.children(recursive=True)
    assert any("dagster" in " ".join(child.cmdline()) for child in children)

    parent.send_signal(signal.SIGINT)

    assert parent.wait(timeout=60) in (0, 130)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert not (demo.home / "postgres" / "server" / "data" / "postmaster.pid").exists()
    again = finops_json(demo.home, "demo", "--no-serve")
    assert again["backfill_ids"] == [], "what is built is not built again"
    told = finops(demo.home, "psql", "-Atc", "select count(*) > 100000 from finops.raw_charges")
    assert told.stdout == "t\n", told.stderr
