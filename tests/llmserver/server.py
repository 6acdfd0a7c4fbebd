"""The server itself: one HTTP server, three protocols, a script of what to answer."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

Protocol = Literal["openai", "anthropic", "vertex"]
INPUT_TOKENS, OUTPUT_TOKENS = 120, 30


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    protocol: Protocol
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 -- whatever was sent
        return json.loads(self.body)

    @property
    def told(self) -> str:
        """All text that was sent, as a model would read it."""
        return "\n".join(_strings(self.json))

    @property
    def facts(self) -> list[dict[str, str]]:
        """The facts of the first thing that was asked."""
        asked = next(text for text in _strings(self.json) if text.lstrip().startswith("{") and '"facts"' in text)
        found: list[dict[str, str]] = json.loads(asked)["facts"]
        return found


@dataclass(frozen=True)
class Answer:
    """The arguments of the answer, as an object."""

    arguments: dict[str, Any]


@dataclass(frozen=True)
class Garbage:
    """An answer that is no JSON at all."""

    text: str


@dataclass(frozen=True)
class Status:
    """An error of the provider's."""

    code: int


@dataclass(frozen=True)
class Slow:
    """An answer nobody waits for."""

    seconds: float


@dataclass(frozen=True)
class Obedient:
    """A model that makes its answer of what it was sent."""

    answer: Callable[[Request], dict[str, Any]]


Step = Answer | Garbage | Status | Slow | Obedient


class ModelServer:
    """`ModelServer(script)`, used as a context manager."""

    def __init__(self, script: Sequence[Step]) -> None:
        self.requests: list[Request] = []
        self._script = list(script)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def base_url(self, protocol: Protocol) -> str:
        """For `LLM_BASE_URL`."""
        root = f"http://127.0.0.1:{self._server.server_port}"
        return f"{root}/v1" if protocol == "openai" else root

    def _next(self, request: Request) -> Step:
        with self._lock:
            self.requests.append(request)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        models = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                request = Request(_protocol(self.path), self.path, dict(self.headers), body)
                step = models._next(request)
                if isinstance(step, Slow):
                    models._over.wait(step.seconds)
                    self.close_connection = True
                    return
                if isinstance(step, Status):
                    self._send(step.code, {"error": {"message": "scripted", "type": "scripted", "code": step.code}})
                    return
                self._send(200, _answer(request, step))

            def _send(self, status: int, content: dict[str, Any]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status in (429, 503):
                    self.send_header("Retry-After", "0.05")
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silence."""

        return Handler


def _protocol(path: str) -> Protocol:
    if path.endswith("/chat/completions"):
        return "openai"
    if path.split("?")[0].endswith("/messages"):
        return "anthropic"
    if path.split("?")[0].endswith(":generateContent"):
        return "vertex"
    raise NotImplementedError(path)


def _answer(request: Request, step: Answer | Garbage | Obedient) -> dict[str, Any]:
    if isinstance(step, Obedient):
        step = Answer(step.answer(request))
    arguments = step.arguments if isinstance(step, Answer) else None
    text = step.text if isinstance(step, Garbage) else json.dumps(arguments)
    asked = request.json
    match request.protocol:
        case "openai":
            return _openai(asked, text)
        case "anthropic":
            return _anthropic(asked, arguments)
        case "vertex":
            return _vertex(asked, arguments, request.path.split("/models/")[1].split(":")[0])


def _openai(asked: dict[str, Any], text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if asked.get("tools"):
        name = asked["tools"][0]["function"]["name"]
        call = {"id": "call_a", "type": "function", "function": {"name": name, "arguments": text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": "c", "object": "chat.completion", "created": int(time.time()), "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "tool_calls" if asked.get("tools") else "stop", "message": message}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }  # fmt: skip


def _anthropic(asked: dict[str, Any], arguments: dict[str, Any] | None) -> dict[str, Any]:
    content = {"type": "tool_use", "id": "t_a", "name": asked["tools"][0]["name"], "input": arguments or {}}
    return {
        "id": "m", "type": "message", "role": "assistant", "model": asked["model"], "content": [content],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS},
    }  # fmt: skip


def _vertex(asked: dict[str, Any], arguments: dict[str, Any] | None, model: str) -> dict[str, Any]:
    name = asked["tools"][0]["functionDeclarations"][0]["name"]
    part = {"functionCall": {"name": name, "args": arguments or {}}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "modelVersion": model,
    }  # fmt: skip


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
