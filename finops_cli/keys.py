"""`finops keys`: make, list, rotate and revoke the keys of the API. The first key of a deployment is made here."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from finops_cli.output import people, print_json, say, whoever_asks
from finops_warehouse import keys as api_keys
from finops_warehouse.database import connect, init_db
from finops_warehouse.errors import BadRequest
from finops_warehouse.keys import ApiKey, NewKey, an_age, make_pepper, the_scopes
from finops_warehouse.row_scope import can_be_restricted
from finops_warehouse.settings import load_settings

keys = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke keys of the API.")

Prefix = Annotated[str, typer.Argument(metavar="PREFIX", help="The eight characters after fin_live_.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What will use it.")],
    scope: Annotated[list[str], typer.Option(help="What it may do: read, export or admin. May be repeated.")],
    expires_in: Annotated[
        str | None, typer.Option(metavar="AGE", help="How long it is valid, like 90d or 24h. Unset: until revoked.")
    ] = None,
    billing_account: Annotated[
        list[str] | None, typer.Option(help="See this billing account only. May be repeated.")
    ] = None,
    project: Annotated[list[str] | None, typer.Option(help="See this project only, by id. May be repeated.")] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown this once; nobody can show it again."""
    asked = NewKey(
        name=name,
        scopes=the_scopes(scope),
        expires_in=an_age("--expires-in", expires_in) if expires_in else None,
        billing_accounts=tuple(billing_account) if billing_account else None,
        projects=tuple(project) if project else None,
    )
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        if (asked.billing_accounts or asked.projects) and not can_be_restricted(connection):
            raise BadRequest(
                "The database has no roles that keep rows back, and the user of DATABASE_URL may not create them. Let "
                "one that may run `finops migrate`, or make a key that sees everything."
            )
        made, token = api_keys.create(connection, asked, pepper=make_pepper(settings), actor=whoever_asks())
    _tell_once(made, token, json)


@keys.command("list")
def list_keys(json: Json = False) -> None:
    """Every key there ever was, with what it may do and when it was last used."""
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        known = api_keys.known_keys(connection)
    if json:
        print_json([_as_document(key) for key in known])
        return
    table = Table("prefix", "name", "scopes", "sees", "state", "expires", "last used", box=None)
    for key in known:
        seen = [*(key.billing_accounts or []), *(key.projects or [])]
        table.add_row(
            key.prefix,
            key.name,
            " ".join(key.scopes),
            ", ".join(seen) or "everything",
            key.state(datetime.now(UTC)),
            f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never",
            f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
        )
    people.print(table)


@keys.command()
def rotate(
    prefix: Prefix,
    overlap: Annotated[
        str | None, typer.Option(metavar="AGE", help="How long the old key still works, like 24h. Unset: not at all.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key that may do the same, for as long again, and end the old one."""
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        made, token = api_keys.rotate(
            connection,
            prefix,
            pepper=make_pepper(settings),
            actor=whoever_asks(),
            overlap=an_age("--overlap", overlap) if overlap else timedelta(0),
        )
    _tell_once(made, token, json)


@keys.command()
def revoke(prefix: Prefix, json: Json = False) -> None:
    """End a key. Running servers refuse it within seconds."""
    settings = load_settings()
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        key = api_keys.revoke(connection, prefix, actor=whoever_asks())
    if json:
        print_json({"revoked": key.prefix})
    else:
        say(f"Key {key.prefix} ({key.name}) is revoked.")


def _tell_once(made: ApiKey, token: str, json: bool) -> None:
    if json:
        print_json({**_as_document(made), "token": token})
        return
    say(f"Key {made.prefix} ({made.name}) may {', '.join(made.scopes)}. It is shown this once:")
    sys.stdout.write(f"{token}\n")


def _as_document(key: ApiKey) -> dict[str, object]:
    return {**asdict(key), "state": key.state(datetime.now(UTC))}
