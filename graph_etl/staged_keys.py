"""Names and numbers for the nodes that one file speaks of; raw identifiers go no further than here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from graph_etl.identifiers import as_text, derive_column, normalise_column
from graph_etl.nodes import ACCOUNT
from graph_etl.parts import NODE_SCHEMA
from graph_etl.snapshot import node_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl.identifiers import Hasher
    from graph_etl.plan import Endpoint, Plan
    from graph_etl.spec import Kind


def trimmed(values: pl.Series) -> pl.Series:
    """A column as text without surrounding blanks.

    Args:
        values: Any column.

    Returns:
        Text, null where there is nothing but blanks.
    """
    texts = as_text(values).str.strip_chars()
    return texts.set(texts == "", None)


def account_aliases(ids: Sequence[str], hasher: Hasher | None) -> NDArray[np.uint64]:
    """Names by which an end finds its account; keyed, as it may be a private identifier.

    Args:
        ids: ``n`` account ids as they stand in the source; blank: none.
        hasher: Hashes what is not public; None if nothing is.

    Returns:
        ``uint64[n, 2]``.
    """
    if hasher is not None:
        ids = [hasher.key("alias", one) if one else "" for one in ids]
    return node_hashes("alias", ids)


@dataclass(frozen=True, slots=True)
class Named:
    """A column of nodes.

    Attributes:
        node: ``int32[n]``, numbers of the file's nodes, -1 where there is none.
        names: ``uint64[n, 2]``, their stable names, zeros where there is none.
        unreadable: ``bool[n]``, where there is a value that could not be read as its kind.
    """

    node: NDArray[np.int32]
    names: NDArray[np.uint64]
    unreadable: NDArray[np.bool_]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """``bool[n]``, where there is no value."""
        return (self.node < 0) & ~self.unreadable


class KeyNamer:
    """Numbers the nodes of one file."""

    def __init__(self, plan: Plan, hasher: Hasher | None) -> None:
        self._plan = plan
        self._hasher = hasher
        self._tables: list[pl.DataFrame] = []
        self._n_nodes = 0

    def nodes(self) -> pl.DataFrame:
        """All nodes numbered so far.

        Returns:
            One row a node in the order of the numbers, columns as ``NODE_SCHEMA``.
        """
        return pl.concat([pl.DataFrame(schema=NODE_SCHEMA), *self._tables])

    def end(self, values: pl.Series, end: Endpoint, *, declared: bool = False) -> Named:
        """Number one end of events.

        Args:
            values: ``n`` raw values.
            end: What they are.
            declared: Whether the row lists the account.

        Returns:
            The nodes.
        """
        codes, distinct = _distinct(values)
        if end.kind == ACCOUNT:
            keys, read = self._account_keys(distinct), distinct.is_not_null().to_numpy()
            alias = self._aliases(distinct) if declared and self._plan.has_either else None
        else:
            keys, read = self._keys(distinct, end.kind)
            alias = self._aliases(distinct) if end.either else None
        return self._number(codes, keys, read, end.kind, declared, end.either, alias)

    def account(self, values: pl.Series) -> Named:
        """Number accounts.

        Args:
            values: ``n`` account ids.

        Returns:
            The nodes.
        """
        codes, distinct = _distinct(values)
        keys, read = self._account_keys(distinct), distinct.is_not_null().to_numpy()
        return self._number(codes, keys, read, ACCOUNT, False, False, None)

    def identifiers(self, values: pl.Series, kind: int) -> list[Named]:
        """Number identifiers of a kind, and the entities derived from them.

        Args:
            values: ``n`` raw identifiers.
            kind: Their kind.

        Returns:
            The identifiers, then one column for each derived kind.
        """
        codes, distinct = _distinct(values)
        normalised, reason = normalise_column(self._spec_of(kind), distinct)
        read = reason.is_null().to_numpy() & distinct.is_not_null().to_numpy()
        found = [self._number(codes, self._secret(normalised, kind), read, kind, False, False, None)]
        for derived in self._plan.derived[kind]:
            keys = derive_column(self._plan.kinds[derived].name, normalised)
            have = read & keys.is_not_null().to_numpy()
            one = self._number(codes, self._secret(keys, derived), have, derived, False, False, None)
            found.append(Named(one.node, one.names, np.zeros(len(codes), np.bool_)))
        return found

    def _spec_of(self, kind: int) -> Kind:
        return self._plan.spec.kinds[self._plan.kinds[kind].name]

    def _account_keys(self, ids: pl.Series) -> pl.Series:
        return (
            self._hashed(ids, self._plan.kinds[ACCOUNT].name) if self._plan.spec.account_ids.secret else ids
        )

    def _keys(self, distinct: pl.Series, kind: int) -> tuple[pl.Series, NDArray[np.bool_]]:
        normalised, reason = normalise_column(self._spec_of(kind), distinct)
        read = reason.is_null().to_numpy() & distinct.is_not_null().to_numpy()
        return self._secret(normalised, kind), read

    def _secret(self, normalised: pl.Series, kind: int) -> pl.Series:
        info = self._plan.kinds[kind]
        return normalised if info.public else self._hashed(normalised, info.name)

    def _hashed(self, values: pl.Series, kind: str) -> pl.Series:
        assert self._hasher is not None, "the build asks for a key before it reads anything private"
        key = self._hasher.key
        keys = [None if value is None else key(kind, value) for value in values.to_list()]
        return pl.Series(values.name, keys, pl.String)

    def _aliases(self, distinct: pl.Series) -> NDArray[np.uint64]:
        return account_aliases(distinct.fill_null("").to_list(), self._hasher)

    def _number(
        self,
        codes: NDArray[np.int32],
        keys: pl.Series,
        read: NDArray[np.bool_],
        kind: int,
        declared: bool,
        either: bool,
        alias: NDArray[np.uint64] | None,
    ) -> Named:
        read = read & keys.is_not_null().to_numpy()
        kept = keys.filter(pl.Series(read))
        names = node_hashes(self._plan.kinds[kind].name, kept.to_list())
        aliases = np.zeros((len(kept), 2), np.uint64) if alias is None else alias[read]
        self._tables.append(
            pl.DataFrame(
                {
                    "kind": np.full(len(kept), kind, np.int16),
                    "key": kept.rename("key"),
                    "low": names[:, 0].copy(),
                    "high": names[:, 1].copy(),
                    "declared": np.full(len(kept), declared),
                    "either": np.full(len(kept), either),
                    "alias_low": aliases[:, 0].copy(),
                    "alias_high": aliases[:, 1].copy(),
                },
                schema=NODE_SCHEMA,
            )
        )
        # One place more than there are distinct values: code -1, no value.
        number = np.full(len(read) + 1, -1, np.int32)
        number[:-1][read] = self._n_nodes + np.arange(len(kept), dtype=np.int32)
        self._n_nodes += len(kept)
        all_names = np.zeros((len(read) + 1, 2), np.uint64)
        all_names[:-1][read] = names
        bad = np.zeros(len(read) + 1, np.bool_)
        bad[:-1] = ~read
        return Named(number[codes], all_names[codes], bad[codes])


def _distinct(values: pl.Series) -> tuple[NDArray[np.int32], pl.Series]:
    """The distinct texts in order of appearance, and for each row the place of its own, -1 for a blank."""
    texts = as_text(values)
    texts = texts.set(texts.str.strip_chars() == "", None)
    encoded = pc.dictionary_encode(texts.to_arrow().cast(pa.large_string()))
    # By way of polars: pyarrow's own fill_null and to_numpy load pandas.
    codes = pl.Series(pl.from_arrow(encoded.indices)).cast(pl.Int32).fill_null(-1).to_numpy()
    return codes, pl.Series(values.name, pl.from_arrow(encoded.dictionary)).cast(pl.String)
