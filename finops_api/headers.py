"""What browsers are told with every answer, whatever made it: outside of all else, so that errors have it too."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WANTED = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
WANTED_OVER_TLS = (*WANTED, (b"strict-transport-security", b"max-age=31536000"))


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
        is_over_tls = scope["scheme"] == "https" or (b"x-forwarded-proto", b"https") in scope["headers"]
        wanted = WANTED_OVER_TLS if is_over_tls else WANTED

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                message["headers"] = [*message["headers"], *(one for one in wanted if one[0] not in given)]
            await send(message)

        await self._app(scope, receive, sending)
