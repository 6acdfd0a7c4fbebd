"""docs/python-client.md, run as the notebook it is."""

import contextlib
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.checkout import TOP

from finops_client import errors

DOCUMENT = (TOP / "docs" / "python-client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


def test_every_block_runs_and_does_what_is_said_of_it(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first to the last, in one namespace."""
    monkeypatch.setenv("FINOPS_API_URL", url)
    monkeypatch.chdir(tmp_path)
    notebook: dict[str, object] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for number, block in enumerate(BLOCKS, start=1):
            exec(compile(block, f"block {number} of docs/python-client.md", "exec"), notebook)

    assert len(BLOCKS) == 10
    assert len(notebook["frame"]) > 10  # type: ignore[arg-type]
    assert pq.read_metadata(tmp_path / "costs.parquet").num_rows == notebook["table"].num_rows  # type: ignore[attr-defined]
    assert "There is no dimension departement" in said.getvalue()
    assert "UnknownDimension 422" in said.getvalue()
    notebook["finops"].close()  # type: ignore[attr-defined]


def test_every_error_that_is_raised_is_in_its_table() -> None:
    """Whoever catches one finds it there. The classes between them are caught by their children's names."""
    raised = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FinOpsError)
    } - {"FinOpsError", "Refused", "Conflict"}
    table = DOCUMENT[DOCUMENT.index("| Error | When |") :]

    assert set(re.findall(r"`([A-Z]\w+)`", "".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))) == raised
