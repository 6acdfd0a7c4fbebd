"""How the dashboard's files are served, beside an API that keeps answering as an API."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from finops_api import dashboard, errors


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as `make web` leaves it."""
    (tmp_path / "web/assets").mkdir(parents=True)
    (tmp_path / "web/index.html").write_text("<!doctype html><title>the page</title>")
    (tmp_path / "web/assets/index-abc123.js").write_text("console.log('page')" * 100)
    (tmp_path / "secret.txt").write_text("not for the web")
    return tmp_path / "web"


def client(folder: Path) -> TestClient:
    """A client of an application that serves this folder."""
    app = FastAPI()
    errors.install(app)
    dashboard.install(app, folder)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("path", ["/", "/anything/else", "/?by=project", "/index.html"])
def test_every_view_is_the_one_page(built: Path, path: str) -> None:
    """And never an old one: its assets change their names."""
    answer = client(built).get(path)

    assert answer.status_code == 200
    assert "the page" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_assets_are_kept_for_ever_and_sent_small(built: Path) -> None:
    """Their hash is in their name."""
    answer = client(built).get("/assets/index-abc123.js")

    assert answer.text.startswith("console.log")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
    plain = client(built).get("/assets/index-abc123.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text


@pytest.mark.parametrize(
    "path", ["/v1/nope", "/v1", "/docs/nope", "/metrics/nope", "/assets/gone-000.js", "/robots.txt"]
)
def test_what_is_no_page_fails_as_json(built: Path, path: str) -> None:
    """A mistyped route must not succeed as HTML."""
    answer = client(built).get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/..%5csecret.txt", "/%00"]
)
def test_only_the_folder_is_served(built: Path, path: str) -> None:
    """Whatever a path is made to say."""
    answer = client(built).get(path)

    assert "not for the web" not in answer.text
    assert answer.status_code in (200, 404)


def test_without_a_bundle_it_says_how_to_make_one(tmp_path: Path) -> None:
    """One command."""
    answer = client(tmp_path / "nothing").get("/")

    assert answer.status_code == 503
    assert "<code>make web</code>" in answer.text
