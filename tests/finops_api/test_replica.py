"""An API that reads a replica: it serves what is there and writes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from helpers.road import Export, Road, charge
from oidcserver.server import serving

from finops_api.snapshots import SNAPSHOT
from finops_warehouse import users
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


def test_what_a_replica_shows_has_no_name(replica: Replica) -> None:
    """Two moments of a replica may be told by the same transaction numbers: what was known at one is not held."""
    shown = f"select {SNAPSHOT}".encode()
    with connect_to(replica.dsn) as primary:
        assert primary.execute(shown).fetchone() != (None,)
    replica.follow()

    with connect_to(replica.dsn) as connection:
        assert connection.execute(shown).fetchone() == (None,)


def test_a_replica_knows_who_is_signed_in_and_signs_nobody_in_or_out(
    replica: Replica, api_over: Callable[..., httpx.Client]
) -> None:
    """A session that began at the primary is one here; what has to be written is refused with the place to go to."""
    pepper, token = "a pepper of these tests", users.new_session_token()
    who = {"issuer": "https://x", "subject": "1", "email": "someone@example.com", "name": None, "role": "viewer"}
    with connect_to(replica.dsn, autocommit=True) as connection:
        [(user_id, _)] = connection.execute(users.SIGN_IN, who).fetchall()
        session = {
            "user_id": user_id, "digest": users.digest_of_session(token, pepper.encode()), "sign_in_digest": b"x",
            "hours": 12, "ip": None, "user_agent": None,
        }  # fmt: skip
        connection.execute(users.BEGIN, session)
    replica.follow()
    with serving() as provider:
        api = api_over(
            replica.dsn,
            api_key_pepper=pepper,
            public_url="http://127.0.0.1:8000",
            oidc_issuer=provider.issuer,
            oidc_client_id=provider.client_id,
            oidc_client_secret=provider.client_secret,
            oidc_viewers="@example.com",
        )
        signed_in = {"Cookie": f"finops_session={token}"}
        me = api.get("/v1/me", headers=signed_in).json()
        began = api.get("/auth/sign-in")
        back = httpx.get(began.headers["location"]).headers["location"]
        kept = began.headers["set-cookie"].split(";")[0]
        refused = [
            api.get(back.removeprefix("http://127.0.0.1:8000"), headers={"Cookie": kept}),
            api.post("/auth/sign-out", headers={**signed_in, "X-CSRF-Token": me["csrf_token"]}),
        ]

    assert me["email"] == "someone@example.com"
    assert [(answer.status_code, answer.json()["title"]) for answer in refused] == [(503, "ReadReplica")] * 2
    assert "primary" in refused[0].json()["detail"]


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
