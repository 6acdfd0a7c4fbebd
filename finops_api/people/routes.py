"""GET /auth/sign-in, GET /auth/callback, POST /auth/sign-out, GET /v1/me."""

import hmac
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from psycopg_pool import AsyncConnectionPool

from finops_api.access import (
    ON_THIS_MACHINE,
    Anybody,
    Principal,
    Written,
    event,
    is_from_our_page,
    limits_of,
    principal_of,
)
from finops_api.database import may_write
from finops_api.errors import (
    ApiError,
    DatabaseUnreachable,
    NoSignIn,
    NotAllowed,
    NotFromOurPage,
    NotListed,
    ReadReplica,
    SignInFailed,
    documented,
)
from finops_api.limiting import network_of
from finops_api.people.models import Kind, Me, SignedOut
from finops_api.people.provider import Person, Provider, said
from finops_api.people.state import VALID_SECONDS, SignIn, local_address, new_sign_in, opened, sealed
from finops_api.sessions import SessionRing, cookie_name, is_over_tls, session_token
from finops_warehouse import users
from finops_warehouse.keys import RECORD, SCOPES
from finops_warehouse.settings import Settings

router = APIRouter(tags=["people"])

NOT_KEPT = {"Cache-Control": "no-store"}
"""Nobody between us and the browser keeps an answer that is one person's."""

LONGEST_USER_AGENT = 300


@router.get("/auth/sign-in", include_in_schema=False)
async def sign_in(request: Request, next_: Annotated[str, Query(alias="next")] = "/") -> Response:
    """Send somebody to the provider. `next` is where they are afterwards: an address of ours."""
    provider, ring, settings = await _signing_in(request)
    began = new_sign_in(local_address(next_))
    address = await provider.address_to_sign_in(state=began.state, nonce=began.nonce, verifier=began.verifier)
    answer = RedirectResponse(address, HTTPStatus.FOUND.value, NOT_KEPT)
    _set_cookie(answer, "sign_in", sealed(began, ring.pepper), VALID_SECONDS, settings)
    return answer


@router.get("/auth/callback", include_in_schema=False)
async def come_back(
    request: Request,
    written: Written,
    state: str = "",
    code: str = "",
    error: str = "",
    error_description: str = "",
) -> Response:
    """Somebody comes back from the provider: sign them in, or say why not. What they began is over either way."""
    provider, ring, settings = await _signing_in(request)
    try:
        began = opened(request.cookies.get(cookie_name("sign_in", settings), ""), ring.pepper)
        if began is None or not hmac.compare_digest(state.encode(), began.state.encode()):
            raise SignInFailed("This sign-in was not begun in this browser, or is over. Begin again at /auth/sign-in.")
        if error or not code:
            raise SignInFailed(f"The provider did not sign you in: {said(f'{error} {error_description}').strip()}.")
        person = await provider.person(code=code, nonce=began.nonce, verifier=began.verifier)
        token = users.new_session_token()
        try:
            await _begin_session(request, began, person, token)
        except NotListed as refused:
            who = Principal(f"user {person.email}", frozenset())
            written.record(event(request, who, "user.refused", "", subject=person.subject, why=str(refused)))
            raise
    except ApiError as refused:
        gone = Response()
        _set_cookie(gone, "sign_in", "", 0, settings)
        refused.headers = {**refused.headers, **NOT_KEPT, "Set-Cookie": gone.headers["set-cookie"]}
        raise
    answer = RedirectResponse(f"{settings.public_url}{began.next}", HTTPStatus.FOUND.value, NOT_KEPT)
    _set_cookie(answer, "sign_in", "", 0, settings)
    _set_cookie(answer, "session", token, settings.session_hours * 3600, settings)
    return answer


