"""Opening a file of any format as a table: its columns now, its rows when asked for."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.csv
from polars.io.plugins import register_io_source

from graph_etl.errors import DataError
from graph_etl.spec.base import suggestion
from graph_etl.spec.parts import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from graph_etl.spec import Source

ROW_ERROR = "row_error"
"""The column that says why a row could not be read."""

_CSV_BLOCK_BYTES = 8 << 20
_JSONL_BATCH_ROWS = 50_000
_RESERVED = (ROW, ROW_ERROR)
_EXTRA = {ROW: pl.Int64(), ROW_ERROR: pl.String()}


class Table(Protocol):
    """An opened file."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All its columns."""

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """Its rows: the columns, ``row`` and ``row_error``."""


def open_table(source_name: str, source: Source, path: Path) -> Table:
    """Open a file.

    Args:
        source_name: Name of its source, for errors.
        source: The source.
        path: The file.

    Returns:
        The opened file.

    Raises:
        DataError: If it is empty, is not of its format or cannot be read.
    """
    place = _Place(source_name, path)
    try:
        if path.stat().st_size == 0:
            raise place.error("the file is empty; expected " + source.format_name)
        match source.format_name:
            case "csv":
                default = "\t" if ".tsv" in path.suffixes else ","
                return _csv_table(place, source.delimiter or default)
            case "jsonl":
                return _jsonl_table(place)
            case "parquet":
                return _parquet_table(place)
            case _:
                return _npz_table(place, source)
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Place:
    source: str
    path: Path

    def error(self, problem: str, *, row: int | None = None, column: str | None = None) -> DataError:
        return DataError(problem, source=self.source, path=self.path, row=row, column=column)

    def open_bytes(self) -> IO[bytes]:
        if self.path.suffix.lower() == ".gz":
            return gzip.open(self.path, "rb")
        return self.path.open("rb")

    def broken_gzip(self, error: Exception) -> DataError:
        if isinstance(error, EOFError):
            return self.error("the gzip file ends too early; copy or download it again")
        return self.error(
            "not a sound gzip file; make it again, or drop .gz from its name if it is plain text"
        )


_GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error)


