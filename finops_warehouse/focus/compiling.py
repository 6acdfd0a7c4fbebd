"""The requirement model as SQL: for each rule, which rows it speaks about and which of them break it.

Pure: columns and their types in, predicates out. A check function that is not known here is an error, never a pass.
A requirement that comes to NULL is not broken: whether a value may be missing is said by rules of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from finops_warehouse.focus.model import Check, Rule, currencies, missing_features, proofs, rules

ROW = '"x_Row"'
"""The column that names a row."""

TOLERANCE = "0.000001"
"""Google rounds costs to the millionth; a unit price times a quantity can be no closer."""

TYPES = {"TypeDecimal": "numeric", "TypeString": "text", "TypeDateTime": "timestamptz"}

# FOCUS's unit format: units, units with a quantity, units over time, and units per unit.
UNIT = r"^([0-9]+ )?[A-Z][A-Za-z]*( [A-Z][A-Za-z]*)*(-[A-Z][a-z]+s)?(/([0-9]+ )?[A-Z][A-Za-z]+)?$"


class UnknownRequirement(ValueError):
    """The model has a check function that the compiler does not know."""


@dataclass(frozen=True)
class RowCheck:
    """A rule that is decided row by row."""

    rule_id: str
    applies: str
    """SQL: whether the rule speaks about a row; never NULL."""
    broken: str
    """SQL: whether a row breaks it; never NULL."""


@dataclass(frozen=True)
class Compiled:
    """The model for one set of columns."""

    row_checks: tuple[RowCheck, ...]
    settled: Mapping[str, bool]
    """Rules about the columns themselves, decided already."""
    not_applicable: Mapping[str, str]
    """Rules that do not apply, each with the reason."""


def compiled(columns: Mapping[str, str]) -> Compiled:
    """Every rule but the composites, for rows with these columns (name to PostgreSQL type).

    Raises `UnknownRequirement` for a check function that is not known.
    """
    row_checks, settled, out = [], {}, {}
    for rule in rules().values():
        if rule.is_composite:
            continue
        if reason := _why_not(rule, columns):
            out[rule.rule_id] = reason
        elif not rule.is_static:
            proof = proofs()[rule.rule_id]
            applies = f"coalesce(({proof.when}), false)"
            row_checks.append(RowCheck(rule.rule_id, applies, f"({applies} and (({proof.holds}) is false))"))
        elif rule.requirement["CheckFunction"] == "ColumnPresent":
            settled[rule.rule_id] = rule.requirement["ColumnName"] in columns
        elif rule.requirement["CheckFunction"] in TYPES:
            settled[rule.rule_id] = columns[rule.requirement["ColumnName"]] == TYPES[rule.requirement["CheckFunction"]]
        else:
            applies = _conditions(rule)
            row_checks.append(
                RowCheck(rule.rule_id, applies, f"({applies} and ({_required(rule.requirement)}) is false)")
            )
    return Compiled(tuple(row_checks), settled, out)


def parents() -> Mapping[str, list[Rule]]:
    """The composites each rule is a part of, those about its own column or attribute."""
    found: dict[str, list[Rule]] = {}
    for rule in rules().values():
        for part in rule.parts:
            if rules()[part].reference == rule.reference:
                found.setdefault(part, []).append(rule)
    return found


def _why_not(rule: Rule, columns: Mapping[str, str]) -> str | None:
    lacking = [missing_features()[name] for name in rule.features if name in missing_features()]
    if lacking:
        return lacking[0]
    if not rule.is_static:
        return None if rule.rule_id in proofs() else "Dynamic: nothing in the rows proves it"
    if rule.keyword == "MAY":
        return "a permission, which nothing can break"
    if any(parent.any_part_is_enough for parent in parents().get(rule.rule_id, ())) and not rule.condition:
        return "one of several alternatives, of which any may be chosen"
    if rule.requirement["CheckFunction"] == "ColumnPresent":
        return None
    absent = sorted(_columns_of(rule.requirement) - set(columns))
    return f"there is no column {', '.join(absent)}" if absent else None


def _columns_of(check: Check) -> set[str]:
    own = {value for key, value in check.items() if key.startswith("Column") or key == "ResultColumnName"}
    return own.union(*(_columns_of(item) for item in check.get("Items", ())))


def _conditions(rule: Rule) -> str:
    """A rule's own condition and those of the composites it is a part of."""
    conditions = [rule.condition] if rule.condition else []
    above = list(parents().get(rule.rule_id, ()))
    while above:
        parent = above.pop()
        conditions += [parent.condition] if parent.condition else []
        above += parents().get(parent.rule_id, ())
    return " and ".join(_met(condition) for condition in conditions) or "true"


