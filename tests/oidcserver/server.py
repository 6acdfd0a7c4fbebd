"""The provider: discovery, authorize, token with PKCE and client authentication, keys that rotate, userinfo."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode

import uvicorn
from helpers.processes import free_port
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

Claims = dict[str, Any]

PERSON: Claims = {
    "sub": "subject-1",
    "email": "viewer@example.com",
    "email_verified": True,
    "name": "A Viewer",
    "groups": [],
}


class OidcServer:
    """What it says, and what it was asked. A test sets the first and reads the second."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.client_id, self.client_secret = "finops", "of-the-client"
        self.person: Claims = dict(PERSON)
        self.change: Callable[[Claims], object] = lambda _: None
        self.sign: Callable[[Claims], str] = self.signed
        self.describes: Claims = {}
        self.denies: str | None = None
        self.delay = 0.0
        self.is_broken = False
        self.uses_codes_up = True
        self.checks_pkce = True
        self.is_thin = False
        self.asked: Counter[str] = Counter()
        self.authorized: list[dict[str, str]] = []
        self.key = self.other = RSAKey.generate_key(2048)
        self.rotate()
        self._codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Sign with a new key, and forget the old one."""
        self.key = RSAKey.generate_key(2048, parameters={"kid": secrets.token_hex(4), "use": "sig"})

    def signed(self, claims: Claims) -> str:
        """A token as it should be."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def signed_with_another(self, claims: Claims) -> str:
        """By somebody who knows what the key is called, and has another."""
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.other)

    def signed_with_an_unknown(self, claims: Claims) -> str:
        """With a key that is published nowhere."""
        return jwt.encode({"alg": "RS256", "kid": "nowhere"}, claims, self.other)

    def unsigned(self, claims: Claims) -> str:
        """`alg: none`."""
        return f"{_part({'alg': 'none', 'kid': self.key.kid})}.{_part(claims)}."

    def signed_with_the_public_key(self, claims: Claims) -> str:
        """HS256, with what everybody knows for a secret."""
        signed = f"{_part({'alg': 'HS256', 'kid': self.key.kid})}.{_part(claims)}"
        mac = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"

    # -- what it answers

    async def _describe(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                **self.describes,
            }
        )

    async def _jwks(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.authorized.append(asked)
        if self.denies:
            told = {"error": "access_denied", "error_description": self.denies, "state": asked["state"]}
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(told)}", 302)
        if asked["client_id"] != self.client_id or asked["response_type"] != "code":
            return PlainTextResponse("this is no client of ours", 400)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        sent = dict(parse_qsl((await request.body()).decode()))
        if not self._is_client(request, sent):
            return JSONResponse({"error": "invalid_client"}, 401)
        began = self._codes.get(sent["code"])
        if began is not None and self.uses_codes_up:
            del self._codes[sent["code"]]
        if began is None or sent["redirect_uri"] != began["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"].encode()).digest()).decode()
        if self.checks_pkce and (
            began["code_challenge_method"] != "S256" or challenge.rstrip("=") != began["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant", "error_description": "PKCE"}, 400)
        now = int(time.time())
        claims = {
            **(self.person if not self.is_thin else {"sub": self.person["sub"]}),
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": began["nonce"],
        }
        self.change(claims)
        token = self.sign(claims)
        return JSONResponse({"access_token": "for-userinfo", "token_type": "Bearer", "id_token": token})

    def _is_client(self, request: Request, sent: dict[str, str]) -> bool:
        if not self.client_secret:
            return sent.get("client_id") == self.client_id
        basic = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if "client_secret_post" in self.describes.get("token_endpoint_auth_methods_supported", []):
            return sent.get("client_secret") == self.client_secret and "authorization" not in request.headers
        return request.headers.get("authorization") == f"Basic {basic}"

    async def _userinfo(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer for-userinfo":
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(self.person)

    def app(self) -> Starlette:
        """Its routes."""
        routes = {
            "/.well-known/openid-configuration": self._describe,
            "/jwks": self._jwks,
            "/authorize": self._authorize,
            "/token": self._token,
            "/userinfo": self._userinfo,
        }

        def counted(path: str, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
            async def endpoint(request: Request) -> Response:
                self.asked[path] += 1
                await asyncio.sleep(self.delay)
                if self.is_broken:
                    return PlainTextResponse("<h1>502 from a proxy</h1>", 502)
                answered: Response = await answer(request)
                return answered

            return endpoint

        return Starlette(
            routes=[Route(path, counted(path, answer), methods=["GET", "POST"]) for path, answer in routes.items()]
        )


def _part(told: Claims) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


@contextmanager
def serving() -> Iterator[OidcServer]:
    """A provider that listens, in a thread of its own."""
    port = free_port()
    provider = OidcServer(f"http://127.0.0.1:{port}")
    config = uvicorn.Config(
        provider.app(), host="127.0.0.1", port=port, log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the provider did not start")
        time.sleep(0.01)
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(timeout=10)
