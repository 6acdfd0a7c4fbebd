"""People who sign in: what they may do, which rows they see, and how long somebody stays signed in.

Who somebody is, their provider says; it is known here by issuer and subject, for an address may be given to another
person. An operator names people by their address all the same, and means everybody who has it. A person the provider
calls by a new subject, as some do once a client is registered anew, sees the rows of the one before and is as disabled.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from finops_warehouse.errors import BadRequest
from finops_warehouse.keys import RECORD, Event, Scope, check_rows
from finops_warehouse.row_scope import RowScope

Role = Literal["viewer", "analyst", "admin"]

SCOPES_OF: Mapping[str, tuple[Scope, ...]] = {
    "viewer": ("read",),
    "analyst": ("read", "export"),
    "admin": ("read", "export", "admin"),
}
"""What each role may do, in the words of keys."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_ADDRESS = re.compile(r"[^\s@\x00]{1,64}@[^\s@\x00]{1,255}")


def new_session_token() -> str:
    """What the cookie of a session holds: 256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of_session(token: str, pepper: bytes) -> bytes | None:
    """What is kept of a session's cookie; None of a text that is none."""
    return hmac.digest(pepper, f"session {token}".encode(), "sha256") if _TOKEN.fullmatch(token) else None


def digest_of_sign_in(state: str, pepper: bytes) -> bytes:
    """What is kept of the state somebody signed in with: each begins one session."""
    return hmac.digest(pepper, f"sign-in {state}".encode(), "sha256")


def csrf_token_of(token: str, pepper: bytes) -> str:
    """What one of our pages sends along to show that it is one: whoever has only the cookie sent cannot know it."""
    return hmac.digest(pepper, f"csrf {token}".encode(), "sha256").hex()


def role_of(listed: Mapping[str, Sequence[str]], *, email: str, is_verified: bool, groups: Iterable[str]) -> str | None:
    """The role somebody is listed for, the one that may most; None of who is in no list.

    An address counts once the provider has seen to it that it is theirs: in some, people write what they like.
    """
    names = {f"group:{group}" for group in groups}
    addresses = {email.lower(), "@" + email.lower().rpartition("@")[2]} if is_verified else set()
    for role, entries in listed.items():
        if any(entry in names if entry.startswith("group:") else entry.lower() in addresses for entry in entries):
            return role
    return None


def is_address(text: str) -> bool:
    """Whether a text is an e-mail address, as far as we care."""
    return bool(_ADDRESS.fullmatch(text)) and text.isprintable()


@dataclass(frozen=True)
class User:
    """A person as lists show them."""

    user_id: int
    email: str
    name: str | None
    role: Role | None
    billing_accounts: list[str] | None
    projects: list[str] | None
    created_at: datetime
    last_signed_in_at: datetime | None
    disabled_at: datetime | None
    sessions: int


SELECT = """
    select user_id, email, name, role, billing_accounts, projects, created_at, last_signed_in_at, disabled_at, (
        select count(*) from finops.sessions
        where sessions.user_id = users.user_id and ended_at is null and expires_at > now()
    ) as sessions
    from finops.users
"""

CLAIM = """
    update finops.users set issuer = %(issuer)s, subject = %(subject)s
    where user_id = (select min(user_id) from finops.users where subject is null and email = %(email)s)
    and not exists (select from finops.users where issuer = %(issuer)s and subject = %(subject)s)
"""
"""Somebody whose rows were settled before they came."""

SIGN_IN = """
    insert into finops.users
        (issuer, subject, email, name, role, last_signed_in_at, billing_accounts, projects, disabled_at)
    select %(issuer)s, %(subject)s, %(email)s, %(name)s, %(role)s, now(), billing_accounts, projects, disabled_at
    from (select) as once left join lateral (
        select billing_accounts, projects, disabled_at from finops.users
        where email = %(email)s order by user_id desc limit 1
    ) as before on true
    on conflict (issuer, subject) do update set
        email = excluded.email, name = excluded.name, role = excluded.role, last_signed_in_at = now()
    returning user_id, disabled_at is not null
"""

