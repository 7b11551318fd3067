"""Parquet: columns keep their types; the fields of nested structures have dotted names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from graph_etl.file_formats.table import EXTRA, ROW_ERROR, Place, free_name, lazy_batches
from graph_etl.spec.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file.

    Args:
        place: The file.
        given: Name in the file, dotted for fields of structures, by column.
        types: Type by column.
    """

    place: Place
    given: dict[str, str]
    types: dict[str, pl.DataType]

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns."""
        return tuple(self.given)

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of the file."""
        return lazy_batches(self._batches, {name: self.types[name] for name in columns} | EXTRA)

    def _batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        start = 0
        try:
            with pyarrow.parquet.ParquetFile(self.place.path) as parquet:
                names = [self.given[name] for name in columns]
                for batch in parquet.iter_batches(_BATCH_ROWS, columns=names):
                    # A batch without columns still knows its number of rows.
                    n_rows = batch.num_rows
                    table = _flattened(pa.Table.from_batches([batch]))
                    cells = [
                        pl.Series(name, table.column(self.given[name]).combine_chunks()).cast(
                            self.types[name]
                        )
                        for name in columns
                    ]
                    rows = pl.int_range(start, start + n_rows, dtype=pl.Int64, eager=True).alias(ROW)
                    empty = pl.Series(ROW_ERROR, [None], dtype=pl.String).new_from_index(0, n_rows)
                    yield pl.DataFrame([*cells, rows, empty])
                    start += n_rows
        except (pa.ArrowException, OSError) as error:
            problem = "the Parquet file is damaged here; write it again"
            raise self.place.error(problem, row=start) from error


def open_parquet(place: Place) -> ParquetTable:
    """Open a Parquet file: read its schema.

    Args:
        place: The file.

    Returns:
        The opened file.

    Raises:
        DataError: If it is no Parquet file or is cut off.
    """
    try:
        schema = pyarrow.parquet.read_schema(place.path)
        table = _flattened(schema.empty_table())
    except (pa.ArrowException, OSError) as error:
        problem = "not a sound Parquet file (cut off, or of another format); write it again"
        raise place.error(problem) from error
    given: dict[str, str] = {}
    types: dict[str, pl.DataType] = {}
    for field in table.schema:
        name = free_name(field.name)
        given[name] = field.name
        dtype = pl.Series(table.column(field.name)).dtype
        types[name] = pl.String() if dtype in (pl.Categorical, pl.Enum, pl.Null) else dtype
    return ParquetTable(place, given, types)


def _flattened(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table
