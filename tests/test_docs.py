"""What the documents say is there, is there; and what is there, they say."""

import os
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from helpers.checkout import TOP
from typer.main import get_command

from finops_cli.main import app
from finops_warehouse.settings import Settings
from finops_warehouse.tables import metadata

DOCUMENTS = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "secrets").glob("*.md")])
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
REGISTRY_HOST = re.compile(
    r"py[p]i\.org|pytho[n]hosted\.org|registry\.(npm[j]s|yar[n]pkg)\.|crate[s]\.io", re.IGNORECASE
)
PATH_OF_A_MACHINE = re.compile(r"(?<![\w.*~}])/(root|work|home/\w+|Users/\w+)/[\w.]")


@cache
def code_in_documents() -> str:
    """All that stands in code spans and fenced blocks."""
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    blocks = [block["text"] for text in texts for block in FENCED.finditer(text)]
    spans = [span for text in texts for span in re.findall(r"`([^`\n]+)`", FENCED.sub("", text))]
    return "\n".join([*blocks, *spans])


def files_of_the_project() -> Iterator[Path]:
    """Every file that .gitignore does not leave out; without git, which a bare machine may not have."""
    ignored = [".git", *(line.rstrip("/") for line in (TOP / ".gitignore").read_text(encoding="utf-8").splitlines())]

    def kept(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    for folder, folders, names in os.walk(TOP):
        folders[:] = filter(kept, folders)
        yield from (Path(folder) / name for name in filter(kept, names))


def test_every_setting_is_documented_in_its_own_words() -> None:
    """docs/settings.md says of each what the class says."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*) \|$", (TOP / "docs/settings.md").read_text(), re.MULTILINE)
    documented = {name: (default, meaning) for name, default, meaning in rows}
    expected = {
        name.upper(): (
            "unset" if field.default is None else f"`{str(field.default).lower()}`",
            " ".join((field.description or "").split()),
        )
        for name, field in Settings.model_fields.items()
    }

    assert {n: (d.lower(), m) for n, (d, m) in documented.items()} == {
        n: (d.lower(), m) for n, (d, m) in expected.items()
    }


def test_documents_name_every_command_and_no_other() -> None:
    """A command nobody reads of is not used; one that is read of and missing is worse."""
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?<![\w-])finops ([a-z-]+)\b", code_in_documents()))

    assert named == commands


def test_documents_name_every_make_target_and_no_other() -> None:
    """Each target that `make help` lists."""
    targets = set(re.findall(r"^([a-z]+):.* ## ", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?<![\w-])make ([a-z]+)\b", code_in_documents()))

    assert named == targets


def test_make_help_says_what_each_target_does() -> None:
    """And is what `make` alone does."""
    said = subprocess.run(
        ["make", "--no-print-directory"],  # it may be run by `make test`
        cwd=TOP, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    targets = re.findall(r"^([a-z]+):.* ## (.*)$", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert [line.split(maxsplit=2)[1:] for line in said.splitlines()] == [list(target) for target in targets]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_link_leads_somewhere(document: Path) -> None:
    """Relative ones: those to other sites are not ours to keep."""
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", FENCED.sub("", document.read_text(encoding="utf-8")))
    broken = [t for t in targets if "://" not in t and not (document.parent / t).exists()]

    assert broken == []


def test_every_table_is_described() -> None:
    """In docs/tables.md: what a row is and what it is for."""
    described = set(re.findall(r"^\| `([a-z_]+)` \|", (TOP / "docs/tables.md").read_text(), re.MULTILINE))

    parts = {"charges", "focus_cost_and_usage"}  # text in other models, and a view
    assert described == {table.name for table in metadata.tables.values()} | parts
    # What adds up hours, in two dialects, fills raw_charges as well.
    added_up = {"raw_charges_by_day", "raw_charges_by_day.bigquery"}
    assert {path.stem for path in (TOP / "dbt_like_sql").rglob("*.sql")} <= described | added_up


def test_a_block_of_shell_is_run_by_a_test_or_says_what_it_needs() -> None:
    """`sh` blocks follow the mark that has them run; `console` blocks in the README stand under what they need."""
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in FENCED.finditer(text):
            if block["language"] == "sh":
                assert re.search(r"<!-- run(: api)? -->\n\Z", text[: block.start()]), block["text"]
            if block["language"] == "console" and document.name == "README.md" and document.parent == TOP:
                heading = re.findall(r"^## .*$", text[: block.start()], re.MULTILINE)[-1]
                assert "(needs " in heading, heading


def test_nothing_is_bound_to_a_registry_or_a_machine() -> None:
    """Whoever clones it has another registry and other paths."""
    found = []
    for path in files_of_the_project():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if REGISTRY_HOST.search(line) or PATH_OF_A_MACHINE.search(line):
                found.append(f"{path.relative_to(TOP)}:{number}: {line.strip()[:100]}")

    assert found == []


def test_decisions_are_numbered_without_a_gap_and_fit_a_screen() -> None:
    """One page each, in one form."""
    decisions = sorted((TOP / "docs/adr").glob("*.md"))

    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
            "Rejected",
        ]


@pytest.mark.parametrize("runbook", sorted((TOP / "docs/runbooks").glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_what_to_do_and_when_it_is_over(runbook: Path) -> None:
    """Whoever was woken up reads it from the top."""
    text = runbook.read_text(encoding="utf-8")

    for part in ("**Meaning.**", "**What readers see.**", "\n1. ", "**When fixed.**"):
        assert part in text
