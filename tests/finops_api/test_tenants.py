"""Two tenants, every route: what one of them is told never holds a row of the other."""

from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest
from fastapi.routing import iter_route_contexts

from finops_api import keyring
from finops_api.app import create_app
from finops_warehouse import keys
from finops_warehouse.database import connect_to
from finops_warehouse.row_scope import RowScope
from finops_warehouse.settings import Settings

from .listening import number, until_it_listens

MakeKey = Callable[..., str]
PEPPER = "a pepper of these tests"

EUROPE, AMERICA = "0186E2-9D41B7-C35A0F", "01A7C3-5E9B20-4D6F81"
SHOP = ("nw-shop-prod", "nw-shop-staging")

TENANTS = {
    "europe": RowScope((EUROPE,)),
    "america": RowScope((AMERICA,)),
    "shop": RowScope(None, SHOP),
    "shop of america": RowScope((AMERICA,), SHOP),
    "shop of europe, which has none": RowScope((EUROPE,), SHOP),
}

CELL = "start=2026-09-10&end=2026-09-17&billing_currency={currency}"
ANSWERED = {
    "/v1/costs": "/v1/costs?start=2026-09-01&end=2026-10-01&group_by=project&group_by=service&group_by=billing_account",
    "/v1/dimensions": "/v1/dimensions",
    "/v1/dimensions/{name}/members": "/v1/dimensions/project/members?limit=500",
    "/v1/me": "/v1/me",
    "/v1/meta": "/v1/meta",
    "/v1/evidence": f"/v1/evidence?{CELL}&limit=200",
    "/v1/evidence.csv": f"/v1/evidence.csv?{CELL}",
    "/v1/exports/costs.{format}": "/v1/exports/costs.csv?start=2026-09-01&end=2026-10-01&group_by=project"
    "&group_by=service&group_by=billing_account",
}
"""What every restricted key is answered, with the rows it sees."""

BY_ACCOUNT = {
    "/v1/coverage": "/v1/coverage?start=2026-09-01&end=2026-10-01&dimension=team",
    "/v1/allocations": "/v1/allocations?start=2026-09-01&end=2026-10-01&dimension=team",
    "/v1/restatements": "/v1/restatements",
    "/v1/maturity": "/v1/maturity",
    "/v1/nowcast": "/v1/nowcast",
    "/v1/invoice-months": "/v1/invoice-months",
    "/v1/invoice-months/parts": "/v1/invoice-months/parts?invoice_month=202609",
}
"""What is told of whole billing accounts."""

REFUSED = {
    "/v1/anomalies": "/v1/anomalies",
    "/v1/forecasts": "/v1/forecasts",
    "/v1/forecasts/accuracy": "/v1/forecasts/accuracy",
    "/v1/recommendations": "/v1/recommendations",
    "/v1/insights": "/v1/insights",
    "/v1/focus/conformance": "/v1/focus/conformance",
    "/v1/budgets": "/v1/budgets",
    "/v1/budgets/{budget_id}": "/v1/budgets/1",
    "/v1/exports/focus.{format}": "/v1/exports/focus.ndjson?month=202609",
}
"""What is told of everything at once."""

OWN = {"/v1/views": "/v1/views", "/v1/views/{view_id}": "/v1/views/{view}"}
"""What somebody kept: each is answered with their own, and not with what others kept."""

ALL = {**ANSWERED, **BY_ACCOUNT, **REFUSED, **OWN}


