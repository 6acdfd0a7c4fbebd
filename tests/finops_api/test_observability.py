"""What a request leaves behind: an id, a line, a count."""

import json
import re
from collections.abc import Callable

import httpx
import psycopg
import pytest

from finops_api.observability import configure_logging
from finops_warehouse.settings import Settings


def test_a_request_id_that_is_given_is_kept(api: httpx.Client) -> None:
    """The gateway's id finds our line."""
    assert api.get("/livez", headers={"X-Request-ID": "gateway-0001"}).headers["x-request-id"] == "gateway-0001"


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", "new\tline", "<script>", "übergroß", '"quoted-id"'])
def test_an_id_that_is_none_is_replaced(api: httpx.Client, given: str) -> None:
    """It goes into headers, logs and pages: what could be something else there is not taken."""
    answer = api.get("/livez", headers={b"X-Request-ID": given.encode()})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_every_request_has_an_id_of_its_own(api: httpx.Client) -> None:
    """Two requests with one id would be one request in the log."""
    assert len({api.get("/livez").headers["x-request-id"] for _ in range(20)}) == 20


@pytest.mark.parametrize(("path", "status"), [("/v1/costs?window=7d&project=confidential", 200), ("/v1/none", 404)])
def test_the_log_line_is_json_and_names_the_request(
    built: str, api_over: Callable[..., httpx.Client], capsys: pytest.CaptureFixture[str], path: str, status: int
) -> None:
    """One object a line, found by its id; what was asked for stays out, since names of projects may be secret."""
    configure_logging(Settings(log_format="json"))

    answer = api_over(built).get(path)

    out, err = capsys.readouterr()
    [line] = [json.loads(line) for line in err.splitlines()]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"]) == ("GET", path.split("?")[0], status)
    assert line["milliseconds"] >= 0
    assert "confidential" not in err
    assert out == ""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_fault_is_logged_with_its_traceback_and_without_its_values(
    spoilt: str, api_over: Callable[..., httpx.Client], capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    """Local variables hold passwords and names; a traceback that prints them puts those into every log store."""
    with psycopg.connect(spoilt, autocommit=True) as connection:
        connection.execute("drop table finops.cost_by_service_daily")
    configure_logging(Settings.model_validate({"log_format": log_format}))

    answer = api_over(spoilt).get("/v1/costs?window=7d&service=confidential")

    assert answer.status_code == 500
    err = capsys.readouterr().err
    assert "UndefinedTable" in err
    assert answer.headers["x-request-id"] in err
    assert "confidential" not in err


def test_requests_are_counted_by_the_template_of_their_route(built: str, api_over: Callable[..., httpx.Client]) -> None:
    """By path, each scanned address and each id would be a time series of its own, for ever."""
    client = api_over(built)
    for path in ("project", "service", "nothing"):
        client.get(f"/v1/dimensions/{path}/members")
    for path in ("/wp-login.php", "/.env"):
        client.get(path)
    client.post("/livez")

    told = client.get("/metrics").text
    counted = dict(re.findall(r"^finops_http_requests_total\{(.*)\} (.*)$", told, re.MULTILINE))

    assert counted == {
        'method="GET",route="/v1/dimensions/{name}/members",status="200"': "2.0",
        'method="GET",route="/v1/dimensions/{name}/members",status="422"': "1.0",
        'method="GET",route="/{path:path}",status="404"': "2.0",
        'method="POST",route="/livez",status="405"': "1.0",
    }
    assert 'finops_http_request_seconds_count{method="GET",route="/{path:path}"} 2.0' in told


def test_metrics_say_how_far_the_tables_are(built: str, api_over: Callable[..., httpx.Client]) -> None:
    """An alert on stale data is an alert on this number."""
    told = api_over(built).get("/metrics").text

    assert "finops_complete_through_timestamp_seconds 1.7922816e+09" in told  # 2026-10-18, midnight UTC
    assert "finops_usage_days_behind 0.0" in told
    assert "finops_partitions_parked 0.0" in told


def test_metrics_say_what_reading_the_export_was_billed_for(
    database_url: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Queries and reads apart; what has not ended counts by its estimate of money."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into finops.source_spending "
            "(run_id, kind, purpose, estimated_bytes, billed_bytes, slot_ms, estimated_usd) values "
            "('a', 'query', 'list', 5, 10, 1500, 0.25), ('a', 'storage_read', 'read', 7, 7, 0, 0.5), "
            "('b', 'storage_read', 'read', 100, null, null, 2)"
        )

    told = dict(line.split(" ") for line in api_over(database_url).get("/metrics").text.splitlines() if line[0] != "#")

    assert {name: float(value) for name, value in told.items() if name.startswith("finops_source")} == {
        "finops_source_queried_bytes": 10,
        "finops_source_read_bytes": 7,
        "finops_source_slot_seconds": 1.5,
        "finops_source_estimated_usd": 2.75,
    }


def test_two_applications_in_one_process_count_for_themselves(
    built: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Tests, and a demo beside a server, must not add up each other's numbers or fail to start."""
    one, other = api_over(built), api_over(built)
    one.get("/livez")

    assert 'route="/livez"' in one.get("/metrics").text
    assert 'route="/livez"' not in other.get("/metrics").text
