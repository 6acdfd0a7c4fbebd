"""A client of the FinOps Intelligence API: its questions as methods, its amounts as decimals, its refusals as errors.

    with FinOps("https://finops.example.com", key=os.environ["FINOPS_API_KEY"]) as finops:
        costs = finops.costs(window="30d", granularity="total", group_by=["service"])
        costs.to_pandas()

It needs httpx and pyarrow, and nothing of the product it asks.
"""

from finops_client.answers import CostAnswer, Download, Listing, Row
from finops_client.client import FinOps
from finops_client.errors import (
    BadQuestion,
    BrokenDownload,
    Conflict,
    Fault,
    FinOpsError,
    Forbidden,
    MissingPandas,
    NoEvidence,
    NotAllowed,
    NotFound,
    NotYet,
    Refused,
    StaleCursor,
    TooManyRequests,
    UnexpectedAnswer,
    Unreachable,
    UnsafeConnection,
)
from finops_client.questions import Condition, CostQuestion, EvidenceQuestion

__all__ = [
    "BadQuestion",
    "BrokenDownload",
    "Condition",
    "Conflict",
    "CostAnswer",
    "CostQuestion",
    "Download",
    "EvidenceQuestion",
    "Fault",
    "FinOps",
    "FinOpsError",
    "Forbidden",
    "Listing",
    "MissingPandas",
    "NoEvidence",
    "NotAllowed",
    "NotFound",
    "NotYet",
    "Refused",
    "Row",
    "StaleCursor",
    "TooManyRequests",
    "UnexpectedAnswer",
    "Unreachable",
    "UnsafeConnection",
]