@pytest.fixture(autouse=True)
def _strangers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that a test makes is known in its next line."""
    monkeypatch.setattr(keyring, "READ_AGAIN_FOR_A_STRANGER_SECONDS", 0.0)


class Tenant:
    """Somebody who holds a key, and what must never be in an answer to it."""

    def __init__(self, api: httpx.Client, token: str, scope: RowScope, rows: list[tuple[str, str | None, str]]) -> None:
        self._api, self._token, self.scope = api, token, scope
        own = [row for row in rows if self._sees(*row)]
        self.currencies = sorted({currency for *_, currency in own})
        mine = {*(name for row in own for name in row), *(scope.billing_accounts or ()), *(scope.projects or ())}
        self.others = {name for row in rows for name in row if name} - mine

    def _sees(self, account: str, project: str | None, _: str) -> bool:
        accounts, projects = self.scope.billing_accounts, self.scope.projects
        return (accounts is None or account in accounts) and (projects is None or project in projects)

    def get(self, path: str, **params: Any) -> httpx.Response:  # noqa: ANN401 -- whatever the route takes
        """Ask with the key."""
        asked = path.replace("{currency}", (self.currencies or ["XXX"])[0])
        return self._api.get(asked, params=params or None, headers={"Authorization": f"Bearer {self._token}"})

    def send(self, path: str, body: dict[str, object]) -> httpx.Response:
        """Send a body with the key."""
        return self._api.post(path, json=body, headers={"Authorization": f"Bearer {self._token}"})

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """Have something kept with the key."""
        answer = self.send(path, body)
        assert answer.status_code == 201, answer.text
        kept: dict[str, Any] = answer.json()
        return kept

    def leaks(self, text: str) -> set[str]:
        """Names of others that stand in a text."""
        return {name for name in self.others if f'"{name}"' in text or f",{name}," in text or f"{name}:" in text}


MakeTenant = Callable[[RowScope], Tenant]


@pytest.fixture
def tenant(keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]) -> MakeTenant:
    """`tenant(scope)` holds a key that sees that scope."""
    api = api_over(keyed, api_key_pepper=PEPPER)
    with connect_to(keyed) as connection:
        rows = connection.execute(
            "select distinct billing_account_id, sub_account_id, billing_currency from finops.raw_charges"
        ).fetchall()

    def make(scope: RowScope) -> Tenant:
        key = make_key("read", "export", billing_accounts=scope.billing_accounts, projects=scope.projects)
        return Tenant(api, key, scope, rows)

    return make


def test_the_matrix_holds_every_route_that_answers() -> None:
    """A route that is added has to be put where it belongs: answered by rows, by account, or refused."""
    data = {
        route.path
        for route in iter_route_contexts(create_app("postgresql://nobody@127.0.0.1:1/x", Settings()).routes)
        if (route.path or "").startswith("/v1/") and "GET" in (getattr(route, "methods", None) or ())
    }

    assert set(ALL) == data


@pytest.mark.parametrize("name", TENANTS)
@pytest.mark.parametrize("route", [route for route in ALL if route not in OWN])
def test_nobody_is_told_a_row_of_another(tenant: MakeTenant, name: str, route: str) -> None:
    """The whole text of each answer, searched for every account, project and currency that is not theirs."""
    scope = TENANTS[name]
    answer = tenant(scope).get(ALL[route])
    may = route in ANSWERED or (route in BY_ACCOUNT and scope.projects is None)

    assert answer.status_code == (200 if may else 403), answer.text
    assert tenant(scope).leaks(answer.text) == set()
    if not may:
        assert answer.json()["title"] == "OutOfScope"


ANY = {"not": {"dimension": "service", "operator": "in", "values": ["no such service"]}}
BODIES: dict[str, dict[str, object]] = {
    "/v1/costs/query": {
        "start": "2026-09-01", "end": "2026-10-01", "group_by": ["project", "service", "billing_account"], "where": ANY,
    },
    "/v1/evidence/query": {"start": "2026-09-10", "end": "2026-09-17", "where": ANY, "limit": 200},
}  # fmt: skip


def test_the_matrix_holds_every_question_in_a_body() -> None:
    """As above: whatever else is sent by POST is written, and has tests of its own."""
    posted = {
        route.path
        for route in iter_route_contexts(create_app("postgresql://nobody@127.0.0.1:1/x", Settings()).routes)
        if (route.path or "").startswith("/v1/") and "POST" in (getattr(route, "methods", None) or ())
    }

    assert posted == {*BODIES, "/v1/budgets", "/v1/views"}


@pytest.mark.parametrize("name", TENANTS)
@pytest.mark.parametrize("route", BODIES)
def test_nobody_is_told_a_row_of_another_by_a_body(tenant: MakeTenant, name: str, route: str) -> None:
    """Conditions that everything meets are met by their own rows alone."""
    mine = tenant(TENANTS[name])
    currency = {"billing_currency": (mine.currencies or ["XXX"])[0]} if "evidence" in route else {}

    answer = mine.send(route, {**BODIES[route], **currency})

    assert answer.status_code == 200, answer.text
    assert mine.leaks(answer.text) == set()
    assert bool(mine.currencies) is bool(answer.json().get("items") or answer.json().get("rows"))


@pytest.mark.parametrize("route", BODIES)
def test_whoever_sees_everything_is_told_of_both_by_a_body(tenant: MakeTenant, route: str) -> None:
    """So that the test above can fail."""
    other = tenant(TENANTS["shop of europe, which has none"])
    currency = {"billing_currency": "USD"} if "evidence" in route else {}

    assert other.leaks(tenant(RowScope()).send(route, {**BODIES[route], **currency}).text) != set()


@pytest.mark.parametrize(
    "route",
    [*(r for r in ANSWERED if r not in ("/v1/dimensions", "/v1/me")), *(r for r in BY_ACCOUNT if r != "/v1/coverage")],
)
def test_whoever_sees_everything_is_told_of_both(tenant: MakeTenant, route: str) -> None:
    """The matrix above is of answers in which others would stand: it can fail."""
    other = tenant(TENANTS["shop of europe, which has none"])
    everybody = tenant(RowScope())

    assert other.leaks(everybody.get(ALL[route]).text) != set()


@pytest.mark.parametrize("name", ["europe", "america", "shop", "shop of america"])
@pytest.mark.parametrize("grouped", ["service", "project", "sku", "team", "region"])
def test_what_a_key_is_told_is_what_those_rows_cost(tenant: MakeTenant, name: str, grouped: str) -> None:
    """Not less and not more: as one who sees everything is told when asking about the same rows, from any table."""
    scope = TENANTS[name]
    asked = {"start": "2026-09-01", "end": "2026-10-01", "granularity": "total", "group_by": grouped}
    filters = {"billing_account": scope.billing_accounts or (), "project": scope.projects or ()}

    mine = tenant(scope).get("/v1/costs", **asked).json()
    all_of_it = tenant(RowScope()).get("/v1/costs", **asked, **filters).json()

    assert mine["items"] == all_of_it["items"]
    assert len(mine["items"]) > 1 or grouped == "team"
    assert mine["totals"] == all_of_it["totals"]


@pytest.mark.parametrize("name", ["europe", "shop"])
def test_asking_for_what_is_anothers_is_asking_for_what_is_not_there(tenant: MakeTenant, name: str) -> None:
    """The two answers are the same: whether a project of that name exists is nobody's business."""
    mine = tenant(TENANTS[name])
    days = {"start": "2026-09-01", "end": "2026-10-01", "granularity": "total"}
    cell = {"start": "2026-09-10", "end": "2026-09-17", "billing_currency": "USD"}
    for path, asked in (("/v1/costs", days), ("/v1/evidence", cell), ("/v1/evidence.csv", cell)):
        told = []
        for project in ("nw-data-lake", "no-such-project"):
            answer = mine.get(path, **asked, project=project)
            told.append((answer.status_code, without_what_was_asked(answer, project)))
        assert told[0] == told[1]
        assert told[0][0] == 200


