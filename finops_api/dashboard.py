"""The dashboard: files that `make web` built, served beside the API so that a browser needs no other origin.

An address of the dashboard is a view of it, so whatever is no file and no part of the API answers with the one page.
Paths of the API never do: a mistyped route has to fail as JSON, not succeed as HTML.
"""

import gzip
import mimetypes
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

EVERY_PATH = "/{path:path}"
WEB = Path(__file__).parent / "web"

OF_THE_API = ("v1", "auth", "docs", "redoc", "openapi.json", "livez", "readyz", "metrics", "problems")

PAGE_HEADERS = {
    # Its assets carry their hash in their name; the page that names them must never be an old one.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
COMPRESSED = (".js", ".css", ".svg")

NOT_BUILT = """<!doctype html>
<html lang="en">
<title>The dashboard is not built · FinOps Intelligence</title>
<h1>The dashboard is not built</h1>
<p>The API works; only its pages are missing. In the checkout, run <code>make web</code> and reload this page.</p>
<p><a href="/docs">What the API answers</a></p>
</html>
"""


def install(app: FastAPI, folder: Path = WEB) -> None:
    """Serve the dashboard built in `folder`. Comes after every other route: it takes whatever they leave."""

    @app.api_route(EVERY_PATH, methods=["GET", "HEAD"], include_in_schema=False)
    async def dashboard(path: str, request: Request) -> Response:
        if path.split("/")[0] in OF_THE_API or "\0" in path:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        index = folder / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, HTTPStatus.SERVICE_UNAVAILABLE, PAGE_HEADERS)
        asked = (folder / path).resolve()
        if asked != index and asked.is_file() and asked.is_relative_to(folder.resolve()):
            return _file(asked, request)
        if asked != index and "." in asked.name:  # a file that is not there, not a view
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return FileResponse(index, headers=PAGE_HEADERS)


def _file(path: Path, request: Request) -> Response:
    headers = ASSET_HEADERS if path.parent.name == "assets" else PAGE_HEADERS
    if path.suffix in COMPRESSED and "gzip" in request.headers.get("accept-encoding", ""):
        packed = _gzipped(path, path.stat().st_mtime_ns)
        headers = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(packed, headers=headers, media_type=mimetypes.guess_type(path)[0])
    return FileResponse(path, headers=headers)


@lru_cache(maxsize=32)
def _gzipped(path: Path, _changed: int) -> bytes:
    return gzip.compress(path.read_bytes())
