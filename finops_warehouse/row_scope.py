"""Which rows somebody sees: all of them, or those of some billing accounts and projects. PostgreSQL sees to it.

Whoever is restricted reads as one of three roles, for the length of a transaction. A role may select from the tables
that are listed here for it and from nothing else, and of those it sees the rows of the accounts and projects that the
transaction names; of none, when it names none. A table that is not listed is closed to all three, so one that is new
leaks nothing. Everybody else reads as before.
"""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

import psycopg
from psycopg import errors, sql

from finops_warehouse.tables import SCHEMA, metadata

BY_ACCOUNT = "finops_by_account"
BY_PROJECT = "finops_by_project"
BY_BOTH = "finops_by_account_and_project"
ROLES = (BY_ACCOUNT, BY_PROJECT, BY_BOTH)

ACCOUNTS_SETTING = "finops.billing_accounts"
PROJECTS_SETTING = "finops.projects"

OF_ACCOUNT_AND_PROJECT = (
    "raw_charges",
    "aggregated_cost_data",
    "superseded_cost_data",
    "cost_by_project_service_daily",
)
"""Every row belongs to a billing account and to a project, or to none."""

OF_ACCOUNT = (
    *("cost_by_service_daily", "cost_by_sku_region_daily", "cost_by_custom_daily", "allocated_costs"),
    *("invoice_month_parts", "invoice_seals", "focus_export_months", "cost_maturity"),
)
"""Every row belongs to a billing account and adds up its projects: closed to whoever sees some of those."""

OF_ACCOUNT_AND_EMPTY_BY_PROJECT = ("invoice_months", "restatements")
"""The same, but parts of answers that are otherwise about projects: there they are empty."""

WITHOUT_COSTS = {
    "account_completeness": ("as_of_day", "billing_account_id", "after_days", "learned_at"),
    "usage_day_arrivals": ("export_day", "usage_day", "invoice_month", "billing_account_id", "last_export_time"),
    "export_day_ledger": ("export_day", "row_count", "loaded_at"),
    "usage_day_ledger": ("usage_day", "source_version"),
    "usage_day_changes": ("usage_day", "source_version", "noted_at"),
    "materialisation": ("asset", "partition_key", "version", "source_version"),
    "materialisation_log": ("asset", "partition_key", "version", "source_version", "row_count", "materialised_at"),
    "dimension_rules": ("version", "rules", "applied_at"),
    "build_attempts": ("parked_at",),
    "llm_insights": ("engine", "created_at"),
}
"""Columns that tell how fresh tables are and what can be asked, and no cost."""

# In a sub-select it is computed once and the index on the column is used: 11 ms instead of 195 where a condition that
# also lets a wildcard through was measured. Where the setting is not set nothing equals it.
_CONDITION = "{column} = any ((select string_to_array(current_setting('{setting}', true), ','))::text[])"
ACCOUNT_CONDITION = _CONDITION.format(column="billing_account_id", setting=ACCOUNTS_SETTING)
PROJECT_CONDITION = _CONDITION.format(column="sub_account_id", setting=PROJECTS_SETTING)

ENTER = f"""
    select set_config('role', %(role)s, true), set_config('{ACCOUNTS_SETTING}', %(accounts)s, true),
        set_config('{PROJECTS_SETTING}', %(projects)s, true)
"""
"""Makes the rest of a transaction see what a scope sees."""


@dataclass(frozen=True)
class RowScope:
    """The accounts and the projects whose rows are seen; None where all are."""

    billing_accounts: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None

    @property
    def is_restricted(self) -> bool:
        """Whether there are rows it does not see."""
        return self.billing_accounts is not None or self.projects is not None

    def parameters(self) -> dict[str, str]:
        """What `ENTER` is asked with, of a scope that is restricted."""
        role = BY_ACCOUNT if self.projects is None else BY_PROJECT if self.billing_accounts is None else BY_BOTH
        return {
            "role": role,
            "accounts": ",".join(self.billing_accounts or ()),
            "projects": ",".join(self.projects or ()),
        }


EVERY_ROW = RowScope()


