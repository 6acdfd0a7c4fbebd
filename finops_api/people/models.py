"""What is told of whoever asks."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from finops_warehouse.keys import Scope
from finops_warehouse.users import Role

Kind = Literal["user", "key", "deployment", "machine"]


class Me(BaseModel):
    """Who asks, and what they may."""

    name: str = Field(description="As the audit record names them.", examples=["user someone@example.com"])
    kind: Kind = Field(
        description="A person who signed in; a key; API_TOKEN; or this machine, before there is any of these."
    )
    email: str | None = Field(description="Of a person.")
    role: Role | None = Field(description="Of a person, as of their last sign-in.")
    scopes: list[Scope]
    billing_accounts: list[str] | None = Field(description="The accounts whose rows are seen; null where all are.")
    projects: list[str] | None = Field(description="The projects whose rows are seen; null where all are.")
    expires_at: datetime | None = Field(description="When the session or the key ends, whatever is done with it.")
    csrf_token: str | None = Field(
        description="Of a session: `X-CSRF-Token` of every request that is not GET. A request with a key needs none."
    )


class SignedOut(BaseModel):
    """Nobody is signed in any more."""

    signed_out: bool = Field(description="Whether somebody was.")
