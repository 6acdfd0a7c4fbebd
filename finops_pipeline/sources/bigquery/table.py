"""The name of a BigQuery table, in the forms that each place wants it in."""

import re
from dataclasses import dataclass

from finops_warehouse.errors import SettingsError

_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_DATASET = re.compile(r"\w+")
_TABLE = re.compile(r"[\w -]+")


@dataclass(frozen=True)
class TableName:
    """`project.dataset.table`. Raises `SettingsError` for what cannot be one: it is written into SQL."""

    project: str
    dataset: str
    table: str

    def __post_init__(self) -> None:
        if not (_PROJECT.fullmatch(self.project) and _DATASET.fullmatch(self.dataset) and _TABLE.fullmatch(self.table)):
            raise SettingsError(
                f"BILLING_EXPORT_URL: {self} is not the name of a BigQuery table. "
                "Write bigquery://project.dataset.table."
            )

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def path(self) -> str:
        """As Storage Read names it."""
        return storage_path(self.project, self.dataset, self.table)


def storage_path(project: str, dataset: str, table: str) -> str:
    """A table as Storage Read names it; for the anonymous tables of results too."""
    return f"projects/{project}/datasets/{dataset}/tables/{table}"
