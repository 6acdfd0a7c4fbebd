"""A billing export in BigQuery: read straight from storage, or through queries that are guarded by a budget.

Google's libraries take seconds to import, so they are imported where they are first needed.
"""

from finops_pipeline.sources.bigquery.access import Access
from finops_pipeline.sources.bigquery.source import BigQuerySource, Mode
from finops_pipeline.sources.bigquery.table import TableName

__all__ = ["Access", "BigQuerySource", "Mode", "TableName"]
