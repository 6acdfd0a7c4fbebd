"""What is handed in about invoices reaches the month by itself, and what is refused is told once and stops nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
from helpers.road import Export, Road, charge

from finops_pipeline.definitions import defs
from finops_pipeline.handed_in import take_what_is_handed_in
from finops_pipeline.sensors import moved_invoice_months
from finops_pipeline.warehouse import Warehouse
from finops_warehouse.settings import load_settings

TOTAL = "billing_account_id,invoice_month,billing_currency,total\nA,202608,USD,10\n"


@pytest.fixture
def told() -> Iterator[tuple[str, list[str]]]:
    """The address of a webhook, and what was posted to it."""
    posts: list[str] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as the base class names it
            return

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", posts
    server.shutdown()
    server.server_close()


def tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[str], str | None]:
    """The months the sensor asks for, and what it remembers."""
    context = dg.build_sensor_context(
        instance=instance, resources={"warehouse": Warehouse()}, definitions=defs, cursor=cursor
    )
    found = moved_invoice_months.evaluate_tick(context)
    return [str(request.partition_key) for request in found.run_requests or []], found.cursor


@pytest.mark.usefixtures("read_export")
def test_a_dropped_total_has_its_month_proven(
    tmp_path: Path,
    export: Export,
    road: Road,
    instance: dg.DagsterInstance,
    told: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is wrong beside it is told to the webhook, once; a folder that is gone as well."""
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()
    address, posts = told
    folder = tmp_path / "invoices"
    folder.mkdir()
    monkeypatch.setenv("INVOICES_DIR", str(folder))
    monkeypatch.setenv("ALERT_WEBHOOK_URL", address)
    load_settings.cache_clear()
    assert tick(instance, None) == ([], "[]")

    (folder / "august.csv").write_text(TOTAL)
    (folder / "wrong.csv").write_text(TOTAL.replace("10", "ten"))
    months, cursor = tick(instance, "[]")

    assert months == ["202608"]
    [post] = posts
    assert "wrong.csv, line 2: total" in post
    road.rebuild_behind()
    assert tick(instance, cursor) == ([], "[]")
    assert road.connection.execute("select invoice_total, residual from finops.invoice_months").fetchall() == [(10, 0)]

    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    cursor = "[]"
    for _ in range(3):
        months, cursor = tick(instance, cursor)
        assert months == []
    assert len(posts) == 2
    assert "INVOICES_DIR" in posts[1]


def test_what_is_refused_stops_nothing_else(
    tmp_path: Path, export: Export, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second witness that cannot be read keeps no total from its month, and no month from its seal."""
    export.write("2026-08-01", [charge(0, start="2026-08-01T08:00")])
    export.write("2026-08-02", [charge(10, start="2026-08-01T20:00")])
    road.walk()
    (tmp_path / "witness").mkdir()
    (tmp_path / "invoices").mkdir()
    (tmp_path / "invoices" / "august.csv").write_text(TOTAL)
    monkeypatch.setenv("FOCUS_EXPORT_URL", (tmp_path / "witness").as_uri())
    monkeypatch.setenv("INVOICES_DIR", str(tmp_path / "invoices"))
    load_settings.cache_clear()

    [refused] = take_what_is_handed_in(road.connection, load_settings())
    road.rebuild_behind()

    assert "FOCUS_EXPORT_URL" in refused
    assert road.connection.execute("select residual from finops.invoice_months").fetchall() == [(0,)]
    assert road.connection.execute("select reason from finops.invoice_seals").fetchall() == [
        ("adds up to its invoice",)
    ]
