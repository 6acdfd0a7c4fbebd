"""What the API refuses: a problem document that says why, never a fault of ours, never what may have been a secret."""

from collections.abc import Callable
from datetime import date
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finops_api.costs.models import MAX_DAYS, CostQuery
from finops_warehouse.semantic import DIMENSIONS

WINDOW = "start=2026-10-01&end=2026-10-04"
SECRET = "hunter2-is-a-secret"


def problem(answer: httpx.Response, status: int, title: str | None = None) -> dict[str, object]:
    """The problem document of a refusal."""
    assert status == answer.status_code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, object] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= told.keys()
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    if title:
        assert (title, f"/problems/{title}") == (told["title"], told["type"])
    return told


BAD_QUESTIONS = {
    "no days": "",
    "only a start": "start=2026-10-01",
    "a window and days": f"window=7d&{WINDOW}",
    "an unknown window": "window=13d",
    "an end that is the start": "start=2026-10-01&end=2026-10-01",
    "an end before the start": "start=2026-10-02&end=2026-10-01",
    "all of time": "start=0001-01-01&end=9999-12-31",
    "a day that is none": "start=2026-02-30&end=2026-03-02",
    "a day of year 0": "start=0000-01-01&end=2026-03-02",
    "a day beyond the calendar": "start=2026-10-01&end=10000-01-01",
    "the days before the first": "start=0001-01-01&end=0001-01-03&compare=previous",
    "a comparison of months": f"{WINDOW}&compare=previous&granularity=monthly",
    "an unknown comparison": f"{WINDOW}&compare=next",
    "an unknown granularity": f"{WINDOW}&granularity=hourly",
    "an unknown dimension": f"{WINDOW}&group_by=x;drop%20table%20finops.raw_charges",
    "a column instead of a dimension": f"{WINDOW}&group_by=sub_account_id",
    "an unknown measure": f"{WINDOW}&measure=billed_cost),(select%201",
    "an unknown parameter": f"{WINDOW}&token={SECRET}",
    "a misspelt filter": f"{WINDOW}&projekt=nw-shop-prod",
    "too many groups": f"{WINDOW}&group_by=project&group_by=service&group_by=sku&group_by=region",
    "a name with NUL": f"{WINDOW}&project=a%00b",
    "a currency with NUL": f"{WINDOW}&billing_currency=%00",
    "a name of 10,000 characters": f"{WINDOW}&project={'x' * 10_000}",
    "a currency of 10,000 characters": f"{WINDOW}&billing_currency={'x' * 10_000}",
    "101 names": WINDOW + "&project=x" * 101,
    "a start given twice": f"{WINDOW}&start=2026-10-02",
    "a granularity given twice": f"{WINDOW}&granularity=total&granularity=daily",
    "no truth": f"{WINDOW}&include_unfinished=perhaps",
}


@pytest.mark.parametrize("asked", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS.keys())
def test_a_bad_question_is_refused_with_a_problem(api: httpx.Client, asked: str) -> None:
    """Whoever builds on the API learns what to change; nobody gets an answer to another question."""
    told = problem(api.get(f"/v1/costs?{asked}"), 422)

    assert told["detail"]
    assert SECRET not in str(told)


MEMBERS_REFUSED = {
    "a limit of 10^24": f"/v1/dimensions/project/members?limit=1{'0' * 24}",
    "a limit of 0": "/v1/dimensions/project/members?limit=0",
    "a limit that is a secret": f"/v1/dimensions/project/members?limit={SECRET}",
    "a search with NUL": "/v1/dimensions/project/members?search=%00",
    "a search of 10,000 characters": f"/v1/dimensions/project/members?search={'x' * 10_000}",
    "an unknown dimension": "/v1/dimensions/password/members",
    "SQL for a dimension": f"/v1/dimensions/{quote('project; drop table x')}/members",
    "NUL for a dimension": "/v1/dimensions/%00/members",
}


@pytest.mark.parametrize("path", MEMBERS_REFUSED.values(), ids=MEMBERS_REFUSED.keys())
def test_a_bad_question_for_members_is_refused(api: httpx.Client, path: str) -> None:
    """The second route that takes words from outside."""
    assert SECRET not in str(problem(api.get(path), 422))


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (f"/v1/costs?{WINDOW}&group_bi=service", None, "query.group_bi: there is no such name; did you mean group_by?"),
        ("/v1/dimensions/project/members?serach=a", None, "query.serach: there is no such name; did you mean search?"),
        (f"/v1/costs?{WINDOW}&zzz=1", None, "query.zzz: there is no such name"),
        ("/v1/costs/query", {"window": "7d", "wher": {}}, "body.wher: there is no such name; did you mean where?"),
        (
            "/v1/costs/query",
            {"window": "7d", "where": {"dimension": "project", "operator": "in", "values": ["a"], "value": "a"}},
            "there is no such name",
        ),
        ("/v1/meta?billing_account=a", None, "query.billing_account: there is no such name"),
        ("/v1/costs/query?window=7d", {"window": "7d"}, "query.window: there is no such name"),
    ],
    ids=["in a URL", "of another route", "like none", "in a body", "within a body", "where are none", "beside a body"],
)
def test_who_mistypes_a_name_is_told_which_one_there_is(
    api: httpx.Client, path: str, body: dict[str, object] | None, told: str
) -> None:
    """The first call somebody makes has a typing error; they should not need the documentation to see it."""
    answer = api.get(path) if body is None else api.post(path, json=body)

    detail = str(problem(answer, 422, "BadParameter")["detail"])
    assert detail == told or (answer.request.method == "POST" and told in detail)


