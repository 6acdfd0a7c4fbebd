"""What anybody may send, and what comes of it: requests that schemathesis makes up from openapi.json, over a socket.

Every answer must have a status, headers and a body that the description has, nothing may be an error of ours, a bad
request must be refused and a request without a key, too. The seed is fixed, so that a failure is found again.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
from helpers.proofs import PROVING, count

from .conftest import PEPPER, MakeKey

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = count(15, 600)
"""For each operation."""
PHASES = "coverage,fuzzing" if PROVING else "fuzzing"
"""Coverage, every limit of every parameter one by one, takes five minutes."""
SEED = 20261125


def test_whatever_is_sent_the_description_holds(
    keyed: str, serve: Callable[..., httpx.Client], make_key: MakeKey, tmp_path: Path
) -> None:
    """All checks, over every operation, among them those that change something."""
    unlimited = dict.fromkeys(("queries", "exports", "refusals", "sign_ins"), 0)
    api = serve(
        keyed, api_key_pepper=PEPPER, **{f"rate_limit_{what}_per_minute": most for what, most in unlimited.items()}
    )
    key = make_key("read", "export", "admin")
    description = f"{str(api.base_url).rstrip('/')}/openapi.json"
    said = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", description,
            "--checks", "all", "--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", str(SEED),
            "--header", f"Authorization: Bearer {key}", "--continue-on-failure", "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip

    assert said.returncode == 0, said.stdout[-20_000:] + said.stderr[-5_000:]
