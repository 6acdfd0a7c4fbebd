"""What goes wrong between a notebook and the API, as its author meets it; and that nobody ever sees the key."""

import http.server
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from finops_client import (
    BadQuestion,
    FinOps,
    FinOpsError,
    Forbidden,
    NotAllowed,
    NotFound,
    NotYet,
    TooManyRequests,
    UnexpectedAnswer,
    Unreachable,
    UnsafeConnection,
)

from .between import between

PEPPER = "a pepper of these tests"
SECRET = "finops_secret-that-nobody-may-see"
MakeKey = Callable[..., str]


def test_a_bad_question_is_the_api_s_own_sentence(finops: FinOps) -> None:
    """With all that a problem document says."""
    with pytest.raises(
        BadQuestion, match=r"There is no dimension nonsense.*\(UnknownDimension, 422, request "
    ) as refused:
        finops.costs(window="7d", group_by="nonsense")

    error = refused.value
    assert (error.title, error.status, error.type) == ("UnknownDimension", 422, "/problems/UnknownDimension")
    assert error.detail.startswith("There is no dimension nonsense")
    assert len(error.request_id) == 32


def test_a_parameter_that_is_wrong_is_named(finops: FinOps) -> None:
    """Also one that no type could keep out."""
    with pytest.raises(BadQuestion) as refused:
        finops.costs(start="tomorrow", end="2026-10-01")

    assert [error["where"] for error in refused.value.errors] == ["query.start"]
    with pytest.raises(NotFound, match="insight"):
        finops.evidence(insight_id="none-such", fact_id="f_spend")


@pytest.mark.parametrize("key", [None, SECRET])
def test_without_a_key_that_is_valid_nothing_is_told(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client], key: str | None
) -> None:
    """And the key that was refused is not repeated."""
    make_key("read")
    finops = FinOps(str(serve(keyed, api_key_pepper=PEPPER).base_url), key)
    with finops, pytest.raises(NotAllowed, match="Send a key that is valid") as refused:
        finops.meta()

    assert SECRET not in f"{refused.value!r} {vars(refused.value)} {finops!r}"


def test_a_key_without_the_scope_is_refused_before_a_file_is_begun(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client], tmp_path: pytest.TempPathFactory
) -> None:
    """Reading is not exporting."""
    with FinOps(str(serve(keyed, api_key_pepper=PEPPER).base_url), make_key("read")) as finops:
        assert finops.costs(window="7d").rows
        with pytest.raises(Forbidden, match="scope export"):
            finops.export_costs(to=f"{tmp_path}/costs.parquet", window="7d")


def test_too_many_questions_say_when_to_ask_again(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client]
) -> None:
    """Whoever does not want to wait is told how long it would be."""
    api = str(serve(keyed, api_key_pepper=PEPPER, rate_limit_queries_per_minute=1).base_url)
    with FinOps(api, make_key("read"), retries=0) as finops:
        with suppress(TooManyRequests):  # a minute may end in between
            for _ in range(2):
                finops.insights()
        with pytest.raises(TooManyRequests) as refused:
            finops.insights()

    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 60


def test_what_is_busy_for_now_is_asked_again_when_it_says(url: str) -> None:
    """Not sooner: a client that hurries is what made it busy."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.first = [(503, {"Retry-After": "1"}, b"busy"), (429, {"Retry-After": "0"}, b"")]
        began = time.monotonic()
        assert finops.meta()["billing_currencies"] == ["EUR", "USD"]

    assert time.monotonic() - began >= 1
    assert gateway.asked == [("GET", "/v1/meta")] * 3


def test_a_question_as_a_body_is_asked_again_too(url: str) -> None:
    """It is a POST that changes nothing."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.first = [(503, {"Retry-After": "0"}, b"")]
        finops.costs(window="7d", where={"dimension": "service", "operator": "in", "values": ["BigQuery"]})

    assert gateway.asked == [("POST", "/v1/costs/query")] * 2


def test_what_stays_busy_is_an_error_after_so_many_tries(url: str) -> None:
    """A notebook that hangs tells nobody why."""
    with between(url) as gateway, FinOps(gateway.url, retries=2) as finops:
        gateway.first = [(503, {"Retry-After": "0"}, b"")] * 9
        with pytest.raises(NotYet, match="not ready"):
            finops.meta()

    assert len(gateway.asked) == 3


