"""Identifiers: two spellings of one thing become one key; the key of a secret thing cannot be turned back.

:func:`entity_key` is the one path from a raw identifier to the key under which the graph holds it, for the
build, the command line and the service. Columns take :func:`key_column`, which does the same work once per
distinct value. A key is ``HMAC-SHA256(secret, kind + NUL + normalised)`` cut to 128 bits, in hex; kinds
declared public keep the normalised value itself.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import polars as pl

from graph_etl.errors import HashKeyError, IdentifierError, SpecError
from graph_etl.normalising import Unreadable, derive, normaliser
from graph_etl.spec.base import suggestion
from graph_etl.spec.models import ACCOUNT

if TYPE_CHECKING:
    from graph_etl.spec import Kind, Spec

__all__ = [
    "HASH_KEY_VARIABLE",
    "Hasher",
    "KeyColumns",
    "account_key",
    "as_text",
    "derive_column",
    "entity_key",
    "key_column",
    "keys_of",
    "normalise_column",
    "normalise_value",
]

HASH_KEY_VARIABLE = "RINGWATCH_HASH_KEY"
"""The environment variable that holds the secret of the keyed hash."""

_SHORTEST_KEY = 16
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Hasher:
    """A keyed hash of identifiers.

    Args:
        secret: The key, at least 16 bytes; None: only public kinds can be named.
    """

    secret: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.secret is not None and len(self.secret) < _SHORTEST_KEY:
            problem = f"is too short ({len(self.secret)} bytes)"
            raise HashKeyError(problem)

    @classmethod
    def from_env(cls, *, required: bool = True) -> Hasher:
        """Take the key from the environment.

        Args:
            required: Whether a missing key is an error now; else it is one once something has to be hashed.

        Returns:
            The hasher.

        Raises:
            HashKeyError: If the key is needed and missing, or too short.
        """
        given = os.environ.get(HASH_KEY_VARIABLE, "").strip()
        if not given:
            if required:
                problem = "is not set"
                raise HashKeyError(problem)
            return cls(None)
        return cls(given.encode())

    def key(self, kind: str, normalised: str) -> str:
        """Hash a normalised identifier.

        Args:
            kind: Name of the kind; the same text has another key in another kind.
            normalised: The identifier after normalisation.

        Returns:
            32 hex characters.

        Raises:
            HashKeyError: If there is no key.
        """
        if self.secret is None:
            problem = "is not set"
            raise HashKeyError(problem)
        message = f"{kind}\0{normalised}".encode("utf-8", "surrogatepass")
        return hmac.digest(self.secret, message, "sha256")[:_KEY_BYTES].hex()

    @property
    def fingerprint(self) -> str:
        """What tells one secret from another without telling the secret; ``none`` without one."""
        if self.secret is None:
            return "none"
        return hmac.digest(self.secret, b"\0fingerprint", "sha256")[:8].hex()


class KeyColumns(NamedTuple):
    """A column of identifiers as keys.

    Attributes:
        keys: Key, null where there is none.
        reasons: Why an identifier that is there has no key, else null.
        derived: Keys of the kinds that follow from it, by kind.
    """

    keys: pl.Series
    reasons: pl.Series
    derived: dict[str, pl.Series]


def as_text(values: pl.Series) -> pl.Series:
    """Write identifiers of any type as text, so that 7, 7.0 and "7" are one.

    Args:
        values: Text, numbers, flags, bytes or anything that polars can write.

    Returns:
        Text of the same name; whole floating numbers lose their ``.0``, NaN becomes null, bytes that are no
        UTF-8 are written in hex, lists and structures as JSON.
    """
    dtype = values.dtype
    if dtype == pl.String:
        return values
    if dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        same = (whole.cast(dtype) == values) & (values.abs() < 2**63)
        written = values.fill_nan(None).cast(pl.String)
        chosen = pl.select(pl.when(same).then(whole.cast(pl.String)).otherwise(written)).to_series()
        return chosen.alias(values.name)
    if dtype == pl.Binary or dtype.is_nested():
        return pl.Series(values.name, [_written(value) for value in values.to_list()], dtype=pl.String)
    return values.cast(pl.String)


def _written(value: Any) -> str | None:
    """Bytes as the text they spell, else in hex; lists and structures as JSON."""
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return orjson.dumps(value, default=str).decode()


def normalise_value(kind: Kind, raw: str) -> str | None:
    """Normalise one identifier.

    Args:
        kind: Its kind.
        raw: As it was written.

    Returns:
        The normalised text; None if the identifier is blank.

    Raises:
        ValueError: If it cannot be read as its kind; the message does not hold the identifier.
    """
    return normaliser(kind.normalise, kind.region)(raw)


def normalise_column(kind: Kind, values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Normalise a column of identifiers; each distinct value is worked on once.

    Args:
        kind: Their kind.
        values: As they were written, ``[n]``.

    Returns:
        Normalised text ``[n]``, null where blank or unreadable; the reason ``[n]``, null where all is well.
    """
    texts = as_text(values)
    distinct = texts.unique().drop_nulls()
    normalise = normaliser(kind.normalise, kind.region)
    normal: list[str | None] = []
    reasons: list[str | None] = []
    for raw in distinct.to_list():
        try:
            normal.append(normalise(raw))
            reasons.append(None)
        except Unreadable as unreadable:
            normal.append(None)
            reasons.append(str(unreadable))
    return _spread(texts, distinct, normal), _spread(texts, distinct, reasons)


