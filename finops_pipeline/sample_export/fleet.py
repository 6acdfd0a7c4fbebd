"""What is running: the meters of `demand`, spread over as many resources and hours as the rows asked for allow.

A bigger sample is the same bill in more rows. First every meter is one row a day; then metered hours are told apart;
then a meter's work is shared by more and more resources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from finops_pipeline.sample_export.catalog import FLAT, PLACES, SKUS, Offer, Swing
from finops_pipeline.sample_export.demand import ALWAYS_ON_PROJECTS, Meter, ordinary_meters
from finops_pipeline.sample_export.estate import (
    ACCOUNTS,
    EUR_ACCOUNT,
    LAUNCHED_PROJECT,
    PROJECTS,
    USD_ACCOUNT,
    Account,
    Project,
)
from finops_warehouse.errors import BadRequest

HOURS_A_DAY = 24
COMMITMENT_ROWS = 2 * HOURS_A_DAY + 3
"""The spend-based fee and the charge it pays for in part, every hour; three older fees, every day."""

Kind = Literal["usage", "fee", "support", "tax", "rounding"]


class Line(NamedTuple):
    """One resource's use of one SKU: everything about its rows that never changes."""

    kind: Kind
    account: Account
    project: Project | None
    sku: str
    offer: Offer
    swing: Swing = FLAT
    daily: float = 0.0
    hourly: bool = False
    month_end: float = 1.0
    dormant: bool = False
    meter: int = 0
    number: int = 0
    subscription: str | None = None


class _Spread(NamedTuple):
    """How one meter is written: by the hour or the day, over how many resources."""

    hourly: bool
    resources: int

    @property
    def rows(self) -> int:
        return self.resources * (HOURS_A_DAY if self.hourly else 1)


def _must_be_hourly(meter: Meter) -> bool:
    """Spend-based commitments are settled by the hour, and idle nights show only by the hour."""
    if meter.dormant or not meter.offer.sku.hourly:
        return False
    committed = meter.offer.sku.flexible and meter.project.account is USD_ACCOUNT
    return committed or (meter.project.project_id in ALWAYS_ON_PROJECTS and meter.sku.startswith("e2"))


def _spread(meters: list[Meter], rows_per_day: int) -> list[_Spread]:
    """The rows a day each meter gets; together as close to `rows_per_day` as whole resources allow."""
    spreads = [_Spread(_must_be_hourly(meter), 1) for meter in meters]
    room = rows_per_day - sum(spread.rows for spread in spreads) - COMMITMENT_ROWS
    if room < 0:
        raise BadRequest(
            f"{rows_per_day} rows a day cannot hold everything the sample models. Ask for at least "
            f"{rows_per_day - room}."
        )
    largest_first = sorted(range(len(meters)), key=lambda index: -meters[index].daily)
    for index in largest_first:
        meter = meters[index]
        if meter.offer.sku.hourly and not meter.dormant and not spreads[index].hourly and room >= HOURS_A_DAY:
            spreads[index] = _Spread(hourly=True, resources=1)
            room -= HOURS_A_DAY - 1
    return _share_out(meters, spreads, largest_first, room)


def _share_out(meters: list[Meter], spreads: list[_Spread], largest_first: list[int], room: int) -> list[_Spread]:
    """Use what room is left for more resources, the more the larger a meter is."""
    weights = [0.0 if meter.dormant else meter.daily**0.5 for meter in meters]
    rows_per_weight = room / sum(w * (HOURS_A_DAY if s.hourly else 1) for w, s in zip(weights, spreads, strict=True))
    shared = [
        spread._replace(resources=1 + int(weight * rows_per_weight))
        for weight, spread in zip(weights, spreads, strict=True)
    ]
    room -= sum(spread.rows for spread in shared) - sum(spread.rows for spread in spreads)
    for index in largest_first:
        one_more = shared[index]._replace(resources=shared[index].resources + 1)
        cost = one_more.rows - shared[index].rows
        if cost <= room and not meters[index].dormant:
            shared[index] = one_more
            room -= cost
    return shared


