"""Under whom BigQuery is asked: keys, workloads without a key, impersonation, and two of them in one process."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from bqserver import BigQueryServer, TokenServer

from finops_pipeline.sources import open_source
from finops_pipeline.sources.base import BillingSource
from finops_warehouse.errors import NoPermission, SettingsError

DAY = date(2026, 1, 2)
READER = "reader@acme.iam.gserviceaccount.com"
ROBOT = "robot@acme.iam.gserviceaccount.com"
OTHER = "reader@other.iam.gserviceaccount.com"


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    """Google's token endpoints."""
    with TokenServer() as running:
        yield running


@pytest.fixture
def server(charge: Callable[..., dict[str, Any]], put: Callable[..., Path]) -> Iterator[BigQueryServer]:
    """Two projects with an export each."""
    folder = put([charge(hour) for hour in range(20)]).parent.parent
    with BigQueryServer({"acme.billing.export": folder, "other.billing.export": folder}) as running:
        yield running


@pytest.fixture
def opened(server: BigQueryServer) -> Callable[..., BillingSource]:
    """The source a URL names, on the server."""

    def make(url: str, **settings: Any) -> BillingSource:  # noqa: ANN401
        return open_source(
            url,
            bigquery_api_endpoint=server.api_endpoint,
            bigquery_storage_endpoint=server.storage_endpoint,
            **settings,
        )

    return make


def ask_everything(source: BillingSource) -> None:
    """Metadata, a job and rows: REST and gRPC."""
    source.partitions()
    with source.read(DAY) as day:
        assert sum(batch.num_rows for batch in day.batches) == 20


def identities(server: BigQueryServer) -> set[str | None]:
    """Under whom the server was asked."""
    return {call.authorization for call in server.calls}


def test_a_key_file_is_used_for_jobs_and_for_rows(
    server: BigQueryServer, tokens: TokenServer, opened: Callable[..., BillingSource], tmp_path: Path
) -> None:
    """One token for both protocols, fetched once."""
    key = tokens.service_account_key(tmp_path / "key.json", READER)

    ask_everything(opened(f"bigquery://acme.billing.export?credentials={key}"))

    assert {call.name.split("@")[0].split(" ")[0] for call in server.calls} == {
        "GET",
        "POST",
        "CreateReadSession",
        "ReadRows",
    }
    assert identities(server) == {f"Bearer token of {READER}"}
    assert tokens.exchanges == [f"key of {READER}"]


def test_a_workload_needs_no_key(
    server: BigQueryServer, tokens: TokenServer, opened: Callable[..., BillingSource], tmp_path: Path
) -> None:
    """What another cloud or a cluster says of it is exchanged twice, and nothing secret lies on a disk."""
    subject = tmp_path / "subject.jwt"
    subject.write_text("pod-7")
    workload = tokens.workload_identity(tmp_path / "workload.json", subject, ROBOT)

    ask_everything(opened(f"bigquery://acme.billing.export?credentials={workload}&mode=query"))

    assert identities(server) == {f"Bearer token of {ROBOT}"}
    assert tokens.exchanges == ["workload pod-7", f"workload pod-7 acts as {ROBOT}"]


def test_an_identity_can_act_as_a_service_account(
    server: BigQueryServer,
    tokens: TokenServer,
    opened: Callable[..., BillingSource],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rights are then given to one account, whoever may act as it."""
    # Google's library knows this one address by heart; everything else about the exchange is as it is.
    monkeypatch.setattr("google.auth.iam._IAM_ENDPOINT", tokens.impersonation_url("{}"))
    key = tokens.service_account_key(tmp_path / "key.json", READER)

    ask_everything(opened(f"bigquery://acme.billing.export?credentials={key}&impersonate={ROBOT}"))

    assert identities(server) == {f"Bearer token of {ROBOT}"}
    assert tokens.exchanges == [f"key of {READER}", f"{READER} acts as {ROBOT}"]


def test_two_exports_in_one_process_keep_their_identities(
    server: BigQueryServer, tokens: TokenServer, opened: Callable[..., BillingSource], tmp_path: Path
) -> None:
    """Also when they are read at the same time: an account never sees the other's export."""
    accounts = {"acme": READER, "other": OTHER}
    sources = [
        opened(
            f"bigquery://{project}.billing.export?mode={mode}&credentials="
            f"{tokens.service_account_key(tmp_path / f'{project}-{mode}.json', account)}"
        )
        for project, account in accounts.items()
        for mode in ("storage", "query")
    ]
    before = dict(os.environ)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ask_everything, sources * 2))

    for call in server.calls:
        [project] = set(re.findall(r"projects/(acme|other)/", f"{call.name} {call.asked}"))
        assert call.authorization == f"Bearer token of {accounts[project]}"
    assert len(identities(server)) == 2
    assert dict(os.environ) == before


def test_who_pays_can_be_another_project(server: BigQueryServer, opened: Callable[..., BillingSource]) -> None:
    """The export lies where billing is administered; the work is paid where it is done."""
    ask_everything(opened("bigquery://acme.billing.export?billing_project=finops-work&mode=query"))

    assert {job.resource["jobReference"]["projectId"] for job in server.jobs} == {"finops-work"}
    parents = {call.asked["parent"] for call in server.calls if call.name == "CreateReadSession"}
    assert parents == {"projects/finops-work"}


def test_a_test_server_is_not_shown_the_credentials_of_the_settings(
    server: BigQueryServer, tokens: TokenServer, opened: Callable[..., BillingSource], tmp_path: Path
) -> None:
    """They are for Google. Only a URL that names some means this server too."""
    key = tokens.service_account_key(tmp_path / "key.json", READER)

    ask_everything(opened("bigquery://acme.billing.export", credentials_file=key))

    assert identities(server) == {None}
    assert tokens.exchanges == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"type": "service_account"}',
        '{"type": "impersonated_service_account"}',
        '{"type": "external_account"}',
    ],
)
def test_a_file_without_credentials_is_named(
    opened: Callable[..., BillingSource], tmp_path: Path, content: str
) -> None:
    """Most often the wrong file was mounted."""
    file = tmp_path / "key.json"
    file.write_text(content)

    with pytest.raises(SettingsError, match=r"key\.json holds no Google credentials"):
        opened(f"bigquery://acme.billing.export?credentials={file}").partitions()


def test_an_identity_that_is_refused_is_named(
    opened: Callable[..., BillingSource], tokens: TokenServer, tmp_path: Path
) -> None:
    """Which of several is what an operator has to know."""
    workload = tokens.workload_identity(tmp_path / "workload.json", tmp_path / "no such token", ROBOT)

    with pytest.raises(NoPermission, match=r"workload\.json is missing or no longer valid"):
        opened(f"bigquery://acme.billing.export?credentials={workload}").partitions()
