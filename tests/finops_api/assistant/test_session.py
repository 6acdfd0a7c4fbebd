"""What a session may see and may not: tenants, keys, an API that is away, and pipes that carry nothing else."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from finops_warehouse.database import connect_to
from finops_warehouse.row_scope import RowScope

from ..test_tenants import PEPPER, TENANTS, MakeKey, Tenant, _strangers_at_once  # noqa: F401 -- a fixture
from .conftest import FINOPS, Assist, environment, text
from .test_tools import ASKED

ACCOUNTS = {"list_restatements", "list_invoice_months"}
"""What is told of whole accounts."""

EVERYTHING = {"list_anomalies", "list_forecasts", "list_recommendations", "list_insights", "list_budgets"}
"""What is told of everything at once."""


@pytest.fixture
def tenant(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client]
) -> Callable[[str], tuple[str, str, Tenant]]:
    """`tenant(name)` is the address of an API, a key of that tenant, and what must never be told to it."""
    api = serve(keyed, api_key_pepper=PEPPER)
    with connect_to(keyed) as connection:
        rows = connection.execute(
            "select distinct billing_account_id, sub_account_id, billing_currency from finops.raw_charges"
        ).fetchall()

    def make(name: str) -> tuple[str, str, Tenant]:
        scope = TENANTS.get(name, RowScope())
        key = make_key("read", billing_accounts=scope.billing_accounts, projects=scope.projects)
        return str(api.base_url), key, Tenant(api, key, scope, rows)

    return make


@pytest.mark.parametrize("name", TENANTS)
def test_no_tool_tells_a_tenant_of_another(
    tenant: Callable[[str], tuple[str, str, Tenant]], assist: Assist, name: str
) -> None:
    """Every tool, the whole text of its answer, searched for every account, project and currency of others."""
    url, key, whose = tenant(name)
    assistant = assist(url, FINOPS_API_KEY=key)
    for tool, asked in ASKED.items():
        currency = {"billing_currency": (whose.currencies or ["XXX"])[0]} if tool == "show_evidence" else {}
        result = assistant.call(tool, **asked | currency)
        may = tool not in EVERYTHING and not (tool in ACCOUNTS and whose.scope.projects is not None)

        assert result.is_error is not may, (tool, text(result))
        assert whose.leaks(text(result)) == set(), tool
        if not may:
            assert "OutOfScope, 403" in text(result)
    assert key not in assistant.log.read_text()


def test_whoever_sees_everything_is_told_of_both(
    tenant: Callable[[str], tuple[str, str, Tenant]], assist: Assist
) -> None:
    """The matrix above is of answers in which others would stand: it can fail."""
    url, key, _ = tenant("everybody")
    assistant = assist(url, FINOPS_API_KEY=key)
    _, _, other = tenant("shop of europe, which has none")

    for tool, asked in ASKED.items():
        if tool not in ("list_dimensions", "list_budgets"):
            assert other.leaks(text(assistant.call(tool, **asked))) != set(), tool


def test_asking_for_anothers_project_finds_nothing(
    tenant: Callable[[str], tuple[str, str, Tenant]], assist: Assist
) -> None:
    """As for a project that does not exist, in rows and in evidence."""
    url, key, _ = tenant("shop")
    assistant = assist(url, FINOPS_API_KEY=key)
    days = {"start": "2026-09-01", "end": "2026-10-01"}
    for project in ("nw-data-lake", "no-such-project"):
        costs = assistant.ask("ask_costs", **days, filters={"project": [project]})
        opened = assistant.ask("show_evidence", **days, billing_currency="USD", filters={"project": [project]})

        assert (costs["rows"], costs["totals"], opened["row_count"], opened["value"]) == ([], [], 0, "0")


def test_without_a_key_the_api_says_that_one_is_needed(
    tenant: Callable[[str], tuple[str, str, Tenant]], assist: Assist
) -> None:
    """Of every tool; and a key that is none is not repeated."""
    url, _, _ = tenant("everybody")
    for settings in ({}, {"FINOPS_API_KEY": "fin_live_no-such-key"}):
        assistant = assist(url, **settings)
        for tool in ("ask_costs", "get_data_status"):
            result = assistant.call(tool, **ASKED[tool])
            assert result.is_error
            assert "Send a key that is valid" in text(result)
            assert "no-such-key" not in text(result) + assistant.log.read_text()


def test_what_it_asks_is_counted_as_any_callers(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client], assist: Assist
) -> None:
    """An assistant in a loop is stopped by the same limit, and told when to go on."""
    api = serve(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute=1, answers_kept_mb=0)
    assistant = assist(str(api.base_url), FINOPS_API_KEY=make_key("read"))
    results = [assistant.call("list_insights") for _ in range(3)]  # a minute may end in between

    assert not results[0].is_error
    refused = next(text(result) for result in results if result.is_error)
    assert re.match(r"More than 1 questions a minute. Ask again in \d+ seconds. \(TooManyRequests, 429", refused)


def test_an_api_that_is_away_is_an_error_and_comes_back(assist: Assist) -> None:
    """Not a stack trace, and not the end of the session."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    assistant = assist(f"http://127.0.0.1:{port}")

    result = assistant.call("get_data_status")

    assert result.is_error
    assert f"http://127.0.0.1:{port} does not answer" in text(result)
    assert "Traceback" not in text(result) + assistant.log.read_text()
    assert len(assistant.tools()) == len(ASKED)


