"""`finops keys`, as an operator runs it."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import psycopg

from finops_warehouse.keys import prefix_of

Finops = Callable[..., CompletedProcess[str]]


def test_a_key_is_shown_once_on_stdout_and_never_again(finops: Finops, database_url: str) -> None:
    """`TOKEN=$(finops keys create …)` is how it gets where it is needed."""
    made = finops("keys", "create", "ci", "--scope", "read", "--expires-in", "90d", DATABASE_URL=database_url)
    listed = finops("keys", "list", DATABASE_URL=database_url)

    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    prefix = prefix_of(token)
    assert prefix is not None
    assert token not in made.stderr + listed.stderr + listed.stdout
    assert prefix in listed.stderr
    assert listed.stdout == ""


def test_the_life_of_a_key_in_json(finops: Finops, database_url: str, connection: psycopg.Connection) -> None:
    """Made, listed, rotated, revoked: one document each, and each is written down with who did it."""

    def told(*arguments: str) -> dict[str, object]:
        ran = finops("keys", *arguments, "--json", DATABASE_URL=database_url)
        assert ran.returncode == 0, ran.stderr
        found: dict[str, object] = json.loads(ran.stdout)
        return found

    made = told("create", "team", "--scope", "read", "--scope", "export", "--billing-account", "A", "--project", "p")
    assert prefix_of(str(made["token"])) == made["prefix"]
    assert (made["scopes"], made["billing_accounts"], made["projects"]) == (["read", "export"], ["A"], ["p"])
    rotated = told("rotate", str(made["prefix"]))
    assert rotated["token"] != made["token"]
    assert told("revoke", str(rotated["prefix"])) == {"revoked": rotated["prefix"]}

    listed = json.loads(finops("keys", "list", "--json", DATABASE_URL=database_url).stdout)
    assert [(key["prefix"], key["state"]) for key in listed] == [
        (rotated["prefix"], "revoked"),
        (made["prefix"], "revoked"),
    ]
    assert not any("token" in key or "digest" in key for key in listed)
    events = connection.execute("select action, actor from finops.audit_event order by event_id").fetchall()
    assert [action for action, _ in events] == ["key.create", "key.rotate", "key.create", "key.revoke"]
    assert all(actor.startswith("cli") for _, actor in events)


def test_a_key_that_makes_no_sense_is_refused_in_a_sentence(finops: Finops, database_url: str) -> None:
    """And none is made."""
    for arguments, said in (
        (("--scope", "write"), "no scope 'write'"),
        (("--scope", "read", "--expires-in", "soon"), "90d or 24h"),
        (("--scope", "admin", "--project", "p"), "for everything"),
    ):
        ran = finops("keys", "create", "x", *arguments, DATABASE_URL=database_url)
        assert ran.returncode == 1
        assert said in ran.stderr
        assert "Traceback" not in ran.stderr
    assert json.loads(finops("keys", "list", "--json", DATABASE_URL=database_url).stdout) == []


def test_a_restricted_key_is_not_made_where_nothing_would_keep_rows_back(finops: Finops, owned: str) -> None:
    """Better no key than one that only looks restricted; one that sees everything can be made."""
    refused = finops("keys", "create", "x", "--scope", "read", "--project", "p", DATABASE_URL=owned)
    made = finops("keys", "create", "x", "--scope", "read", DATABASE_URL=owned)

    assert refused.returncode == 1
    assert "may not create them" in refused.stderr
    assert made.returncode == 0, made.stderr
    assert len(json.loads(finops("keys", "list", "--json", DATABASE_URL=owned).stdout)) == 1
