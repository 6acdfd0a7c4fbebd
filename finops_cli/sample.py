"""`finops sample`: write a billing export to try things with."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from finops_cli.arguments import a_day
from finops_cli.output import print_json, say, steps


def sample(
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    days: Annotated[int, typer.Option(help="How many export days.")] = 90,
    rows_per_day: Annotated[int, typer.Option(help="About how many rows a day.")] = 1500,
    seed: Annotated[int, typer.Option(help="The same seed and dates give the same files, to the byte.")] = 1,
    corrections: Annotated[
        int, typer.Option(help="How many times as many corrections and late charges as usual: 1 to 50.")
    ] = 1,
    end: Annotated[str | None, typer.Option(help="Last export day, YYYY-MM-DD; by default yesterday.")] = None,
    schema: Annotated[
        Literal["current", "2023"], typer.Option(help="`current`, or `2023`: without the columns added since.")
    ] = "current",
    file_format: Annotated[
        Literal["parquet", "jsonl"], typer.Option("--format", help="`parquet` or `jsonl`.")
    ] = "parquet",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write a schema-true billing export of invented charges, with its invoices and anomalies beside it."""
    from finops_pipeline.sample_export import write_sample_export

    last = a_day("--end", end) if end else yesterday()
    written = 0
    with steps() as progress:

        def wrote(_: date) -> None:
            nonlocal written
            written += 1
            progress.show("export days", written, days)

        export = write_sample_export(
            out,
            days=days,
            rows_per_day=rows_per_day,
            seed=seed,
            last_export_day=last,
            schema=schema,
            format=file_format,
            corrections=corrections,
            on_day=wrote,
        )
    if json:
        print_json(
            {
                "billing_export_url": export.table_dir.absolute().as_uri(),
                "truth": str(export.truth_dir),
                "rows": export.rows,
                "first_export_day": export.first_export_day,
                "last_export_day": export.last_export_day,
            }
        )
        return
    say(f"{export.rows:,} rows, export days {export.first_export_day} to {export.last_export_day}.")
    say(f"Load them with BILLING_EXPORT_URL={export.table_dir.absolute().as_uri()}")


def yesterday() -> date:
    """The last export day that is over."""
    return datetime.now(UTC).date() - timedelta(days=1)
