"""`finops doctor`: is everything set and reachable, and if not, what to do."""

from collections.abc import Callable

import typer
from rich.markup import escape

from finops_cli.output import people
from finops_warehouse.api_connections import OF_A_PROCESS, check_connections
from finops_warehouse.database import connect, init_db
from finops_warehouse.errors import FinopsError
from finops_warehouse.settings import Settings, load_settings


def doctor() -> None:
    """Check settings, database, billing export and Redis, and say what to fix. Exits 1 if something is wrong."""
    settings = load_settings()
    looks: list[tuple[str, Callable[[Settings], str]]] = [
        ("database", _database),
        ("schema", _schema),
        ("connections", _connections),
        ("redis", _redis),
        ("billing export", _source),
    ]
    well = True
    for name, look in looks:
        try:
            verdict, said = "[green]ok   [/]", look(settings)
        except FinopsError as wrong:
            well, verdict, said = False, "[red]wrong[/]", str(wrong)
        people.print(f"{verdict} {name}: {escape(said)}")
    raise typer.Exit(0 if well else 1)


def _database(settings: Settings) -> str:
    with connect(settings) as connection:
        [(version,)] = connection.execute("show server_version").fetchall()
    return f"PostgreSQL {version}" + (f", our own under {settings.finops_home}" if settings.embedded else "")


def _schema(settings: Settings) -> str:
    init_db(settings)
    return "at this release's migration"


def _connections(settings: Settings) -> str:
    with connect(settings) as connection:
        tight = check_connections(connection, settings.api_replicas)
    return tight or f"enough for API_REPLICAS={settings.api_replicas}, {OF_A_PROCESS} each"


def _redis(settings: Settings) -> str:
    if settings.redis_url is None:
        return "REDIS_URL is not set; each process of the API keeps answers and counts requests for itself"
    from finops_api.redis import greet  # what the pipeline's image does without

    return greet(settings.redis_url)


def _source(settings: Settings) -> str:
    from finops_pipeline.sources.base import OpenPurse
    from finops_pipeline.warehouse import source_from

    source = source_from(settings, OpenPurse())  # the books are in the database, which may be what is wrong
    days = sorted(source.partitions())
    if not days:
        return f"{source.url} can be read and holds no export day yet"
    return f"{source.url} holds {len(days)} export days, {days[0]} to {days[-1]}"
