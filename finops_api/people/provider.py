"""The OpenID Connect provider that people sign in at: where it sends them, and whom it says they are.

Authlib speaks OAuth with it. Its integration for Starlette keeps state in a signed cookie session of its own, which
can be neither ended nor used up; so the client underneath is used, and state is kept in `people.state`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator

from finops_api.errors import NotListed, ProviderUnreachable, SignInFailed
from finops_warehouse.settings import Settings, is_safe
from finops_warehouse.users import is_address

ALGORITHMS = ("RS256", "PS256", "ES256")
"""What an ID token may be signed with. None of them takes a key that we know as well, and none is none."""

READ_AGAIN_SECONDS = 3600.0
PATIENCE_SECONDS = 4.0
"""For all that is asked of the provider in one request."""
LEEWAY_SECONDS = 60
"""How far its clock may be off."""
LONGEST_SUBJECT = 255

_OBJECT = TypeAdapter(dict[str, Any])

log = structlog.get_logger("finops_api")


class _Described(BaseModel):
    """What a provider says of itself in its discovery document, as far as we use it."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)

    @field_validator("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is not None and not is_safe(value):
            raise ValueError("is neither https nor on this machine")
        return value


@dataclass(frozen=True)
class Person:
    """Whom the provider says somebody is."""

    issuer: str
    subject: str
    email: str
    is_verified: bool
    name: str | None
    groups: tuple[str, ...]


class Provider:
    """Asks the provider; what it says of itself and its keys are remembered."""

    def __init__(self, settings: Settings) -> None:
        if settings.oidc_issuer is None or settings.public_url is None:
            raise ValueError("nobody signs in here")
        self._settings = settings
        self._issuer = settings.oidc_issuer
        self._callback = f"{settings.public_url}/auth/callback"
        self._wants_groups = any(
            entry.startswith("group:") for entries in settings.listed_people.values() for entry in entries
        )
        self._described: tuple[float, _Described] | None = None
        self._keys: KeySet | None = None

    async def address_to_sign_in(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where somebody is sent to sign in. Raises `ProviderUnreachable`."""
        async with self._asking() as client:
            described = await self._describe(client)
            address, _ = client.create_authorization_url(
                described.authorization_endpoint, state=state, nonce=nonce, code_verifier=verifier
            )
            return str(address)

    async def person(self, *, code: str, nonce: str, verifier: str) -> Person:
        """Whoever came back with this code.

        Raises `SignInFailed` when the provider refuses the code or its ID token is not one for us and for now, and
        `ProviderUnreachable`.
        """
        async with self._asking() as client:
            described = await self._describe(client)
            if self._settings.oidc_client_secret and "client_secret_basic" not in (
                described.token_endpoint_auth_methods_supported
            ):
                client.token_endpoint_auth_method = "client_secret_post"  # noqa: S105 -- the name of a way to send it
            try:
                tokens = await client.fetch_token(described.token_endpoint, code=code, code_verifier=verifier)
            except OAuthError as refused:
                log.warning("the sign-in provider refused", issuer=self._issuer, why=str(refused))
                raise SignInFailed(f"The provider refused: {said(refused.error)}. Sign in again.") from None
            claims = await self._claims(client, described, tokens.get("id_token"), nonce)
            return _person(await self._with_more(client, described, claims), self._settings.oidc_groups_claim)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncOAuth2Client]:
        secret = self._settings.oidc_client_secret
        try:
            async with (
                asyncio.timeout(PATIENCE_SECONDS),
                AsyncOAuth2Client(
                    client_id=self._settings.oidc_client_id,
                    client_secret=secret.get_secret_value() if secret else None,
                    scope=self._settings.oidc_scopes,
                    redirect_uri=self._callback,
                    code_challenge_method="S256",
                    timeout=PATIENCE_SECONDS,
                ) as client,
            ):
                yield client
        except (httpx2.HTTPError, TimeoutError, ValueError) as error:
            # ValueError: an answer that is no JSON, or not what such an answer holds.
            log.warning("the sign-in provider does not answer as one", issuer=self._issuer, error=repr(error))
            raise ProviderUnreachable(
                f"The provider that people sign in at, {self._issuer}, does not answer as it should. Try again in a "
                "few seconds. If it goes on, whoever runs this checks OIDC_ISSUER and the log; keys work meanwhile."
            ) from None

    async def _describe(self, client: AsyncOAuth2Client) -> _Described:
        now = time.monotonic()
        if self._described is None or now - self._described[0] > READ_AGAIN_SECONDS:
            told = await _read(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            described = _Described.model_validate(told)
            if described.issuer != self._issuer:
                raise ValueError(f"it calls itself {said(described.issuer)}")
            # Its keys are asked for again as well: one that it has taken back signs nobody in for longer.
            self._described, self._keys = (now, described), None
        return self._described[1]

    async def _claims(
        self, client: AsyncOAuth2Client, described: _Described, token: object, nonce: str
    ) -> dict[str, Any]:
        if not isinstance(token, str):
            raise SignInFailed("The provider sent no ID token. OIDC_SCOPES must hold openid.")
        try:
            try:
                decoded = jwt.decode(token, await self._known_keys(client, described), algorithms=ALGORITHMS)
            except InvalidKeyIdError:  # it signs with a new key since we asked for them
                self._keys = None
                decoded = jwt.decode(token, await self._known_keys(client, described), algorithms=ALGORITHMS)
            self._expected(nonce).validate(decoded.claims)
        except JoseError as wrong:
            log.warning("an ID token was refused", issuer=self._issuer, why=str(wrong))
            raise SignInFailed(
                f"What the provider sent proves nothing here ({wrong.error}). Sign in again; if it goes on, whoever "
                "runs this finds the reason in the log."
            ) from None
        return decoded.claims

    def _expected(self, nonce: str) -> jwt.JWTClaimsRegistry:
        ours = self._settings.oidc_client_id or ""
        return jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": ours},
            azp={"value": ours},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
        )

    async def _known_keys(self, client: AsyncOAuth2Client, described: _Described) -> KeySet:
        if self._keys is None:
            told = await _read(client, described.jwks_uri)
            if not isinstance(told.get("keys"), list):
                raise ValueError("its keys are none")
            self._keys = KeySet.import_key_set({"keys": told["keys"]})
        return self._keys

    async def _with_more(
        self, client: AsyncOAuth2Client, described: _Described, claims: dict[str, Any]
    ) -> dict[str, Any]:
        """What the ID token says, and what only the userinfo endpoint says: providers differ in where they say it."""
        wanted = {"email", *([self._settings.oidc_groups_claim] if self._wants_groups else [])}
        if wanted <= claims.keys() or described.userinfo_endpoint is None:
            return claims
        more = await _read(client, described.userinfo_endpoint, withhold_token=False)
        if more.get("sub") != claims["sub"]:
            raise SignInFailed("The provider tells of somebody else than who signed in. Sign in again.")
        return {**more, **claims}


async def _read(client: AsyncOAuth2Client, url: str, *, withhold_token: bool = True) -> dict[str, Any]:
    answer = await client.request("GET", url, withhold_token=withhold_token)
    answer.raise_for_status()
    return _OBJECT.validate_json(answer.content)


def _person(claims: Mapping[str, Any], groups_claim: str) -> Person:
    email, subject, name = claims.get("email"), claims["sub"], claims.get("name")
    if not isinstance(email, str) or not is_address(email):
        raise NotListed("The provider tells no e-mail address of you, so nobody can say who you are.")
    if not 0 < len(subject) <= LONGEST_SUBJECT:
        raise SignInFailed("The provider names nobody.")
    told = claims.get(groups_claim)
    groups = told if isinstance(told, list) else [told]
    return Person(
        issuer=claims["iss"],
        subject=subject,
        email=email.lower(),
        is_verified=claims.get("email_verified") in (True, "true"),
        name=said(name) if isinstance(name, str) else None,
        groups=tuple(group for group in groups if isinstance(group, str)),
    )


def said(text: str) -> str:
    """What somebody else said, short and printable enough to be repeated."""
    return "".join(character for character in text if character.isprintable())[:200]