@pytest.mark.parametrize("name", TENANTS)
def test_nobody_is_told_what_another_keeps(tenant: MakeTenant, name: str) -> None:
    """Every key here has the same name: the rows it sees make it another owner. What is shared names others' rows."""
    everybody, mine, other = tenant(RowScope()), tenant(TENANTS[name]), tenant(RowScope((EUROPE, AMERICA)))
    theirs = [
        keeper.post(OWN["/v1/views"], name=f"{name} {shared} {i}", query="f=project:nw-data-lake", shared=shared)
        for i, keeper in enumerate((everybody, other))
        for shared in (True, False)
    ]
    own = mine.post(OWN["/v1/views"], name="mine", query="by=project", shared=True)
    place = OWN["/v1/views/{view_id}"]

    listed = mine.get(OWN["/v1/views"])
    assert [view["view_id"] for view in listed.json()["items"]] == [own["view_id"]]
    assert mine.leaks(listed.text.replace(":", ",")) == set()
    refusals = [mine.get(place.format(view=number)) for number in (*(view["view_id"] for view in theirs), 10**9)]
    assert {refused.status_code for refused in refusals} == {404}
    assert len({refused.json()["detail"] for refused in refusals}) == 1
    seen = [view["view_id"] for view in everybody.get(OWN["/v1/views"]).json()["items"]]
    assert {theirs[0]["view_id"], theirs[1]["view_id"], theirs[2]["view_id"], own["view_id"]} <= set(seen)
    assert theirs[3]["view_id"] not in seen


