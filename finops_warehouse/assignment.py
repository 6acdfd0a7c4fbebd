"""Rules as SQL, and how changed ones reach the tables.

The rules become functions of the database, so that facts, evidence and whoever asks by hand assign a charge alike:

* `assign_dimensions(charge…)`: for each custom dimension the member and the rule that assigned it.
* `members_of`, `rules_of`: the two halves of that, as `aggregated_cost_data` stores them.
* `shared_cost_rules(fact…)`: for each dimension the name of the shared cost a fact belongs to.
* `shared_cost_splits()`: how each shared cost is split.

They are single expressions that PostgreSQL reads into the query they stand in: assigning costs no call a row.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

import psycopg
from psycopg import errors, sql

from finops_warehouse import ledger
from finops_warehouse.dimensions import BY_DEFAULT, CustomDimension, Rules, SharedCost, Source, rules_of
from finops_warehouse.errors import BadRules
from finops_warehouse.members import member_key
from finops_warehouse.semantic import dimension
from finops_warehouse.settings import Settings

CHARGE: tuple[tuple[str, LiteralString], ...] = (
    ("labels", "jsonb"),
    ("project_labels", "jsonb"),
    ("tags", "jsonb"),
    ("project_ancestors", "jsonb"),
    ("sub_account_id", "text"),
    ("sub_account_name", "text"),
)
"""What of a charge the rules may look at."""

FACT: tuple[tuple[str, LiteralString], ...] = (
    ("billing_account_id", "text"),
    ("invoice_month", "text"),
    ("sub_account_id", "text"),
    ("sub_account_name", "text"),
    ("service_id", "text"),
    ("service_name", "text"),
    ("sku_id", "text"),
    ("sku_description", "text"),
    ("region_id", "text"),
    ("charge_category", "text"),
    ("cost_type", "text"),
    ("custom", "jsonb"),
)
"""What of a fact a shared cost may be told by."""

RULES_LOCK = 20260006
"""Held alone by whoever changes the rules, and together by whoever builds with them."""


@dataclass(frozen=True)
class Applied:
    """The rules that are in force."""

    version: int
    rules: Rules
    applied_at: datetime


@dataclass(frozen=True)
class Change:
    """What applying rules did."""

    version: int
    changed: bool
    usage_days: tuple[date, ...]
    """The days put behind: a charge of theirs is assigned, or a cost of theirs is split, otherwise than before."""


def applied(connection: psycopg.Connection) -> Applied | None:
    """The rules in force; None before any were applied."""
    row = connection.execute(APPLIED).fetchone()
    return None if row is None else Applied(row[0], Rules.model_validate(row[1]), row[2])


APPLIED: LiteralString = "select version, rules, applied_at from finops.dimension_rules order by version desc limit 1"


def hold_rules(connection: psycopg.Connection) -> None:
    """Keep the rules as they are until the transaction ends.

    Without it a day could be built by the old rules, from charges that whoever changes the rules did not see yet.
    """
    connection.execute("select pg_advisory_xact_lock_shared(%s)", [RULES_LOCK])


def check(connection: psycopg.Connection, rules: Rules, name: str) -> None:
    """Raises `BadRules` for an expression that Python reads and PostgreSQL does not. `name` is the file's."""
    for custom in rules.dimensions:
        for source in custom.sources:
            if source.regex is None:
                continue
            try:
                with connection.transaction():
                    connection.execute("select regexp_match('', %s)", [source.regex])
            except errors.DataError as error:
                said = str(error).splitlines()[0]
                raise BadRules(f"{name}: dimension {custom.name}, regex {source.regex}: {said}.") from None


def apply(connection: psycopg.Connection, rules: Rules, name: str) -> Change:
    """Have these rules in force, and exactly the usage days behind that they change. Does nothing when they are.

    All of it is one transaction. `name` is the file's, for messages. Raises `BadRules` as `check` does.
    """
    before = applied(connection)
    if before is not None and before.rules.hash == rules.hash:
        return Change(before.version, changed=False, usage_days=())
    check(connection, rules, name)
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [RULES_LOCK])
        before = applied(connection)  # again: another process may have been faster
        if before is not None and before.rules.hash == rules.hash:
            return Change(before.version, changed=False, usage_days=())
        old = before.rules if before is not None else Rules()
        days = _days_split_otherwise(connection, old, rules)  # by the filters of the old rules, before they are gone
        connection.execute("alter function finops.assign_dimensions rename to assign_dimensions_before")
        for statement in functions(rules):
            connection.execute(statement)
        days |= _days_assigned_otherwise(connection)
        connection.execute("drop function finops.assign_dimensions_before")
        [(version,)] = connection.execute(
            "insert into finops.dimension_rules (rules_hash, rules) values (%s, %s) returning version",
            [rules.hash, json.dumps(rules.model_dump(mode="json"))],
        ).fetchall()
        ledger.touch_usage_days(connection, dict.fromkeys(sorted(days), "rule change"), export_day=None)
    return Change(version, changed=True, usage_days=tuple(sorted(days)))


