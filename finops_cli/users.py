"""`finops users`: who signed in, which rows they see, and keeping somebody out."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import psycopg
import typer
from rich.table import Table

from finops_cli.output import people, print_json, say, whoever_asks
from finops_warehouse import users as known
from finops_warehouse.database import connect, init_db
from finops_warehouse.errors import BadRequest
from finops_warehouse.row_scope import RowScope, can_be_restricted
from finops_warehouse.settings import load_settings
from finops_warehouse.users import User

users = typer.Typer(no_args_is_help=True, help="List people who sign in, and say which rows they see.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address their provider tells of them.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@users.command("list")
def list_users(json: Json = False) -> None:
    """Everybody who ever signed in, or whose rows were settled before."""
    found = _with_connection(known.known_users)
    if json:
        print_json([asdict(user) for user in found])
        return
    table = Table("e-mail", "role", "sees", "state", "sessions", "last signed in", box=None)
    for user in found:
        seen = [*(user.billing_accounts or []), *(user.projects or [])]
        table.add_row(
            user.email,
            user.role or "",
            ", ".join(seen) or "everything",
            "disabled" if user.disabled_at else "active",
            str(user.sessions),
            f"{user.last_signed_in_at:%Y-%m-%d %H:%M}" if user.last_signed_in_at else "never",
        )
    people.print(table)


@users.command()
def scope(
    email: Email,
    billing_account: Annotated[
        list[str] | None, typer.Option(help="See this billing account only. May be repeated.")
    ] = None,
    project: Annotated[list[str] | None, typer.Option(help="See this project only, by id. May be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="See every row again.")] = False,
    json: Json = False,
) -> None:
    """Say which rows somebody sees; also before they first sign in. Running servers follow within seconds."""
    if everything == bool(billing_account or project):
        raise BadRequest("Say which rows: --billing-account and --project, or --everything.")
    rows = RowScope(
        tuple(billing_account) if billing_account else None,
        tuple(project) if project else None,
    )

    def settle(connection: psycopg.Connection) -> list[User]:
        if rows.is_restricted and not can_be_restricted(connection):
            raise BadRequest(
                "The database has no roles that keep rows back, and the user of DATABASE_URL may not create them. Let "
                "one that may run `finops migrate`."
            )
        return known.set_scope(connection, email, rows, actor=whoever_asks())

    seen = ", ".join((*(rows.billing_accounts or ()), *(rows.projects or ()))) or "everything"
    _tell(_with_connection(settle), f"sees {seen}", json)


@users.command()
def disable(email: Email, json: Json = False) -> None:
    """Keep somebody out, whatever their provider says, and end their sessions within seconds."""
    changed = _with_connection(lambda connection: known.disable(connection, email, actor=whoever_asks()))
    _tell(changed, "is disabled", json)


@users.command()
def enable(email: Email, json: Json = False) -> None:
    """Let somebody sign in again."""
    changed = _with_connection(lambda connection: known.enable(connection, email, actor=whoever_asks()))
    _tell(changed, "may sign in again", json)


@users.command("sign-out")
def sign_out(email: Email, json: Json = False) -> None:
    """End all sessions of somebody; they may sign in again, with the role they have then."""
    changed = _with_connection(lambda connection: known.sign_out(connection, email, actor=whoever_asks()))
    _tell(changed, "is signed out", json)


def _with_connection(work: Callable[[psycopg.Connection], list[User]]) -> list[User]:
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        return work(connection)


def _tell(changed: list[User], what: str, json: bool) -> None:
    if json:
        print_json([asdict(user) for user in changed])
    else:
        say(f"{changed[0].email} {what}.")
