"""The client as a package of its own: what `pip install ./finops_client` puts on a machine that has nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest
from helpers.checkout import TOP

CLIENT = TOP / "finops_client"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel, built from a copy of the folder alone."""
    folder = tmp_path_factory.mktemp("client")
    alone = shutil.copytree(CLIENT, folder / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))
    build = [str(Path(sys.executable).with_name("hatchling")), "build", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=alone, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_is_the_package_and_says_it_is_typed(installed: Path) -> None:
    """Every module, and nothing of the product."""
    held = {str(path.relative_to(installed / "finops_client")) for path in (installed / "finops_client").rglob("*")}

    assert held == {path.name for path in CLIENT.glob("*.py")} | {"py.typed"}
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"finops_client"}


def test_it_needs_an_http_library_and_arrow(installed: Path) -> None:
    """No database, no web server, no Dagster; pandas for those who ask for it."""
    metadata = next(installed.glob("*.dist-info/METADATA")).read_text()
    needs = re.findall(r"^Requires-Dist: (\S+?)[<>=].*?(; extra == '(\w+)')?$", metadata, re.MULTILINE)

    assert [(name, extra) for name, _, extra in needs] == [("httpx", ""), ("pyarrow", ""), ("pandas", "pandas")]


def test_it_is_of_the_release_it_is_built_from() -> None:
    """Whoever reports a fault names one version."""
    versions = [
        tomllib.loads((TOP / file).read_text(encoding="utf-8"))["project"]["version"]
        for file in ("pyproject.toml", "finops_client/pyproject.toml")
    ]

    assert len(set(versions)) == 1


def test_what_is_installed_asks_an_api(installed: Path, url: str, tmp_path: Path) -> None:
    """From a folder and a process that know nothing of this checkout; nothing of the product is loaded."""
    program = (
        "import sys, finops_client\n"
        f"with finops_client.FinOps({url!r}) as finops:\n"
        "    answer = finops.costs(window='7d', granularity='total')\n"
        "print(answer.totals[0]['billed_cost'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules if m.startswith(('finops', 'dagster', 'psycopg'))}))\n"
        "print(finops_client.__file__)"
    )
    # The folder of third-party packages, without what installs this checkout there.
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{installed}{os.pathsep}{Path(httpx.__file__).parents[1]}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    cost, modules, file = ran.stdout.splitlines()
    assert cost == httpx.get(f"{url}/v1/costs?window=7d&granularity=total").json()["totals"][0]["billed_cost"]
    assert modules == "['finops_client']"
    assert Path(file).parent == installed / "finops_client"


def test_the_wheel_of_the_product_has_the_client_and_not_its_project_file(tmp_path: Path) -> None:
    """`finops mcp` asks with it."""
    build = [str(Path(sys.executable).with_name("hatchling")), "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=TOP, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())

    assert {"finops_client/client.py", "finops_client/py.typed", "finops_mcp/server.py"} <= held
    assert "finops_client/pyproject.toml" not in held
