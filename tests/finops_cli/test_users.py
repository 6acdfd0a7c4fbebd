"""`finops users`, as an operator runs it."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import psycopg

from finops_warehouse import users

Finops = Callable[..., CompletedProcess[str]]


def signed_in(connection: psycopg.Connection, email: str) -> None:
    """Somebody who signed in, as the API writes it."""
    who = {"issuer": "https://x", "subject": email, "email": email, "name": "Somebody", "role": "viewer"}
    connection.execute(users.CLAIM, who)
    [(user_id, _)] = connection.execute(users.SIGN_IN, who).fetchall()
    token = users.new_session_token()
    session = {
        "user_id": user_id, "digest": users.digest_of_session(token, b"p"), "hours": 12, "ip": None,
        "sign_in_digest": users.digest_of_sign_in(token, b"p"), "user_agent": None,
    }  # fmt: skip
    connection.execute(users.BEGIN, session)


def test_somebody_is_listed_restricted_signed_out_disabled_and_enabled(
    finops: Finops, database_url: str, connection: psycopg.Connection
) -> None:
    """One document each, and each is written down with who did it."""
    signed_in(connection, "someone@example.com")

    def told(*arguments: str) -> dict[str, object]:
        ran = finops("users", *arguments, "--json", DATABASE_URL=database_url)
        assert ran.returncode == 0, ran.stderr
        [found] = json.loads(ran.stdout)
        return dict(found)

    assert {name: told("list")[name] for name in ("email", "role", "sessions", "projects", "disabled_at")} == {
        "email": "someone@example.com", "role": "viewer", "sessions": 1, "projects": None, "disabled_at": None
    }  # fmt: skip
    narrowed = told("scope", "Someone@Example.com", "--billing-account", "A", "--project", "p", "--project", "q")
    assert (narrowed["billing_accounts"], narrowed["projects"]) == (["A"], ["p", "q"])
    assert told("scope", "someone@example.com", "--everything")["projects"] is None
    assert told("sign-out", "someone@example.com")["sessions"] == 0
    signed_in(connection, "someone@example.com")
    disabled = told("disable", "someone@example.com")
    assert (disabled["sessions"], disabled["disabled_at"] is not None) == (0, True)
    assert told("enable", "someone@example.com")["disabled_at"] is None

    shown = finops("users", "list", DATABASE_URL=database_url)
    assert "someone@example.com" in shown.stderr
    assert shown.stdout == ""
    recorded = connection.execute("select action, actor from finops.audit_event order by event_id").fetchall()
    assert [action for action, _ in recorded] == [
        "user.scope", "user.scope", "user.sign_out", "user.disable", "user.enable"
    ]  # fmt: skip
    assert all(actor.startswith("cli") for _, actor in recorded)


def test_who_has_not_come_yet_can_be_restricted_and_kept_out(
    finops: Finops, database_url: str, connection: psycopg.Connection
) -> None:
    """Or somebody would see everything once; they have one row, before and after."""
    assert finops("users", "scope", "new@example.com", "--project", "p", DATABASE_URL=database_url).returncode == 0
    signed_in(connection, "new@example.com")
    assert finops("users", "disable", "never@example.com", DATABASE_URL=database_url).returncode == 0

    found = connection.execute("select email, projects, disabled_at is null from finops.users order by 1").fetchall()
    assert found == [("never@example.com", None, False), ("new@example.com", ["p"], True)]


def test_what_makes_no_sense_is_refused_in_a_sentence(finops: Finops, database_url: str) -> None:
    """And changes nothing."""
    for arguments, said in (
        (("scope", "x@example.com"), "--everything"),
        (("scope", "x@example.com", "--everything", "--project", "p"), "--everything"),
        (("scope", "x@example.com", "--project", "a,b"), "no id"),
        (("scope", "nobody", "--project", "p"), "no e-mail address"),
        (("sign-out", "x@example.com"), "Nobody with the address"),
        (("enable", "x@example.com"), "Nobody with the address"),
    ):
        ran = finops("users", *arguments, DATABASE_URL=database_url)
        assert ran.returncode == 1
        assert said in ran.stderr
        assert "Traceback" not in ran.stderr
    assert json.loads(finops("users", "list", "--json", DATABASE_URL=database_url).stdout) == []


def test_nobody_is_restricted_where_nothing_would_keep_rows_back(finops: Finops, owned: str) -> None:
    """Better refused than only looking so."""
    refused = finops("users", "scope", "x@example.com", "--project", "p", DATABASE_URL=owned)

    assert refused.returncode == 1
    assert "may not create them" in refused.stderr
