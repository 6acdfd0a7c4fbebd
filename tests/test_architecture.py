"""Imports go one way. Whoever adds one that does not, learns it here and not when an image is too big to start."""

import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.checkout import TOP, imports_of

MAY_IMPORT = {
    "finops_warehouse": set[str](),
    "finops_insights": {"finops_warehouse"},
    "finops_pipeline": {"finops_warehouse", "finops_insights"},
    "finops_api": {"finops_warehouse", "finops_insights"},
    "finops_client": set(),
    "finops_mcp": {"finops_client"},
    "finops_cli": {
        "finops_warehouse",
        "finops_insights",
        "finops_pipeline",
        "finops_api",
        "finops_client",
        "finops_mcp",
    },
}
ROOMS = sorted(path.name for path in TOP.glob("finops_*") if path.is_dir())


def run_python(code: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter, in a folder without a .env, under these settings alone."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=kept | settings, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    """What is stored knows nothing of who fills it, and the pipeline and the API never meet."""
    ours = {name: where for where, name in imports_of(room) if name.startswith("finops_") and name != room}

    assert set(ours) <= MAY_IMPORT[room], ours


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "finops_pipeline"])
def test_dagster_stays_in_the_pipeline(room: str) -> None:
    """The API's image has no Dagster, and a Dagster upgrade touches one room."""
    assert not [where for where, name in imports_of(room) if name.split("_")[0] == "dagster"]


@pytest.mark.parametrize("room", ROOMS)
def test_the_product_does_not_import_its_tests(room: str) -> None:
    """They are not in the wheel."""
    assert not [
        where for where, name in imports_of(room) if name in ("tests", "bqserver", "oidcserver", "benchmarks", "pytest")
    ]


@pytest.mark.parametrize(
    ("room", "named"), [("finops_client", "finops_client/pyproject.toml"), ("finops_mcp", "pyproject.toml")]
)
def test_what_is_installed_alone_imports_what_it_names(room: str, named: str) -> None:
    """A notebook has the client's own packages and no others; a machine with an assistant has the extra `mcp`."""
    project = tomllib.loads((TOP / named).read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = [*extras["mcp"], "pydantic"] if room == "finops_mcp" else [*project["dependencies"], *extras["pandas"]]
    may = {re.split(r"[<>=\[]", entry)[0] for entry in listed} | {room, *MAY_IMPORT[room]} | sys.stdlib_module_names

    assert {name for _, name in imports_of(room)} <= may


@pytest.mark.parametrize("module", ["finops_api.app", "finops_api.server", "finops_cli.main"])
def test_serving_needs_no_dagster(module: str, tmp_path: Path) -> None:
    """Nor does anything it imports: `finops serve` starts in the API's image, and quickly everywhere."""
    ran = run_python(f"import sys, {module}; print(*(m for m in sys.modules if m.startswith('dagster')))", tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []


IMPORT_ALONE = """
import socket
def refuse(self, address):
    raise AssertionError(f'connects to {address}')
socket.socket.connect = socket.socket.connect_ex = refuse
import finops_pipeline.definitions
"""


def test_loading_the_asset_graph_asks_nobody(tmp_path: Path) -> None:
    """Neither Google nor the database: a code server starts while both are down."""
    with socket.create_server(("127.0.0.1", 0)) as database:
        database.setblocking(False)
        port = database.getsockname()[1]
        ran = run_python(
            IMPORT_ALONE,
            tmp_path,
            DATABASE_URL=f"postgresql://u:p@127.0.0.1:{port}/finops",
            BILLING_EXPORT_URL="bigquery://project.dataset.table",
        )

        assert ran.returncode == 0, ran.stderr
        with pytest.raises(BlockingIOError):  # libpq connects past Python's sockets: only the server can tell
            database.accept()


def test_loading_the_asset_graph_starts_no_database(tmp_path: Path) -> None:
    """`dagster definitions validate` on a machine without anything leaves nothing behind."""
    ran = run_python(IMPORT_ALONE, tmp_path, FINOPS_HOME=str(tmp_path / "home"))

    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "home").exists()


def test_loading_the_asset_graph_leaves_what_only_runs_need(tmp_path: Path) -> None:
    """The forecasting library and the language models' clients take seconds each: a code server needs none of them."""
    heavy = "statsforecast", "pandas", "pydantic_ai", "openai", "anthropic", "google.genai"
    ran = run_python(
        f"import sys, finops_pipeline.definitions; print(*(m for m in {heavy} if m in sys.modules))", tmp_path
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == []
