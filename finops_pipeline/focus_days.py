"""The FOCUS rows of a usage day against the requirement model: one scan for all rules."""

from datetime import date, timedelta

import psycopg

from finops_pipeline.insight_days import Row
from finops_warehouse import ledger
from finops_warehouse.focus.conformance import counting_statement, examples_statement, plan
from finops_warehouse.freshness import complete_through

ASSET = "focus_conformance"


def rows_of(connection: psycopg.Connection, day: date) -> tuple[list[Row], int]:
    """A row for every rule that rows or columns decide, and the version of the facts; 0 for a day not complete."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        complete = complete_through(connection)
        if complete is None or day > complete:
            return [], 0
        version = ledger.insight_versions(connection, ASSET, complete).get(day, 0)
        connection.execute("set local jit = off")  # hundreds of small predicates: compiling them takes seconds
        window = {"start_day": day, "end_day": day + timedelta(days=1)}
        counts = connection.execute(counting_statement(), window).fetchone()
        assert counts is not None
        total = counts[0]
        by_rule = {
            check.rule_id: (counts[1 + 2 * place], counts[2 + 2 * place])
            for place, check in enumerate(plan().row_checks)
        } | {rule_id: (total, 0 if holds else total) for rule_id, holds in plan().settled.items()}
        failing = [check.rule_id for check in plan().row_checks if by_rule[check.rule_id][1]]
        examples: dict[str, list[str]] = {}
        if failing:
            examples = dict(connection.execute(examples_statement(failing), window).fetchall())
    return [
        {
            "usage_day": day,
            "rule_id": rule_id,
            "rows_checked": checked,
            "rows_failed": failed,
            "examples": examples.get(rule_id, []),
        }
        for rule_id, (checked, failed) in by_rule.items()
        if checked
    ], version
