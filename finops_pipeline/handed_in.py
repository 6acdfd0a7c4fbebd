"""What is handed in about invoices, dropped files and Google's FOCUS export, and the months that close."""

import psycopg

from finops_pipeline.focus_export import folder_of, take_focus_export
from finops_warehouse import invoices
from finops_warehouse.errors import SettingsError, SourceError
from finops_warehouse.settings import Settings


def take_what_is_handed_in(connection: psycopg.Connection, settings: Settings) -> list[str]:
    """Take new invoice files and the second witness, and seal the months that closed as they should.

    Returns what was refused, a sentence each. One that is refused stops none of the others, and no month.
    """
    refused: list[str] = []
    if settings.invoices_dir is not None:
        try:
            dropped = invoices.take_dropped(connection, settings.invoices_dir)
            refused += [file.refused_because for file in dropped if file.refused_because]
        except SettingsError as nowhere:
            refused.append(str(nowhere))
    if settings.focus_export_url is not None:
        try:
            take_focus_export(connection, folder_of(settings.focus_export_url))
        except SourceError as unreadable:
            refused.append(str(unreadable))
    invoices.seal_what_closed(connection)
    return refused
