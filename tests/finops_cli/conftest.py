"""The `finops` command as people run it: a process, its exit code, what it says where."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FINOPS = Path(sys.executable).with_name("finops")

Ran = subprocess.CompletedProcess[str]
Finops = Callable[..., Ran]


@pytest.fixture
def finops(tmp_path: Path, shared_folder: Path) -> Finops:
    """`finops("status", DATABASE_URL=…)` runs the command with these settings and no others."""

    def run(*arguments: str, **settings: str) -> Ran:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "FINOPS_HOME": str(tmp_path / "home"),
            "COLUMNS": "200",
            **settings,
        }
        return subprocess.run(
            [FINOPS, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