BEFORE = """
    select min(materialised_at) - interval '1 millisecond' from finops.materialisation_log
    where version in (select until_version from finops.superseded_cost_data)
"""
VARIANTS = {
    "before the restatements": {"as_of": BEFORE, "group_by": "project"},
    "as of now": {"as_of": "2036-01-01T00:00:00Z", "group_by": "project"},
    "compared": {"compare": "previous", "group_by": "project"},
    "the top and the rest": {"top": "1", "group_by": "project"},
    "by day": {"granularity": "daily", "group_by": "sku"},
    "by month and rule": {"granularity": "monthly", "group_by": "team_rule"},
    "unfinished too": {"include_unfinished": "true", "group_by": "region"},
}


@pytest.mark.parametrize("name", ["europe", "america", "shop"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_of_asking_is_kept_to_its_rows(tenant: MakeTenant, keyed: str, name: str, variant: str) -> None:
    """Each reads other tables: superseded rows, the days before, the members that are left."""
    scope = TENANTS[name]
    asked = {"start": "2026-09-05", "end": "2026-09-25", "granularity": "total", **VARIANTS[variant]}
    if asked.get("as_of") == BEFORE:
        with connect_to(keyed) as connection:
            [(moment,)] = connection.execute(BEFORE.encode()).fetchall()
        asked["as_of"] = moment.isoformat()
    filters = {"billing_account": scope.billing_accounts or (), "project": scope.projects or ()}

    mine = tenant(scope).get("/v1/costs", **asked)
    all_of_it = tenant(RowScope()).get("/v1/costs", **asked, **filters)

    assert (mine.status_code, all_of_it.status_code) == (200, 200)
    assert mine.json()["items"] == all_of_it.json()["items"] != []
    assert tenant(scope).leaks(mine.text) == set()


def without_what_was_asked(answer: httpx.Response, project: str) -> str:
    """An answer without the name that was asked for, and without the time."""
    body = answer.json() if answer.headers["content-type"] == "application/json" else {"text": answer.text}
    body.pop("recomputed_at", None)
    return str(body).replace(project, "PROJECT")


@pytest.mark.parametrize("what", ["insight_id", "anomaly_id", "recommendation_id"])
def test_a_number_of_somebody_elses_is_not_opened_by_its_id(tenant: MakeTenant, keyed: str, what: str) -> None:
    """Ids travel in links. One that is there and one that is not are refused alike."""
    table = {
        "insight_id": "llm_insights",
        "anomaly_id": "cost_anomalies",
        "recommendation_id": "savings_recommendations",
    }
    with connect_to(keyed) as connection:
        [(there,)] = connection.execute(f"select {what} from finops.{table[what]} limit 1").fetchall()
    fact = {} if what == "anomaly_id" else {"fact_id": "f_x"}
    answers = [
        tenant(TENANTS[name]).get("/v1/evidence", **{what: given}, **fact)
        for name in ("europe", "shop")
        for given in (there, "none-such")
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.json()["detail"] for answer in answers}) == 1


def test_the_evidence_of_a_restricted_key_adds_up(tenant: MakeTenant) -> None:
    """Its rows are its own, and their sum is what it was served; effective cost is refused where it could not be."""
    shop = tenant(TENANTS["shop"])
    days = {"start": "2026-09-10", "end": "2026-09-17", "billing_currency": "USD"}
    opened = shop.get("/v1/evidence", **days).json()

    assert opened["matches"]
    assert opened["row_count"] > 100
    assert opened["cell"]["filters"]["project"] == list(SHOP)
    refused = shop.get("/v1/evidence", **days, measure="effective_cost")
    assert (refused.status_code, refused.json()["title"]) == (403, "OutOfScope")
    america = tenant(TENANTS["america"]).get("/v1/evidence", **days, measure="effective_cost").json()
    assert america["matches"]


def test_a_connection_that_served_one_tenant_serves_the_next_their_own(tenant: MakeTenant) -> None:
    """Connections are shared. What one request set must not be there for another, in any order."""
    tenants = [tenant(TENANTS[name]) for name in ("europe", "america", "shop")] + [tenant(RowScope())]
    alone = [each.get(ALL["/v1/costs"]).json()["items"] for each in tenants]
    for _ in range(3):
        for each, expected in zip(reversed(tenants), reversed(alone), strict=True):
            assert each.get(ALL["/v1/anomalies"]).status_code in (200, 403)  # also after a refusal in Postgres
            assert each.get(ALL["/v1/costs"]).json()["items"] == expected


@pytest.mark.parametrize("route", ["/v1/costs", "/v1/dimensions/{name}/members", "/v1/meta"])
def test_what_is_kept_for_one_is_not_given_to_another(
    keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client], route: str
) -> None:
    """One server, one question, asked in turn until every answer is a kept one."""
    api = api_over(keyed, api_key_pepper=PEPPER)
    until_it_listens(api)
    america, shop = RowScope((AMERICA,)), RowScope(None, SHOP)
    bearers = [
        {"Authorization": f"Bearer {make_key(*scopes, billing_accounts=rows.billing_accounts, projects=rows.projects)}"}
        for scopes, rows in [
            (("read",), RowScope()), (("read",), america), (("read",), america), (("read",), shop), (("export",), shop),
        ]
    ]  # fmt: skip
    alone = [api.get(ALL[route], headers={**bearer, "Cache-Control": "no-cache"}) for bearer in bearers]
    kept = number(api, 'finops_answers_total{from="kept"}')
    for _ in range(3):
        for bearer, expected in zip(bearers, alone, strict=True):
            answer = api.get(ALL[route], headers=bearer)
            assert answer.status_code == expected.status_code
            if expected.status_code == 200:
                assert answer.json() == expected.json()

    assert [answer.status_code for answer in alone] == [200, 200, 200, 200, 403]
    assert len({answer.text for answer in alone[:4]}) == 3
    assert number(api, 'finops_answers_total{from="kept"}') - kept == 9
    assert api.get(ALL[route]).status_code == 401