def follow(connection: psycopg.Connection, settings: Settings) -> Change:
    """Have the rules in force that the settings mean now; whoever works on the tables asks for it first.

    Looks at the level, the file against what is in force: a change nobody saw is applied the next time.
    Raises as `load_rules` and `apply` do; the rules in force then stay.
    """
    return apply(connection, rules_of(settings), str(settings.dimensions_file or "dimensions.yaml"))


def _arguments(of: Sequence[tuple[str, LiteralString]], alias: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, name) for name, _ in of)


def _days_assigned_otherwise(connection: psycopg.Connection) -> set[date]:
    statement = sql.SQL(
        "select distinct usage_day from finops.raw_charges as raw "
        "where finops.assign_dimensions_before({charge}) is distinct from finops.assign_dimensions({charge})"
    ).format(charge=_arguments(CHARGE, "raw"))
    return {day for (day,) in connection.execute(statement).fetchall()}


def _days_split_otherwise(connection: psycopg.Connection, old: Rules, new: Rules) -> set[date]:
    """The days with costs of a shared cost that was added, taken away or changed; all of them if their order was."""
    before, after = _said(old), _said(new)
    kept = [[said for said in before if said in after], [said for said in after if said in before]]
    if kept[0] == kept[1]:
        moved = [said.shared for said in before + after if said not in kept[0]]
    else:
        moved = [*old.shared_costs, *new.shared_costs]
    conditions = [_is_shared(shared) for shared in moved]
    if not conditions:
        return set()
    statement = sql.SQL("select distinct usage_day from finops.aggregated_cost_data where {}").format(
        sql.SQL(" or ").join(conditions)
    )
    return {day for (day,) in connection.execute(statement).fetchall()}


@dataclass(frozen=True)
class _Said:
    shared: SharedCost
    default: str
    """Who is left out when all members are split over."""


def _said(rules: Rules) -> list[_Said]:
    return [_Said(shared, rules.by_name[shared.split_over].default) for shared in rules.shared_costs]


# -- rules as SQL


def functions(rules: Rules) -> Iterator[sql.Composed]:
    """The statements that make the functions of these rules."""
    pairs = [(custom.name, _assignment(rules, custom)) for custom in rules.dimensions]
    yield _function("assign_dimensions", CHARGE, _object(pairs))
    assignment: tuple[tuple[str, LiteralString], ...] = (("assignment", "jsonb"),)
    for name, place in (("members_of", 0), ("rules_of", 1)):
        halves = [
            (custom.name, sql.SQL("$1 -> {} -> {}").format(_literal(custom.name), sql.Literal(place)))
            for custom in rules.dimensions
        ]
        yield _function(name, assignment, _object(halves))
    shared = [
        (custom.name, _first_that_holds([s for s in rules.shared_costs if s.split_over == custom.name]))
        for custom in rules.dimensions
    ]
    yield _function("shared_cost_rules", FACT, _object(shared))
    yield _function("shared_cost_splits", (), _literal(json.dumps(_splits(rules)), "jsonb"))


def _function(name: str, arguments: Sequence[tuple[str, LiteralString]], body: sql.Composable) -> sql.Composed:
    return sql.SQL("create or replace function {} ({}) returns jsonb language sql stable parallel safe as {}").format(
        sql.Identifier("finops", name),
        sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(argument), sql.SQL(kind)) for argument, kind in arguments
        ),
        sql.Literal(sql.SQL("select {}").format(body).as_string()),
    )


def _literal(text: str, kind: LiteralString = "text") -> sql.Composed:
    """A text as a literal of that type, whatever stands in it."""
    return sql.SQL("{}::{}").format(sql.Literal(text), sql.SQL(kind))


def _object(pairs: Sequence[tuple[str, sql.Composable]]) -> sql.Composable:
    parts = [sql.SQL("{}, {}").format(_literal(name), value) for name, value in pairs]
    return sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(parts)) if parts else sql.SQL("'{}'::jsonb")


def _assignment(rules: Rules, custom: CustomDimension) -> sql.Composed:
    """`["member", "rule"]` of the first source that has a value, else of the default."""
    found: list[sql.Composable] = [
        sql.SQL("to_jsonb({}) || {}").format(
            _value(rules, custom, source), _literal(json.dumps([source.rule]), "jsonb")
        )
        for source in custom.sources
    ]
    found.append(_literal(json.dumps([custom.default, BY_DEFAULT]), "jsonb"))
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(found))


