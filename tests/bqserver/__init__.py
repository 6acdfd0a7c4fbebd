"""A BigQuery of our own for tests: the unmodified Google clients talk to it over real sockets, offline.

It models ingestion-time partitioned tables kept as hive-partitioned Parquet (`<folder>/export_day=YYYY-MM-DD/`), and of
the API what reading a billing export takes: tables.get, a query on INFORMATION_SCHEMA.PARTITIONS (jobs.insert and
getQueryResults, with dry run and maximumBytesBilled), and Storage Read in Arrow with top-level fields, a window of
`_PARTITIONTIME` and resumption at an offset. Faults can be planned. It does not model other SQL, nested selected
fields, views, writes, permissions, prices or quotas: whatever it does not know it answers with 501, never a guess.
"""

from bqserver.faults import Fault
from bqserver.server import BigQueryServer

__all__ = ["BigQueryServer", "Fault"]
