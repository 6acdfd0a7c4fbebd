"""What has to be known of somebody when they come back from the provider: kept in their browser, readable to us alone.

It is encrypted and authenticated with a key made of the pepper, so that any replica may see them come back, and it
is over after ten minutes. That it is used once, the session it begins sees to (`sessions.sign_in_digest`).
"""

import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

VALID_SECONDS = 600
LONGEST_NEXT = 2000
"""A browser keeps a cookie of 4096 bytes; a longer address is not gone back to."""

_HOW = {"alg": "dir", "enc": "A256GCM"}


@dataclass(frozen=True)
class SignIn:
    """Somebody who was sent to the provider and has not come back."""

    state: str
    nonce: str
    verifier: str
    next: str
    until: float


def new_sign_in(next_: str) -> SignIn:
    """A sign-in that begins now."""
    return SignIn(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        next=next_,
        until=time.time() + VALID_SECONDS,
    )


def sealed(sign_in: SignIn, pepper: bytes) -> str:
    """It, as its cookie holds it."""
    return jwe.encrypt_compact(_HOW, json.dumps(asdict(sign_in)), _key(pepper))


def opened(cookie: str, pepper: bytes) -> SignIn | None:
    """What a cookie holds; None of one that is over, or that we did not make."""
    try:
        plain = jwe.decrypt_compact(cookie, _key(pepper), algorithms=list(_HOW.values())).plaintext
    except (JoseError, ValueError):
        return None
    sign_in = SignIn(**json.loads(plain or b""))
    return sign_in if sign_in.until > time.time() else None


def local_address(given: str) -> str:
    """Where somebody goes once they are signed in: an address of ours as it was given, else the first page."""
    is_ours = (
        given.startswith("/")
        and given.isprintable()
        and "\\" not in given
        and not given.startswith(("//", "/auth/"))
        and len(given) <= LONGEST_NEXT
    )
    return given if is_ours else "/"


def _key(pepper: bytes) -> OctKey:
    return OctKey.import_key(hmac.digest(pepper, b"the state of a sign-in", "sha256"))
