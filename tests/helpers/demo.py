"""A running demo, as the journeys see it."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg

from finops_warehouse.embedded import EmbeddedPostgres

PICTURES = Path(__file__).parents[2] / ".artifacts"
"""Where journeys leave their screenshots; the README's are copies of these."""


@dataclass(frozen=True)
class Demo:
    """A demo that has built its tables and serves them."""

    home: Path
    pid: int
    first_day: date
    last_day: date
    seconds: float
    api_url: str
    dagster_url: str

    def connect(self) -> psycopg.Connection:
        """A connection to the demo's own server."""
        return psycopg.connect(EmbeddedPostgres(self.home).dsn, autocommit=True)