HOSTILE = [
    "' or 1=1--", "'; drop table finops.raw_charges; --", "%s", "%(start)s", "{}", "\\", "\ufffd", "漢字", "a\nb",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", [*DIMENSIONS, "billing_currency"])
def test_a_hostile_name_is_a_name_that_nothing_has(api: httpx.Client, name: str, hostile: str) -> None:
    """It is bound, not pasted: no row matches, and nothing else happens."""
    answer = api.get("/v1/costs", params={"start": "2026-10-01", "end": "2026-10-04", name: hostile})

    assert answer.status_code == 200
    assert (answer.json()["items"], answer.json()["totals"]) == ([], [])


@pytest.mark.parametrize("hostile", ["' or 1=1--", "%", "_", "\\"])
def test_a_search_is_for_the_characters_it_has(api: httpx.Client, hostile: str) -> None:
    """% and _ mean themselves, or a search for them would list every project of the company."""
    answer = api.get("/v1/dimensions/project/members", params={"search": hostile})

    assert (answer.status_code, answer.json()) == (200, {"items": []})


def test_bytes_that_are_no_text_are_no_fault_of_ours(api: httpx.Client) -> None:
    """A scanner sends %ff; the log should not fill with tracebacks."""
    assert api.get(f"/v1/costs?{WINDOW}&project=%ff%fe").status_code == 200
    assert api.get("/v1/dimensions/project/members?search=%ed%a0%80").status_code == 200


def test_too_many_rows_are_refused_and_not_cut_short(api: httpx.Client) -> None:
    """An answer that ends at row 5,000 without a word would be added up and believed."""
    told = problem(api.get("/v1/costs?window=30d&group_by=sku&group_by=project&group_by=region"), 422, "TooManyRows")

    assert "5000" in str(told["detail"])


def test_a_window_may_be_as_long_as_is_said_and_no_longer(api: httpx.Client) -> None:
    """Three years and a day: the limit that is told is the limit that is."""
    last = date(2026, 10, 1).toordinal()

    for days, status in ((MAX_DAYS, 200), (MAX_DAYS + 1, 422)):
        start = date.fromordinal(last - days).isoformat()
        assert api.get(f"/v1/costs?start={start}&end=2026-10-01&granularity=total").status_code == status


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/wp-login.php", "/docs/nothing", "/v1/dimensions/project"])
def test_a_path_that_is_none_is_a_problem_too(api: httpx.Client, path: str) -> None:
    """A client has one kind of refusal to read, whoever refuses."""
    problem(api.get(path), 404, "NotFound")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/costs", "/v1/meta", "/livez"])
def test_nothing_can_be_written(api: httpx.Client, method: str, path: str) -> None:
    """The API only reads; whoever tries otherwise is told which method to use."""
    answer = api.request(method, path)

    problem(answer, 405, "MethodNotAllowed")
    assert "GET" in answer.headers["allow"]


def test_a_fault_of_ours_is_told_without_its_insides(
    spoilt: str, api_over: Callable[..., httpx.Client], capfd: pytest.CaptureFixture[str]
) -> None:
    """The caller gets an id to report, the log gets the traceback under that id."""
    import psycopg

    with psycopg.connect(spoilt, autocommit=True) as connection:
        connection.execute("alter table finops.cost_by_service_daily rename column billed_cost to other")

    answer = api_over(spoilt).get(f"/v1/costs?{WINDOW}", headers={"X-Request-ID": "report-this-1"})

    told = problem(answer, 500, "InternalError")
    assert told["request_id"] == "report-this-1"
    assert "billed_cost" not in answer.text
    logged = capfd.readouterr()
    assert "report-this-1" in logged.out + logged.err
    assert "UndefinedColumn" in logged.out + logged.err


days = st.dates(date.min, date.max)


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    start=days,
    end=days,
    complete_through=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    granularity=st.sampled_from(["daily", "monthly", "total"]),
    compare=st.sampled_from([None, "previous"]),
    include_unfinished=st.booleans(),
)
def test_every_window_is_resolved_or_refused(
    start: date, end: date, complete_through: date, granularity: str, compare: str | None, include_unfinished: bool
) -> None:
    """Whatever days are asked for: a refusal in words, or days that lie within the window."""
    from finops_api.errors import BadQuestion

    query = CostQuery.model_validate(
        {
            "start": start, "end": end, "granularity": granularity, "compare": compare,
            "include_unfinished": include_unfinished,
        }
    )  # fmt: skip
    try:
        resolved = query.resolved(complete_through)
    except BadQuestion:
        return
    assert start <= resolved.counted_end <= end
    if compare:
        first, last = resolved.previous
        assert (last, last - first) == (start, resolved.counted_end - start)
