"""What is sent to us is read to its end before a route sees it, and not further than it may go."""

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finops_api.errors import BodyTooLarge, refusal

LARGEST_BODY = 2**20
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE")


class Bodies:
    """Refuses bodies that are too large, also those that do not say how large they are.

    Starlette's own limit (`max_body_size`) answers `text/plain` to those that do say it, whatever handles errors.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        size = 0
        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            if size > LARGEST_BODY:
                told = BodyTooLarge(f"More than {LARGEST_BODY:,} bytes were sent, and no body is that large.")
                await refusal(Request(scope), told)(scope, receive, send)
                return
        messages.reverse()

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, again, send)