async def _begin_session(request: Request, began: SignIn, person: Person, token: str) -> None:
    settings: Settings = request.app.state.settings
    ring: SessionRing = request.app.state.sessions
    role = users.role_of(
        settings.listed_people, email=person.email, is_verified=person.is_verified, groups=person.groups
    )
    if role is None:
        unproven = "" if person.is_verified else " The provider does not say that the address is verified."
        raise NotListed(
            f"You are {person.email}, and nobody has given you a role here. Whoever runs this can.{unproven}"
        )
    pool: AsyncConnectionPool = request.app.state.pool
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        who = {
            "issuer": person.issuer, "subject": person.subject, "email": person.email, "name": person.name, "role": role
        }  # fmt: skip
        await connection.execute(users.CLAIM, who)
        [(user_id, is_disabled)] = await (await connection.execute(users.SIGN_IN, who)).fetchall()
        if is_disabled:
            raise NotListed(f"You are {person.email}, and whoever runs this has switched your access off.")
        session = {
            "user_id": user_id,
            "digest": users.digest_of_session(token, ring.pepper),
            "sign_in_digest": users.digest_of_sign_in(began.state, ring.pepper),
            "hours": settings.session_hours,
            "ip": request.client.host if request.client else None,
            "user_agent": said(request.headers.get("user-agent", ""))[:LONGEST_USER_AGENT],
        }
        if not await (await connection.execute(users.BEGIN, session)).fetchall():
            raise SignInFailed("This sign-in has been used already. Begin again at /auth/sign-in.")
        # Whoever was signed in here before is no longer: a browser is one person at a time.
        before = users.digest_of_session(session_token(request.scope, settings), ring.pepper)
        await connection.execute(users.END, {"digest": before})
        await connection.execute(users.FORGET)
        told = event(
            request, Principal(f"user {person.email}", frozenset()), "user.sign_in", " ".join(users.SCOPES_OF[role]),
            user_id=user_id, subject=person.subject, role=role,
        )  # fmt: skip
        await connection.execute(RECORD, told.parameters())
    ring.read_again()


@router.post(
    "/auth/sign-out", operation_id="signOut", responses=documented(NotFromOurPage, DatabaseUnreachable, ReadReplica)
)
async def sign_out(request: Request, response: Response) -> SignedOut:
    """End the session of this browser, here and on every replica. At the provider somebody stays signed in."""
    settings: Settings = request.app.state.settings
    ring: SessionRing = request.app.state.sessions
    token = session_token(request.scope, settings)
    session = await ring.find(token)
    response.headers.update(NOT_KEPT)
    if session is None:
        return SignedOut(signed_out=False)
    if not is_from_our_page(request, token):
        raise NotFromOurPage("Send the csrf_token of /v1/me as X-CSRF-Token.")
    pool: AsyncConnectionPool = request.app.state.pool
    async with pool.connection() as connection, connection.transaction():
        await may_write(connection)
        await connection.execute(users.END, {"digest": users.digest_of_session(token, ring.pepper)})
        told = event(request, principal_of(session), "user.sign_out", "", user_id=session.user_id)
        await connection.execute(RECORD, told.parameters())
    ring.read_again()
    _set_cookie(response, "session", "", 0, settings)
    return SignedOut(signed_out=True)


@router.get("/v1/me", operation_id="getMe", responses=documented(NotAllowed, DatabaseUnreachable))
async def get_me(request: Request, response: Response, principal: Anybody) -> Me:
    """Who you are here, what you may do, which rows you see, and until when."""
    response.headers.update(NOT_KEPT)
    session, rows = principal.session, principal.rows
    return Me(
        name=principal.name,
        kind=_kind(principal),
        email=session.email if session else None,
        role=session.role if session else None,
        scopes=[scope for scope in SCOPES if scope in principal.scopes],
        billing_accounts=None if rows.billing_accounts is None else list(rows.billing_accounts),
        projects=None if rows.projects is None else list(rows.projects),
        expires_at=principal.expires_at,
        csrf_token=_csrf_token(request) if session else None,
    )


def _kind(principal: Principal) -> Kind:
    if principal.session is not None:
        return "user"
    if principal.key_id is not None:
        return "key"
    return "machine" if principal is ON_THIS_MACHINE else "deployment"


def _csrf_token(request: Request) -> str:
    ring: SessionRing = request.app.state.sessions
    return ring.csrf_token(session_token(request.scope, request.app.state.settings))


async def _signing_in(request: Request) -> tuple[Provider, SessionRing, Settings]:
    """What signing in needs. Raises `NoSignIn` where nobody does, and `TooManyRequests`."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NoSignIn("Nobody signs in here: OIDC_ISSUER is not set. Requests are made with keys.")
    await limits_of(request).count("sign-in", network_of(request.client.host if request.client else ""))
    return provider, request.app.state.sessions, request.app.state.settings


def _set_cookie(response: Response, of: str, value: str, seconds: int, settings: Settings) -> None:
    response.set_cookie(
        cookie_name(of, settings),
        value,
        max_age=seconds,
        path="/",
        secure=is_over_tls(settings),
        httponly=True,
        samesite="lax",  # strict would not be sent along on the way back from the provider
    )
