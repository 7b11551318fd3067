"""What can be wrong with an order about a key, in one line each.

As a tree::

    RingwatchError
    └── ApiKeyError
        ├── KeyNameInvalid     a name that cannot be one
        ├── KeyNameTaken       a name that another key has
        ├── KeyUnknown         a name that no key has
        └── ScopeInvalid       a scope that there is not, or none at all
"""

from collections.abc import Sequence

from graph_etl.errors import RingwatchError


class ApiKeyError(RingwatchError):
    """An order about a key that cannot be followed."""


class KeyNameInvalid(ApiKeyError):
    """A name that cannot be one."""

    def __init__(self, name: str) -> None:
        """Say what a name may be."""
        super().__init__(
            f"a key's name has 1 to 64 letters, digits, '.', '_' or '-' and starts with a letter or digit, "
            f"got '{name[:64]}'"
        )


class KeyNameTaken(ApiKeyError):
    """A name that another key has."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(f"there is a key '{name}' already, in use or revoked; choose another name")


class KeyUnknown(ApiKeyError):
    """A name that no key has."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(f"there is no key '{name[:64]}'; `ringwatch keys list` shows those that there are")


class ScopeInvalid(ApiKeyError):
    """A scope that there is not, or none at all."""

    def __init__(self, got: Sequence[str], allowed: Sequence[str]) -> None:
        """Name those that there are."""
        said = ", ".join(got) if got else "none"
        super().__init__(f"a key needs one or more of the scopes {', '.join(allowed)}, got {said}")
