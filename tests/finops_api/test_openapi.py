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
    """Every operation by its path."""
    return {path: operation for path, methods in document["paths"].items() for operation in methods.values()}


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    """They become function names in generated clients."""
    ids = Counter(operation["operationId"] for operation in operations(document).values())

    assert all(count == 1 for count in ids.values()), ids
    assert all(name.isidentifier() and "_" not in name for name in ids), ids


def test_every_route_says_what_it_refuses(document: dict[str, Any]) -> None:
    """A caller can prepare for 401, 403, 422, 429 and 503 only when told of them."""
    for path, operation in operations(document).items():
        if not path.startswith("/v1/"):
            continue
        refusals = {status: told for status, told in operation["responses"].items() if status != "200"}
        expected = {"401", "403", "429", "503"}
        expected |= {"404"} if path.startswith("/v1/evidence") else set()
        expected |= {"409"} if path.startswith("/v1/costs") else set()
        expected |= {"422"} if operation.get("parameters") or operation.get("requestBody") else set()
        assert expected == refusals.keys(), path


def test_every_refusal_is_documented_as_what_it_is(document: dict[str, Any]) -> None:
    """A client generated for FastAPI's own error shape would fail to read ours."""
    for path, operation in operations(document).items():
        for status, told in operation["responses"].items():
            if status == "200":
                continue
            [(kind, content)] = told["content"].items()
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