@pytest.mark.parametrize("when", ["3600", "Wed, 25 Nov 2099 10:00:00 GMT"])
def test_an_hour_is_not_waited_for(url: str, when: str) -> None:
    """It is told instead."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.first = [(429, {"Retry-After": when}, b"")]
        with pytest.raises(TooManyRequests) as refused:
            finops.meta()

    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 120
    assert len(gateway.asked) == 1


def test_nobody_there_is_said_with_the_address() -> None:
    """A port that was closed, as after a restart."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with FinOps(f"http://127.0.0.1:{port}", SECRET) as finops, pytest.raises(Unreachable) as refused:
        finops.meta()

    assert f"http://127.0.0.1:{port} does not answer" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_nothing_in_time_is_said_so() -> None:
    """A listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finops = FinOps(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with finops, pytest.raises(Unreachable, match="did not answer in time"):
            finops.meta()


@pytest.mark.parametrize(
    ("status", "headers"),
    [(200, {"Content-Type": "text/html"}), (302, {"Location": "http://127.0.0.1:1/sign-in"}), (502, {})],
)
def test_a_page_that_is_no_api_is_recognised(url: str, status: int, headers: dict[str, str]) -> None:
    """A sign-in page of a proxy, a gateway's own error. A key follows no redirect to elsewhere."""
    with between(url) as gateway, FinOps(gateway.url, SECRET) as finops:
        gateway.first = [(status, headers, b"<html>")]
        with pytest.raises(UnexpectedAnswer, match="Is ") as refused:
            finops.meta()

    assert SECRET not in str(refused.value)


def test_an_answer_that_breaks_off_is_no_answer(url: str) -> None:
    """Half a JSON document."""
    with between(url) as gateway, FinOps(gateway.url) as finops:
        gateway.cut_after = 20
        with pytest.raises(Unreachable, match="broke off"):
            finops.meta()


@pytest.mark.parametrize(
    "url",
    ["http://finops.example.com", "http://10.0.0.7:8000", "http://localhost.example.com", "http://[2001:db8::1]:8000"],
)
def test_a_key_does_not_leave_this_machine_in_the_clear(url: str) -> None:
    """Everybody on the way could read it. Nothing is sent, and a question without a key may be."""
    with pytest.raises(UnsafeConnection, match="in the clear") as refused:
        FinOps(url, SECRET)

    assert SECRET not in repr(refused.value)
    FinOps(url).close()


@pytest.mark.parametrize(
    "url", ["https://finops.example.com", "http://127.0.0.1:8000", "http://[::1]", "http://localhost"]
)
def test_a_key_goes_where_it_is_safe(url: str) -> None:
    """Encrypted, or to this machine."""
    with FinOps(url, SECRET) as finops:
        assert SECRET not in repr(finops)
        assert finops.url == url


@pytest.mark.parametrize(
    "url", ["", "finops.example.com", "ftp://x", "https://", "http://[", "https://x/?a=b", "https://u:p@x"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    """Not in the middle of a notebook."""
    with pytest.raises(UnsafeConnection):
        FinOps(url, SECRET)


@pytest.mark.parametrize("key", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}é", "", f"{SECRET}\0"])
def test_a_key_with_a_line_break_is_refused_without_being_shown(key: str) -> None:
    """`open("key").read()` has one, and the HTTP library would print the whole key in its error."""
    with pytest.raises(UnsafeConnection, match="The key is empty or holds") as refused:
        FinOps("https://finops.example.com", key)

    assert SECRET not in f"{refused.value!r}"


def test_the_key_is_in_no_log(
    keyed: str, make_key: MakeKey, serve: Callable[..., httpx.Client], caplog: pytest.LogCaptureFixture
) -> None:
    """Not at the most talkative level, of ours or of the libraries beneath."""
    api, key = str(serve(keyed, api_key_pepper=PEPPER).base_url), make_key("read")
    with caplog.at_level(logging.DEBUG), FinOps(api, key) as finops:
        assert finops.costs(window="7d").rows
        with pytest.raises(FinOpsError):
            finops.costs(window="7d", group_by="nonsense")

    assert "/v1/costs" in caplog.text
    assert key not in caplog.text


@pytest.fixture
def proxy() -> Iterator[http.server.HTTPServer]:
    """A proxy, and what it was sent."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.sent = dict(self.headers)  # type: ignore[attr-defined]
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_a_proxy_is_not_given_what_stays_on_this_machine(
    url: str, proxy: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is set in many offices. It would see the key of an API here, in the clear."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FinOps(url, SECRET) as finops:
        assert finops.meta()["billing_currencies"] == ["EUR", "USD"]

    assert not hasattr(proxy, "sent")
    assert httpx.get(f"{url}/v1/meta").status_code == 502  # others are sent through it


WITHOUT_PANDAS = """
import sys, importlib.abc
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
sys.meta_path.insert(0, Missing())
"""


def test_a_dataframe_without_pandas_says_what_to_install(url: str) -> None:
    """A fresh environment has only what the client needs."""
    asked = f"finops_client.FinOps({url!r}).costs(window='7d').to_pandas()"
    ran = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_PANDAS}\nimport finops_client; {asked}"],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip

    assert ran.stderr.splitlines()[-1].startswith("finops_client.errors.MissingPandas: to_pandas() needs pandas")