def _met(check: Check) -> str:
    """A condition, true or false of every row."""
    match check["CheckFunction"]:
        case "AND" | "OR" as word:
            return "(" + f" {word.lower()} ".join(_met(item) for item in check["Items"]) + ")"
        case "CheckValue":
            return f"{_name(check)} is not distinct from {_literal(check['Value'])}"
        case "CheckNotValue":
            return f"{_name(check)} is distinct from {_literal(check['Value'])}"
        case "CheckSameValue":
            return f"{_name(check, 'ColumnAName')} is not distinct from {_name(check, 'ColumnBName')}"
        case "CheckNotSameValue":
            return f"{_name(check, 'ColumnAName')} is distinct from {_name(check, 'ColumnBName')}"
        case other:
            raise UnknownRequirement(f"{other} is no condition the compiler knows")


def _required(check: Check) -> str:
    """A requirement: true, false, or NULL where there is no value to judge."""
    match check["CheckFunction"]:
        case "AND" | "OR" as word:
            return "(" + f" {word.lower()} ".join(_required(item) for item in check["Items"]) + ")"
        case "CheckValue":
            value = check["Value"]
            return f"{_name(check)} is null" if value is None else f"{_name(check)} = {_literal(value)}"
        case "CheckNotValue":
            value = check["Value"]
            return f"{_name(check)} is not null" if value is None else f"{_name(check)} <> {_literal(value)}"
        case "CheckSameValue":
            return f"{_name(check, 'ColumnAName')} = {_name(check, 'ColumnBName')}"
        case "CheckNotSameValue":
            return f"{_name(check, 'ColumnAName')} <> {_name(check, 'ColumnBName')}"
        case "CheckGreaterOrEqualThanValue":
            return f"{_name(check)} >= {_literal(check['Value'])}"
        case "CheckDecimalValue" | "FormatNumeric":
            return f"{_name(check)} not in ('NaN', 'Infinity', '-Infinity')"
        case "FormatDateTime":
            return f"isfinite({_name(check)})"
        case "FormatString":
            return f"{_name(check)} ~ '\\S'"
        case "FormatUnit":
            return f"{_name(check)} ~ '{UNIT}'"
        case "FormatCurrency":
            return f"{_name(check)} ~ '^[A-Z]{{3}}$'"
        case "CheckNationalCurrency":
            return f"{_name(check)} in ({', '.join(map(_literal, currencies()))})"
        case "FormatKeyValue":
            nested = '$.* ? (@.type() == "object" || @.type() == "array")'
            return f"jsonb_typeof({_name(check)}) = 'object' and not jsonb_path_exists({_name(check)}, '{nested}')"
        case "ColumnByColumnEqualsColumnValue":
            product = f"{_name(check, 'ColumnAName')} * {_name(check, 'ColumnBName')}"
            return f"abs({product} - {_name(check, 'ResultColumnName')}) <= {TOLERANCE}"
        case "CheckDistinctCount":
            one, other = _name(check, "ColumnAName"), _name(check, "ColumnBName")
            return (  # names are checked above
                f"{one} <> all(array(select {one} from focus where {one} is not null "  # noqa: S608
                f"group by {one} having count(distinct {other}) <> {int(check['ExpectedCount'])}))"
            )
        case other:
            raise UnknownRequirement(f"{other} is no requirement the compiler knows")


def _name(check: Check, argument: str = "ColumnName") -> str:
    column = check.get(argument)
    if not isinstance(column, str) or not column.isalnum():
        raise UnknownRequirement(f"{check['CheckFunction']} names no column as {argument}: {dict(check)}")
    return f'"{column}"'


def _literal(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, int):
        return str(value)
    raise UnknownRequirement(f"{value!r} is no value the compiler knows")
