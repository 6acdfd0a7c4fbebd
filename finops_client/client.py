"""The client: a method a question of the API."""

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Literal, Self, Unpack

import pyarrow as pa

from finops_client.answers import CostAnswer, Download, Listing, Row, cost_answer
from finops_client.decoding import decoded
from finops_client.errors import BrokenDownload, StaleCursor
from finops_client.questions import (
    CostQuestion,
    EvidenceQuestion,
    Several,
    as_body,
    as_parameters,
    check_names,
)
from finops_client.streams import Reading
from finops_client.transport import Transport

Format = Literal["parquet", "arrow", "csv", "ndjson"]
Day = date | str

ROWS_A_PAGE = 5000
"""As many as the API gives."""

BEGUN_AGAIN = 3
"""How often pages are read from the first one again because the data has moved meanwhile."""


class FinOps:
    """A FinOps Intelligence API, to be asked.

    `url` is where it is: `https://finops.example.com`. `key` is a key of `finops keys create`; an API that is open to
    its own machine needs none. `timeout` is how many seconds may pass without a byte. A refusal of 429 or 503 is asked
    again up to `retries` times, each after as many seconds as the API says.

    Raises `UnsafeConnection` for a key over plain http to another machine. Every method raises what
    `finops_client.errors` lists. One client may be used by several threads.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        self._api = Transport(url, key, timeout=timeout, retries=retries)

    def __repr__(self) -> str:
        return f"FinOps({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections. `with FinOps(…) as finops:` does."""
        self._api.close()

    @property
    def url(self) -> str:
        """Where it asks."""
        return self._api.url

    def costs(self, **question: Unpack[CostQuestion]) -> CostAnswer:
        """Cost by day, week, month or as one total, by up to three dimensions; every row, in as many pages as it takes.

        `start` and `end` (not included), or `window`: 7d, 14d, 30d, 90d, 180d, 365d, mtd, ytd, lastmonth.
        `granularity`: daily, weekly, monthly, invoice_month, total. `time_basis`: usage_day, invoice_month.
        `group_by`: up to three of `dimensions()`. `measure`: what to add up; billed_cost if left out.
        `filters`: members by dimension, `{"project": ["shop"], "team": "search"}`, by id or name.
        `where`: `{"dimension": …, "operator": "in" | "contains" | "starts_with", "values": […]}`, combined by
        `{"and": […]}`, `{"or": […]}` and `{"not": …}`.
        `compare`: previous, previous_month, or period with `compare_start`. `top`: so many members, and the rest.
        `billing_currency`, `as_of` (a moment), `include_unfinished`.

        Raises `BadQuestion` with the API's reason, and `StaleCursor` when the data moved under each of several tries.
        """
        check_names(question, CostQuestion)
        for tried in range(BEGUN_AGAIN + 1):
            try:
                return cost_answer(question, self._pages(question))
            except StaleCursor:
                if tried == BEGUN_AGAIN:
                    raise
        raise AssertionError("the last try returns or raises")

    def _pages(self, question: CostQuestion) -> list[Row]:
        # What is compared is answered whole.
        asked: dict[str, object] = {**question, **({} if question.get("compare") else {"limit": ROWS_A_PAGE})}
        pages = [self._page(asked)]
        while (cursor := pages[-1]["meta"]["next_cursor"]) is not None:
            pages.append(self._page({**asked, "cursor": cursor}))
        return pages

    def _page(self, asked: Mapping[str, object]) -> Row:
        if asked.get("where") is not None:
            page: Row = self._api.post("/v1/costs/query", as_body(asked))
        else:
            page = self._api.get("/v1/costs", as_parameters(asked))
        return page

    def evidence(self, **question: Unpack[EvidenceQuestion]) -> Row:
        """A number computed again, how, and a page of the charges behind it, largest first.

        `CostAnswer.evidence_of` names a figure of an answer. An insight's or recommendation's is named by its id and
        `fact_id`, an anomaly's excess by `anomaly_id`. `limit` is up to 200 rows, after `offset` others.

        Of the document, `value` is the number, `rows_sum` the sum of all `row_count` rows, and `matches` says whether
        all agree with what the served tables say, to the last digit.
        """
        check_names(question, EvidenceQuestion)
        if "where" in question:
            answer = self._api.post("/v1/evidence/query", as_body(question, one=("measure", "billing_currency")))
        else:
            answer = self._api.get("/v1/evidence", as_parameters(question))
        found: Row = decoded(answer)
        return found

    def dimensions(self) -> Row:
        """What can be asked: `dimensions` to group and filter by, custom ones too, and `measures` to add up."""
        catalogue: Row = self._api.get("/v1/dimensions", [])
        return catalogue

    def dimension_values(self, name: str, *, search: str = "", limit: int = 100) -> list[Row]:
        """Members of a dimension, `id` and `name`, in the order of their names; `search` is a part of either."""
        asked = as_parameters({"search": search, "limit": limit})
        found: list[Row] = self._api.get(f"/v1/dimensions/{name}/members", asked)["items"]
        return found

    def meta(self) -> Row:
        """How fresh and how sure the tables are: complete through, days behind, what is left of each invoice."""
        found: Row = decoded(self._api.get("/v1/meta", []))
        return found

    def anomalies(
        self,
        *,
        start: Day | None = None,
        end: Day | None = None,
        billing_currency: Several = (),
        project: Several = (),
        service: Several = (),
        include_explained: bool = False,
    ) -> Listing:
        """Neighbouring days that cost more, or less, than the past explains, the latest first; 90 days of them."""
        return self._listed(
            "/v1/anomalies",
            start=start,
            end=end,
            billing_currency=billing_currency,
            project=project,
            service=service,
            include_explained=include_explained,
        )

    def forecasts(
        self,
        *,
        scope: Literal["total", "billing_account", "project", "service"] = "total",
        member: Several = (),
        as_of: Day | None = None,
        billing_currency: Several = (),
    ) -> Listing:
        """What the month and the next 30 days will come to, with intervals of 80 and 95 %, as it looked on a day."""
        return self._listed("/v1/forecasts", scope=scope, member=member, as_of=as_of, billing_currency=billing_currency)

    def recommendations(
        self, *, billing_currency: Several = (), project: Several = (), service: Several = ()
    ) -> Listing:
        """What could be saved in a month: low, mid and high, with evidence and what it assumes."""
        return self._listed("/v1/recommendations", billing_currency=billing_currency, project=project, service=service)

    def insights(
        self,
        *,
        start: Day | None = None,
        end: Day | None = None,
        period: Literal["day", "month"] | None = None,
        subject: Literal["spend_summary", "anomaly"] | None = None,
        billing_currency: Several = (),
        project: Several = (),
        service: Several = (),
        limit: int = 20,
    ) -> Listing:
        """Texts about the costs, the latest first. Every figure in them is one of their `facts`, computed again now."""
        return self._listed(
            "/v1/insights",
            start=start,
            end=end,
            period=period,
            subject=subject,
            billing_currency=billing_currency,
            project=project,
            service=service,
            limit=limit,
        )

    def budgets(self, *, month: str | None = None, billing_currency: Several = ()) -> Listing:
        """Every budget, how much of it is spent in a month (`2026-11`), what is forecast, and its alerts."""
        return self._listed("/v1/budgets", month=month, billing_currency=billing_currency)

    def restatements(
        self,
        *,
        start: Day | None = None,
        end: Day | None = None,
        since: datetime | str | None = None,
        billing_account: Several = (),
        cause: Several = (),
        limit: int | None = None,
    ) -> Listing:
        """Usage days whose served figures moved, newest first: before, after and why; all, or so many."""
        asked = {"start": start, "end": end, "since": since, "billing_account": billing_account, "cause": cause}
        items: list[Row] = []
        before: int | None = None
        while True:
            size = 1000 if limit is None else min(1000, limit - len(items))
            page = self._api.get("/v1/restatements", as_parameters({**asked, "before": before, "limit": size}))
            items += page["items"]
            before = page["meta"]["next"]
            if before is None or len(items) == limit:
                return Listing(decoded(items), decoded(page["meta"]))

    def invoice_months(self, *, invoice_month: Several = (), billing_account: Several = ()) -> Listing:
        """Each invoice month as the identity it is, oldest first, and what is left of the total that Google sent."""
        return self._listed("/v1/invoice-months", invoice_month=invoice_month, billing_account=billing_account)

    def _listed(self, path: str, **asked: object) -> Listing:
        document = self._api.get(path, as_parameters(asked))
        return Listing(decoded(document["items"]), decoded(document.get("meta", {})))

    def export_costs(
        self,
        *,
        to: Path | str,
        format: Format = "parquet",  # noqa: A002 -- the word of the API
        **question: Unpack[CostQuestion],
    ) -> Download:
        """Every row of a cost question as a file, which needs a key with the scope `export`.

        A question as of `costs`, without `compare`, `top` and `where`. The file appears under its name when it is
        whole, replacing one that is there; until then it is beside it. Raises `BrokenDownload` when the transfer ends
        early, and leaves nothing then.
        """
        check_names(question, CostQuestion)
        target = Path(to)
        with self._api.streamed(f"/v1/exports/costs.{format}", as_parameters(question)) as answer:
            with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as beside:
                part = Path(beside.name)
                try:
                    for piece in self._api.pieces(answer):
                        beside.write(piece)
                    beside.flush()
                    os.fsync(beside.fileno())
                    size = beside.tell()
                    part.replace(target)
                except BaseException:
                    with suppress(FileNotFoundError):
                        part.unlink()
                    raise
            told = answer.headers
        return Download(
            path=target,
            size=size,
            data_version=int(told["X-Data-Version"]),
            complete_through=date.fromisoformat(told["X-Complete-Through"]),
            missing_days=int(told["X-Missing-Days"]),
        )

    def export_costs_arrow(self, **question: Unpack[CostQuestion]) -> pa.Table:
        """Every row of a cost question as a table, read as it arrives; a question as of `export_costs`.

        Amounts are decimal128(38, 9). Raises `BrokenDownload` when the transfer ends early.
        """
        check_names(question, CostQuestion)
        with self._api.streamed("/v1/exports/costs.arrow", as_parameters(question)) as answer:
            reading = io.BufferedReader(Reading(self._api.pieces(answer)))
            try:
                table: pa.Table = pa.ipc.open_stream(reading).read_all()
            except (pa.ArrowInvalid, OSError) as fault:
                raise BrokenDownload(f"What {self.url} sent is no Arrow stream: {fault}") from None
            # A stream that is cut short between two batches reads like one that ended: only HTTP knows.
            if reading.read():
                raise BrokenDownload(f"{self.url} went on after the end of the Arrow stream.")
        return table