def _usage_lines(rows_per_day: int) -> list[Line]:
    meters = ordinary_meters()
    lines = []
    for index, (meter, spread) in enumerate(zip(meters, _spread(meters, rows_per_day), strict=True)):
        # A few resources carry most of the work, as in real estates.
        shares = [1 / (number + 2) for number in range(spread.resources)]
        for number, share in enumerate(shares):
            lines.append(
                Line(
                    kind="usage",
                    account=meter.project.account,
                    project=meter.project,
                    sku=meter.sku,
                    offer=meter.offer,
                    swing=meter.swing,
                    daily=meter.daily * share / sum(shares),
                    hourly=spread.hourly,
                    month_end=meter.month_end,
                    dormant=meter.dormant,
                    meter=index,
                    number=number,
                )
            )
    return lines


def _standing_lines() -> list[Line]:
    """Fees of commitments, support, and what closes an invoice."""
    project = {project.project_id: project for project in PROJECTS}

    def fee(account: Account, sku: str, place: str, payer: str, subscription: str) -> Line:
        return Line("fee", account, project[payer], sku, Offer(SKUS[sku], PLACES[place]), subscription=subscription)

    def billed(kind: Kind, account: Account, payer: Project | None, sku: str) -> Line:
        return Line(kind, account, payer, sku, Offer(SKUS[sku], PLACES["global"]))

    return [
        fee(USD_ACCOUNT, "flex fee", "global", "nw-network-hub", "7204918835512001"),
        fee(EUR_ACCOUNT, "n2 core fee", "europe-west3", "nw-eu-shop-prod", "7204918835512002"),
        fee(EUR_ACCOUNT, "n2 ram fee", "europe-west3", "nw-eu-shop-prod", "7204918835512002"),
        fee(EUR_ACCOUNT, "sql fee", "europe-west3", "nw-eu-payments", "7204918835512003"),
        billed("support", USD_ACCOUNT, None, "support"),
        *(billed("tax", payer.account, payer, "tax") for payer in PROJECTS if payer.pays_tax),
        *(billed("tax", account, None, "tax") for account in ACCOUNTS),
        *(billed("rounding", account, None, "rounding") for account in ACCOUNTS),
    ]


@dataclass(frozen=True)
class Fleet:
    """Every line, and what the arithmetic needs of them as arrays."""

    lines: tuple[Line, ...]

    @classmethod
    def for_rows_per_day(cls, rows_per_day: int) -> "Fleet":
        return cls(tuple(_usage_lines(rows_per_day) + _standing_lines()))

    def floats(self, of: Callable[[Line], float]) -> npt.NDArray[np.float64]:
        return np.array([of(line) for line in self.lines], np.float64)

    def where(self, holds: Callable[[Line], bool]) -> npt.NDArray[np.bool_]:
        return np.array([holds(line) for line in self.lines], np.bool_)

    def only(self, kind: Kind, account: Account, sku: str, project: Project | None = None) -> int:
        """The one standing line of that kind."""
        [index] = [
            index
            for index, line in enumerate(self.lines)
            if (line.kind, line.account, line.sku) == (kind, account, sku) and line.project == project
        ]
        return index

    @cached_property
    def is_usage(self) -> npt.NDArray[np.bool_]:
        return self.where(lambda line: line.kind == "usage")

    @cached_property
    def launched(self) -> npt.NDArray[np.bool_]:
        """Lines of the project that does not exist yet when the export begins."""
        return self.where(lambda line: line.project is not None and line.project.project_id == LAUNCHED_PROJECT)

    @cached_property
    def account(self) -> npt.NDArray[np.int64]:
        return np.array([ACCOUNTS.index(line.account) for line in self.lines], np.int64)

    @cached_property
    def project(self) -> npt.NDArray[np.int64]:
        """Each line's position in PROJECTS; -1 where the account itself is charged."""
        position: dict[Project | None, int] = {project: index for index, project in enumerate(PROJECTS)}
        return np.array([position.get(line.project, -1) for line in self.lines], np.int64)

    @cached_property
    def workload(self) -> npt.NDArray[np.int64]:
        """Lines of one project and service share their good and bad days."""
        groups: dict[tuple[str, str], int] = {}
        return np.array(
            [
                groups.setdefault(
                    (line.project.project_id if line.project else "", line.offer.sku.service), len(groups)
                )
                for line in self.lines
            ],
            np.int64,
        )

    @cached_property
    def meter(self) -> npt.NDArray[np.int64]:
        return np.array([line.meter for line in self.lines], np.int64)
