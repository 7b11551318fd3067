"""CSV: text in every column; a line that cannot be read costs that line and nothing else.

Arrow's parser does the work. From where a field spans lines (on purpose, or because a quote was never
closed) or bytes are no UTF-8, the rest of the file goes through :class:`CarefulLines`, which is slower and
joins lines only where the joined record is strictly valid.
"""

from __future__ import annotations

import codecs
import csv
import io
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from graph_etl.file_formats.careful_lines import CarefulLines, fields_problem
from graph_etl.file_formats.table import (
    EXTRA,
    GZIP_ERRORS,
    ROW_ERROR,
    Place,
    free_name,
    lazy_batches,
    text_schema,
)
from graph_etl.spec.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_BLOCK_BYTES = 8 << 20
_CAREFUL_BATCH_ROWS = 20_000
_LINE_BREAK = ord("\n")
_LONGEST_HEADER_CHARACTERS = 1 << 20


class _NeedsCare(Exception):
    """Arrow's parser cannot be trusted with what comes now: a field over several lines, or invalid UTF-8."""


class _Utf8Only(io.RawIOBase):
    """Bytes that are checked to be UTF-8 on their way to Arrow, which cannot hand invalid lines back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._stream.read(size)
        try:
            self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise _NeedsCare from error
        return chunk


@dataclass(frozen=True)
class CsvTable:
    """A CSV file.

    Args:
        place: The file.
        columns: Its columns.
        delimiter: Between its fields.
        header_lines: How many lines to skip before the first row.
    """

    place: Place
    columns: tuple[str, ...]
    delimiter: str
    header_lines: int

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of the file."""
        return lazy_batches(self._batches, text_schema(columns))

    def _batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        next_row = 0
        try:
            for batch in self._quick_batches(columns):
                yield batch
                next_row += len(batch)
        except _NeedsCare:
            yield from self._careful_batches(columns, next_row)

    def _quick_batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        lost = _LostLines(self.header_lines)
        next_row = 0
        with self.place.open_bytes() as stream:
            try:
                for batch in self._reader(_Utf8Only(stream), lost):
                    if any(map(_spans_lines, batch.columns)):
                        raise _NeedsCare
                    rows = lost.rows_of(next_row, batch.num_rows)
                    frame = _frame(batch, columns, rows)
                    stop = int(rows[-1]) + 1 if len(rows) else next_row
                    if lost.multiline(stop):
                        raise _NeedsCare
                    yield lost.merged(frame, next_row, stop)
                    next_row = stop
                if lost.multiline(None):
                    raise _NeedsCare
            except pa.ArrowInvalid as error:
                # A field that is longer than a block.
                raise _NeedsCare from error
            except GZIP_ERRORS as error:
                raise self.place.broken_gzip(error) from error
        yield lost.merged(pl.DataFrame(schema=text_schema(columns)), next_row, None)

    def _reader(self, stream: _Utf8Only, lost: _LostLines) -> Iterator[pa.RecordBatch] | tuple[()]:
        try:
            reader: Iterator[pa.RecordBatch] = pyarrow.csv.open_csv(
                stream,
                # Arrow tells the numbers of unreadable lines only without threads.
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK_BYTES,
                    column_names=list(self.columns),
                    skip_rows=self.header_lines,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=lost.note
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types={name: pa.string() for name in self.columns},
                    null_values=[],
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return ()
            raise
        return reader

    def _careful_batches(self, columns: list[str], first_row: int) -> Iterator[pl.DataFrame]:
        """The rows from ``first_row`` on, read line by line."""
        at = [self.columns.index(name) for name in columns]
        nothing = (None,) * len(columns)
        schema = text_schema(columns)
        rows: list[tuple[Any, ...]] = []
        with self.place.open_bytes() as stream:
            try:
                lines = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
                careful = CarefulLines(lines, self.delimiter, len(self.columns), self.header_lines)
                for row, (fields, problem) in enumerate(careful):
                    if row < first_row:
                        continue
                    cells = nothing if fields is None else tuple(fields[index] for index in at)
                    for name, cell in zip(columns, cells, strict=True):
                        if cell is not None and not cell.isascii() and not _is_unicode(cell):
                            cells, problem = nothing, f"invalid UTF-8 in column '{name}'"
                            break
                    rows.append((*cells, row, problem))
                    if len(rows) == _CAREFUL_BATCH_ROWS:
                        yield pl.DataFrame(rows, schema=schema, orient="row")
                        rows = []
            except GZIP_ERRORS as error:
                raise self.place.broken_gzip(error) from error
        yield pl.DataFrame(rows, schema=schema, orient="row")


@dataclass
class _LostLines:
    """Lines that Arrow's parser could not use, at their row numbers."""

    header_lines: int
    found: dict[int, tuple[str, bool]] = field(default_factory=dict)

    def note(self, line: Any) -> str:
        # `number` counts from 1 and includes the skipped header.
        row = line.number - 1 - self.header_lines
        problem = fields_problem(line.actual_columns, line.expected_columns)
        self.found[row] = (problem, "\n" in line.text or "\r" in line.text)
        return "skip"

    def rows_of(self, start: int, n_rows: int) -> NDArray[np.int64]:
        """Numbers of the next readable rows: those that no unreadable line has."""
        rows = np.arange(start, start + n_rows, dtype=np.int64)
        for row in sorted(row for row in self.found if row >= start):
            rows[bisect_left(rows, row) :] += 1
        return rows

    def multiline(self, stop: int | None) -> bool:
        """Whether one of them spans lines, up to a row."""
        return any(spans for row, (_, spans) in self.found.items() if stop is None or row < stop)

    def merged(self, frame: pl.DataFrame, start: int, stop: int | None) -> pl.DataFrame:
        """A batch with the unreadable lines between its rows."""
        inside = {
            row: why for row, (why, _) in self.found.items() if row >= start and (not stop or row < stop)
        }
        if not inside:
            return frame
        lost = pl.DataFrame({ROW: list(inside), ROW_ERROR: list(inside.values())}, schema=EXTRA)
        return pl.concat([frame, lost], how="diagonal").sort(ROW)


def _frame(batch: pa.RecordBatch, columns: list[str], rows: NDArray[np.int64]) -> pl.DataFrame:
    """The rows of a batch."""
    texts = {name: pl.Series(name, batch.column(name), dtype=pl.String) for name in columns}
    readable = pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
    return pl.DataFrame(texts | {ROW: pl.Series(rows, dtype=pl.Int64), ROW_ERROR: readable})


def _spans_lines(values: Any) -> bool:
    """Whether any of these fields holds a line break."""
    data = values.buffers()[2]
    return data is not None and bool((np.frombuffer(data, np.uint8) == _LINE_BREAK).any())


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_csv(place: Place, delimiter: str) -> CsvTable:
    """Open a CSV file: read its header.

    Args:
        place: The file.
        delimiter: Between its fields.

    Returns:
        The opened file.

    Raises:
        DataError: If it has no usable header.
    """
    with place.open_bytes() as stream:
        try:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
            reader = csv.reader(
                (text.readline(_LONGEST_HEADER_CHARACTERS) for _ in iter(int, 1)), delimiter=delimiter
            )
            header: list[str] = []
            while not header and reader.line_num < 1_000:
                header = next(reader, [])
        except csv.Error as error:
            problem = f"the header is not CSV ({error})"
            raise place.error(problem) from None
        except GZIP_ERRORS as error:
            raise place.broken_gzip(error) from error
    if not any(name.strip() for name in header):
        msg = "no header in the first line; expected the names of the columns"
        raise place.error(msg)
    if "\0" in "".join(header) or not all(map(_is_unicode, header)):
        msg = "the header is not UTF-8 text; save the file as UTF-8"
        raise place.error(msg)
    names: list[str] = []
    for at, given in enumerate(header):
        name = free_name(given.strip() or f"column_{at}")
        if name in names:
            msg = "stands twice in the header; rename one of them"
            raise place.error(msg, column=name)
        names.append(name)
    return CsvTable(place, tuple(names), delimiter, reader.line_num)
