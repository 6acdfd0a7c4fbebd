"""Where the next page of an answer begins. A cursor is of one question over one state of the data, and of no other.

Pages are of rows in one total order. Since the data must not have moved, the number of rows before is exact.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from finops_api.costs.models import CostQuery
from finops_api.errors import BadCursor, StaleCursor


def cursor(query: CostQuery, state: str, position: int) -> str:
    """The cursor of the page that begins after `position` rows."""
    return urlsafe_b64encode(json.dumps([_name(query), state, position]).encode()).decode().rstrip("=")


def position(query: CostQuery, state: str) -> int:
    """How many rows lie before the page that is asked for.

    Raises `BadCursor` for a cursor of another question and `StaleCursor` when the data has moved since.
    """
    if query.cursor is None:
        return 0
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        name, seen, before = json.loads(urlsafe_b64decode(padded.encode("ascii")))
    except (binascii.Error, UnicodeError, ValueError, TypeError):
        name, seen, before = None, None, None
    if name != _name(query) or type(before) is not int or not 0 <= before < 10**9:
        raise BadCursor("This cursor is none of this question. Take next_cursor of the page before, unchanged.")
    if seen != state:
        raise StaleCursor("The data has moved since the page before. Begin again without a cursor.")
    return before


def _name(query: CostQuery) -> str:
    return sha256(query.model_dump_json(exclude={"cursor", "limit"}).encode()).hexdigest()[:16]
