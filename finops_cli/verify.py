"""`finops verify`: prove the numbers again, from the source rows up."""

from dataclasses import asdict
from typing import Annotated

import typer

from finops_cli.output import print_json, say
from finops_warehouse.database import connect, init_db
from finops_warehouse.settings import load_settings

SHOWN = 20


def verify(json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """Recompute source = raw = facts = rollups = invoices, and every figure in words. Exits 1 if one is a digit off."""
    settings = load_settings()
    init_db(settings)
    # Only now: Dagster takes seconds to import, and a refusal need not wait for it.
    from finops_pipeline.proving import prove
    from finops_pipeline.spending import LedgerPurse
    from finops_pipeline.warehouse import source_from

    with connect(settings, autocommit=True) as connection:
        source = source_from(settings, LedgerPurse.of_one_pass(settings, "finops verify"))
        proof = prove(connection, source, settings.billing_timezone, settings.extract_grain)
    if json:
        print_json({"holds": proof.holds, **asdict(proof)})
    elif proof.holds:
        say(
            f"source = raw = facts = rollups = months = invoices: {proof.rows:,} rows, "
            f"{proof.export_days} export days, {proof.invoice_months} invoice months, "
            f"{proof.closed_invoices} closed invoices with residual 0; "
            f"{proof.insights} insights with every figure computed again."
        )
        for held in proof.identities:
            left = ", ".join(f"{amount:.2f} {currency}" for currency, amount in held.residual.items())
            residual = f", residual {left}" if left else ""
            say(f"  {held.identity}: {held.compared:,} compared, {held.differing} differ{residual}")
    else:
        for difference in proof.differences[:SHOWN]:
            say(str(difference))
        say(f"{len(proof.differences)} differences. A number that stands on these rows is wrong until they are gone.")
    raise typer.Exit(0 if proof.holds else 1)
