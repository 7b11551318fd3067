"""Files in, rows out: one table of text or native values for every format, streamed.

:func:`scan` finds the files of a source, checks that they can be opened and hold the columns that the spec
names, and gives a :class:`SourceFile` for each. :meth:`SourceFile.rows` is a lazy table of exactly those
columns plus two:

``row``
    ``Int64``, the row's number in its file, from 0 (header and blank lines not counted). Every row of the
    file has one, readable or not; the numbers ascend without gaps.
``row_error``
    ``String``, null for a row that could be read. A line that could not be parsed (too few or too many
    fields, a quote never closed, invalid UTF-8 in a column in use, no JSON object) is still a row: its
    columns are null and ``row_error`` says why. Such rows belong into quarantine as ``line_unreadable``;
    the rest of the file is not lost.

Cells that equal one of the source's ``nulls`` (by default only empty ones) are null. CSV and JSON Lines
give text for every column; Parquet and NPZ keep their types. What makes a whole file unusable (missing,
empty, truncated, not of its format, a column missing) is a :class:`DataError`, also out of ``collect()``.
"""

from __future__ import annotations

import glob
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl

from graph_etl.errors import DataError
from graph_etl.file_formats import ROW_ERROR, open_table
from graph_etl.spec.base import suggestion
from graph_etl.spec.sources import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graph_etl.file_formats import Table
    from graph_etl.spec import Source, Spec

__all__ = ["ROW", "ROW_ERROR", "Rows", "SourceFile", "columns_used", "scan", "without_nulls"]

_CHUNK_BYTES = 1 << 20
_WHERE = "correct the path in the spec or give the data's folder with --data"


class Rows(Protocol):
    """Rows that are staged together: a file, or a page of what a database answers."""

    @property
    def name(self) -> str:
        """What it is called within its source; part of what names a row."""

    @property
    def fingerprint(self) -> str:
        """Tells it from any other content."""

    @property
    def available(self) -> tuple[str, ...]:
        """All columns that there are, ``row`` aside."""

    def rows(self) -> pl.LazyFrame:
        """The columns that the spec uses, ``row`` and ``row_error``."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Args:
        source: Name of the source.
        name: Path relative to the data's folder, with ``/``; part of what names a row.
        path: Where the file is.
        columns: Columns that the spec uses, present in the file.
        table: The opened format.
        nulls: Texts that mean "no value".
    """

    source: str
    name: str
    path: Path
    columns: tuple[str, ...]
    table: Table
    nulls: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the file's bytes."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            msg = f"cannot be read: {error.strerror}"
            raise DataError(msg, source=self.source, path=self.path) from error
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    @property
    def available(self) -> tuple[str, ...]:
        """All columns that the file has, ``row`` aside."""
        return self.table.columns

    def rows(self) -> pl.LazyFrame:
        """The file's rows, read when collected and in batches where the engine streams.

        Returns:
            The columns that the spec uses, ``row`` (Int64) and ``row_error`` (String, null: readable), in the
            order of the file.

        Raises:
            DataError: When collected, if the file turns out to be unusable, for example truncated.
        """
        return without_nulls(self.table.scan(self.columns), self.columns, self.nulls)


def without_nulls(table: pl.LazyFrame, columns: Sequence[str], nulls: Sequence[str]) -> pl.LazyFrame:
    """A table whose cells that mean "no value" are null.

    Args:
        table: The columns, ``row`` and ``row_error``.
        columns: Columns that the spec uses.
        nulls: Texts that mean "no value".

    Returns:
        The columns, ``row`` and ``row_error``.
    """
    schema = table.collect_schema()
    texts = [name for name in columns if schema[name] == pl.String]
    if nulls and texts:
        table = table.with_columns(
            pl.when(pl.col(name).is_in(nulls)).then(None).otherwise(pl.col(name)).alias(name)
            for name in texts
        )
    return table.select(*columns, ROW, ROW_ERROR)


