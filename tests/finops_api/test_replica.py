"""An API that reads a replica: it serves what is there and writes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from helpers.road import Export, Road, charge

from finops_warehouse.database import connect_to, init_db
from finops_warehouse.embedded import EmbeddedPostgres
from finops_warehouse.errors import NewerSchema, WarehouseError
from finops_warehouse.settings import Settings


class Replica:
    """A PostgreSQL that was written to and is in recovery from now on, as a streaming replica is."""

    def __init__(self, home: Path) -> None:
        self.server = EmbeddedPostgres(home)
        self.dsn = self.server.start()

    @property
    def settings(self) -> Settings:
        """Settings that name it."""
        return Settings.model_validate({"database_url": self.dsn})

    def follow(self) -> None:
        """Begin to be one."""
        self.server.stop()
        (self.server._data / "standby.signal").touch()
        self.dsn = self.server.start()


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    """Still a primary, empty and migrated."""
    tmp_path.chmod(0o755)
    replica = Replica(tmp_path / "home")
    init_db(replica.settings)
    yield replica
    replica.server.stop()


def test_costs_are_served_from_a_replica_and_nothing_is_written_to_it(
    replica: Replica, api_over: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    """The second machine that reads: it needs no right to write, and says so to whoever tries."""
    export = Export(tmp_path / "export")
    export.write("2026-09-11", [charge(10)])
    export.write("2026-09-14", [charge(1, start="2026-09-13T12:00")])  # two export days later a day is complete
    with connect_to(replica.dsn, autocommit=True) as connection:
        Road(connection, export.folder).walk()
    replica.follow()

    init_db(replica.settings)
    api = api_over(replica.dsn)
    asked = {"start": "2026-09-10", "end": "2026-09-11"}

    answer = api.get("/v1/costs", params=asked)
    assert answer.status_code == 200, answer.text
    [item] = answer.json()["items"]
    assert item["billed_cost"] == "10"
    evidence = {"start": "2026-09-10", "end": "2026-09-11", "billing_currency": "USD"}
    assert api.get("/v1/evidence", params=evidence).json()["matches"]
    refused = api.put("/v1/invoices/A/202609/USD", json={"total": "10"})
    assert (refused.status_code, refused.json()["title"]) == (503, "ReadReplica")
    assert "primary" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("revision", "expected", "said"),
    [("0001", WarehouseError, r"read replica.*finops migrate"), ("9999", NewerSchema, "newer release")],
)
def test_a_replica_of_another_schema_is_refused(
    revision: str, expected: type[WarehouseError], said: str, replica: Replica
) -> None:
    """It cannot be migrated from here; the primary can."""
    with connect_to(replica.dsn, autocommit=True) as connection:
        connection.execute("update finops.alembic_version set version_num = %s", [revision])
    replica.follow()

    with pytest.raises(expected, match=said):
        init_db(replica.settings)
