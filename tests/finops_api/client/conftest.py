"""The client, over a socket to a served API over the built tables."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from finops_client import FinOps


@pytest.fixture
def url(built: str, serve: Callable[..., httpx.Client]) -> str:
    """Where an API answers this machine over the built tables."""
    return str(serve(built).base_url)


@pytest.fixture
def finops(url: str) -> Iterator[FinOps]:
    """A client of it."""
    with FinOps(url) as client:
        yield client