def _lazy(
    batches: Callable[[list[str]], Iterator[pl.DataFrame]], schema: dict[str, pl.DataType]
) -> pl.LazyFrame:
    """A lazy table of batches; only the columns that a query needs are read."""

    def produce(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if with_columns is None else with_columns
        left = n_rows
        for batch in batches([name for name in wanted if name not in _RESERVED]):
            cut = batch.select(wanted)
            if left is not None:
                cut = cut.head(left)
                left -= len(cut)
            yield cut if predicate is None else cut.filter(predicate)
            if left == 0:
                return

    return register_io_source(produce, schema=schema)


# CSV --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _CsvTable:
    place: _Place
    columns: tuple[str, ...]
    delimiter: str
    header_lines: int

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        return _lazy(self._batches, {name: pl.String() for name in columns} | _EXTRA)

    def _batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        unreadable = _UnreadableLines(self.delimiter, self.columns)
        next_row = 0
        with self.place.open_bytes() as stream:
            try:
                reader = self._reader(stream, columns, unreadable)
                for batch in reader or ():
                    rows = unreadable.rows_of(next_row, batch.num_rows)
                    frame = self._checked(batch, columns, rows)
                    yield unreadable.merged(
                        frame, next_row, int(rows[-1]) + 1 if len(rows) else next_row, columns
                    )
                    next_row = int(rows[-1]) + 1 if len(rows) else next_row
            except pa.ArrowInvalid as error:
                raise self._unusable(error, next_row) from error
            except _GZIP_ERRORS as error:
                raise self.place.broken_gzip(error) from error
        yield unreadable.merged(None, next_row, None, columns)

    def _reader(
        self, stream: IO[bytes], columns: list[str], unreadable: _UnreadableLines
    ) -> Iterator[pa.RecordBatch] | None:
        # One column is read even if none is wanted: rows have to be counted.
        included = columns or [self.columns[0]]
        try:
            reader: Iterator[pa.RecordBatch] = pyarrow.csv.open_csv(
                stream,
                # Row numbers of unreadable lines are known only without threads.
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False,
                    block_size=_CSV_BLOCK_BYTES,
                    column_names=list(self.columns),
                    skip_rows=self.header_lines,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=unreadable.note
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={name: pa.binary() for name in self.columns},
                    include_columns=included,
                    null_values=[],
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return None
            raise
        return reader

    def _checked(self, batch: pa.RecordBatch, columns: list[str], rows: np.ndarray[Any, Any]) -> pl.DataFrame:
        """Text of the batch; a row with invalid UTF-8 becomes an unreadable one."""
        texts: dict[str, Any] = {}
        errors: dict[int, str] = {}
        for name in columns:
            values = batch.column(name)
            try:
                texts[name] = values.cast(pa.string())
            except pa.ArrowInvalid:
                decoded = values.to_pylist()
                for at, value in enumerate(decoded):
                    try:
                        decoded[at] = value.decode()
                    except UnicodeDecodeError:
                        errors[at] = f"invalid UTF-8 in column '{name}'"
                texts[name] = (
                    pa.array(decoded, pa.string())
                    if not errors
                    else [None if isinstance(value, bytes) else value for value in decoded]
                )
        frame = pl.DataFrame(
            {name: pl.Series(name, values, dtype=pl.String) for name, values in texts.items()}
        )
        problems = pl.Series(ROW_ERROR, [None] * len(rows), dtype=pl.String)
        if errors:
            problems = problems.scatter(list(errors), list(errors.values()))
        frame = frame.with_columns(pl.Series(ROW, rows, dtype=pl.Int64), problems)
        if errors:
            frame = frame.with_columns(pl.when(pl.col(ROW_ERROR).is_null()).then(pl.col(*columns)))
        return frame

    def _unusable(self, error: Exception, row: int) -> DataError:
        if "straddling" in str(error) or "out of sync" in str(error):
            return self.place.error(
                "a quote that is opened at or after this row is never closed; close or remove it", row=row
            )
        return self.place.error(f"not CSV: {' '.join(str(error).split())}", row=row)


@dataclass
class _UnreadableLines:
    """Lines that the CSV parser could not use, at their row numbers."""

    delimiter: str
    columns: tuple[str, ...]
    found: dict[int, str] = field(default_factory=dict)

    def note(self, line: Any) -> str:
        # `number` counts from 1 and includes the header.
        row = line.number - 2
        self.found[row] = f"{line.actual_columns} fields, expected {line.expected_columns}"
        return "skip"

    def rows_of(self, start: int, n_rows: int) -> np.ndarray[Any, Any]:
        """Numbers of the next readable rows: those that no unreadable line has."""
        taken = sorted(row for row in self.found if row >= start)
        rows = np.arange(start, start + n_rows, dtype=np.int64)
        for row in taken:
            rows[bisect_left(rows, row) :] += 1
        return rows

    def merged(
        self, frame: pl.DataFrame | None, start: int, stop: int | None, columns: list[str]
    ) -> pl.DataFrame:
        """A batch with the unreadable lines between its rows."""
        inside = {
            row: why for row, why in self.found.items() if row >= start and (stop is None or row < stop)
        }
        schema = {name: pl.String() for name in columns} | _EXTRA
        lost = pl.DataFrame({ROW: list(inside), ROW_ERROR: list(inside.values())}, schema=_EXTRA)
        lost = lost.with_columns(pl.lit(None, pl.String()).alias(name) for name in columns).select(
            list(schema)
        )
        if frame is None:
            return lost.sort(ROW)
        frame = frame.select(list(schema))
        return pl.concat([frame, lost]).sort(ROW) if len(lost) else frame


def _csv_table(place: _Place, delimiter: str) -> _CsvTable:
    with place.open_bytes() as stream:
        try:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=delimiter)
            header = next(reader, None)
        except UnicodeDecodeError:
            raise place.error("the header is not UTF-8 text; save the file as UTF-8") from None
        except csv.Error as error:
            raise place.error(f"the header is not CSV ({error})") from None
        except _GZIP_ERRORS as error:
            raise place.broken_gzip(error) from error
    if header is None or not any(name.strip() for name in header):
        raise place.error("no header in the first line; expected the names of the columns")
    return _CsvTable(place, _named(place, header), delimiter, reader.line_num)


def _named(place: _Place, header: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for at, given in enumerate(header):
        name = given.strip() or f"column_{at}"
        name = f"{name}_column" if name in _RESERVED else name
        if name in names:
            raise place.error("stands twice in the header; rename one of them", column=name)
        names.append(name)
    return tuple(names)


# JSON Lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _JsonlTable:
    place: _Place
    columns: tuple[str, ...]

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        return _lazy(self._batches, {name: pl.String() for name in columns} | _EXTRA)

    def _batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        schema = {name: pl.String() for name in columns} | _EXTRA
        rows: list[tuple[Any, ...]] = []
        nothing = (None,) * len(columns)
        for row, (record, problem) in enumerate(_json_records(self.place)):
            cells = nothing if record is None else tuple(_json_text(record.get(name)) for name in columns)
            rows.append((*cells, row, problem))
            if len(rows) == _JSONL_BATCH_ROWS:
                yield pl.DataFrame(rows, schema=schema, orient="row")
                rows = []
        yield pl.DataFrame(rows, schema=schema, orient="row")


def _json_records(place: _Place) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    """The records of a file, nested objects with dotted names; blank lines are skipped."""
    with place.open_bytes() as stream:
        try:
            for at, line in enumerate(stream):
                text = line.removeprefix(b"\xef\xbb\xbf") if at == 0 else line
                if not text.strip():
                    continue
                try:
                    record = orjson.loads(text)
                except orjson.JSONDecodeError:
                    yield None, "not JSON"
                    continue
                if isinstance(record, dict):
                    yield _flat(record), None
                else:
                    yield None, "not a JSON object"
        except _GZIP_ERRORS as error:
            raise place.broken_gzip(error) from error


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    if not any(isinstance(value, dict) for value in record.values()) and not any(
        name in record for name in _RESERVED
    ):
        return record
    found: dict[str, Any] = {}
    for name, value in record.items():
        kept = f"{name}_column" if name in _RESERVED else name
        if isinstance(value, dict):
            found |= {f"{kept}.{inner}": held for inner, held in _flat(value).items()}
        else:
            found[kept] = value
    return found


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else orjson.dumps(value).decode()


def _jsonl_table(place: _Place) -> _JsonlTable:
    names: dict[str, None] = {}
    n_rows = 0
    for record, _ in _json_records(place):
        n_rows += 1
        if record is not None:
            names |= dict.fromkeys(record)
    if not names:
        raise place.error("no JSON object in any line; expected one object a line")
    return _JsonlTable(place, tuple(names))


# Parquet ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ParquetTable:
    place: _Place
    columns: tuple[str, ...]
    schema: dict[str, pl.DataType]

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        given = {f"{name}_column" if name in _RESERVED else name: name for name in self.schema}
        return (
            pl.scan_parquet(self.place.path, glob=False)
            .select(pl.col(given[name]).alias(name) for name in columns)
            .with_row_index(ROW)
            .with_columns(pl.col(ROW).cast(pl.Int64), pl.lit(None, pl.String()).alias(ROW_ERROR))
        )


def _parquet_table(place: _Place) -> _ParquetTable:
    try:
        schema = dict(pl.read_parquet_schema(place.path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise place.error(
            "not a sound Parquet file (maybe cut off or of another format); write it again"
        ) from error
    columns = tuple(f"{name}_column" if name in _RESERVED else name for name in schema)
    return _ParquetTable(place, columns, schema)


# NPZ --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _NpzTable:
    place: _Place
    columns: tuple[str, ...]
    values: dict[str, np.ndarray[Any, Any]]

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        n_rows = len(next(iter(self.values.values())))
        frame = pl.DataFrame({name: np.ascontiguousarray(self.values[name]) for name in columns})
        rows = pl.int_range(n_rows, dtype=pl.Int64, eager=True).alias(ROW)
        return frame.with_columns(rows, pl.lit(None, pl.String()).alias(ROW_ERROR)).lazy()


def _npz_table(place: _Place, source: Source) -> _NpzTable:
    try:
        with np.load(place.path, allow_pickle=False) as archive:
            if source.arrays is not None:
                values = _array_columns(place, archive, source.arrays)
            else:
                values = _sparse_columns(place, archive, str(source.sparse))
    except DataError:
        raise
    except Exception as error:  # numpy raises what its zip and header parsers raise
        raise place.error("not a sound NPZ file of plain arrays; write it again with numpy.savez") from error
    return _NpzTable(place, tuple(values), values)


def _member(place: _Place, archive: Any, name: str) -> np.ndarray[Any, Any]:
    if name not in archive.files:
        raise place.error(f"no array '{name}'; {suggestion(name, archive.files, 'its arrays')}")
    values: np.ndarray[Any, Any] = archive[name]
    if values.dtype.kind in "SU":
        return values.astype(str).astype(object)
    if values.dtype.kind not in "biufM":
        raise place.error(f"array '{name}' is of type {values.dtype}; expected numbers, flags or text")
    return values


def _array_columns(place: _Place, archive: Any, arrays: dict[str, str]) -> dict[str, np.ndarray[Any, Any]]:
    columns: dict[str, np.ndarray[Any, Any]] = {}
    n_rows: int | None = None
    first = next(iter(arrays.values()))
    for prefix, name in arrays.items():
        values = _member(place, archive, name)
        if values.ndim not in (1, 2):
            raise place.error(f"array '{name}' has {values.ndim} axes; expected 1 or 2")
        n_rows = len(values) if n_rows is None else n_rows
        if len(values) != n_rows and values.ndim == 2 and values.shape[1] == n_rows:
            values = values.T
        if len(values) != n_rows:
            shape = "×".join(map(str, values.shape))
            raise place.error(f"array '{name}' is {shape}; expected {n_rows} rows as in '{first}'")
        if values.ndim == 1:
            columns[prefix] = values
        else:
            columns |= {f"{prefix}_{at}": values[:, at] for at in range(values.shape[1])}
    return columns


def _sparse_columns(place: _Place, archive: Any, name: str) -> dict[str, np.ndarray[Any, Any]]:
    prefix = f"{name}_" if name else ""
    members = [part.removeprefix(prefix) for part in archive.files if part.startswith(prefix)]

    def part(what: str) -> np.ndarray[Any, Any]:
        return _member(place, archive, prefix + what)

    if {"row", "col"} <= set(members):
        first, second = part("row"), part("col")
    elif {"indptr", "indices"} <= set(members):
        indptr, indices = part("indptr").astype(np.int64), part("indices")
        outer = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        layout = str(archive[prefix + "format"]) if prefix + "format" in archive.files else "csr"
        first, second = (indices, outer) if "csc" in layout else (outer, indices)
    else:
        held = ", ".join(archive.files[:20])
        expected = f"{prefix}indptr and {prefix}indices (CSR, CSC) or {prefix}row and {prefix}col (COO)"
        raise place.error(f"no sparse matrix '{name}': expected {expected}; its arrays: {held}")
    value = part("data") if "data" in members else np.ones(len(first), np.float32)
    if not len(first) == len(second) == len(value):
        raise place.error(f"the parts of the sparse matrix '{name}' differ in length")
    return {"i": first.astype(np.int64), "j": second.astype(np.int64), "value": value}
