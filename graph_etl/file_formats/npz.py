"""NPZ: arrays side by side, or a sparse matrix as one row an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from graph_etl.errors import DataError
from graph_etl.file_formats.table import ROW_ERROR, Place
from graph_etl.spec.base import suggestion
from graph_etl.spec.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from graph_etl.spec import Source

FROM, TO, VALUE = "i", "j", "value"
"""Columns of a sparse matrix: number of the matrix row, of the matrix column, and the value."""


@dataclass(frozen=True)
class NpzTable:
    """An NPZ file.

    Args:
        place: The file.
        values: Its columns.
    """

    place: Place
    values: dict[str, NDArray[Any]]

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(self.values)

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of the file."""
        n_rows = len(next(iter(self.values.values())))
        cells = [pl.Series(name, np.ascontiguousarray(self.values[name])) for name in columns]
        rows = pl.int_range(n_rows, dtype=pl.Int64, eager=True).alias(ROW)
        empty = pl.Series(ROW_ERROR, [None], dtype=pl.String).new_from_index(0, n_rows)
        return pl.DataFrame([*cells, rows, empty]).lazy()


def open_npz(place: Place, source: Source) -> NpzTable:
    """Open an NPZ file and read what the source names.

    Args:
        place: The file.
        source: Says which arrays or which sparse matrix.

    Returns:
        The opened file.

    Raises:
        DataError: If it is no NPZ file, or an array is missing or of the wrong shape.
    """
    try:
        with place.path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if source.arrays is not None:
                return NpzTable(place, _array_columns(place, archive, source.arrays))
            return NpzTable(place, _sparse_columns(place, archive, str(source.sparse)))
    except DataError:
        raise
    except Exception as error:  # numpy lets through whatever its zip and header parsers raise
        problem = "not a sound NPZ file of plain arrays (cut off, pickled or of another format)"
        msg = f"{problem}; write it again with numpy.savez_compressed"
        raise place.error(msg) from error


def _member(place: Place, archive: Any, name: str) -> NDArray[Any]:
    if name not in archive.files:
        problem = f"no array '{name}'; {suggestion(name, archive.files, 'its arrays')}"
        raise place.error(problem)
    values: NDArray[Any] = archive[name]
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind not in "biufUM":
        problem = f"array '{name}' is of type {values.dtype}; expected numbers, flags, times or text"
        raise place.error(problem)
    return values


def _array_columns(place: Place, archive: Any, arrays: dict[str, str]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    n_rows: int | None = None
    first = next(iter(arrays.values()))
    for prefix, name in arrays.items():
        values = _member(place, archive, name)
        if values.ndim not in (1, 2):
            problem = f"array '{name}' has {values.ndim} axes; expected 1 or 2"
            raise place.error(problem)
        n_rows = len(values) if n_rows is None else n_rows
        if len(values) != n_rows and values.ndim == 2 and values.shape[1] == n_rows:
            values = values.T
        if len(values) != n_rows:
            problem = f"array '{name}' has shape {values.shape}; expected {n_rows} rows as in '{first}'"
            raise place.error(problem)
        if values.ndim == 1:
            columns[prefix] = values
        else:
            columns |= {f"{prefix}_{at}": values[:, at] for at in range(values.shape[1])}
    if not columns:
        msg = "the arrays have no columns"
        raise place.error(msg)
    return columns


def _sparse_columns(place: Place, archive: Any, name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}_" if name else ""
    members = {part.removeprefix(prefix) for part in archive.files if part.startswith(prefix)}

    def part(what: str) -> NDArray[Any]:
        return _member(place, archive, prefix + what)

    if {"row", "col"} <= members:
        first, second = part("row"), part("col")
    elif {"indptr", "indices"} <= members:
        indptr, second = part("indptr").astype(np.int64), part("indices")
        first = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        layout = archive[f"{prefix}format"].item() if "format" in members else b"csr"
        if layout in (b"csc", "csc"):
            first, second = second, first
    else:
        expected = f"{prefix}indptr and {prefix}indices (CSR, CSC) or {prefix}row and {prefix}col (COO)"
        problem = (
            f"no sparse matrix '{name}': expected {expected}; its arrays: {', '.join(archive.files[:20])}"
        )
        raise place.error(problem)
    values = part("data") if "data" in members else np.ones(len(first), np.float32)
    if not len(first) == len(second) == len(values):
        problem = f"the parts of the sparse matrix '{name}' differ in length"
        raise place.error(problem)
    return {FROM: first.astype(np.int64), TO: second.astype(np.int64), VALUE: values}