def _value(rules: Rules, custom: CustomDimension, source: Source) -> sql.Composed:
    """The member a source gives, or NULL."""
    value = sql.SQL("nullif(btrim({}), '')").format(_origin(rules, source))
    if source.regex is not None and source.value is None:
        value = sql.SQL("nullif(btrim((regexp_match({}, {}))[1]), '')").format(value, _literal(source.regex))
    # Members that the file itself writes are written as it writes them.
    if source.regex is not None and source.value is not None:
        return sql.SQL("case when {} ~ {} then {} end").format(value, _literal(source.regex), _literal(source.value))
    if source.map is None:
        return _folded(custom, value)
    cases = [
        sql.SQL("when {} then {}").format(_folded(custom, _literal(key.strip())), _literal(member))
        for key, member in source.map.items()
    ]
    return sql.SQL("case {} {} end").format(_folded(custom, value), sql.SQL(" ").join(cases))


def _folded(custom: CustomDimension, value: sql.Composable) -> sql.Composed:
    fold: LiteralString = {"lower": "lower({})", "upper": "upper({})", "keep": "{}"}[custom.case]
    return sql.SQL(fold).format(value)


def _origin(rules: Rules, source: Source) -> sql.Composable:
    if source.label is not None:
        return _of_key("labels", f"@.key == {_quoted(source.label)}")
    if source.project_label is not None:
        return _of_key("project_labels", f"@.key == {_quoted(source.project_label)}")
    if source.tag is not None:
        conditions = [f"@.key == {_quoted(source.tag)}"]
        if source.namespace is not None:
            conditions.append(f"@.namespace == {_quoted(source.namespace)}")
        if source.inherited != "also":
            conditions.append(f"@.inherited == {'true' if source.inherited == 'only' else 'false'}")
        return _of_key("tags", " && ".join(conditions))
    if source.folder is not None:
        # Ancestors stand from the project up to the organisation.
        nearest = '$[*] ? (@.resource_name starts with "folders/").display_name'
        path = sql.SQL("jsonb_path_query_{}(project_ancestors, {})").format(
            sql.SQL("first" if source.folder == "nearest" else "array"), _literal(nearest, "jsonpath")
        )
        return sql.SQL("({}){}").format(path, sql.SQL(" #>> '{}'" if source.folder == "nearest" else " ->> -1"))
    if source.project is not None:
        return sql.Identifier("sub_account_id" if source.project == "id" else "sub_account_name")
    assert source.dimension is not None  # a source has one origin
    earlier = rules.by_name[source.dimension]
    values = [_value(rules, earlier, each) for each in earlier.sources]
    return sql.SQL("coalesce({})").format(sql.SQL(", ").join(values))


def _of_key(column: LiteralString, condition: str) -> sql.Composed:
    """The value of the first entry that fits: whether a key stands once or twice, a charge has one member."""
    path = _literal(f"$[*] ? ({condition}).value", "jsonpath")
    return sql.SQL("jsonb_path_query_first({}, {}) #>> '{{}}'").format(sql.Identifier(column), path)


def _quoted(text: str) -> str:
    return json.dumps(text)  # a string of a JSON path is written as one of JSON


def _first_that_holds(shared: Sequence[SharedCost]) -> sql.Composable:
    if not shared:
        return sql.SQL("null::text")
    cases = [sql.SQL("when {} then {}").format(_is_shared(each), _literal(each.name)) for each in shared]
    return sql.SQL("case {} end").format(sql.SQL(" ").join(cases))


def _is_shared(shared: SharedCost) -> sql.Composed:
    """The condition that a fact is of one of the members named, in each dimension named."""
    conditions = []
    for name, members in shared.where.items():
        among = sql.SQL("array[{}]").format(sql.SQL(", ").join(map(_literal, members)))
        of = dimension(name)
        condition = sql.SQL("{} = any({})").format(member_key(of), among)
        if of.name_column is not None:
            by_name = sql.SQL("coalesce({} = any({}), false)").format(sql.Identifier(of.name_column), among)
            condition = sql.SQL("({} or {})").format(condition, by_name)
        conditions.append(condition)
    return sql.SQL("({})").format(sql.SQL(" and ").join(conditions))


def _splits(rules: Rules) -> dict[str, object]:
    return {
        shared.name: {
            "dimension": shared.split_over,
            "how": shared.how,
            "by": shared.by,
            "members": list(shared.members) or None,
            "shares": {member: str(share) for member, share in shared.shares.items()},
            "default": rules.by_name[shared.split_over].default,
        }
        for shared in rules.shared_costs
    }
