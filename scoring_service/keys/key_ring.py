"""Who calls: tokens are looked up in memory, which is at most half a second behind the store."""

import hmac
import threading
from typing import Final, Self

import structlog

from scoring_service.database.engine import Database
from scoring_service.database.errors import StoreUnavailable
from scoring_service.keys.repository import ApiKey, KeyRepository, token_hash

_REFRESH_S: Final = 0.5
_LONGEST_TOKEN: Final = 256
_log = structlog.get_logger("scoring_service")


class KeyRing:
    """Keeps the keys in memory, so that no request waits for the store.

    A thread reads them again twice a second. While the store is away, the keys that were read last count.

    Args:
        database: The store.

    Raises:
        StoreUnavailable: If the keys cannot be read at the start.
    """

    def __init__(self, database: Database) -> None:
        self._repository = KeyRepository(database)
        self._keys: dict[bytes, ApiKey] = {}
        self._is_away = False
        self._stop = threading.Event()
        self.refresh()
        self._thread = threading.Thread(target=self._keep_fresh, name="ringwatch-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def authenticate(self, token: str) -> ApiKey | None:
        """Find the key of a token.

        Args:
            token: The token as it came.

        Returns:
            The key; None if no key that is in use has the token.
        """
        if len(token) > _LONGEST_TOKEN:
            return None
        hashed = token_hash(token)
        found: ApiKey | None = None
        # All are compared, each in constant time: how long it takes says nothing about a key.
        for known, key in self._keys.items():
            if hmac.compare_digest(known, hashed) and key.revoked_ms is None:
                found = key
        return found

    def has_keys(self) -> bool:
        """Whether a key was ever made. A revoked one counts: revoking must not open a service."""
        return bool(self._keys)

    def refresh(self) -> None:
        """Read the keys now.

        Raises:
            StoreUnavailable: If they cannot be read; those that were read last stay.
        """
        self._keys = dict(self._repository.hashed())

    def _keep_fresh(self) -> None:
        while not self._stop.wait(_REFRESH_S):
            try:
                self.refresh()
            except StoreUnavailable as error:
                if not self._is_away:
                    _log.warning("keys.stale", problem=error.problem)
                self._is_away = True
            else:
                self._is_away = False
