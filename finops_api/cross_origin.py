"""Pages of other origins, which may ask where CORS_ORIGINS names them."""

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from finops_api.errors import NotFromElsewhere, refusal


class CrossOrigin(CORSMiddleware):
    """Lets pages of these origins in, by their exact names, and tells all others what is in the way.

    Without credentials: a page elsewhere sends a key of its own, and never somebody's cookie.
    """

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Cache-Control",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "X-Request-ID",
            ],
            expose_headers=[
                "ETag",
                "Retry-After",
                "X-Complete-Through",
                "X-Data-Version",
                "X-Missing-Days",
                "X-Request-ID",
            ],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            request = Request(scope)
            if {"origin", "access-control-request-method"} <= set(request.headers):
                await self._asked_whether(request)(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def _asked_whether(self, request: Request) -> Response:
        answer = self.preflight_response(request.headers)
        if answer.status_code == 200:
            return answer
        # Starlette says which of them it is in a line of text. Whoever reads this looks into a browser's network tab.
        reason = bytes(answer.body).decode().removeprefix("Disallowed CORS ")
        told = refusal(
            request,
            NotFromElsewhere(
                f"Pages of other origins may not send this; what is in the way: {reason}. CORS_ORIGINS names the "
                f"origins that may, with {', '.join(self.allow_methods)} and the headers "
                f"{', '.join(sorted(self.allow_headers))}."
            ),
        )
        told.headers["Vary"] = answer.headers["Vary"]
        return told
