"""Rows out of a Neo4j: the answer of a query, page by page, as if each page were a file.

An answer is read as one stream and never kept: a page is staged, then dropped, so that memory is bounded by
one page, and nothing raw rests on disk. Pages are named and fingerprinted by what is in them: one that an
earlier build staged is not staged again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import polars as pl

from graph_etl.content import Content
from graph_etl.errors import DataError
from graph_etl.file_formats import ROW_ERROR
from graph_etl.file_formats.table import free_name, text_of
from graph_etl.neo4j_store.connection import GraphStoreError, Target, connect, session
from graph_etl.readers import columns_used, without_nulls
from graph_etl.snapshot import NO_TIME
from graph_etl.spec.sources import ENVIRONMENT, ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neo4j import Record, Session

    from graph_etl.identifiers import Hasher
    from graph_etl.spec import Source, Spec

PAGE_ROWS: Final = 100_000
"""Rows that are held in memory at once, and that are staged as one part."""

_FETCHED_ROWS: Final = 5_000


@dataclass(frozen=True)
class QueryPage:
    """Some rows of an answer.

    Attributes:
        name: Which rows, padded so that pages sorted by name stand in the order of the rows.
        fingerprint: Tells it from a page with other rows; keyed if there is a key.
        available: All columns of the answer, ``row`` aside.
        columns: Those that the spec uses.
        table: Their values, ``row`` and ``row_error``.
        nulls: Texts that mean "no value".
    """

    name: str
    fingerprint: str
    available: tuple[str, ...]
    columns: tuple[str, ...]
    table: pl.DataFrame
    nulls: tuple[str, ...]

    def rows(self) -> pl.LazyFrame:
        """The rows, as :meth:`graph_etl.readers.SourceFile.rows` gives those of a file."""
        return without_nulls(self.table.lazy(), self.columns, self.nulls)


@dataclass(frozen=True)
class Answer:
    """The answer of a source's query, checked and not read yet.

    Args:
        source_name: Name of the source.
        source: The source.
        target: The database that is asked.
        given: Names in the answer, by column.
        columns: Columns that the spec uses.
    """

    source_name: str
    source: Source
    target: Target
    given: dict[str, str]
    columns: tuple[str, ...]

    def pages(self, hasher: Hasher | None) -> Iterator[QueryPage]:
        """Ask the query and read the answer.

        Args:
            hasher: Keeps fingerprints of few rows from being guessed; None if nothing is private.

        Yields:
            The pages in the order of the answer; an answer without rows is one empty page.

        Raises:
            DataError: If the server goes away or refuses, or a value is no text, number, flag or time.
        """
        at = [list(self.given).index(column) for column in self.columns]
        start = 0
        with _reading(self.source_name, self.target) as opened:
            answer = opened.run(_query(self.source))
            while True:
                records = answer.fetch(PAGE_ROWS)
                if records or not start:
                    yield self._page(records, at, start, hasher)
                start += len(records)
                if len(records) < PAGE_ROWS:
                    return

    def _page(
        self, records: Sequence[Record], at: Sequence[int], start: int, hasher: Hasher | None
    ) -> QueryPage:
        rows = pl.int_range(start, start + len(records), dtype=pl.Int64, eager=True).alias(ROW)
        empty = pl.Series(ROW_ERROR, [None], dtype=pl.String).new_from_index(0, len(records))
        cells = [
            self._cells(records, place, name, start) for place, name in zip(at, self.columns, strict=True)
        ]
        table = pl.DataFrame([*cells, rows, empty])
        # Padded, so that parts sorted by name stand in the order of the rows.
        name = f"rows {start:012d}-{start + len(records):012d}"
        fingerprint = _fingerprint(name, cells)
        if hasher is not None:
            # What a page of one row says could be guessed, and its hash then tells who guessed right.
            fingerprint = hasher.key("page", fingerprint)
        return QueryPage(name, fingerprint, tuple(self.given), self.columns, table, self.source.nulls)

    def _cells(self, records: Sequence[Record], place: int, column: str, start: int) -> pl.Series:
        """One column: text, or dates or date-times where it holds nothing else."""
        from neo4j.exceptions import BrokenRecordError

        try:
            values = [record[place] for record in records]
        except BrokenRecordError:
            problem = "holds a time outside the years 1 to 9999; return it as a number or a text"
            raise self._error(problem, column) from None
        kinds = {type(value) for value in values} - {type(None)}
        if kinds <= {str}:
            return pl.Series(column, values, pl.String)
        times = _times(column, values, kinds)
        if times is not None:
            return times
        texts = []
        for row, value in enumerate(values, start):
            text = _text(value)
            if text is None and value is not None:
                kind = type(value).__name__
                problem = (
                    f"holds a {kind}; return texts, numbers, flags or times, for example one row an entry"
                )
                raise self._error(problem, column, row)
            texts.append(text)
        return pl.Series(column, texts, pl.String)

    def _error(self, problem: str, column: str, row: int | None = None) -> DataError:
        return DataError(problem, source=self.source_name, path=self.target.shown, row=row, column=column)


def open_answer(spec: Spec, source_name: str) -> Answer:
    """Check the query of a source without asking it: server, user, Cypher, columns.

    Args:
        spec: The spec.
        source_name: Name of a source whose rows are in a Neo4j.

    Returns:
        What the query will answer.

    Raises:
        DataError: If the server cannot be used, the query is no Cypher or would write, or a column that the
            spec names is not in the answer.
    """
    source = spec.sources[source_name]
    target = target_of_source(source)
    with _reading(source_name, target) as opened:
        plan = opened.run(f"EXPLAIN {_query(source)}")
        keys = plan.keys()
        kind = plan.consume().query_type
    if kind != "r":
        problem = "the query would change the database; a source only reads: MATCH … RETURN …"
        raise DataError(problem, source=source_name, path=target.shown)
    given = {free_name(key): key for key in keys}
    columns = columns_used(spec, source_name, target.shown, tuple(given))
    return Answer(source_name, source, target, given, columns)


def target_of_source(source: Source) -> Target:
    """The database that a source names; what its address leaves open is in the environment.

    Args:
        source: A source whose rows are in a Neo4j.

    Returns:
        The database: user and password from ``NEO4J_USERNAME`` and ``NEO4J_PASSWORD``, and where the address
        does not say, place and database from ``NEO4J_URI`` and ``NEO4J_DATABASE``.
    """
    environment = os.environ
    address, database = source.path[0], None
    if address == ENVIRONMENT:
        address = environment.get("NEO4J_URI") or "neo4j://localhost:7687"
    else:
        parts = urlsplit(address)
        database = parts.path.strip("/") or None
        address = parts._replace(path="").geturl()
    return Target(
        uri=address,
        username=environment.get("NEO4J_USERNAME") or "neo4j",
        password=environment.get("NEO4J_PASSWORD", ""),
        database=database or environment.get("NEO4J_DATABASE") or None,
    )


def _query(source: Source) -> str:
    return str(source.cypher).strip().rstrip(";")


@contextmanager
def _reading(source_name: str, target: Target) -> Iterator[Session]:
    """A session that may only read; errors say which source it is."""
    try:
        with (
            connect(target) as driver,
            session(driver, target, default_access_mode="READ", fetch_size=_FETCHED_ROWS) as opened,
        ):
            yield opened
    except GraphStoreError as error:
        raise DataError(str(error), source=source_name) from None


def _times(column: str, values: Sequence[Any], kinds: set[type]) -> pl.Series | None:
    """A column of nothing but times of one sort; None if it is another column."""
    from neo4j.time import Date, DateTime

    if kinds not in ({Date}, {DateTime}):
        return None
    native = [None if value is None else value.to_native() for value in values]
    if kinds == {Date}:
        return pl.Series(column, native, pl.Date)
    zoned = {value.tzinfo is not None for value in native if value is not None}
    if zoned == {False}:
        return pl.Series(column, native, pl.Datetime("us"))
    if zoned == {True}:
        utc = [None if value is None else value.astimezone(UTC) for value in native]
        return pl.Series(column, utc, pl.Datetime("us", "UTC"))
    return None


def _text(value: Any) -> str | None:
    """A value as a file would hold it; None if no file would."""
    from neo4j.time import Date, DateTime

    return str(value.iso_format()) if isinstance(value, Date | DateTime) else text_of(value)


def _fingerprint(name: str, cells: Sequence[pl.Series]) -> str:
    content = Content()
    content.add_words("page", [name, [[cell.name, str(cell.dtype)] for cell in cells]])
    for cell in cells:
        if cell.dtype == pl.String:
            content.add_text(cell.name, cell)
        else:
            content.add(cell.name, cell.to_physical().cast(pl.Int64).fill_null(NO_TIME).to_numpy())
    return content.hexdigest()