def test_the_option_names_another_api(assist: Assist, url: str) -> None:
    """In place of the setting."""
    assert assist("http://127.0.0.1:1", "--url", url).ask("get_data_status")["billing_currencies"] == ["EUR", "USD"]


INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip


def test_nothing_but_the_protocol_is_on_stdout(url: str, tmp_path: Path) -> None:
    """A warning there would break the session: it is on stderr, where hosts show logs."""
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get_data_status", "arguments": {}}}
    wrong = {**call, "id": 3, "params": {"name": "ask_costs", "arguments": {}}}
    with subprocess.Popen(
        [FINOPS, "mcp"], cwd=tmp_path, text=True,
        env=environment(FINOPS_API_URL=url, FINOPS_API_KEYS="misspelt", LOG_LEVEL="DEBUG"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for message, is_answered in ((INITIALIZE, True), (begun, False), (call, True), (wrong, True)):
            process.stdin.write(f"{json.dumps(message)}\n")
            process.stdin.flush()
            if is_answered:
                answers.append(json.loads(process.stdout.readline()))
        rest, said = process.communicate(timeout=30)

    assert [answer["id"] for answer in answers] == [1, 2, 3]
    assert answers[0]["result"]["serverInfo"]["name"] == "finops"
    assert answers[2]["result"]["isError"]
    assert rest == ""
    assert "FINOPS_API_KEYS is not a setting; did you mean FINOPS_API_KEY?" in said
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    """Also while it waits for a line that does not come: Ctrl-C, or a host that goes away."""
    with subprocess.Popen(
        [FINOPS, "mcp"], cwd=tmp_path, env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{json.dumps(INITIALIZE)}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(number)
        try:
            process.wait(timeout=10)
        finally:
            process.kill()
        said = process.stderr.read() if process.stderr else ""

    assert process.returncode == -number
    assert said == ""


def test_a_key_that_would_go_over_the_network_in_the_clear_is_refused(tmp_path: Path) -> None:
    """At the start, with an exit code a host shows; nothing was sent."""
    ran = subprocess.run(
        [FINOPS, "mcp", "--url", "http://finops.example.com"], cwd=tmp_path, stdin=subprocess.DEVNULL,
        env=environment(FINOPS_API_KEY="fin_live_secret"), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "in the clear" in ran.stderr
    assert "fin_live_secret" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_key_is_no_argument(tmp_path: Path) -> None:
    """Whoever lists the machine's processes would read it."""
    ran = subprocess.run(
        [FINOPS, "mcp", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment()
    )

    assert "--key" not in ran.stdout
    assert "FINOPS_API_KEY" in ran.stdout


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """One sentence, not a traceback."""
    program = (
        "import sys; sys.modules['mcp'] = None; sys.argv = ['finops', 'mcp']; import finops_cli.main as m; m.main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment()
    )

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "pip install 'finops-intelligence[mcp]'" in ran.stderr
    assert "Traceback" not in ran.stderr
