"""What browsers are told with every answer, whatever made it: outside of all else, so that errors have it too."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": b"frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
}
OVER_TLS = {b"strict-transport-security": b"max-age=31536000"}


class SecurityHeaders:
    """Adds the headers an answer does not have; the dashboard's pages have stricter ones of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Forged it does no harm: a browser listens to this header over TLS alone.
        forwarded = dict(scope["headers"]).get(b"x-forwarded-proto") == b"https"
        wanted = {**ALWAYS, **(OVER_TLS if scope["scheme"] == "https" or forwarded else {})}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in wanted.items() if name not in given]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, sending)