def make_row_scope(connection: psycopg.Connection) -> None:
    """Make roles and policies as this release wants them; nothing happens when they are so already.

    Where our user may not create roles nothing is changed, and `can_be_restricted` says so: keys then see everything.
    """
    statements = _statements()
    digest = sha256("\n".join(statements).encode()).hexdigest()[:16]
    if _mark(connection) == digest and can_be_restricted(connection):
        return
    try:
        for role in ROLES:
            _make_role(connection, role)
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute(f"comment on policy everybody on {SCHEMA}.raw_charges is '{digest}'".encode())
    except errors.InsufficientPrivilege:
        return


def can_be_restricted(connection: psycopg.Connection) -> bool:
    """Whether our user can read as each of the roles, and the tables know them."""
    [(roles,)] = connection.execute(
        "select count(*) from pg_roles where rolname = any(%s) and pg_has_role(oid, 'SET')", [list(ROLES)]
    ).fetchall()
    return int(roles) == len(ROLES) and _mark(connection) is not None


def _mark(connection: psycopg.Connection) -> str | None:
    found = connection.execute(
        "select obj_description(oid, 'pg_policy') from pg_policy "
        "where polname = 'everybody' and polrelid = to_regclass('finops.raw_charges')"
    ).fetchone()
    return None if found is None else found[0]


def _make_role(connection: psycopg.Connection, role: str) -> None:
    name = sql.Identifier(role)
    if connection.execute("select from pg_roles where rolname = %s", [role]).rowcount == 0:
        # Roles are of the whole server, and another database of it may be first.
        with suppress(errors.DuplicateObject, errors.UniqueViolation):
            connection.execute(sql.SQL("create role {} nologin noinherit").format(name))
    [(member,)] = connection.execute("select pg_has_role(%s, 'SET')", [role]).fetchall()
    if not member:
        connection.execute(sql.SQL("grant {} to current_user with set true, inherit false").format(name))


def _statements() -> list[str]:
    made = [f"grant usage on schema {SCHEMA} to {', '.join(ROLES)}"]
    made += [f"revoke all on {table.fullname} from {', '.join(ROLES)}" for table in metadata.sorted_tables]
    for table in OF_ACCOUNT_AND_PROJECT:
        made += _restricted(table, ROLES, {"account": (ACCOUNT_CONDITION, BY_ACCOUNT, BY_BOTH)})
        made += [_policy(table, "project", PROJECT_CONDITION, BY_PROJECT, BY_BOTH)]
    for table in OF_ACCOUNT:
        made += _restricted(table, (BY_ACCOUNT,), {"account": (ACCOUNT_CONDITION, BY_ACCOUNT)})
    for table in OF_ACCOUNT_AND_EMPTY_BY_PROJECT:
        made += _restricted(table, ROLES, {"account": (ACCOUNT_CONDITION, BY_ACCOUNT)})
        made += [_policy(table, "project", "false", BY_PROJECT, BY_BOTH)]
    for table, columns in WITHOUT_COSTS.items():
        held = {column.name for column in metadata.tables[f"{SCHEMA}.{table}"].columns}
        if "billing_account_id" in held:
            made += _restricted(table, (BY_ACCOUNT,), {"account": (ACCOUNT_CONDITION, BY_ACCOUNT, BY_BOTH)})
        made.append(f"grant select ({', '.join(columns)}) on {SCHEMA}.{table} to {', '.join(ROLES)}")
    return made


def _restricted(table: str, readers: tuple[str, ...], policies: dict[str, tuple[str, ...]]) -> list[str]:
    # Whoever owns the table is not asked; other users that an operator granted it to must see what they saw before.
    return [
        f"drop policy if exists everybody on {SCHEMA}.{table}",
        f"create policy everybody on {SCHEMA}.{table} using (true) with check (true)",
        *(_policy(table, name, condition, *roles) for name, (condition, *roles) in policies.items()),
        f"alter table {SCHEMA}.{table} enable row level security",
        f"grant select on {SCHEMA}.{table} to {', '.join(readers)}",
    ]


def _policy(table: str, name: str, condition: str, *roles: str) -> str:
    # Restrictive, so that it holds besides what is let through for everybody.
    return (
        f"drop policy if exists by_{name} on {SCHEMA}.{table}; "
        f"create policy by_{name} on {SCHEMA}.{table} as restrictive for select to {', '.join(roles)} "
        f"using ({condition})"
    )
