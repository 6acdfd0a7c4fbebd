"""Saved views: whose they are, what may stand in one, and that it opens what it says."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from helpers.checkout import TOP

from finops_api import keyring
from finops_api.views import address
from finops_api.views.models import MAX_VIEWS
from finops_warehouse import keys
from finops_warehouse.database import connect_to

from .conftest import PEPPER

Api = Callable[..., httpx.Client]
VIEW_TS = TOP / "dashboard" / "src" / "lib" / "view.ts"


@pytest.fixture
def warehouse(spoilt: str) -> Iterator[psycopg.Connection]:
    """The database behind the API."""
    with connect_to(spoilt, autocommit=True) as connection:
        yield connection


class Person:
    """Somebody with a key."""

    def __init__(self, api: httpx.Client, token: str) -> None:
        self._api, self._token = api, token

    def ask(self, method: str, path: str, **body: object) -> httpx.Response:
        """Ask with the key."""
        sent = {"Authorization": f"Bearer {self._token}"}
        return self._api.request(method, f"/v1/views{path}", headers=sent, **({"json": body} if body else {}))  # type: ignore[arg-type]

    def keep(self, name: str, query: str = "", *, shared: bool = False) -> dict[str, Any]:
        """Keep a view, which must be possible."""
        answer = self.ask("POST", "", name=name, query=query, shared=shared)
        assert answer.status_code == 201, answer.text
        kept: dict[str, Any] = answer.json()
        return kept

    def names(self) -> list[str]:
        """The names of the views listed."""
        return [view["name"] for view in self.ask("GET", "").json()["items"]]


MakePerson = Callable[..., Person]


@pytest.fixture
def person(spoilt: str, warehouse: psycopg.Connection, api_over: Api, monkeypatch: pytest.MonkeyPatch) -> MakePerson:
    """`person("ann", "read")` holds a key of that name."""
    monkeypatch.setattr(keyring, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 0.0)
    api = api_over(spoilt, api_key_pepper=PEPPER)

    def make(name: str, *scopes: keys.Scope, **asked: Any) -> Person:  # noqa: ANN401 -- what NewKey takes
        wanted = keys.NewKey(name=name, scopes=scopes or ("read",), **asked)
        return Person(api, keys.create(warehouse, wanted, pepper=PEPPER.encode(), actor="tests")[1])

    return make


def test_a_view_is_its_owners_until_it_is_shared(person: MakePerson) -> None:
    """Nobody else finds it, opens it, changes it or learns that it is there; shared, all see it and its owner."""
    ann, bob = person("ann"), person("bob")
    own = ann.keep("Mine", "by=sku")
    place = f"/{own['view_id']}"
    assert (own["owner"], own["is_yours"], own["shared"]) == ("key ann", True, False)
    assert ann.names() == ["Mine"]
    assert bob.names() == []
    hidden = [bob.ask("GET", place), bob.ask("PUT", place, name="Theirs", query=""), bob.ask("DELETE", place)]
    missing = [bob.ask("GET", "/999"), bob.ask("PUT", "/999", name="Theirs", query=""), bob.ask("DELETE", "/999")]
    bodies = [
        {name: value for name, value in answer.json().items() if name not in ("instance", "request_id")}
        for answer in (*hidden, *missing)
    ]
    assert all(body == bodies[0] for body in bodies)
    assert (bodies[0]["status"], bodies[0]["title"]) == (404, "NoSuchView")

    ann.ask("PUT", place, name="Ours", query="by=sku", shared=True)
    assert bob.names() == ["Ours"]
    seen = bob.ask("GET", place).json()
    assert (seen["owner"], seen["is_yours"]) == ("key ann", False)


def test_what_is_shared_is_changed_by_its_owner_or_an_admin(person: MakePerson, warehouse: psycopg.Connection) -> None:
    """And each of those changes is written down; what is only somebody's own is nobody's business."""
    ann, bob, eve = person("ann"), person("bob"), person("eve", "read", "admin")
    ann.keep("Own")
    shared = ann.keep("Shared", "by=sku", shared=True)
    place = f"/{shared['view_id']}"
    for refused in (bob.ask("PUT", place, name="x", query=""), bob.ask("DELETE", place)):
        assert (refused.status_code, refused.json()["title"]) == (403, "LacksScope")
        assert "key ann's" in refused.json()["detail"]
    assert person("max", "admin").ask("GET", place).status_code == 403  # a scope holds no other

    changed = eve.ask("PUT", place, name="Shared", query="by=project", shared=True).json()
    assert (changed["owner"], changed["query"]) == ("key ann", "by=project")
    assert "group_by=project" in changed["costs"]
    taken_back = eve.ask("PUT", place, name="Shared", query="by=region")
    assert (taken_back.status_code, taken_back.json()["shared"], taken_back.json()["query"]) == (
        200,
        False,
        "by=region",
    )
    assert eve.ask("DELETE", place).status_code == 404
    assert ann.ask("DELETE", place).status_code == 204
    assert ann.names() == ["Own"]
    events = warehouse.execute(
        "select actor, action, detail ->> 'query' from finops.audit_event where action like 'view.%' order by event_id"
    )
    assert events.fetchall() == [
        ("key ann", "view.create", "by=sku"),
        ("key eve", "view.change", "by=project"),
        ("key eve", "view.change", "by=region"),
    ]


def test_a_restricted_key_of_the_same_name_is_another_owner(person: MakePerson) -> None:
    """Names of keys are not unique: what one of them filters by may be nothing for the other."""
    everything = person("dashboard")
    some = person("dashboard", projects=("nw-shop-prod",))
    again = person("dashboard", projects=("nw-shop-prod",))
    other = person("dashboard", billing_accounts=("nw-shop-prod",))
    everything.keep("All", "f=project:nw-data-lake", shared=True)
    some.keep("Some")

    assert everything.names() == ["All"]
    assert some.names() == again.names() == ["Some"]  # a key that was rotated finds its views
    assert other.names() == []


def test_a_name_is_an_owners_once_and_only_so_many_are_kept(person: MakePerson, warehouse: psycopg.Connection) -> None:
    """Another owner may take it as well; the most is per owner."""
    ann, bob = person("ann"), person("bob")
    ann.keep("Name")
    other = ann.keep("Other")
    bob.keep("Name")
    for refused in (
        ann.ask("POST", "", name="Name", query=""),
        ann.ask("PUT", f"/{other['view_id']}", name="Name", query=""),
    ):
        assert (refused.status_code, refused.json()["title"]) == (409, "NameTaken")
    warehouse.execute(
        "insert into finops.saved_views (owner, owner_rows, name, query, shared) "
        "select 'key ann', '', n::text, '', false from generate_series(3, %s) as n",
        [MAX_VIEWS],
    )
    refused = ann.ask("POST", "", name="One more", query="")
    assert (refused.status_code, refused.json()["title"]) == (409, "TooMany")
    assert len(ann.names()) == MAX_VIEWS
    bob.keep("One more")


KEPT = [
    ("", "", "window=mtd&group_by=service&measure=billed_cost"),
    ("?period=30d", "period=30d", "window=30d&group_by=service&measure=billed_cost"),
    (
        "from=2026-09-01&to=2026-09-30&cmp=none",
        "from=2026-09-01&to=2026-09-30&cmp=none",
        "start=2026-09-01&end=2026-10-01&group_by=service&measure=billed_cost",
    ),
    (
        "by=sku&metric=list_cost&cur=EUR&f=service:6F81&f=project:(unattributed)&view=table&show=savings",
        "by=sku&metric=list_cost&cur=EUR&f=service%3A6F81&f=project%3A%28unattributed%29&view=table&show=savings",
        "window=mtd&group_by=sku&measure=list_cost&billing_currency=EUR&service=6F81&project=%28unattributed%29",
    ),
    (
        "period=7d&cmp=previous&f=project:a:b%26c%3Dd&open=x%20y&open=z",
        "period=7d&cmp=previous&f=project%3Aa%3Ab%26c%3Dd&open=x+y&open=z",
        "window=7d&group_by=service&measure=billed_cost&project=a%3Ab%26c%3Dd&compare=previous",
    ),
    (
        "period=lastmonth&cmp=month",
        "period=lastmonth&cmp=month",
        "window=lastmonth&group_by=service&measure=billed_cost&compare=previous_month",
    ),
    (
        "f=project:%25s%27%3B--<script>",
        "f=project%3A%25s%27%3B--%3Cscript%3E",
        "window=mtd&group_by=service&measure=billed_cost&project=%25s%27%3B--%3Cscript%3E",
    ),
]
"""An address, the address as it is kept, and the question of the API."""


def test_a_view_opens_what_it_says(spoilt: str, api_over: Api) -> None:
    """In one spelling, again and again; and the question it shows the answer of is one the API answers."""
    api = api_over(spoilt)
    for number, (query, spelt, asked) in enumerate(KEPT):
        made = api.post("/v1/views", json={"name": str(number), "query": query})
        assert made.status_code == 201, (query, made.text)
        view = api.get(made.headers["location"]).json()
        assert view == made.json()
        assert (view["query"], view["costs"]) == (spelt, f"/v1/costs?{asked}")
        assert address.read(spelt) == (address.read(query)[0], spelt)
        assert api.get(view["costs"]).status_code == 200


NO_ADDRESSES: list[object] = [
    *("utm_source=mail", "by=colour", "period=1d", "metric=coverage", "metric=charge_count", "cur=usd", "cur=USDX"),
    *("from=2026-09-01", "to=2026-09-01", "from=2026-09-02&to=2026-09-01", "from=2026-02-31&to=2026-03-01"),
    *("from=2026-09-01&to=9999-12-31", "by=sku&by=sku", "f=colour:red", "f=project", "f=project:", "f=:x"),
    *("f=project:%00", "f=project:a%0Ab", "f=project:%E2%80%AEx", "f=%ff", "open=", "show=everything"),
    *("from_=2026-09-01", "ev=anomaly/abc", "ev_f=project:x", "javascript:alert(1)", "//evil.example/", "#x"),
    *("open=" + "x" * 521, "f=project:" + "x" * 4000, "&".join(f"f=sku:{n}" for n in range(101))),
    *("&".join(f"open={n}" for n in range(51)), "&".join(f"f=sku:{n}" for n in range(200)), None, 5, ["by=sku"]),
]
NO_NAMES: list[object] = ["", "x" * 121, "a\0b", "a\u202eb", " a", 3, None]
REFUSED: list[dict[str, object]] = [
    *[{"query": query} for query in NO_ADDRESSES],
    *[{"name": name} for name in NO_NAMES],
    {"shared": "yes"},
    {"shared": 1},
    {"owner": "key bob"},
    {"view_id": 3},
]


def test_what_no_view_can_be_is_refused(spoilt: str, api_over: Api, warehouse: psycopg.Connection) -> None:
    """Not understood is not kept: what somebody else opens later is what the dashboard itself could have written."""
    api = api_over(spoilt)
    for asked in REFUSED:
        answer = api.post("/v1/views", json={"name": "x", "query": "", **asked})
        assert answer.status_code == 422, (asked, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "evil" not in answer.text
    for number in ("0", "x", str(2**63)):
        assert api.get(f"/v1/views/{number}").status_code == 422
    assert warehouse.execute("select count(*) from finops.saved_views").fetchall() == [(0,)]


def test_without_a_key_no_view(spoilt: str, api_over: Api) -> None:
    """Any reader keeps views, and a reader it must be."""
    api = api_over(spoilt, api_token="a token of some length")

    for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("PUT", "/1"), ("DELETE", "/1")):
        assert api.request(method, f"/v1/views{path}", json={"name": "x", "query": ""}).status_code == 401


def constants(name: str) -> set[str]:
    """What a list of `view.ts` holds."""
    found = re.search(rf"{name} = (?:new Set\()?\[(.*?)\]", Path(VIEW_TS).read_text(encoding="utf-8"))
    assert found, name
    return set(re.findall(r"'(\w+)'", found[1]))


def test_the_dashboard_and_the_api_know_the_same_parameters() -> None:
    """A parameter that is added to the page could otherwise not be saved, and nobody would know why."""
    properties = address.Address.model_json_schema(by_alias=True)["properties"]

    def values(name: str) -> set[str]:
        return set(properties[name]["anyOf"][0]["enum"])

    assert set(properties) == constants("KEYS") - {"ev", "ev_f"}
    assert values("period") == constants("PERIODS")
    assert values("by") == constants("GROUPS")
    assert values("metric") == constants("METRICS")
    assert values("cmp") == constants("COMPARES")
    assert values("view") == constants("CHARTS")
