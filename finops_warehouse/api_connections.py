"""Whether PostgreSQL takes as many connections as the API may open, told at start and not by the first busy morning.

Not in `finops_api`: `finops doctor` asks where no API is installed, in the pipeline's image.
"""

import psycopg

from finops_warehouse.errors import SettingsError

FOR_QUESTIONS = 8
FOR_EXPORTS = 2
OF_A_PROCESS = FOR_QUESTIONS + FOR_EXPORTS + 2
"""What one process opens at most; the two are one that writes things down and one that listens."""

# What this user may open in this database, and how many of those others hold: Dagster's processes, people, BI tools.
ALLOWED = """
    select
        least(
            current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0),
            (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
            (select nullif(datconnlimit, -1) from pg_database where datname = current_database())
        ),
        (
            select count(*) from pg_stat_activity
            where datid is not null and pid <> pg_backend_pid()
                -- Of other users' connections an ordinary user is not told the kind.
                and coalesce(backend_type, 'client backend') = 'client backend'
                and application_name not like 'finops\\_api%'
        )
"""


def check_connections(connection: psycopg.Connection, replicas: int) -> str | None:
    """Compare what `replicas` processes may open with what PostgreSQL allows.

    Returns what is tight while others are connected, None when nothing is. Raises `SettingsError` when they cannot
    all be served even alone: some question would be refused that the API takes for a fault of the database.
    """
    [(allowed, held)] = connection.execute(ALLOWED).fetchall()
    needed = replicas * OF_A_PROCESS
    told = (
        f"API_REPLICAS={replicas} may open {needed} connections, {OF_A_PROCESS} each, and PostgreSQL allows {allowed}"
    )
    if needed > allowed:
        raise SettingsError(f"{told}. Raise its max_connections (or the limit of the role or database), or run fewer.")
    return f"{told}, of which others hold {held} now" if needed > allowed - held else None
