"""Rules in force: who gets which charge, and which days follow when the rules change."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finops_warehouse.assignment import applied, apply, check
from finops_warehouse.dimensions import Rules, rules_from
from finops_warehouse.errors import BadRules

Entries = list[dict[str, Any]]


def rules(sources: str, more: str = "") -> Rules:
    """The dimension team, of these sources."""
    text = f"dimensions:\n  - name: team\n    description: Whose.\n    sources: {sources}\n{more}"
    return rules_from(text, "rules.yaml")


def assigned(
    connection: psycopg.Connection,
    *,
    labels: Entries | None = None,
    project_labels: Entries | None = None,
    tags: Entries | None = None,
    ancestors: Entries | None = None,
    project: tuple[str, str] | tuple[None, None] = (None, None),
) -> tuple[str, str]:
    """The team of a charge and the rule that says so."""
    columns = [
        None if entries is None else json.dumps(entries) for entries in (labels, project_labels, tags, ancestors)
    ]
    [(assignment, members, by)] = connection.execute(
        """
        select assignment, finops.members_of(assignment), finops.rules_of(assignment) from (
            select finops.assign_dimensions(%s, %s, %s, %s, %s, %s) as assignment
        ) as one
        """,
        [*columns, *project],
    ).fetchall()
    assert assignment == {"team": [members["team"], by["team"]]}
    return members["team"], by["team"]


def label(value: str, key: str = "team") -> Entries:
    """One label."""
    return [{"key": key, "value": value}]


def test_the_first_source_that_has_a_value_assigns(connection: psycopg.Connection) -> None:
    """One key in labels, project labels and tags: the order of the file decides, and every charge has one member."""
    apply(connection, rules("[{label: team}, {project_label: team}, {tag: team}]"), "f")
    a, b, c = label("a"), label("b"), label("c")

    assert assigned(connection, labels=a, project_labels=b, tags=c) == ("a", "label team")
    assert assigned(connection, labels=label("a", "app"), project_labels=b, tags=c) == ("b", "project label team")
    assert assigned(connection, tags=label("c")) == ("c", "tag team")
    assert assigned(connection) == ("(unattributed)", "default")
    assert assigned(connection, labels=[], project_labels=label(" ")) == ("(unattributed)", "default")
    assert assigned(connection, labels=[*label("first"), *label("second")]) == ("first", "label team")


@pytest.mark.parametrize(("case", "member"), [("lower", "shop"), ("upper", "SHOP"), ("keep", "Shop")])
def test_values_are_folded_and_trimmed(connection: psycopg.Connection, case: str, member: str) -> None:
    """Labels of one team arrive as `Shop` and as `shop `."""
    apply(connection, rules("[{label: team}]", f"    case: {case}\n"), "f")

    assert assigned(connection, labels=label(" Shop ")) == (member, "label team")


def test_the_default_member_is_the_files(connection: psycopg.Connection) -> None:
    """Written as the file writes it."""
    apply(connection, rules("[{label: team}]", "    default: Nobody\n"), "f")

    assert assigned(connection) == ("Nobody", "default")


def test_inherited_tags_count_as_the_rule_says(connection: psycopg.Connection) -> None:
    """A tag of the folder and one of the resource, both of one key."""
    own = {"key": "team", "value": "own", "inherited": False, "namespace": "1"}
    inherited = {"key": "team", "value": "inherited", "inherited": True, "namespace": "2"}

    for source, member in {
        "{tag: team}": "inherited",
        "{tag: team, inherited: never}": "own",
        "{tag: team, inherited: only}": "inherited",
        "{tag: team, namespace: '1'}": "own",
        "{tag: team, namespace: '3'}": "(unattributed)",
        "{tag: team, namespace: '1', inherited: only}": "(unattributed)",
    }.items():
        apply(connection, rules(f"[{source}]"), "f")
        assert assigned(connection, tags=[inherited, own])[0] == member, source


def test_folders_are_those_of_the_time_of_use(connection: psycopg.Connection) -> None:
    """The export says where the project was then; the organisation is no folder."""
    ancestors = [
        {"resource_name": "projects/1", "display_name": "nw-shop"},
        {"resource_name": "folders/2", "display_name": "Shop"},
        {"resource_name": "folders/3", "display_name": "Products"},
        {"resource_name": "organizations/4", "display_name": "northwind.example"},
    ]

    apply(connection, rules("[{folder: nearest}]"), "f")
    assert assigned(connection, ancestors=ancestors) == ("shop", "folder nearest")
    apply(connection, rules("[{folder: top}]"), "f")
    assert assigned(connection, ancestors=ancestors) == ("products", "folder top")
    assert assigned(connection, ancestors=[ancestors[0], ancestors[3]])[0] == "(unattributed)"


def test_a_regex_catches_a_part_or_gives_a_value(connection: psycopg.Connection) -> None:
    """Projects are named by patterns long before anybody labels them."""
    sources = r"[{project: id, regex: '^nw-([a-z]+)-\d+$'}, {project: name, regex: 'Sand.*', value: Sandbox}]"
    apply(connection, rules(sources), "f")

    assert assigned(connection, project=("nw-shop-1", "x"))[0] == "shop"
    assert assigned(connection, project=("other", "Sandbox of Ann"))[0] == "Sandbox"
    assert assigned(connection, project=("nw-SHOP-1", "x"))[0] == "(unattributed)"


def test_a_map_lets_through_what_it_names(connection: psycopg.Connection) -> None:
    """The rest goes on to the next source."""
    apply(connection, rules("[{label: team, map: {PRD: Production}}, {label: team}]"), "f")

    assert assigned(connection, labels=label("prd")) == ("Production", "label team, map")
    assert assigned(connection, labels=label("Dev")) == ("dev", "label team")


def test_a_dimension_can_be_made_of_an_earlier_one(connection: psycopg.Connection) -> None:
    """Cost centres are a list of teams."""
    more = "  - name: cost_center\n    description: Who pays.\n    sources: [{dimension: team, map: {shop: CC-1}}]\n"
    apply(connection, rules("[{label: squad}, {label: team}]", more), "f")

    [(found,)] = connection.execute(
        "select finops.members_of(finops.assign_dimensions(%s, null, null, null, null, null))",
        [json.dumps(label("Shop"))],
    ).fetchall()
    assert found == {"team": "shop", "cost_center": "CC-1"}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60))
@example("'; drop table finops.raw_charges; --")
@example("$$ || pg_sleep(9) || $$")
@example('\\" ) ? (@.key == "team')
@example("100% %s %(x)s {} {0}")
@example("\\u0000")
def test_hostile_text_is_data_wherever_it_stands(connection: psycopg.Connection, text: str) -> None:
    """As a value, a key, a member of a map and a default: it comes out to the letter, or folded, and does nothing."""
    quoted = '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'
    apply(
        connection,
        rules(f"[{{label: {quoted}, map: {{x: {quoted}}}}}, {{tag: {quoted}, namespace: {quoted}}}, {{label: team}}]",
              f"    case: keep\n    default: {quoted}\n"),
        "f",
    )  # fmt: skip

    assert assigned(connection, labels=label("x", text)) == (text, f"label {text}, map")
    assert assigned(connection)[0] == text
    if text.strip(" "):
        assert assigned(connection, labels=label(text)) == (text.strip(" "), "label team")
        tag = {"key": text, "value": "found", "namespace": text}
        assert assigned(connection, tags=[tag])[0] == "found"


def test_a_very_long_value_is_a_member(connection: psycopg.Connection) -> None:
    """Nothing is cut off."""
    apply(connection, rules("[{label: team}]"), "f")

    assert assigned(connection, labels=label("x" * 100_000))[0] == "x" * 100_000


def test_a_regex_only_python_reads_is_refused_and_nothing_changes(connection: psycopg.Connection) -> None:
    """The two dialects differ; what the database cannot run must not get into it."""
    before = apply(connection, rules("[{label: team}]"), "f")
    wrong = rules("[{label: team, regex: '(?P<name>a)'}]")

    with pytest.raises(BadRules, match=r"rules\.yaml: dimension team, regex"):
        check(connection, wrong, "rules.yaml")
    with pytest.raises(BadRules):
        apply(connection, wrong, "rules.yaml")
    in_force = applied(connection)
    assert in_force is not None
    assert in_force.version == before.version
    assert assigned(connection, labels=label("a"))[0] == "a"


def put_charge(connection: psycopg.Connection, day: str, labels: Entries) -> None:
    """A charge of a usage day, and the day in the ledger, built as it is."""
    connection.execute(
        """
        insert into finops.raw_charges (export_day, row_hash, occurrence, usage_day, billing_account_id, invoice_month,
            billing_currency, cost_type, usage_start_time, export_time, cost, billed_cost, labels)
        values ('2026-09-01', decode(md5(%s), 'hex'), 1, %s, 'A', '202609', 'USD', 'regular', now(), now(), 1, 1, %s)
        """,
        [day, day, json.dumps(labels)],
    )
    connection.execute("insert into finops.usage_day_ledger values (%s, 1, now())", [day])


def test_exactly_the_days_that_change_are_put_behind(connection: psycopg.Connection) -> None:
    """A day whose charges are assigned as before is not built again: on years of data that is the difference."""
    connection.execute(
        "create table finops.raw_2026_09 partition of finops.raw_charges "
        "for values from ('2026-09-01') to ('2026-10-01')"
    )
    apply(connection, rules("[{label: team}]"), "f")
    put_charge(connection, "2026-08-01", label("shop"))
    put_charge(connection, "2026-08-02", label("shop", "squad"))

    change = apply(connection, rules("[{label: team}, {label: squad}]"), "f")

    assert change.usage_days == (date(2026, 8, 2),)
    assert connection.execute(
        "select usage_day::text, source_version from finops.usage_day_ledger order by 1"
    ).fetchall() == [("2026-08-01", 1), ("2026-08-02", 2)]
    assert connection.execute(
        "select usage_day::text, source_version, export_day, cause from finops.usage_day_changes"
    ).fetchall() == [("2026-08-02", 2, None, "rule change")]


def test_rules_that_are_in_force_change_nothing(connection: psycopg.Connection) -> None:
    """Every tick of the pipeline asks."""
    first = apply(connection, rules("[{label: team}]"), "f")
    again = apply(connection, rules("[{label: team}]"), "g")

    assert (first.changed, again.changed) == (True, False)
    assert again.version == first.version


# -- splitting

amounts = st.decimals(min_value=-10_000_000, max_value=10_000_000, places=9, allow_nan=False)
weights = st.lists(st.decimals(min_value="0.000000001", max_value=1_000_000, places=9), min_size=1, max_size=30)


def split(connection: psycopg.Connection, amount: Decimal, parts: list[Decimal]) -> list[Decimal]:
    """What the database makes of it."""
    [(found,)] = connection.execute("select finops.split_cost(%s, %s::numeric[])", [amount, parts]).fetchall()
    return list(found)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(amount=amounts, parts=weights)
@example(Decimal("0.000000001"), [Decimal(1)] * 3)
@example(Decimal("-0.000000002"), [Decimal(1)] * 3)
@example(Decimal("100"), [Decimal(1)] * 3)
@example(Decimal(10**25) + Decimal("0.000000001"), [Decimal("0.3"), Decimal("0.7")])
def test_parts_add_up_to_the_amount_and_lie_beside_their_share(
    connection: psycopg.Connection, amount: Decimal, parts: list[Decimal]
) -> None:
    """To the last digit; and no part is a ninth digit away from what it would be without rounding."""
    found = split(connection, amount, parts)
    unit = Decimal("0.000000001")

    assert sum(found) == amount
    for part, weight in zip(found, parts, strict=True):
        assert abs(part * sum(parts) - amount * weight) < unit * sum(parts)
        assert part * amount >= 0
    assert split(connection, amount, parts) == found


def test_digits_beyond_the_ninth_are_not_lost(connection: psycopg.Connection) -> None:
    """An export may hold them."""
    assert sum(split(connection, Decimal("1.0000000000004"), [Decimal(1), Decimal(1)])) == Decimal("1.0000000000004")


def test_equal_parts_of_what_does_not_divide_are_the_first_ones(connection: psycopg.Connection) -> None:
    """Always the same ones, or rebuilding a day would change it."""
    assert split(connection, Decimal("0.000000002"), [Decimal(1)] * 3) == [
        Decimal("1E-9"), Decimal("1E-9"), Decimal(0),
    ]  # fmt: skip


def test_what_is_left_goes_to_whom_the_cut_cost_most(connection: psycopg.Connection) -> None:
    """And not to whoever comes first."""
    assert split(connection, Decimal("0.000000001"), [Decimal(1), Decimal(2)]) == [0, Decimal("1E-9")]
