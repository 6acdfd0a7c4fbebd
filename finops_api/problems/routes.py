"""/problems: a page for each refusal, made of what the code says of it. For people, and so not in the contract."""

import inspect
import re
from collections.abc import Iterator
from html import escape
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from finops_api.errors import OF_ANY_ROUTE, ApiError

router = APIRouter(prefix="/problems", include_in_schema=False)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title} · FinOps Intelligence</title>
<h1>{title}</h1>
{body}
</html>
"""


@router.get("", response_class=HTMLResponse)
async def list_problems() -> str:
    """All refusals there are."""
    items = "\n".join(
        f'<li><a href="/problems/{name}">{name}</a> ({status.value}): {_html(says.splitlines()[0])}</li>'
        for name, (status, says) in sorted(problems().items())
    )
    lead = "<p>Every refusal is <code>application/problem+json</code>; its <code>type</code> is one of these.</p>"
    return PAGE.format(title="Problems", body=f"{lead}\n<ul>\n{items}\n</ul>")


@router.get("/{name}", response_class=HTMLResponse)
async def explain_problem(name: str) -> str:
    """What one means, and what to do."""
    if name not in problems():
        raise HTTPException(HTTPStatus.NOT_FOUND)
    status, says = problems()[name]
    paragraphs = "\n".join(f"<p>{_html(paragraph)}</p>" for paragraph in says.split("\n\n"))
    body = f'<p>Status {status.value} ({status.phrase}).</p>\n{paragraphs}\n<p><a href="/problems">All problems</a></p>'
    return PAGE.format(title=name, body=body)


def problems() -> dict[str, tuple[HTTPStatus, str]]:
    """Of every `type` its status, and what it means and what to do, each a paragraph."""
    own = {kind.__name__: (kind.status, inspect.cleandoc(kind.__doc__ or "")) for kind in _told(ApiError)}
    return own | OF_ANY_ROUTE


def _told(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    """The kinds that callers meet: those that no other is a kind of."""
    kinds = kind.__subclasses__()
    if not kinds:
        yield kind
    for each in kinds:
        yield from _told(each)


def _html(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
