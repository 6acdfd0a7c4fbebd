"""Views are told apart by their owner: a name, and the rows it sees. A key of that name that sees others is another."""

import json
from typing import LiteralString

from psycopg import AsyncConnection

from finops_api.access import Principal
from finops_api.database import rows
from finops_api.views import address
from finops_api.views.models import ViewInfo

# Whoever sees some rows only sees no views of others: what those filter by names what is not theirs.
SEEN: LiteralString = """
    where (owner = %(owner)s and owner_rows = %(owner_rows)s or shared and %(owner_rows)s = '')
"""
VIEWS: LiteralString = """
    select json_build_object(
        'view_id', view_id, 'name', name, 'query', query, 'shared', shared, 'owner', owner,
        'is_yours', owner = %(owner)s and owner_rows = %(owner_rows)s, 'created_at', created_at,
        'updated_at', updated_at
    )
    from finops.saved_views
"""
BY_NAME: LiteralString = f"{VIEWS} {SEEN} order by name, view_id"
ONE: LiteralString = f"{VIEWS} {SEEN} and view_id = %(view_id)s"
WHOEVER_SEES_IT: LiteralString = f"{VIEWS} where view_id = %(view_id)s"

OWN: LiteralString = "select count(*) from finops.saved_views where owner = %(owner)s and owner_rows = %(owner_rows)s"
INSERT: LiteralString = """
    insert into finops.saved_views (owner, owner_rows, name, query, shared)
    values (%(owner)s, %(owner_rows)s, %(name)s, %(query)s, %(shared)s) returning view_id
"""
UPDATE: LiteralString = """
    update finops.saved_views set name = %(name)s, query = %(query)s, shared = %(shared)s, updated_at = now()
    where view_id = %(view_id)s
"""


def owned_by(principal: Principal) -> dict[str, str]:
    """Who owns what somebody keeps."""
    seen = [principal.rows.billing_accounts, principal.rows.projects]
    return {"owner": principal.name, "owner_rows": json.dumps(seen) if principal.rows.is_restricted else ""}


async def views(
    connection: AsyncConnection, statement: LiteralString, principal: Principal, **more: object
) -> list[ViewInfo]:
    """The views a statement finds among those that somebody may see."""
    found = await rows(connection, statement, {**owned_by(principal), **more})
    return [ViewInfo.model_validate({**view, "costs": address.read(view["query"])[0].costs()}) for (view,) in found]
