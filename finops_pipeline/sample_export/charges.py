"""One charge in integers. Money becomes a float only when a row is written, so every sum here is exact."""

import numpy as np
import numpy.typing as npt

CREDITS_PER_CHARGE = 3
NONE = -1

REGULAR, TAX, ADJUSTMENT, ROUNDING_ERROR = range(4)
COST_TYPES = ("regular", "tax", "adjustment", "rounding_error")

DEFAULT_MODEL, FLEXIBLE_MODEL = range(2)

CHARGE = np.dtype(
    [
        ("line", np.int32),
        ("project", np.int32),  # position in the list of project records, NONE for no project
        ("labels", np.int32),
        ("start", np.int64),
        ("end", np.int64),
        ("export", np.int64),
        ("invoice_month", np.int32),
        ("cost_type", np.int8),
        ("adjustment", np.int8),
        ("model", np.int8),
        ("rate", np.int32),  # ten-thousandths of the account's currency for a dollar
        ("usage", np.int64),  # millionths of a pricing unit
        ("tier_start", np.int64),
        ("list_price", np.int64),  # prices: billionths of the account's currency
        ("default_price", np.int64),
        ("model_list_price", np.int64),
        ("price", np.int64),
        ("list_cost", np.int64),  # costs: millionths of the account's currency
        ("default_cost", np.int64),
        ("model_list_cost", np.int64),
        ("cost", np.int64),
        ("credit", np.int8, (CREDITS_PER_CHARGE,)),
        ("credit_amount", np.int64, (CREDITS_PER_CHARGE,)),
    ]
)

Charges = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def no_charges(count: int = 0) -> Charges:
    """`count` charges of nothing, without credits and adjustments."""
    charges = np.zeros(count, CHARGE)
    charges["adjustment"] = NONE
    charges["credit"] = NONE
    return charges


def money(usage: npt.NDArray[np.int64], price: npt.NDArray[np.int64]) -> Integers:
    """What that much usage costs at that price, to the millionth."""
    return np.rint(usage * (price / 1_000_000_000)).astype(np.int64)


def reprice(charges: Charges) -> None:
    """Make the four costs of each charge what its usage and its four prices say."""
    for cost in ("list_cost", "default_cost", "model_list_cost", "cost"):
        charges[cost] = money(charges["usage"], charges[cost.replace("cost", "price")])


def net(charges: Charges) -> Integers:
    """What each charge adds to the invoice: its cost and its (negative) credits."""
    total: Integers = charges["cost"] + charges["credit_amount"].sum(axis=1)
    return total


def give_credit(charges: Charges, chosen: Mask, credit: int, amounts: Integers) -> None:
    """Credit the chosen charges, each with at most what is left of its cost."""
    rows = np.flatnonzero(chosen)
    granted = np.minimum(amounts, net(charges[rows]))
    rows, granted = rows[granted > 0], granted[granted > 0]
    slot = (charges["credit"][rows] != NONE).sum(axis=1)
    charges["credit"][rows, slot] = credit
    charges["credit_amount"][rows, slot] = -granted
