"""Long proofs run with small counts in the suite and with full counts under `make prove`."""

import os

PROVING = bool(os.environ.get("FINOPS_PROVE"))


def count(small: int, full: int) -> int:
    """How many examples, orders or kill points to try now."""
    return full if PROVING else small
