"""Telling somebody: a JSON POST to ALERT_WEBHOOK_URL."""

import json
import urllib.request
from collections.abc import Mapping

from finops_warehouse.errors import FinopsError
from finops_warehouse.settings import Settings


def post(settings: Settings, body: Mapping[str, object]) -> None:
    """Post to the webhook; without one nothing happens. Raises `FinopsError` when it does not take it."""
    webhook = settings.alert_webhook_url
    if webhook is None:
        return  # Dagster and `finops status` say it all the same
    request = urllib.request.Request(  # noqa: S310 -- the operator's own URL
        webhook.get_secret_value(), json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    except OSError as error:
        raise FinopsError(f"The webhook of ALERT_WEBHOOK_URL did not take the alert: {error}") from None
