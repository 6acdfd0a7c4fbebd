"""The client, over a socket to a served API over the built tables."""

from collections.abc import Iterator

import pytest

from finops_client import FinOps
from finops_warehouse.settings import Settings

from ..conftest import _served


@pytest.fixture(scope="module")
def url(built: str) -> Iterator[str]:
    """Where an API answers this machine over the built tables."""
    with _served(built, Settings()) as client:
        yield str(client.base_url)


@pytest.fixture
def finops(url: str) -> Iterator[FinOps]:
    """A client of it."""
    with FinOps(url) as client:
        yield client
