"""An assistant's side of `finops mcp`: the official client, which starts the real command and speaks to it by pipes."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from helpers.checkout import TOP
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, Tool

from finops_warehouse.settings import Settings

from ..conftest import _served

FINOPS = Path(sys.executable).with_name("finops")


def environment(**settings: str) -> dict[str, str]:
    """What the command is started with: these settings, and this checkout."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": str(TOP), **settings}


@dataclass
class Assistant:
    """A session with a server of its own."""

    portal: BlockingPortal
    client: Client
    log: Path
    """What the server wrote to stderr."""

    def call(self, tool: str, **arguments: Any) -> CallToolResult:  # noqa: ANN401 -- whatever the tool takes
        """The result of a call, also when it is an error."""
        return self.portal.call(partial(self.client.call_tool, tool, arguments))

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 -- whatever the tool takes
        """The answer of a call that has one."""
        result = self.call(tool, **arguments)
        assert not result.is_error, text(result)
        answer: dict[str, Any] = result.structured_content
        assert json.loads(text(result)) == answer  # assistants read one or the other
        return answer

    def tools(self) -> list[Tool]:
        """The tools it offers."""
        return self.portal.call(self.client.list_tools).tools

    @property
    def instructions(self) -> str:
        """What the server tells assistants of itself."""
        return self.client.instructions or ""


def text(result: CallToolResult) -> str:
    """The one text a result holds."""
    [content] = result.content
    assert content.type == "text"
    return content.text


Assist = Callable[..., Assistant]


@contextmanager
def sessions(folder: Path) -> Iterator[Assist]:
    """`start(url, FINOPS_API_KEY=…)` begins a session over the API at that address; all end with the block."""
    with ExitStack() as open_now:
        portal = open_now.enter_context(start_blocking_portal())

        def start(url: str, *arguments: str, **settings: str) -> Assistant:
            log = folder / "stderr"
            stderr = open_now.enter_context(log.open("a"))
            command = StdioServerParameters(
                command=str(FINOPS),
                args=["mcp", *arguments],
                env=environment(FINOPS_API_URL=url, **settings),
                cwd=folder,
            )
            client = Client(stdio_client(command, errlog=stderr), read_timeout_seconds=60)
            entered = open_now.enter_context(portal.wrap_async_context_manager(client))
            return Assistant(portal, entered, log)

        yield start


@pytest.fixture
def assist(tmp_path: Path) -> Iterator[Assist]:
    """Sessions of one test."""
    with sessions(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def url(built: str) -> Iterator[str]:
    """Where an API answers this machine over the built tables."""
    with _served(built, Settings()) as client:
        yield str(client.base_url)


@pytest.fixture(scope="module")
def assistant(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """A session over it, one for all tests of a module: none changes anything."""
    with sessions(tmp_path_factory.mktemp("assistant")) as start:
        yield start(url)
