"""Asking over HTTP: the key, refusals as errors, waiting when the API says so. Everything here only reads.

A refusal of 429 or 503 is asked again after its `Retry-After`, a bounded number of times. That is safe because no
request of this client changes anything; a client that writes must not do it.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any

import httpx

from finops_client.errors import (
    BrokenDownload,
    NotYet,
    Refused,
    TooManyRequests,
    UnexpectedAnswer,
    Unreachable,
    UnsafeConnection,
    refusal,
)

LONGEST_WAIT = 120.0
"""Seconds. An API that asks for more is not waited for: the refusal is raised, and says how long it would take."""


Parameters = Sequence[tuple[str, str]]


class Transport:
    """A connection to one API. Its text never holds the key, which only the connection itself knows."""

    def __init__(self, url: str, key: str | None, *, timeout: float, retries: int) -> None:
        self.url = _checked(url, key)
        self._retries = retries
        headers = {"User-Agent": "finops-client", "Accept": "application/json, application/problem+json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout,
            # Without encryption only this machine is asked, and a proxy from the environment is elsewhere.
            trust_env=self.url.startswith("https://"),
        )

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, parameters: Parameters) -> Any:  # noqa: ANN401 -- a JSON document
        """The document at a path. Raises what `finops_client.errors` lists."""
        with self.streamed(path, parameters) as answer:
            return _document(answer, self._whole(answer))

    def post(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401 -- a JSON document
        """The answer to a question that no address can hold. It changes nothing, so it is asked again as `get` is."""
        with self._sent(self._http.build_request("POST", path, json=body)) as answer:
            return _document(answer, self._whole(answer))

    @contextmanager
    def streamed(self, path: str, parameters: Parameters) -> Iterator[httpx.Response]:
        """The answer at a path as it begins to arrive; `pieces` reads on."""
        with self._sent(self._http.build_request("GET", path, params=httpx.QueryParams(tuple(parameters)))) as answer:
            yield answer

    def pieces(self, answer: httpx.Response) -> Iterator[bytes]:
        """The bytes of an answer, as they arrive. Raises `BrokenDownload` when they end before the answer is whole."""
        if not {"content-length", "transfer-encoding"} & set(answer.headers):
            # Closing the connection would be its end, and an answer that is cut short would look the same.
            raise BrokenDownload(f"{self.url} does not say where its answer ends, so nobody could tell if it is whole.")
        try:
            yield from answer.iter_bytes()
        except httpx.HTTPError as fault:
            raise BrokenDownload(f"{self.url} broke off before the download was whole: {fault}") from None

    @contextmanager
    def _sent(self, request: httpx.Request) -> Iterator[httpx.Response]:
        answer = self._answered(request)
        try:
            yield answer
        finally:
            answer.close()

    def _answered(self, request: httpx.Request) -> httpx.Response:
        for tried in range(self._retries + 1):
            answer = self._send(request)
            if answer.is_success:
                return answer
            try:
                refused = self._refusal(answer)
            finally:
                answer.close()
            wait = refused.retry_after if refused.retry_after is not None else float(2**tried)
            is_for_now = isinstance(refused, TooManyRequests | NotYet)
            if not is_for_now or tried == self._retries or wait > LONGEST_WAIT:
                raise refused
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._http.send(request, stream=True)
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} did not answer in time. Give a longer timeout, or ask for less.") from None
        except httpx.HTTPError as fault:
            raise Unreachable(f"{self.url} does not answer: {fault}. Is a FinOps API there?") from None

    def _refusal(self, answer: httpx.Response) -> Refused:
        body = self._whole(answer)
        kind = answer.headers.get("content-type", "").partition(";")[0]
        problem = _document(answer, body) if kind == "application/problem+json" else None
        if isinstance(problem, dict):
            return refusal(problem, answer.status_code, _seconds(answer.headers.get("retry-after")))
        if answer.status_code in (429, 503):  # a gateway before the API may say it, too
            said = {"title": answer.reason_phrase, "detail": f"{self.url} is not ready to answer."}
            return refusal(said, answer.status_code, _seconds(answer.headers.get("retry-after")))
        raise UnexpectedAnswer(
            f"{self.url} answered {answer.status_code} with {kind or 'nothing'}, which no FinOps API does. "
            "Is the address right?"
        )

    def _whole(self, answer: httpx.Response) -> bytes:
        try:
            return answer.read()
        except httpx.HTTPError as fault:
            raise Unreachable(f"{self.url} broke off its answer: {fault}") from None


def _document(answer: httpx.Response, body: bytes) -> Any:  # noqa: ANN401 -- a JSON document
    try:
        # No number of the API has a fraction, amounts are texts; were there one, it would not become a float.
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        kind = answer.headers.get("content-type", "nothing")
        raise UnexpectedAnswer(
            f"{answer.url.scheme}://{answer.url.netloc.decode()} answered with {kind}, which is not JSON. "
            "Is a FinOps API there?"
        ) from None


def _seconds(given: str | None) -> float | None:
    """What `Retry-After` says, as seconds from now; a moment is one, too."""
    if given is None:
        return None
    if given.isdecimal():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _checked(url: str, key: str | None) -> str:
    """The address, as it is asked. Raises `UnsafeConnection` where a key would be seen by others, or cannot be sent."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL()
    if parts.scheme not in ("https", "http") or not parts.host or parts.query or parts.fragment:
        raise UnsafeConnection("The address of the API is none. Write it as https://finops.example.com.")
    if parts.userinfo:
        raise UnsafeConnection("The address holds a user or a password. Leave them out and give the key as `key`.")
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        # Never the key itself: it is most likely a real one with a line break at its end.
        raise UnsafeConnection("The key is empty or holds what no key does, such as a space or a line break.")
    if key is not None and parts.scheme == "http" and not _is_this_machine(parts.host):
        raise UnsafeConnection(f"The key would go to {parts.host} in the clear. Write https://, or leave out the key.")
    return str(parts).rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
