"""Google's own worked examples, as rows of an export."""

import json
from typing import Any

from helpers.checkout import TOP
from helpers.road import charge

FILE = TOP / "tests" / "finops_pipeline" / "golden_rows.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def rows_of(case: str) -> list[dict[str, Any]]:
    """The rows of an example as the export would hold them."""
    return [
        charge(
            float(row["cost"]),
            start=f"{row.get('usage_date', '2024-01-15')}T20:00",
            exported="2024-02-02T10:00",
            month=row.get("invoice_month", "202401"),
            sku="Commitment - dollar based v1: Fee" if row["sku"] == "Fee SKU" else row["sku"],
            project=row.get("project", "shop"),
            paid_by=[(credit["type"], float(credit["amount"])) for credit in row["credits"]],
            cost_type=row.get("cost_type", "regular"),
            adjustment_info={"mode": row["adjustment"], "type": "USAGE_CORRECTION"} if "adjustment" in row else None,
            consumption_model={"description": row.get("consumption_model")},
        )
        for row in ROWS
        if row["case"] == case
    ]