def scan(spec: Spec, source_name: str, data_dir: Path | str | None = None) -> list[SourceFile]:
    """Find and check the files of a source.

    Args:
        spec: The spec.
        source_name: Name of the source.
        data_dir: Folder that relative paths start from; by default that of the spec.

    Returns:
        Its files by name, each once.

    Raises:
        DataError: If a file is missing, a glob matches nothing, a file is not of its format, or a column that
            the spec names is not in a file.
    """
    if source_name not in spec.sources:
        msg = f"no such source; {suggestion(source_name, spec.sources, 'sources')}"
        raise DataError(msg, source=source_name)
    source = spec.sources[source_name]
    base = Path(data_dir) if data_dir is not None else spec.folder
    needed = spec.columns_of(source_name)
    tables = {
        name: (path, open_table(source_name, source, path, needed))
        for name, path in sorted(_found(source_name, source, base).items())
    }
    # A key that no line of one JSON file holds is null there; it is a slip of the pen if no file has it.
    shared = source.format_name == "jsonl"
    everywhere = tuple({column: None for _, table in tables.values() for column in table.columns})
    return [
        SourceFile(
            source_name,
            name,
            path,
            columns_used(spec, source_name, path, everywhere if shared else table.columns),
            table,
            source.nulls,
        )
        for name, (path, table) in tables.items()
    ]


def _found(source_name: str, source: Source, base: Path) -> dict[str, Path]:
    if not base.is_dir():
        msg = "no such folder; name the data's folder with --data"
        raise DataError(msg, source=source_name, path=base)
    found: dict[str, Path] = {}
    for pattern in source.path:
        literal = base / pattern
        if literal.is_file():
            matches = [literal]
        elif glob.has_magic(pattern):
            root = Path(pattern).anchor or str(base)
            relative = os.path.relpath(pattern, root) if Path(pattern).anchor else pattern
            # Path.glob takes no absolute pattern.
            names = glob.glob(relative, root_dir=root, recursive=True)  # noqa: PTH207
            matches = [path for name in names if (path := Path(root) / name).is_file()]
            if not matches:
                problem = f"no file matches '{pattern}'; {_WHERE}"
                raise DataError(problem, source=source_name, path=base)
        elif literal.is_dir():
            problem = f"is a folder; name its files, for example {pattern}/*.csv"
            raise DataError(problem, source=source_name, path=literal)
        else:
            raise DataError(_missing(literal), source=source_name, path=literal)
        for path in matches:
            found[Path(os.path.relpath(path, base)).as_posix()] = path
    return found


def _missing(path: Path) -> str:
    advice = _WHERE
    if path.parent.is_dir():
        siblings = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
        near = suggestion(path.name, siblings)
        if near.startswith("did you mean"):
            advice = near
    return f"no such file; {advice}"


def columns_used(
    spec: Spec, source_name: str, path: Path | str, available: tuple[str, ...]
) -> tuple[str, ...]:
    """The columns that a spec uses of a file or an answer.

    Args:
        spec: The spec.
        source_name: Name of the source.
        path: The file or the database, for errors.
        available: The columns that there are.

    Returns:
        Those in use, numbered ones written out.

    Raises:
        DataError: If one that the spec names is not there.
    """
    used: dict[str, None] = {}
    for column in spec.columns_of(source_name):
        used |= dict.fromkeys(
            _numbered(spec, source_name, path, column, available) if "{n}" in column else [column]
        )
    for column in used:
        if column not in available:
            near = suggestion(column, available, "its columns")
            problem = (
                f"missing; {near}"
                if len(near) < 400
                else f"missing; its columns: {', '.join(available[:20])}, …"
            )
            raise DataError(problem, source=source_name, path=path, column=column)
    return tuple(used)


def _numbered(
    spec: Spec, source_name: str, path: Path | str, column: str, available: tuple[str, ...]
) -> Iterator[str]:
    splits = spec.splits
    if splits is None or splits.source != source_name:
        yield column
        return
    found = splits.columns(list(available))
    if not found:
        near = suggestion(splits.train, available, "its columns")
        problem = f"no column of this pattern with a number for {{n}}; {near}"
        raise DataError(problem, source=source_name, path=path, column=splits.train)
    for masks in found:
        yield from (mask for mask in masks if mask is not None)
