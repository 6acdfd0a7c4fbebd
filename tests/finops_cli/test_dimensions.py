"""`finops dimensions`: a file of rules is looked at, refused, and applied."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Finops = Callable[..., CompletedProcess[str]]

RULES = """\
dimensions:
  - name: team
    description: Whose.
    sources: [{label: team}, {label: squad}]
shared_costs:
  - {name: network, description: The hub., split_over: team, where: {project: [hub]}, how: even}
"""


def test_a_good_file_is_told_and_applied_once(finops: Finops, database_url: str, tmp_path: Path) -> None:
    """What it means for people, what it did for programs."""
    (tmp_path / "rules.yaml").write_text(RULES)

    told = finops("dimensions", "check", "rules.yaml", DATABASE_URL=database_url)
    first = finops("dimensions", "apply", "rules.yaml", "--json", DATABASE_URL=database_url)
    again = finops("dimensions", "apply", DATABASE_URL=database_url, DIMENSIONS_FILE="rules.yaml")

    assert told.returncode == 0
    assert "team: label team; label squad; else (unattributed)" in told.stderr
    assert "network: split over team, even" in told.stderr
    assert json.loads(first.stdout) == {"version": 1, "changed": True, "usage_days": []}
    assert "in force already, as version 1" in again.stderr


def test_a_bad_file_is_refused_with_its_lines(finops: Finops, database_url: str, tmp_path: Path) -> None:
    """Both ways in; nothing is in force afterwards."""
    (tmp_path / "rules.yaml").write_text(RULES.replace("squad", "'squad").replace("sources", "sauces"))
    (tmp_path / "pattern.yaml").write_text(RULES.replace("{label: squad}", "{label: s, regex: '(?P<n>a)'}"))

    for what in ("check", "apply"):
        broken = finops("dimensions", what, "rules.yaml", DATABASE_URL=database_url)
        foreign = finops("dimensions", what, "pattern.yaml", DATABASE_URL=database_url)
        assert (broken.returncode, foreign.returncode) == (1, 1)
        assert "Error: rules.yaml, line " in broken.stderr
        assert "Error: pattern.yaml: dimension team, regex (?P<n>a)" in foreign.stderr
        assert broken.stdout == foreign.stdout == ""
    assert "Version 1" in finops("dimensions", "apply", DATABASE_URL=database_url).stderr


def test_a_missing_file_is_named(finops: Finops, database_url: str) -> None:
    """Before the database is asked anything."""
    ran = finops("dimensions", "check", "nothing.yaml", DATABASE_URL=database_url)

    assert ran.returncode == 1
    assert "Error: nothing.yaml: cannot be read" in ran.stderr
