"""`finops migrate`: bring the database to this release's schema and do nothing else."""

from finops_cli.output import say
from finops_warehouse.database import init_db
from finops_warehouse.settings import load_settings


def migrate() -> None:
    """Run the migrations this release brings. Every other command does so by itself; this one is for deployments."""
    init_db(load_settings())
    say("The database stands at this release's migration.")
