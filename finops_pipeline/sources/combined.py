"""Several billing exports read as one: those of several billing accounts, wherever each of them is.

Two exports of one account tell the same charges. They are refused by their names where names tell, and by the account
of every row that is read.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from finops_pipeline.sources.base import BillingSource, ExportDayRead, Spend, TableFacts
from finops_warehouse.errors import ExportDayVanished, SecondExport, SettingsError

_GOOGLES_NAME = re.compile(r"gcp_billing_export(?:_resource)?_v1_(?P<account>\w+)")
"""Google calls the tables so, with the id of the billing account: `resource` is in the detailed export's."""


class CombinedSource:
    """`sources` in their order. Raises `SecondExport` when two of them are of one billing account."""

    def __init__(self, sources: Sequence[BillingSource]) -> None:
        self._sources = sources
        self._held: dict[date, list[BillingSource]] = {}
        self._source_of_account: dict[str, str] = {}
        _refuse_one_account_twice([source.url for source in sources])

    @property
    def url(self) -> str:
        """All of them, as BILLING_EXPORT_URL names them."""
        return " ".join(source.url for source in self._sources)

    def partitions(self) -> Mapping[date, str]:
        """The days that any source holds. A fingerprint is made of those of all sources, in their order."""
        listed = [source.partitions() for source in self._sources]
        days = sorted({day for partitions in listed for day in partitions})
        self._held = {
            day: [source for source, held in zip(self._sources, listed, strict=True) if day in held] for day in days
        }
        return {day: " + ".join(held.get(day, "nothing") for held in listed) for day in days}

    def facts(self) -> TableFacts:
        """Of the newest table, and of the one that forgets first."""
        facts = [source.facts() for source in self._sources]
        return TableFacts(
            max((fact.created_at for fact in facts if fact.created_at is not None), default=None),
            min((fact.keeps_days_for for fact in facts if fact.keeps_days_for is not None), default=None),
        )

    def estimate(self, export_days: Iterable[date]) -> Spend:
        """The bytes of all sources together; billed as what costs most of what they are read by."""
        days = list(export_days)
        spends = [source.estimate(days) for source in self._sources]
        size = sum(spend.estimated_bytes for spend in spends)
        dearest = max(spends, key=lambda spend: ("file", "storage_read", "query").index(spend.kind))
        return replace(dearest, estimated_bytes=size)

    @contextmanager
    def read(self, export_day: date) -> Iterator[ExportDayRead]:
        """The day of every source that holds it, one after the other."""
        if not self._held:
            self.partitions()
        holding = self._held.get(export_day)
        if not holding:
            raise ExportDayVanished(f"None of the exports {self.url} holds {export_day}. Check BILLING_EXPORT_URL.")
        with ExitStack() as opened:
            # All are opened before the first is read: what cannot be read as a whole is not read at all.
            days = [opened.enter_context(source.read(export_day)) for source in holding]
            if len({day.grain for day in days}) > 1:
                raise SettingsError(
                    f"BILLING_EXPORT_URL: some of {self.url} are added up where they are and some are not, and the two "
                    "do not mix. Give every BigQuery export the option mode=storage, or set EXTRACT_GRAIN=row."
                )
            unknown = dict.fromkeys(name for day in days for name in day.unknown_columns)
            batches = opened.enter_context(closing(self._chained(holding, days)))
            yield ExportDayRead(batches, tuple(unknown), sum(day.bytes_read for day in days), days[0].grain)

    def _chained(
        self, sources: Sequence[BillingSource], days: Sequence[ExportDayRead]
    ) -> Generator[pa.RecordBatch, None, None]:
        for source, day in zip(sources, days, strict=True):
            for batch in day.batches:
                self._refuse_accounts_of_another(source.url, batch)
                yield batch

    def _refuse_accounts_of_another(self, url: str, batch: pa.RecordBatch) -> None:
        for account in pc.unique(batch["billing_account_id"]).to_pylist():
            first = self._source_of_account.setdefault(str(account), url)
            if first != url:
                raise SecondExport(
                    f"Both {first} and {url} hold charges of the billing account {account}, which would count twice. "
                    "Leave one of them out of BILLING_EXPORT_URL."
                )


def _refuse_one_account_twice(urls: Sequence[str]) -> None:
    by_account: dict[str, str] = {}
    for url in urls:
        named = _GOOGLES_NAME.search(url)
        account = named["account"] if named else url
        if account in by_account:
            raise SecondExport(
                f"BILLING_EXPORT_URL names {by_account[account]} and {url}: both tell the charges of one billing "
                "account, which would count twice. The standard and the detailed export differ in detail, not in "
                "charges. Leave one of them out."
            )
        by_account[account] = url
