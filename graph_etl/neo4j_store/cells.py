"""Rows of a database as tables with the types of a snapshot's, and the hash of a table's content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from graph_etl.identity import row_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_PYTHON: Final[dict[pl.DataType, type]] = {
    pl.Int64(): int,
    pl.Int32(): int,
    pl.Float64(): float,
    pl.String(): str,
    pl.Boolean(): bool,
}
# What stands for an absent value in a hash: no time, count or flag has it.
_ABSENT: Final = np.int64(-(2**63) + 1)


class Cells(NamedTuple):
    """Rows that were read.

    Attributes:
        table: Their values; null where a value is absent or of another type.
        odd: Values of another type by row and column.
    """

    table: pl.DataFrame
    odd: Mapping[tuple[int, str], Any]

    def only(self, which: NDArray[np.bool_]) -> Cells:
        """The rows for which ``which`` (``bool[n]``) holds."""
        return self.at(np.flatnonzero(which))

    def at(self, rows: NDArray[Any]) -> Cells:
        """Some rows, in this order."""
        if not self.odd:
            return Cells(self.table[rows], {})
        now = {row: at for at, row in enumerate(rows.tolist())}
        kept = {(now[row], column): value for (row, column), value in self.odd.items() if row in now}
        return Cells(self.table[rows], kept)


def cells_of(rows: Sequence[Sequence[Any]], schema: Mapping[str, pl.DataType]) -> Cells:
    """Make a table of rows, whatever somebody may have written into the database.

    Args:
        rows: Values in the order of the columns.
        schema: Type by name of the column.

    Returns:
        The table; values of another type than their column's are kept apart.
    """
    odd: dict[tuple[int, str], Any] = {}
    columns = []
    given = zip(*rows, strict=True) if rows else iter([()] * len(schema))
    for (name, kind), values in zip(schema.items(), given, strict=True):
        wanted = _PYTHON[kind]
        if not set(map(type, values)) <= {wanted, type(None)}:
            odd |= {
                (at, name): value
                for at, value in enumerate(values)
                if type(value) not in (wanted, type(None))
            }
            values = tuple(value if type(value) is wanted else None for value in values)
        columns.append(pl.Series(name, values, dtype=kind))
    return Cells(pl.DataFrame(columns), odd)


def differing(expected: pl.Series, read: Cells, column: str) -> NDArray[np.bool_]:
    """In which rows a column is not as it should be: ``bool[n]``."""
    other = expected.ne_missing(read.table[column]).to_numpy().copy()
    for row, name in read.odd:
        if name == column:
            other[row] = True
    return other


def shown_cell(read: Cells, row: int, column: str) -> Any:
    """What stands in a cell, whatever its type."""
    return read.odd.get((row, column), read.table[column][row])


def content_hash(
    names: Sequence[NDArray[np.uint64]],
    table: pl.DataFrame,
    columns: Sequence[str],
    odd: Mapping[tuple[int, str], Any] | None = None,
) -> int:
    """A hash of rows that does not depend on their order.

    Args:
        names: Stable names of what the rows are about, each ``uint64[n]``.
        table: ``n`` rows.
        columns: Columns that count.
        odd: Values of another type by row and column.

    Returns:
        The sum of the rows' 128-bit names, in two halves modulo 2**64, as one number.
    """
    words = {column: _words(table[column]) for column in columns}
    for (row, column), value in (odd or {}).items():
        if column in words:
            words[column][row] = _word(repr(value))
    rows = row_names([*names, *words.values()], len(table))
    low, high = (int(half) for half in rows.sum(axis=0, dtype=np.uint64))
    return low | high << 64


def add_hashes(one: int, other: int) -> int:
    """The hash of two tables together."""
    half = 2**64
    return (one + other) % half | ((one >> 64) + (other >> 64)) % half << 64


def _words(column: pl.Series) -> NDArray[Any]:
    if column.dtype == pl.String:
        known: dict[str | None, np.uint64] = {None: np.uint64(0)}
        for text in column.unique():
            if text is not None:
                known[text] = _word(text)
        return np.array([known[text] for text in column], np.uint64)
    if column.dtype == pl.Float64:
        # Added to zero, so that the two zeros are one.
        return (column.fill_null(np.nan).to_numpy() + 0.0).view(np.uint64).copy()
    return column.cast(pl.Int64).fill_null(int(_ABSENT)).to_numpy().view(np.uint64).copy()


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
