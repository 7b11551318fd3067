"""API keys in the SQL store. A token is shown once; only its hash is kept."""

import hashlib
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from scoring_service.database.engine import Database
from scoring_service.database.errors import StoreUnavailable
from scoring_service.database.tables import API_KEYS
from scoring_service.keys.errors import KeyNameInvalid, KeyNameTaken, KeyUnknown, ScopeInvalid

SCOPES: Final = ("score", "label", "read", "admin")
"""What a key may do: send events and get scores; send verdicts; read; everything."""

_ADMIN: Final = "admin"
_PREFIX: Final = "rw_"
_TOKEN_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its token.

    Attributes:
        name: Its name.
        scopes: What it may do.
        created_ms: When it was made, milliseconds of Unix time.
        revoked_ms: When it was revoked; None if it is in use.
    """

    name: str
    scopes: frozenset[str]
    created_ms: int
    revoked_ms: int | None = None

    def may(self, scope: str) -> bool:
        """Tell whether the key has a scope; ``admin`` has all."""
        return scope in self.scopes or _ADMIN in self.scopes


class KeyRepository:
    """Reads and writes keys.

    Args:
        database: The store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Iterable[str]) -> tuple[ApiKey, str]:
        """Make a key.

        Args:
            name: Its name, never used before.
            scopes: What it may do.

        Returns:
            The key and its token, which is kept nowhere.

        Raises:
            KeyNameInvalid: If the name cannot be one.
            KeyNameTaken: If another key has or had the name.
            ScopeInvalid: If a scope is unknown or there is none.
            StoreUnavailable: If the store cannot be used.
        """
        if not _NAME.fullmatch(name):
            raise KeyNameInvalid(name)
        wanted = tuple(dict.fromkeys(scopes))
        if not wanted or not set(wanted) <= set(SCOPES):
            raise ScopeInvalid(wanted, SCOPES)
        token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        key = ApiKey(name, frozenset(wanted), time.time_ns() // 1_000_000)
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    insert(API_KEYS).values(
                        name=name,
                        token_hash=token_hash(token),
                        scopes=" ".join(scope for scope in SCOPES if scope in key.scopes),
                        created_ms=key.created_ms,
                    )
                )
        except IntegrityError:
            raise KeyNameTaken(name) from None
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return key, token

    def all(self) -> list[ApiKey]:
        """Every key by name, also those that are revoked.

        Raises:
            StoreUnavailable: If the store cannot be read.
        """
        return [key for _, key in self.hashed()]

    def hashed(self) -> list[tuple[bytes, ApiKey]]:
        """Every key by name, each behind the hash of its token.

        Raises:
            StoreUnavailable: If the store cannot be read.
        """
        try:
            with self._database.connection() as connection:
                found = connection.execute(select(API_KEYS).order_by(API_KEYS.c.name)).all()
        except self._database.errors as error:
            raise self._unavailable(error) from None
        return [
            (
                bytes(row.token_hash),
                ApiKey(row.name, frozenset(row.scopes.split()), row.created_ms, row.revoked_ms),
            )
            for row in found
        ]

    def revoke(self, name: str) -> ApiKey:
        """Take a key out of use; nothing happens if it is.

        Args:
            name: Its name.

        Returns:
            The key.

        Raises:
            KeyUnknown: If there is no such key.
            StoreUnavailable: If the store cannot be used.
        """
        try:
            with self._database.transaction() as connection:
                connection.execute(
                    update(API_KEYS)
                    .where(API_KEYS.c.name == name, API_KEYS.c.revoked_ms.is_(None))
                    .values(revoked_ms=time.time_ns() // 1_000_000)
                )
        except self._database.errors as error:
            raise self._unavailable(error) from None
        for key in self.all():
            if key.name == name:
                return key
        raise KeyUnknown(name)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(self._database.place, self._database.problem(error), "Run the command again.")


def token_hash(token: str) -> bytes:
    """Hash a token. It has 256 random bits, so nothing slower than SHA-256 is called for.

    Args:
        token: The token.

    Returns:
        32 bytes.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
