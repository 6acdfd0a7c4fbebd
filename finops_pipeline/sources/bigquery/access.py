"""Under which identity BigQuery is asked, where it is, and which project pays.

Every source has an identity of its own, handed to Google's clients as an object: the environment belongs to the whole
process, and two exports may need two. A test server on this machine can stand in for Google. It is spoken to without
credentials unless the URL names some.
"""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from finops_pipeline.sources.bigquery.credentials import acting_as, credentials_from, machine_identity
from finops_warehouse.errors import SettingsError

if TYPE_CHECKING:
    import grpc  # type: ignore[import-untyped]
    from google.auth.credentials import Credentials
    from google.cloud import bigquery
    from google.cloud.bigquery_storage_v1 import BigQueryReadClient


@dataclass(frozen=True)
class Access:
    """Raises `SettingsError` for endpoints that are not on this machine, and on first use for credentials that are
    none."""

    billing_project: str
    """Jobs run and sessions are opened in this project: it is billed for them."""
    api_endpoint: str | None = None
    storage_endpoint: str | None = None
    credentials_file: Path | None = None
    """Any credentials Google writes: a service account's key, workload identity, a user's, an impersonation. None:
    the machine's own identity, and none at all towards a test server."""
    impersonate: str | None = None
    """The service account to act as, on behalf of that identity."""

    def __post_init__(self) -> None:
        if bool(self.api_endpoint) != bool(self.storage_endpoint):
            # With one alone, half of the questions would go to Google under the machine's own identity.
            raise SettingsError("Set both BIGQUERY_API_ENDPOINT and BIGQUERY_STORAGE_ENDPOINT, or neither.")
        if self.api_endpoint and self.storage_endpoint:
            _require_loopback("BIGQUERY_API_ENDPOINT", self.api_endpoint)
            _require_loopback("BIGQUERY_STORAGE_ENDPOINT", f"grpc://{self.storage_endpoint}")

    def client(self) -> "bigquery.Client":
        """For metadata and jobs. The caller closes it."""
        from google.cloud import bigquery

        return bigquery.Client(
            project=self.billing_project,
            credentials=self._credentials,
            client_options={"api_endpoint": self.api_endpoint} if self.api_endpoint else None,
        )

    def storage_client(self) -> "BigQueryReadClient":
        """For rows. The caller closes its transport."""
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        if self.storage_endpoint is None:
            return BigQueryReadClient(credentials=self._credentials)  # type: ignore[no-untyped-call]
        channel = self._local_channel(self.storage_endpoint)
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))  # type: ignore[no-untyped-call]

    @property
    def identity(self) -> str:
        """Who asks, as an error says it."""
        if self.impersonate is not None:
            return f"the service account {self.impersonate}"
        if self.credentials_file is not None:
            return f"the Google identity of {self.credentials_file}"
        return "this machine's Google identity"

    @cached_property
    def _credentials(self) -> "Credentials":
        """One object for all of a source's clients: a token is fetched once and renewed when it is due."""
        from google.auth.credentials import AnonymousCredentials

        if self._is_anonymous:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        named = self.credentials_file
        credentials = machine_identity() if named is None else credentials_from(named)
        return credentials if self.impersonate is None else acting_as(self.impersonate, credentials)

    @property
    def _is_anonymous(self) -> bool:
        return self.api_endpoint is not None and self.credentials_file is None and self.impersonate is None

    def _local_channel(self, endpoint: str) -> "grpc.Channel":
        import grpc
        from google.auth.transport.grpc import AuthMetadataPlugin
        from google.auth.transport.requests import Request

        if self._is_anonymous:
            return grpc.insecure_channel(endpoint)
        # gRPC sends no token over a channel it holds for insecure; one that never leaves this machine is not.
        plugin = AuthMetadataPlugin(self._credentials, Request())  # type: ignore[no-untyped-call]
        return grpc.secure_channel(
            endpoint,
            grpc.composite_channel_credentials(
                grpc.local_channel_credentials(), grpc.metadata_call_credentials(plugin)
            ),
        )


def _require_loopback(variable: str, endpoint: str) -> None:
    try:
        host = urlsplit(endpoint).hostname or ""
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        # It is spoken to without encryption, and mostly without credentials: only a test server may be.
        raise SettingsError(f"{variable} may only name this machine (127.0.0.1, [::1] or localhost).")