def derive_column(derived: str, normalised: pl.Series) -> pl.Series:
    """Derive a column of identifiers from another.

    Args:
        derived: ``subnet`` or ``email_domain``.
        normalised: Normalised addresses ``[n]``.

    Returns:
        Normalised derived identifiers ``[n]``.
    """
    distinct = normalised.unique().drop_nulls()
    return _spread(normalised, distinct, [derive(derived, value) for value in distinct.to_list()])


def key_column(spec: Spec, kind: str, values: pl.Series, hasher: Hasher) -> KeyColumns:
    """Turn a column of raw identifiers into keys, those of derived kinds too.

    Args:
        spec: The spec.
        kind: Name of the kind.
        values: Raw identifiers ``[n]``.
        hasher: The keyed hash.

    Returns:
        Keys and reasons ``[n]``, and derived keys ``[n]`` by kind.

    Raises:
        HashKeyError: If the kind is not public and there is no key.
    """
    model = spec.kinds[kind]
    normal, reasons = normalise_column(model, values)
    derived: dict[str, pl.Series] = {
        name: _hashed(spec, name, derive_column(name, normal), hasher) for name in model.derive
    }
    return KeyColumns(_hashed(spec, kind, normal, hasher), reasons, derived)


def entity_key(spec: Spec, kind: str, raw: str, hasher: Hasher) -> str:
    """The key under which the graph holds an entity.

    Args:
        spec: The spec.
        kind: Name of the kind; ``account`` gives an account's key.
        raw: The identifier as it was written.
        hasher: The keyed hash.

    Returns:
        The normalised identifier if the kind is public, else 32 hex characters.

    Raises:
        SpecError: If the spec has no such kind.
        IdentifierError: If the identifier is blank or cannot be read as its kind.
        HashKeyError: If the kind is not public and there is no key.
    """
    if kind == ACCOUNT:
        return account_key(spec, raw, hasher)
    return keys_of(spec, kind, raw, hasher)[0][1]


def keys_of(spec: Spec, kind: str, raw: str, hasher: Hasher) -> list[tuple[str, str]]:
    """The keys of an entity and of what follows from it.

    Args:
        spec: The spec.
        kind: Name of the kind.
        raw: The identifier as it was written.
        hasher: The keyed hash.

    Returns:
        Kind and key: its own first, then those of derived kinds (``subnet`` of an ip).

    Raises:
        SpecError: If the spec has no such kind.
        IdentifierError: If the identifier is blank or cannot be read as its kind.
        HashKeyError: If a kind is not public and there is no key.
    """
    model = spec.kinds.get(kind)
    if model is None:
        problem = f"no kind '{kind}'; {suggestion(kind, [ACCOUNT, *spec.kinds], 'kinds')}"
        raise SpecError(problem, path=spec.path)
    try:
        normal = normalise_value(model, raw)
    except Unreadable as unreadable:
        raise IdentifierError(kind, str(unreadable)) from None
    if normal is None:
        problem = "is blank; leave it out if there is none"
        raise IdentifierError(kind, problem)
    found = [(kind, _key(spec, kind, normal, hasher))]
    for name in model.derive:
        value = derive(name, normal)
        if value is not None:
            found.append((name, _key(spec, name, value, hasher)))
    return found


def account_key(spec: Spec, raw: str, hasher: Hasher) -> str:
    """The key of an account: its id as given, or its hash where the spec calls ids secret.

    Args:
        spec: The spec.
        raw: The account's id.
        hasher: The keyed hash.

    Returns:
        The key.

    Raises:
        HashKeyError: If ids are secret and there is no key.
    """
    return hasher.key(ACCOUNT, raw) if spec.account_ids.secret else raw


def _key(spec: Spec, kind: str, normalised: str, hasher: Hasher) -> str:
    return normalised if spec.kinds[kind].public else hasher.key(kind, normalised)


def _hashed(spec: Spec, kind: str, normalised: pl.Series, hasher: Hasher) -> pl.Series:
    if spec.kinds[kind].public:
        return normalised
    distinct = normalised.unique().drop_nulls()
    return _spread(normalised, distinct, [hasher.key(kind, value) for value in distinct.to_list()])


def _spread(values: pl.Series, distinct: pl.Series, results: list[str | None] | list[str]) -> pl.Series:
    """Give each value the result of its distinct one; null stays null."""
    found = pl.Series(results, dtype=pl.String)
    return values.replace_strict(distinct, found, default=None, return_dtype=pl.String)
