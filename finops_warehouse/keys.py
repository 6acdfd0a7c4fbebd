"""Keys of the API: what one looks like, what is kept of it, and everything that can happen to it.

A key is 256 random bits, so a fast keyed digest protects it as well as a slow one would: guessing is hopeless either
way, and a slow digest would let anybody keep our processors busy. Of the key nothing but that digest is kept. Who
reads the database can neither use a key nor, without the pepper, tell whether a text is one.
"""

import hmac
import json
import os
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import psycopg
from psycopg.rows import class_row

from finops_warehouse.errors import BadRequest, SettingsError
from finops_warehouse.row_scope import RowScope
from finops_warehouse.settings import Settings

Scope = Literal["read", "export", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PEPPER_FILE = "api_key_pepper"
MAX_MEMBERS = 100
"""Accounts or projects one key may be restricted to; no question of the API names more."""

_TOKEN = re.compile(r"(fin_live_(?P<prefix>[0-9a-z]{8})_[A-Za-z0-9_-]{43})(?P<crc>[0-9a-f]{8})")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_AGE = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[hd])")
_MEMBER = re.compile(r"[^\s,\x00]{1,500}")


def new_token() -> str:
    """A key as its holder will send it. Its last eight characters tell a mistyped one without asking the database."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    body = f"fin_live_{prefix}_{secrets.token_urlsafe(32)}"
    return body + _checksum(body)


def prefix_of(token: str) -> str | None:
    """The part of a key that names it in lists; None when the text is no key, or is mistyped."""
    found = _TOKEN.fullmatch(token)
    if found is None or _checksum(found[1]) != found["crc"]:
        return None
    return found["prefix"]


def is_member(text: str) -> bool:
    """Whether a text may be the id of a billing account or project. A comma tells them apart where Postgres reads."""
    return bool(_MEMBER.fullmatch(text))


def digest_of(token: str, pepper: bytes) -> bytes:
    """What is kept of a key."""
    return hmac.digest(pepper, token.encode(), "sha256")


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"


def find_pepper(settings: Settings) -> bytes | None:
    """The secret that digests are made with; None when there is none yet, and so no key can have been made with it."""
    if settings.api_key_pepper is not None:
        return settings.api_key_pepper.get_secret_value().encode()
    file = settings.finops_home / PEPPER_FILE
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as refused:
        raise SettingsError(f"{file} cannot be read ({refused.strerror}). Fix that, or set API_KEY_PEPPER.") from None


def make_pepper(settings: Settings) -> bytes:
    """The secret that digests are made with, generated under FINOPS_HOME the first time."""
    if (known := find_pepper(settings)) is not None:
        return known
    file = settings.finops_home / PEPPER_FILE
    aside = file.with_name(f"{PEPPER_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(secrets.token_bytes(32).hex().encode())
    except OSError as refused:
        raise SettingsError(f"{file} cannot be written ({refused.strerror}). Set API_KEY_PEPPER.") from None
    try:
        os.link(aside, file)  # fails when another process was first: then theirs counts
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    return file.read_bytes()


@dataclass(frozen=True)
class ApiKey:
    """A key as lists show it: everything but what it is."""

    key_id: int
    name: str
    prefix: str
    scopes: list[str]
    billing_accounts: list[str] | None
    projects: list[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by: int | None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Whether it opens anything now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


COLUMNS = (
    "key_id, name, prefix, scopes, billing_accounts, projects, created_at, created_by, expires_at, last_used_at, "
    "revoked_at, replaced_by"
)
SELECT = f"select {COLUMNS} from finops.api_keys"  # noqa: S608 -- a constant of ours


def check_rows(whose: str, rows: RowScope) -> None:
    """Raises `BadRequest` for rows that nobody can be restricted to."""
    accounts, projects = rows.billing_accounts or (), rows.projects or ()
    wrong = [member for member in (*accounts, *projects) if not is_member(member)]
    if wrong:
        raise BadRequest(f"{wrong[0]!r} is no id of a billing account or project.")
    if max(len(accounts), len(projects)) > MAX_MEMBERS:
        raise BadRequest(f"{whose} is restricted to {MAX_MEMBERS} accounts and {MAX_MEMBERS} projects at most.")


@dataclass(frozen=True)
class NewKey:
    """What a key is made for."""

    name: str
    scopes: tuple[Scope, ...]
    expires_in: timedelta | None = None
    billing_accounts: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Raises `BadRequest` for a key that could not be what somebody wants."""
        if not self.name.strip() or len(self.name) > 100 or not self.name.isprintable():
            raise BadRequest("Name the key by what will use it, in up to 100 printable characters.")
        if not self.scopes:
            raise BadRequest(f"Say what the key may do: --scope, one or more of {', '.join(SCOPES)}.")
        rows = RowScope(self.billing_accounts, self.projects)
        check_rows("A key", rows)
        if rows.is_restricted and "admin" in self.scopes:
            raise BadRequest("An admin key is for everything: leave out --billing-account and --project, or admin.")


@dataclass(frozen=True)
class Event:
    """Something that is written down for good."""

    actor: str
    action: str
    key_id: int | None = None
    scope: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    ip: str | None = None
    request_id: str | None = None

    def parameters(self) -> dict[str, Any]:
        """What `RECORD` is asked with."""
        return {**vars(self), "detail": json.dumps(self.detail)}


