"""`finops dimensions`: look at the rules of custom dimensions and shared costs, and have them in force."""

from pathlib import Path
from typing import Annotated

import typer

from finops_cli.output import print_json, say
from finops_warehouse.assignment import apply as apply_rules
from finops_warehouse.assignment import check as check_rules
from finops_warehouse.database import connect, init_db
from finops_warehouse.dimensions import Rules, load_rules, rules_of
from finops_warehouse.settings import Settings, load_settings

dimensions = typer.Typer(help="Rules of custom dimensions and shared costs: check a file, or apply it.")

File = Annotated[Path | None, typer.Argument(help="File of rules. Left out: DIMENSIONS_FILE, or the shipped rules.")]


@dimensions.command()
def check(file: File = None) -> None:
    """Say what a file of rules means, or refuse it with the line and the reason. Changes nothing."""
    settings = load_settings()
    rules, name = _rules(settings, file)
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        check_rules(connection, rules, name)
    for custom in rules.dimensions:
        say(f"{custom.name}: {'; '.join(source.rule for source in custom.sources)}; else {custom.default}")
    for shared in rules.shared_costs:
        say(f"{shared.name}: split over {shared.split_over}, {shared.how}")
    say(f"{name} is good.")


@dimensions.command()
def apply(
    file: File = None, json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False
) -> None:
    """Have a file of rules in force. The usage days it changes follow with `finops sync` or the daemon."""
    settings = load_settings()
    rules, name = _rules(settings, file)
    init_db(settings)
    with connect(settings, autocommit=True) as connection:
        change = apply_rules(connection, rules, name)
    if json:
        print_json(change)
    elif change.changed:
        say(f"Version {change.version} of the rules is in force; {len(change.usage_days)} usage days follow.")
    else:
        say(f"These rules are in force already, as version {change.version}.")


def _rules(settings: Settings, file: Path | None) -> tuple[Rules, str]:
    if file is not None:
        return load_rules(file), str(file)
    return rules_of(settings), str(settings.dimensions_file or "The shipped file")
