"""The bundle that `make web` built: small enough, complete, with nothing from elsewhere; and where it comes from."""

import gzip
import json
import re
import subprocess
import zipfile
from pathlib import Path

from helpers.checkout import TOP

from finops_api.app import create_app
from finops_warehouse.settings import Settings

WEB = TOP / "finops_api/web"
DASHBOARD = TOP / "dashboard"


def packed(path: Path) -> int:
    """Bytes on the wire."""
    return len(gzip.compress(path.read_bytes()))


def test_it_is_small() -> None:
    """Whoever looks at costs from a train waits for this."""
    assert sum(map(packed, WEB.glob("assets/*.js"))) <= 150_000
    assert sum(map(packed, WEB.glob("assets/*.css"))) <= 10_000
    assert [path.stat().st_size <= 50_000 for path in WEB.glob("assets/*.woff2")] == [True], "one font, one subset"


def test_every_asset_the_page_names_is_there_and_ours() -> None:
    """The policy of the page admits nothing else."""
    page = (WEB / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert len(named) >= 3
    assert [name for name in named if not (WEB / name.removeprefix("/")).is_file()] == []
    assert "<script>" not in page
    assert "<style" not in page
    for sheet in WEB.glob("assets/*.css"):
        assert re.findall(r"url\((?!/assets/|#|'#|\"#)[^)]*\)", sheet.read_text(encoding="utf-8")) == []


def test_the_wheel_holds_it(tmp_path: Path) -> None:
    """A wheel without it would install an API that serves no page."""
    subprocess.run([TOP / ".venv/bin/hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=TOP, check=True)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())

    assert {f"finops_api/web/{path.relative_to(WEB)}" for path in WEB.rglob("*") if path.is_file()} <= held
    assert not [name for name in held if name.startswith("dashboard/") or "node_modules" in name]


def test_the_client_knows_the_api_as_it_is() -> None:
    """Its types are made from this document. When this fails, run `.ci/schema`."""
    committed = json.loads((DASHBOARD / "openapi.json").read_text(encoding="utf-8"))

    assert committed == create_app("postgresql://nowhere", Settings()).openapi()


def test_the_types_are_those_of_the_document(tmp_path: Path) -> None:
    """openapi.json and schema.d.ts change together."""
    made = tmp_path / "schema.d.ts"
    subprocess.run(
        [TOP / ".ci/node", "npx", "openapi-typescript", "openapi.json", "--output", made],
        cwd=DASHBOARD, check=True, capture_output=True,
    )  # fmt: skip

    assert made.read_text(encoding="utf-8") == (DASHBOARD / "src/api/schema.d.ts").read_text(encoding="utf-8")


def test_its_own_tests_pass() -> None:
    """Vitest over the pure functions, and the type checker over all of it."""
    for command in (["npm", "test", "--", "--run"], ["npm", "run", "check"]):
        ran = subprocess.run([TOP / ".ci/node", *command], cwd=DASHBOARD, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_nothing_is_written_as_markup_and_nothing_is_untyped() -> None:
    """Names and texts come from anywhere."""
    sources = [path for path in (DASHBOARD / "src").rglob("*.ts*") if path.name != "schema.d.ts"]
    assert len(sources) > 40
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"dangerouslySetInnerHTML|innerHTML|\beval\(|\bas any\b|: any\b|@ts-", text), path


def test_the_lock_names_no_registry() -> None:
    """Whoever clones it has another one."""
    lock = json.loads((DASHBOARD / "package-lock.json").read_text(encoding="utf-8"))

    assert [
        name for name, package in lock["packages"].items() if "resolved" in package and not package.get("link")
    ] == []
