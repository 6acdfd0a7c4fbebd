"""A BigQuery of our own for tests: the unmodified Google clients talk to it over real sockets, offline.

It models ingestion-time partitioned tables kept as hive-partitioned Parquet (`<folder>/export_day=YYYY-MM-DD/`): their
metadata, query jobs in GoogleSQL (run by DuckDB, pruned and priced by what they touch, with dry runs, limits, named
parameters, labels and pages), INFORMATION_SCHEMA.PARTITIONS, and Storage Read in Arrow of tables and of results.
Faults can be planned, and every call is kept with what it asked for and who asked.

It does not model writes, views, clustering, caches of results, permissions, quotas, legacy SQL or the types of
arithmetic between NUMERICs. What it knows that it does not know it answers with 501 or UNIMPLEMENTED, never a guess.
"""

from bqserver.faults import Call, Fault
from bqserver.identities import TokenServer
from bqserver.jobs import MINIMUM_BYTES_BILLED, Job
from bqserver.server import BigQueryServer
from bqserver.tables import StoredTable

__all__ = ["MINIMUM_BYTES_BILLED", "BigQueryServer", "Call", "Fault", "Job", "StoredTable", "TokenServer"]