BEGIN = """
    insert into finops.sessions (user_id, digest, sign_in_digest, expires_at, ip, user_agent)
    values (%(user_id)s, %(digest)s, %(sign_in_digest)s, now() + %(hours)s * interval '1 hour', %(ip)s, %(user_agent)s)
    on conflict (sign_in_digest) do nothing
    returning expires_at
"""
"""Gives no row when the state began a session before."""

END = "update finops.sessions set ended_at = now() where digest = %(digest)s and ended_at is null"

FORGET = "delete from finops.sessions where expires_at < now() - interval '90 days'"
"""Where somebody was when is nobody's business for ever; the audit record says who signed in."""

LIVE = """
    select digest, session_id, user_id, email, role, billing_accounts, projects, expires_at,
        last_used_at + %(idle_minutes)s * interval '1 minute', last_used_at
    from finops.sessions join finops.users using (user_id)
    where ended_at is null and expires_at > now() and disabled_at is null and role is not null
    and last_used_at > now() - %(idle_minutes)s * interval '1 minute'
"""

USED = """
    update finops.sessions set last_used_at = now()
    where session_id = %(session_id)s and ended_at is null and last_used_at < now() - interval '1 minute'
"""


def known_users(connection: psycopg.Connection) -> list[User]:
    """Everybody, by address."""
    with connection.cursor(row_factory=class_row(User)) as cursor:
        return cursor.execute(f"{SELECT} order by email, user_id").fetchall()


def set_scope(connection: psycopg.Connection, email: str, rows: RowScope, *, actor: str) -> list[User]:
    """Settle which rows somebody sees. Who has not signed in yet is known from then on."""
    check_rows("Somebody", rows)
    told: dict[str, Any] = {
        "billing_accounts": None if rows.billing_accounts is None else list(rows.billing_accounts),
        "projects": None if rows.projects is None else list(rows.projects),
    }
    changed = "billing_accounts = %(billing_accounts)s, projects = %(projects)s"
    return _changed(connection, email, changed, "user.scope", actor, may_be_new=True, **told)


def disable(connection: psycopg.Connection, email: str, *, actor: str) -> list[User]:
    """Keep somebody out, and end their sessions. Who has not signed in yet will not."""
    change = "disabled_at = coalesce(disabled_at, now())"
    return _changed(connection, email, change, "user.disable", actor, may_be_new=True, ends_sessions=True)


def enable(connection: psycopg.Connection, email: str, *, actor: str) -> list[User]:
    """Let somebody in again, once they sign in."""
    return _changed(connection, email, "disabled_at = null", "user.enable", actor)


def sign_out(connection: psycopg.Connection, email: str, *, actor: str) -> list[User]:
    """End all sessions of somebody."""
    return _changed(connection, email, None, "user.sign_out", actor, ends_sessions=True)


def _changed(
    connection: psycopg.Connection,
    email: str,
    change: str | None,
    action: str,
    actor: str,
    *,
    may_be_new: bool = False,
    ends_sessions: bool = False,
    **told: object,
) -> list[User]:
    """Change everybody who has this address, and write it down. Raises `BadRequest` when nobody has."""
    address = email.strip().lower()
    if not is_address(address):
        raise BadRequest(f"{email!r} is no e-mail address.")
    whose = {"email": address, **told}
    with connection.transaction(), connection.cursor(row_factory=class_row(User)) as cursor:
        if may_be_new:
            cursor.execute(
                "insert into finops.users (email) select %(email)s "
                "where not exists (select from finops.users where email = %(email)s)", whose
            )  # fmt: skip
        if change is not None:
            cursor.execute(f"update finops.users set {change} where email = %(email)s", whose)  # noqa: S608 -- constants
        if ends_sessions:
            cursor.execute(
                "update finops.sessions set ended_at = now() where ended_at is null "
                "and user_id in (select user_id from finops.users where email = %(email)s)", whose
            )  # fmt: skip
        changed = cursor.execute(f"{SELECT} where email = %(email)s order by user_id", whose).fetchall()
        if not changed:
            raise BadRequest(f"Nobody with the address {address} has signed in. `finops users list` names who has.")
        for user in changed:
            detail = {"user_id": user.user_id, "email": user.email, **told}
            cursor.execute(RECORD, Event(actor=actor, action=action, detail=detail).parameters())
    return changed
