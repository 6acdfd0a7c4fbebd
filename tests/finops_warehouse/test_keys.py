"""Keys: what is kept of one, what can happen to it, and that none of it goes unrecorded."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_warehouse import keys
from finops_warehouse.errors import BadRequest
from finops_warehouse.keys import NewKey, digest_of, make_pepper, new_token, prefix_of
from finops_warehouse.settings import Settings

PEPPER = b"of these tests alone"
TOKENS = [new_token() for _ in range(20)]


def make(connection: psycopg.Connection, **asked: object) -> tuple[keys.ApiKey, str]:
    """A key that may read, unless said otherwise."""
    wanted = NewKey(**{"name": "tests", "scopes": ("read",), **asked})  # type: ignore[arg-type]
    return keys.create(connection, wanted, pepper=PEPPER, actor="tests")


def recorded(connection: psycopg.Connection) -> list[tuple[str, int | None]]:
    """What was written down, in order."""
    return connection.execute("select action, key_id from finops.audit_event order by event_id").fetchall()


def test_a_token_has_its_prefix_and_no_two_are_alike() -> None:
    """The prefix is what lists and logs may show."""
    assert len({prefix_of(token) for token in TOKENS}) == len(set(TOKENS)) == 20
    assert all(token.startswith(f"fin_live_{prefix_of(token)}_") for token in TOKENS)


@given(token=st.sampled_from(TOKENS), place=st.integers(0, 68), other=st.characters(codec="ascii"))
def test_a_slip_of_one_character_is_seen_without_a_database(token: str, place: int, other: str) -> None:
    """A checksum of 32 bits misses no single changed character."""
    mistyped = token[:place] + other + token[place + 1 :]

    assert len(token) == 69
    assert (prefix_of(mistyped) is not None) == (mistyped == token)


@given(st.text(max_size=80))
def test_no_other_text_is_a_key(text: str) -> None:
    """Whatever is sent as one."""
    assert prefix_of(text) is None


def test_the_database_holds_nothing_a_key_can_be_told_from(connection: psycopg.Connection) -> None:
    """Who reads a backup can use none, and without the pepper cannot even tell whether a text is one."""
    _, token = make(connection)
    [(row, digest)] = connection.execute("select k::text, digest from finops.api_keys as k").fetchall()
    [(event,)] = connection.execute("select detail::text from finops.audit_event").fetchall()

    assert token[18:61] not in row + event
    assert digest == digest_of(token, PEPPER)
    assert digest != digest_of(token, b"another")


def test_a_generated_pepper_is_made_once_and_for_its_owner_alone(settings: Settings) -> None:
    """Two commands that start together must not make two: the keys of one would be lost."""
    with ThreadPoolExecutor(1) as one:
        first = one.submit(make_pepper, settings).result()
    file = settings.finops_home / "api_key_pepper"

    assert make_pepper(settings) == first == file.read_bytes()
    assert len(first) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in settings.finops_home.glob("api_key_pepper*")] == ["api_key_pepper"]


def test_a_pepper_that_is_set_is_used_and_none_is_written(settings: Settings) -> None:
    """Replicas share the one their secrets name."""
    given_one = settings.model_copy(update={"api_key_pepper": Settings(api_key_pepper="x" * 20).api_key_pepper})

    assert make_pepper(given_one) == b"x" * 20
    assert not (settings.finops_home / "api_key_pepper").exists()


def test_rotating_makes_the_same_key_again_and_ends_the_old_one(connection: psycopg.Connection) -> None:
    """Same name, rights, rows and length of life; the old one says what replaced it."""
    old, token = make(
        connection,
        scopes=("read", "export"),
        billing_accounts=("A",),
        projects=("p", "q"),
        expires_in=timedelta(days=9),
    )
    new, other = keys.rotate(connection, old.prefix, pepper=PEPPER, actor="tests", overlap=timedelta(0))
    was = {key.key_id: key for key in keys.known_keys(connection)}[old.key_id]

    assert token != other
    assert (new.name, new.scopes, new.billing_accounts, new.projects) == (
        "tests",
        ["read", "export"],
        ["A"],
        ["p", "q"],
    )
    assert new.expires_at is not None
    assert new.expires_at - new.created_at == timedelta(days=9)
    assert (was.replaced_by, was.state(datetime.now(UTC))) == (new.key_id, "revoked")
    assert recorded(connection) == [("key.create", old.key_id), ("key.rotate", old.key_id), ("key.create", new.key_id)]


def test_an_overlap_lets_the_old_key_work_on_for_so_long(connection: psycopg.Connection) -> None:
    """A service is redeployed with the new key while the old one still opens; never longer than it was valid anyway."""
    old, _ = make(connection)
    short, _ = make(connection, expires_in=timedelta(hours=1))
    for key in (old, short):
        keys.rotate(connection, key.prefix, pepper=PEPPER, actor="tests", overlap=timedelta(hours=24))
    known = {key.key_id: key for key in keys.known_keys(connection)}
    now = datetime.now(UTC)

    assert known[old.key_id].state(now) == "active"
    assert known[old.key_id].state(now + timedelta(hours=25)) == "expired"
    assert known[short.key_id].expires_at == short.expires_at


def test_revoking_ends_a_key_once(connection: psycopg.Connection) -> None:
    """Twice is a mistake somebody should hear of: it may have been meant for another key."""
    key, _ = make(connection)
    keys.revoke(connection, key.prefix, actor="tests")

    with pytest.raises(BadRequest, match="revoked already"):
        keys.revoke(connection, key.prefix, actor="tests")
    with pytest.raises(BadRequest, match="no key 'nothing1'"):
        keys.revoke(connection, "nothing1", actor="tests")
    assert recorded(connection) == [("key.create", key.key_id), ("key.revoke", key.key_id)]
    assert keys.is_any(connection), "a revoked key must not open the API to everybody"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": " "}, "Name the key"),
        ({"name": "a\nb"}, "Name the key"),
        ({"scopes": ()}, "--scope"),
        ({"projects": ("a,b",)}, "no id"),
        ({"projects": ("",)}, "no id"),
        ({"billing_accounts": tuple(map(str, range(101)))}, "100 accounts"),
        ({"projects": ("p",), "scopes": ("read", "admin")}, "for everything"),
    ],
)
def test_a_key_that_could_not_be_meant_is_refused(asked: dict[str, object], said: str) -> None:
    """Before it is made: a comma in an id would open two others."""
    with pytest.raises(BadRequest, match=said):
        NewKey(**{"name": "tests", "scopes": ("read",), **asked})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "attempt",
    ["update finops.audit_event set actor = 'nobody'", "delete from finops.audit_event", "truncate finops.audit_event"],
)
def test_what_was_written_down_stays(connection: psycopg.Connection, attempt: str) -> None:
    """Not even the owner of the tables rewrites it in passing."""
    make(connection)

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only grows"):
        connection.execute(attempt)

    assert [action for action, _ in recorded(connection)] == ["key.create"]
