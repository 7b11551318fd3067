"""What all formats share: where a file is, the two columns every table has, and reading in batches."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol, cast

import polars as pl
from polars.io.plugins import register_io_source

from graph_etl.errors import DataError
from graph_etl.spec.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

ROW_ERROR = "row_error"
"""The column that says why a row could not be read."""

EXTRA: dict[str, pl.DataType] = {ROW: pl.Int64(), ROW_ERROR: pl.String()}
"""The columns that every table has beside those of its file."""

# Whole numbers from here on become rounded floating ones in fast parsers.
TOO_LARGE = 2.0**63

GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)
_GZIP_MAGIC = b"\x1f\x8b"


class Table(Protocol):
    """An opened file."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns."""

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """Its rows: the columns asked for, ``row`` and ``row_error``."""


@dataclass(frozen=True)
class Place:
    """A file of a source, for opening it and for saying where something is wrong."""

    source: str
    path: Path

    def error(self, problem: str, *, row: int | None = None, column: str | None = None) -> DataError:
        """An error about this file."""
        return DataError(problem, source=self.source, path=self.path, row=row, column=column)

    def open_bytes(self) -> IO[bytes]:
        """Open for reading, decompressed; what is compressed is told by its first bytes."""
        with self.path.open("rb") as stream:
            compressed = stream.read(2) == _GZIP_MAGIC
        if compressed:
            return cast("IO[bytes]", gzip.open(self.path, "rb"))
        if self.path.suffix.lower() == ".gz":
            problem = "not a gzip file; compress it, or drop .gz from its name if it is plain text"
            raise self.error(problem)
        return self.path.open("rb")

    def broken_gzip(self, error: BaseException) -> DataError:
        """The error for a compressed file that cannot be decompressed."""
        if isinstance(error, EOFError):
            return self.error("the gzip file ends too early; copy or download it again")
        return self.error("the gzip file is damaged; copy or download it again")


def free_name(name: str) -> str:
    """A column's name; one that is taken by ``row`` or ``row_error`` gets ``_column`` after it."""
    return f"{name}_column" if name in EXTRA else name


def text_of(value: object) -> str | None:
    """A text, number or flag as text; a whole floating number loses its ``.0``, as ids must.

    Args:
        value: Any value.

    Returns:
        Its text; None for what is none of these.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < TOO_LARGE:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None


def text_schema(columns: Sequence[str]) -> dict[str, pl.DataType]:
    """The schema of a table of text."""
    return {name: pl.String() for name in columns} | EXTRA


def lazy_batches(
    batches: Callable[[list[str]], Iterator[pl.DataFrame]], schema: dict[str, pl.DataType]
) -> pl.LazyFrame:
    """A lazy table over batches; only the columns that a query needs are read, errors pass unchanged.

    Args:
        batches: Given columns of the file, its batches in order, with ``row`` and ``row_error``.
        schema: All columns with their types.

    Returns:
        The table.
    """

    def produce(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if with_columns is None else with_columns
        left = n_rows
        for batch in batches([name for name in wanted if name not in EXTRA]):
            cut = batch.select(wanted)
            if left is not None:
                cut = cut.head(left)
                left -= len(cut)
            yield cut if predicate is None else cut.filter(predicate)
            if left == 0:
                return

    return register_io_source(produce, schema=schema)