RECORD = """
    insert into finops.audit_event (actor, action, key_id, scope, detail, rows, ip, request_id)
    values (%(actor)s, %(action)s, %(key_id)s, %(scope)s, %(detail)s, %(rows)s, %(ip)s, %(request_id)s)
"""


def create(connection: psycopg.Connection, asked: NewKey, *, pepper: bytes, actor: str) -> tuple[ApiKey, str]:
    """Make a key. Returns it with the token, which is told this once and can never be told again."""
    with connection.transaction():
        made, token = _insert(connection, asked, pepper=pepper, actor=actor)
        connection.execute(RECORD, _told(made, "key.create", actor).parameters())
    return made, token


def rotate(
    connection: psycopg.Connection, prefix: str, *, pepper: bytes, actor: str, overlap: timedelta
) -> tuple[ApiKey, str]:
    """Make a key that may do what this one may, for as long again; the old one ends after `overlap`, or at once.

    Raises `BadRequest` unless the key is active.
    """
    with connection.transaction():
        old = _active(connection, prefix)
        asked = NewKey(
            name=old.name,
            scopes=tuple(scope for scope in SCOPES if scope in old.scopes),
            expires_in=None if old.expires_at is None else old.expires_at - old.created_at,
            billing_accounts=None if old.billing_accounts is None else tuple(old.billing_accounts),
            projects=None if old.projects is None else tuple(old.projects),
        )
        made, token = _insert(connection, asked, pepper=pepper, actor=actor)
        connection.execute(
            """
            update finops.api_keys set replaced_by = %(new)s,
                revoked_at = case when %(overlap)s = interval '0' then now() end,
                expires_at = least(expires_at, now() + %(overlap)s)
            where key_id = %(old)s
            """,
            {"new": made.key_id, "old": old.key_id, "overlap": overlap},
        )
        detail = {"replaced_by": made.prefix, "overlap_seconds": int(overlap.total_seconds())}
        connection.execute(RECORD, _told(old, "key.rotate", actor, **detail).parameters())
        connection.execute(RECORD, _told(made, "key.create", actor).parameters())
    return made, token


def revoke(connection: psycopg.Connection, prefix: str, *, actor: str) -> ApiKey:
    """End a key now. Raises `BadRequest` unless it is active."""
    with connection.transaction():
        key = _active(connection, prefix)
        connection.execute("update finops.api_keys set revoked_at = now() where key_id = %s", [key.key_id])
        connection.execute(RECORD, _told(key, "key.revoke", actor).parameters())
    return key


def known_keys(connection: psycopg.Connection) -> list[ApiKey]:
    """Every key there ever was, the newest first."""
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        return cursor.execute(f"{SELECT} order by key_id desc").fetchall()


def is_any(connection: psycopg.Connection) -> bool:
    """Whether a key was ever made. One that was revoked counts: that must not open the API to those without one."""
    [(any_key,)] = connection.execute("select exists (select from finops.api_keys)").fetchall()
    return bool(any_key)


def an_age(option: str, given: str) -> timedelta:
    """A length of time as options give it: `90d` or `24h`. Raises `BadRequest` when it is none."""
    found = _AGE.fullmatch(given)
    if found is None:
        raise BadRequest(f"{option} must be a number of days or hours like 90d or 24h, not {given!r}.")
    return timedelta(**{{"d": "days", "h": "hours"}[found["unit"]]: int(found["number"])})


def the_scopes(given: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes options name, each once. Raises `BadRequest` when one is unknown."""
    unknown = sorted(set(given) - set(SCOPES))
    if unknown:
        raise BadRequest(f"There is no scope {unknown[0]!r}. There are: {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in given)


def _insert(connection: psycopg.Connection, asked: NewKey, *, pepper: bytes, actor: str) -> tuple[ApiKey, str]:
    token = new_token()
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        [made] = cursor.execute(
            f"""
            insert into finops.api_keys
                (name, prefix, digest, scopes, billing_accounts, projects, created_by, expires_at)
            values (%(name)s, %(prefix)s, %(digest)s, %(scopes)s, %(accounts)s, %(projects)s, %(actor)s,
                now() + %(expires_in)s::interval)
            returning {COLUMNS}
            """,  # noqa: S608 -- a constant of ours
            {
                "name": asked.name,
                "prefix": prefix_of(token),
                "digest": digest_of(token, pepper),
                "scopes": list(asked.scopes),
                "accounts": None if asked.billing_accounts is None else list(asked.billing_accounts),
                "projects": None if asked.projects is None else list(asked.projects),
                "actor": actor,
                "expires_in": asked.expires_in,
            },
        ).fetchall()
    return made, token


def _active(connection: psycopg.Connection, prefix: str) -> ApiKey:
    with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        found = cursor.execute(f"{SELECT} where prefix = %s for update", [prefix]).fetchone()
    [(now,)] = connection.execute("select now()").fetchall()
    if found is None:
        raise BadRequest(f"There is no key {prefix!r}. `finops keys list` names them by their prefix.")
    if (state := found.state(now)) != "active":
        raise BadRequest(f"Key {prefix} is {state} already.")
    return found


def _told(key: ApiKey, action: str, actor: str, **more: object) -> Event:
    detail = {
        "name": key.name,
        "prefix": key.prefix,
        "billing_accounts": key.billing_accounts,
        "projects": key.projects,
        "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        **more,
    }
    return Event(actor=actor, action=action, key_id=key.key_id, scope=" ".join(key.scopes), detail=detail)