def test_what_somebody_sees_in_part_is_nothing_to_answer_others_by(
    spoilt: str, api_over: Callable[..., httpx.Client]
) -> None:
    """Europe does not see how long America's charges take, and America's days must not be complete by that."""
    with connect_to(spoilt, autocommit=True) as connection:
        connection.execute(
            "insert into finops.account_completeness "
            "(as_of_day, billing_account_id, after_days, days_learned_from, known_share) values (%s, %s, 9, 60, 1)",
            ["2026-12-31", AMERICA],
        )
        of_europe, of_all = (
            keys.create(connection, wanted, pepper=PEPPER.encode(), actor="tests")[1]
            for wanted in (
                keys.NewKey(name="europe", scopes=("read",), billing_accounts=(EUROPE,)),
                keys.NewKey(name="all", scopes=("read",)),
            )
        )
    api = api_over(spoilt, api_key_pepper=PEPPER, answers_kept_mb=0)

    def complete_through(key: str) -> str:
        asked = {"window": "7d", "billing_account": AMERICA}
        answer = api.get("/v1/costs", params=asked, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        through: str = answer.json()["meta"]["complete_through"]
        return through

    # Again and again: other tests commit meanwhile, and then nothing that is held is used.
    told = [(complete_through(of_europe), complete_through(of_all)) for _ in range(10)]

    assert {of_all for _, of_all in told} == {"2026-10-11"}


def test_the_same_words_ask_of_what_who_says_them_sees(
    keyed: str, make_key: MakeKey, api_over: Callable[..., httpx.Client]
) -> None:
    """A question is held with its URL; what one asks of all accounts another asks of theirs."""
    api = api_over(keyed, api_key_pepper=PEPPER, answers_kept_mb=0)
    everything, america = make_key("read"), make_key("read", billing_accounts=(AMERICA,))

    def told(key: str) -> tuple[object, set[str]]:
        url = "/v1/costs?start=2026-09-01&end=2026-09-08&granularity=total&group_by=billing_account"
        answer = api.get(url, headers={"Authorization": f"Bearer {key}"}).json()
        return answer["meta"]["filters"], {item["billing_account"] for item in answer["items"]}

    for _ in range(2):
        assert told(everything) == ({}, {EUROPE, AMERICA})
        assert told(america) == ({"billing_account": [AMERICA]}, {AMERICA})


def test_without_the_roles_a_restricted_key_sees_nothing(spoilt: str, api_over: Callable[..., httpx.Client]) -> None:
    """A database restored without them: refused, with the remedy, and not answered with everything."""
    from finops_warehouse import keys

    with connect_to(spoilt, autocommit=True) as connection:
        wanted = keys.NewKey("tests", ("read",), projects=SHOP)
        _, token = keys.create(connection, wanted, pepper=PEPPER.encode(), actor="tests")
        _take_grants_away(connection)
    answer = api_over(spoilt, api_key_pepper=PEPPER).get(ALL["/v1/costs"], headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json()["title"]) == (403, "OutOfScope")


def _take_grants_away(connection: psycopg.Connection) -> None:
    for role in ("finops_by_account", "finops_by_project", "finops_by_account_and_project"):
        connection.execute(f"revoke all on all tables in schema finops from {role}".encode())
