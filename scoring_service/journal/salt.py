"""What the journal keeps of a name that must stay recognisable and must not stay readable."""

import hashlib
from typing import Final

SALT_BYTES: Final = 32
_DIGEST_BYTES: Final = 16
_TOMBSTONE: Final = "erased:"


class Salt:
    """Hashes names with the random salt of one journal.

    Args:
        salt: 32 random bytes, drawn when the journal was made.
    """

    __slots__ = ("_salt",)

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Salt) and other._salt == self._salt

    def __hash__(self) -> int:
        return hash(self._salt)

    def event_key(self, event_type: str, event_id: str) -> bytes:
        """What is unique of an event that has an id.

        Args:
            event_type: Its type.
            event_id: The platform's id of it.

        Returns:
            16 bytes.
        """
        # The length keeps "a" + "b:c" and "a:b" + "c" apart.
        return self._digest(f"event {len(event_type)}:{event_type}:{event_id}")

    def use_key(self, scope: str, key: str) -> bytes:
        """What is unique of an Idempotency-Key.

        Args:
            scope: Whose key it is.
            key: The key.

        Returns:
            16 bytes.
        """
        return self._digest(f"use {len(scope)}:{scope}:{key}")

    def tombstone(self, account: str) -> str:
        """What stands for an account that was forgotten.

        Args:
            account: Its key.

        Returns:
            ``erased:`` and 32 hexadecimal digits.
        """
        return _TOMBSTONE + self._digest(f"account {account}").hex()

    def _digest(self, words: str) -> bytes:
        return hashlib.blake2b(words.encode(), key=self._salt, digest_size=_DIGEST_BYTES).digest()
