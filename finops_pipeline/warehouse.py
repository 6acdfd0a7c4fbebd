"""What an asset works with: the database and the billing export, opened when first needed and never at import."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg
import holidays
import psycopg

from finops_pipeline.sources import open_source
from finops_pipeline.sources.base import BillingSource, Purse
from finops_pipeline.spending import LedgerPurse
from finops_warehouse.database import connect
from finops_warehouse.errors import SettingsError
from finops_warehouse.settings import Settings, load_settings


class Warehouse(dg.ConfigurableResource["Warehouse"]):
    """The warehouse of the settings this process runs under."""

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A connection in autocommit mode: every transaction in our code is one it opens by itself."""
        with connect(self.settings, autocommit=True) as connection:
            yield connection

    def purse(self, run_id: str) -> LedgerPurse:
        """Who pays for what a run reads."""
        return LedgerPurse(self.settings, run_id)

    def source(self, purse: LedgerPurse) -> BillingSource:
        """The billing export. Raises as `source_from` does."""
        return source_from(self.settings, purse, purse.run_id)


def quiet_days(settings: Settings) -> frozenset[date]:
    """The public holidays of HOLIDAYS_COUNTRY, from the first partition to next year.

    Raises `SettingsError` for a country whose holidays are not known.
    """
    if not settings.holidays_country:
        return frozenset()
    years = range(settings.first_day.year, date.today().year + 2)  # noqa: DTZ011 -- any clock knows the year
    try:
        return frozenset(holidays.country_holidays(settings.holidays_country, years=years))
    except NotImplementedError:
        raise SettingsError(
            "HOLIDAYS_COUNTRY names no country whose holidays are known. Write an ISO 3166 code such as US or DE, "
            "or leave it empty."
        ) from None


def source_from(settings: Settings, purse: Purse, run_label: str | None = None) -> BillingSource:
    """The billing export the settings name; the generated sample when they name none.

    `purse` is asked before anything is billed, and `run_label` stands on Google's bill. Raises `SettingsError` when
    none is named and no sample has been generated.
    """
    url = settings.billing_export_url
    if url is None:
        tables = sorted(settings.sample_folder.glob("gcp_billing_export*"))
        if not tables:
            raise SettingsError(
                "BILLING_EXPORT_URL is not set and there is no sample export yet. Set it to your export "
                "(file:///folder or bigquery://project.dataset.table), or run `finops demo` to generate a sample."
            )
        url = tables[0].as_uri()
    return open_source(
        url,
        bigquery_api_endpoint=settings.bigquery_api_endpoint,
        bigquery_storage_endpoint=settings.bigquery_storage_endpoint,
        max_bytes_billed=settings.bigquery_max_bytes_billed,
        credentials_file=settings.google_application_credentials,
        first_day=settings.first_day,
        purse=purse,
        added_up_in=settings.billing_timezone if settings.extract_grain == "day" else None,
        run_label=run_label,
    )
