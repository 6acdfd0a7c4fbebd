"""Answers that are still the answer: kept as bytes, sent again without asking the warehouse, or not at all (304).

An answer is kept for one reader's rights, one question and one state of the data. The state is noted before the
question is put to the warehouse, so whatever is committed meanwhile makes the answer an old one. Equal questions that
come while one is being answered wait for that answer. Where there is a Redis, an answer that is not kept here is looked
for there, under the name of the state that this process has heard of last.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finops_api.changes import Changes
from finops_api.shared_answers import SharedAnswers

KEPT_UNDER = (
    "/v1/costs",
    "/v1/dimensions",
    "/v1/meta",
    "/v1/restatements",
    "/v1/maturity",
    "/v1/nowcast",
    "/v1/allocations",
    "/v1/coverage",
    "/v1/invoice-months",
    "/v1/anomalies",
    "/v1/forecasts",
    "/v1/budgets",
    "/v1/recommendations",
    "/v1/focus",
)
"""What is made of tables alone. Evidence is added up when it is asked for, and says when."""

LARGEST_SHARE = 8
"""An answer that takes more than an eighth of the room is not kept: it would push out all others."""

Key = tuple[str, str, bytes, str]


@dataclass(frozen=True)
class Route:
    """What a question's path is an instance of, for whoever counts requests."""

    path: str


@dataclass(frozen=True)
class Answer:
    """An answer as it is sent."""

    state: int
    body: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    route: Route

    def content(self) -> bytes:
        """It, for other processes: all but the number that a state has in this one."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        return json.dumps([self.route.path, self.etag.decode(), headers]).encode() + b"\n" + self.body

    @classmethod
    def of_content(cls, content: bytes, state: int) -> "Answer":
        """The answer that another process has made."""
        head, _, body = content.partition(b"\n")
        path, etag, headers = json.loads(head)
        told = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return cls(state, body, etag.encode(), told, Route(path))


class Answers:
    """The answers kept, the ones used last the longest, in so many bytes."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self.size = 0

    @property
    def has_room(self) -> bool:
        """Whether any is to be kept."""
        return self._room > 0

    def get(self, key: Key, state: int) -> Answer | None:
        """The answer to this question, if it is of this state."""
        found = self._kept.get(key)
        if found is None or found.state != state:
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: Key, answer: Answer) -> None:
        """Keep an answer, and let go of those used longest ago that no longer fit."""
        if len(answer.body) > self._room // LARGEST_SHARE:
            return
        self._forget(key)
        self._kept[key] = answer
        self.size += len(answer.body)
        while self.size > self._room:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= len(gone.body)


class KeptAnswers:
    """Middleware that answers from what is kept. `reader` says whose rights a request has; None: ask the routes."""

    def __init__(
        self,
        app: ASGIApp,
        changes: Changes,
        reader: Callable[[Scope], Awaitable[str | None]],
        room: int,
        registry: CollectorRegistry,
        shared: SharedAnswers | None = None,
    ) -> None:
        self._app = app
        self._changes = changes
        self._reader = reader
        self._answers = Answers(room)
        self._shared = shared if self._answers.has_room else None
        self._coming: dict[tuple[Key, int], asyncio.Future[Answer | None]] = {}
        outcomes = Counter(
            "finops_answers", "Answers by where they came from: kept here, shared by Redis, unchanged (304), made.",
            ["from"], registry=registry,
        )  # fmt: skip
        self._kept, self._from_redis, self._unchanged, self._made = (
            outcomes.labels(name) for name in ("kept", "shared", "unchanged", "made")
        )
        self._size = Gauge("finops_answers_bytes", "Bytes of the answers that are kept.", registry=registry)
        self._listening = Gauge("finops_listens_for_changes", "Whether changes are heard of.", registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from what is kept, or keep what is answered."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(KEPT_UNDER):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        reader = await self._reader(scope)
        # Only now: whatever was committed meanwhile is heard of.
        state, version = self._changes.state, self._changes.version
        self._listening.set(state is not None)
        if state is None or reader is None or b"no-cache" in headers.get(b"cache-control", b""):
            self._made.inc()
            await self._app(scope, receive, send)
            return
        # Whether an invoice is closed follows from the date.
        key = (reader, scope["path"], scope["query_string"], datetime.now(UTC).date().isoformat())
        answer = self._answers.get(key, state) or await self._coming_answer(key, state)
        source = self._kept
        if answer is None:
            answer, source = await self._found_once(key, state, version, scope, receive, send)
            if answer is None:  # it has been sent already
                return
        scope["route"] = answer.route
        if answer.etag in [tag.strip().removeprefix(b"W/") for tag in headers.get(b"if-none-match", b"").split(b",")]:
            (self._made if source is self._made else self._unchanged).inc()
            await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", answer.etag)]})
            await send({"type": "http.response.body", "body": b""})
            return
        source.inc()
        await send({"type": "http.response.start", "status": 200, "headers": list(answer.headers)})
        await send({"type": "http.response.body", "body": answer.body})

    async def _coming_answer(self, key: Key, state: int) -> Answer | None:
        """The answer of whoever asks the same now; None when nobody does, or when it could not be kept."""
        coming = self._coming.get((key, state))
        return await asyncio.shield(coming) if coming is not None else None

    async def _found_once(
        self, key: Key, state: int, version: str | None, scope: Scope, receive: Receive, send: Send
    ) -> tuple[Answer | None, Counter]:
        """The answer of another process or a new one, for whoever waits for it too, and which of these it is.

        None when it could not be kept and has been sent as it is.
        """
        mine: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._coming[key, state] = mine
        answer = None
        try:
            if (answer := await self._shared_answer(key, state, version)) is not None:
                return answer, self._from_redis
            answer = await self._made_by_routes(key, state, scope, receive, send)
            if answer is not None and self._shared is not None and version is not None:
                # Waited for: whoever has this answer finds it wherever they ask next.
                await self._shared.put(version, key, answer.content())
            return answer, self._made
        finally:
            mine.set_result(answer)
            if self._coming.get((key, state)) is mine:
                del self._coming[key, state]

    async def _shared_answer(self, key: Key, state: int, version: str | None) -> Answer | None:
        if self._shared is None or version is None:
            return None
        content = await self._shared.get(version, key)
        if content is None or self._changes.state != state:  # it has become an old one while it was fetched
            return None
        answer = Answer.of_content(content, state)
        self._keep(key, answer)
        return answer

    def _keep(self, key: Key, answer: Answer) -> None:
        self._answers.put(key, answer)
        self._size.set(self._answers.size)

    async def _made_by_routes(self, key: Key, state: int, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        messages: list[Message] = []

        async def hold(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, hold)
        start = messages[0]
        # An answer that has a name of its own is one to be changed, and whoever changes it wants it as it is now.
        if start["status"] != 200 or b"etag" in dict(start["headers"]):
            self._made.inc()
            for message in messages:
                await send(message)
            return None
        body = b"".join(message.get("body", b"") for message in messages[1:])
        etag = b'"' + blake2b(body, digest_size=16).hexdigest().encode() + b'"'
        told: list[tuple[bytes, bytes]] = [*start["headers"], (b"etag", etag), (b"cache-control", b"private, no-cache")]
        route = Route(getattr(scope.get("route"), "path", "unmatched"))
        answer = Answer(state, body, etag, tuple(told), route)
        self._keep(key, answer)
        return answer
