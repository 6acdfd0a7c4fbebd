"""Google identities as objects: the machine's own, or one from a file that Google Cloud wrote.

Google's own loader of such files asks a further service which project a workload belongs to. Not every workload may,
and nobody here needs to know.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_warehouse.errors import SettingsError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
"""What a token may be used for is decided by the roles of its account, not by its scope."""

_AWS_REQUEST = "urn:ietf:params:aws:token-type:aws4_request"


def machine_identity() -> "Credentials":
    """What Google's libraries find by themselves. Raises `DefaultCredentialsError` when there is nothing."""
    import google.auth

    credentials, _ = google.auth.default(scopes=SCOPES)
    return credentials


def credentials_from(path: Path) -> "Credentials":
    """The identity a file describes. Raises `SettingsError` for a file that describes none."""
    from google.auth.exceptions import GoogleAuthError

    try:
        return _credentials(json.loads(path.read_text(encoding="utf-8")))
    # Google's readers of such files trust their shape: one of another shape fails in any of these ways.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GoogleAuthError) as wrong:
        raise SettingsError(
            f"{path} holds no Google credentials we can use. Name a file that Google Cloud wrote: a service account "
            "key, a workload identity configuration, or what `gcloud auth application-default login` leaves. "
            f"{str(wrong)[:300]}"
        ) from None


def acting_as(account: str, credentials: "Credentials") -> "Credentials":
    """`account`, a service account's email, as whoever `credentials` are for may act as it."""
    from google.auth import impersonated_credentials

    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=credentials, target_principal=account, target_scopes=SCOPES
    )


def _credentials(info: dict[str, Any]) -> "Credentials":
    from google.auth import aws, external_account_authorized_user, identity_pool, impersonated_credentials, pluggable
    from google.oauth2 import credentials as user
    from google.oauth2 import service_account

    read: Callable[..., Credentials]
    match info.get("type"):
        case "service_account":
            read = service_account.Credentials.from_service_account_info
        case "authorized_user":
            read = user.Credentials.from_authorized_user_info
        case "impersonated_service_account":
            read = impersonated_credentials.Credentials.from_impersonated_service_account_info
        case "external_account_authorized_user":
            read = external_account_authorized_user.Credentials.from_info
        case "external_account" if info.get("subject_token_type") == _AWS_REQUEST:
            read = aws.Credentials.from_info
        case "external_account" if "executable" in info.get("credential_source", {}):
            read = pluggable.Credentials.from_info
        case "external_account":
            read = identity_pool.Credentials.from_info
        case other:
            raise ValueError(f"Its type is {other!r}.")
    return read(info, scopes=SCOPES)  # type: ignore[no-any-return]
