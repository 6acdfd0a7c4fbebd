"""Answers that another process has made, of the same rows, question and state of the data: kept in Redis, sealed.

What Redis holds is encrypted and authenticated with a key made for that one entry, of a secret that is in PostgreSQL
and of everything the answer depends on. So whoever writes to Redis can take answers away and cannot make one up, nor
put one in another's place; whoever reads it learns nothing. Which state is the current one is never asked of Redis.
"""

import hmac
import secrets
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from prometheus_client import CollectorRegistry, Counter

from finops_api.changes import Changes
from finops_api.redis import NotShared, Redis
from finops_warehouse.settings import Settings

LARGEST = 2**20
"""Bytes of an entry. A larger answer is made by each process that is asked for it."""
KEPT_SECONDS = 3600
"""An entry of a state that has passed is never asked for again, and goes by itself."""
NONCE_BYTES = 12

MAKES_ANSWERS = ("finops_api", "finops_insights", "finops_warehouse", "dbt_like_sql")
"""The code that answers depend on."""

OF_A_PROCESS = frozenset(
    {
        *("database_url", "dagster_database_url", "redis_url", "finops_home"),
        *("log_level", "log_format", "api_replicas", "answers_kept_mb"),
    }
)
"""Settings that processes may differ in and give the same answers. In all others they give none to each other."""

log = structlog.get_logger("finops_api")


class SharedAnswers:
    """Entries in Redis. Never raises for what Redis does."""

    def __init__(self, redis: Redis, changes: Changes, settings: Settings, registry: CollectorRegistry) -> None:
        self._redis = redis
        self._changes = changes
        self._program = f"{_code()} {_settings(settings)}"
        self._is_refusal_told = False
        looked_for = Counter(
            "finops_shared_answers", "Answers looked for in Redis: found, missing, forged.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._found, self._missing, self._forged = (looked_for.labels(n) for n in ("found", "missing", "forged"))

    async def get(self, version: str, asked: tuple[str | bytes, ...]) -> bytes | None:
        """What was put for exactly this; None when there is nothing, or nothing that we put."""
        place = self._place(version, asked)
        if place is None:
            return None
        name, key = place
        try:
            # No more than what we would have put: an entry of somebody else's may be of any size.
            found = await self._redis.ask("answers", lambda: self._redis.client.getrange(name, 0, LARGEST))
        except NotShared:
            return None
        if not found:
            self._missing.inc()
            return None
        entry = cast("bytes", found)  # the library's types do not know that nothing is decoded
        try:
            content = AESGCM(key).decrypt(entry[:NONCE_BYTES], entry[NONCE_BYTES:], None)
        except (InvalidTag, ValueError):  # ValueError: of what is too short
            self._forged.inc()
            if not self._is_refusal_told:
                self._is_refusal_told = True
                log.warning("what redis holds is not what was put there", name=name, then="the answer is made anew")
            return None
        self._found.inc()
        return content

    async def put(self, version: str, asked: tuple[str | bytes, ...], content: bytes) -> None:
        """Keep what the answer to this is, unless it is too large."""
        place = self._place(version, asked)
        if place is None:
            return
        name, key = place
        nonce = secrets.token_bytes(NONCE_BYTES)
        entry = nonce + AESGCM(key).encrypt(nonce, content, None)
        if len(entry) > LARGEST:
            return
        try:
            await self._redis.ask("answers", lambda: self._redis.client.set(name, entry, ex=KEPT_SECONDS))
        except NotShared:
            return

    def _place(self, version: str, asked: tuple[str | bytes, ...]) -> tuple[str, bytes] | None:
        """The name of an entry and the key it is sealed with."""
        deployment = self._changes.deployment
        if deployment is None:
            return None
        depends_on = repr((self._program, deployment.schema, version, *asked))
        made = hmac.digest(deployment.key, depends_on.encode(), "sha512")
        return f"finops:answers:{made[:16].hex()}", made[32:]


@cache
def _code() -> str:
    """Two versions of the program may answer the same question in other words."""
    digest = sha256()
    for room in MAKES_ANSWERS:
        spec = find_spec(room)
        for top in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(top).rglob("*")):
                if path.suffix in (".py", ".sql", ".yaml", ".json", ".csv"):
                    digest.update(repr((room, str(path.relative_to(top)), path.read_bytes())).encode())
    return digest.hexdigest()


def _settings(settings: Settings) -> str:
    return sha256(settings.model_dump_json(exclude=set(OF_A_PROCESS)).encode()).hexdigest()
