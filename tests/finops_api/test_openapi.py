"""The document other people's clients are generated from."""

from collections import Counter
from typing import Any

import httpx
import pytest

from finops_warehouse.semantic import DIMENSIONS


@pytest.fixture(scope="module")
def document(api: httpx.Client) -> dict[str, Any]:
    """What /openapi.json says."""
    told: dict[str, Any] = api.get("/openapi.json").json()
    return told


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every operation by its path; one that is not a GET by its method, too."""
    return {
        path if method == "get" else f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    """They become function names in generated clients."""
    ids = Counter(operation["operationId"] for operation in operations(document).values())

    assert all(count == 1 for count in ids.values()), ids
    assert all(name.isidentifier() and "_" not in name for name in ids), ids


def test_the_document_is_the_same_each_time(api: httpx.Client) -> None:
    """It is made once and asked for by every page of /docs."""
    assert api.get("/openapi.json").json() == api.get("/openapi.json").json()


NAMED = {"POST /v1/budgets", "PUT /v1/budgets/{budget_id}", "POST /v1/views", "PUT /v1/views/{view_id}"}
"""What can be told that a name is taken."""


def test_every_route_says_what_it_refuses(document: dict[str, Any]) -> None:
    """A caller can prepare for 401, 403, 422, 429 and 503 only when told of them."""
    for path, operation in operations(document).items():
        if "/v1/" not in path:
            continue
        refusals = {status: told for status, told in operation["responses"].items() if not status.startswith("2")}
        method, _, place = path.rpartition(" ")
        expected = {"400", "401", "403", "422", "429", "503"}
        expected |= (
            {"404"} if place.startswith("/v1/evidence") or place.endswith(("{budget_id}", "{view_id}")) else set()
        )
        expected |= {"409"} if place.startswith("/v1/costs") or path in NAMED else set()
        expected |= {"412"} if place == "/v1/budgets/{budget_id}" and method else set()
        assert expected == refusals.keys(), path


def test_every_refusal_is_documented_as_what_it_is(document: dict[str, Any]) -> None:
    """A client generated for FastAPI's own error shape would fail to read ours."""
    for path, operation in operations(document).items():
        for status, told in operation["responses"].items():
            if status.startswith("2"):
                continue
            kinds = dict(told["content"])
            if status == "400":  # of what the server of HTTP cannot read, it says so itself
                assert kinds.pop("text/plain") == {"schema": {"type": "string"}}
            [(kind, content)] = kinds.items()
            assert (kind, content["schema"]["$ref"]) == (
                "application/problem+json",
                "#/components/schemas/Problem",
            ), f"{path} {status}"


def test_every_parameter_and_operation_is_described(document: dict[str, Any]) -> None:
    """/docs is where people learn the API."""
    for path, operation in operations(document).items():
        assert operation["description"], path
    [costs] = [operation for path, operation in operations(document).items() if path == "/v1/costs"]
    assert set(DIMENSIONS) <= {parameter["name"] for parameter in costs["parameters"]}


def test_a_number_is_no_day_and_no_moment(api: httpx.Client, document: dict[str, Any]) -> None:
    """Taken for seconds since 1970 it would be answered, about another time than was meant."""
    tried = 0
    for path, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            kinds = parameter["schema"].get("anyOf", [parameter["schema"]])
            if any(kind.get("format") in ("date", "date-time") for kind in kinds):
                name = parameter["name"]
                refused = api.get(path.replace("{format}", "csv"), params={name: "20260910"})
                assert refused.status_code == 422, (path, name)
                assert f"query.{name}: Value error, write a day as" in refused.json()["detail"], (path, name)
                tried += 1
    assert tried > 15
