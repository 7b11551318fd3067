"""JSON Lines: one object a line; the fields of nested objects have dotted names; text in every column."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from graph_etl.file_formats.table import (
    EXTRA,
    GZIP_ERRORS,
    TOO_LARGE,
    Place,
    free_name,
    lazy_batches,
    text_of,
    text_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH_ROWS = 50_000
_DEEPEST = 8


@dataclass(frozen=True)
class JsonlTable:
    """A JSON Lines file.

    Args:
        place: The file.
        columns: Its columns, as far as it was searched.
    """

    place: Place
    columns: tuple[str, ...]

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The rows of the file."""
        return lazy_batches(self._batches, text_schema(columns))

    def _batches(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        schema = text_schema(columns)
        nothing = (None,) * len(columns)
        rows: list[tuple[Any, ...]] = []
        for row, (record, problem) in enumerate(_records(self.place)):
            cells = nothing if record is None else tuple(_text(record.get(name)) for name in columns)
            rows.append((*cells, row, problem))
            if len(rows) == _BATCH_ROWS:
                yield pl.DataFrame(rows, schema=schema, orient="row")
                rows = []
        yield pl.DataFrame(rows, schema=schema, orient="row")


def open_jsonl(place: Place, needed: Sequence[str]) -> JsonlTable:
    """Open a JSON Lines file: find its columns.

    Args:
        place: The file.
        needed: The search ends when all of these are found.

    Returns:
        The opened file.

    Raises:
        DataError: If no line holds an object.
    """
    names: dict[str, None] = {}
    missing = set(needed)
    for record, _ in _records(place):
        if record is not None:
            names |= dict.fromkeys(record)
            missing.difference_update(record)
            if needed and not missing:
                break
    if not names:
        msg = "no JSON object in any line; expected one object a line"
        raise place.error(msg)
    return JsonlTable(place, tuple(names))


def _records(place: Place) -> Iterator[tuple[dict[str, Any] | None, str | None]]:
    """The records of a file, or why a line is none; blank lines are skipped."""
    with place.open_bytes() as stream:
        try:
            for at, line in enumerate(stream):
                text = line.removeprefix(b"\xef\xbb\xbf") if at == 0 else line
                if not text.strip():
                    continue
                yield _record(text)
        except GZIP_ERRORS as error:
            raise place.broken_gzip(error) from error


def _record(text: bytes) -> tuple[dict[str, Any] | None, str | None]:
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            text.decode()
        except UnicodeDecodeError:
            return None, "invalid UTF-8"
        return None, "not JSON"
    if not isinstance(record, dict):
        return None, "not a JSON object"
    if any(isinstance(value, float) and abs(value) >= TOO_LARGE for value in record.values()):
        record = json.loads(text)
    return _flat(record, 1), None


def _flat(record: dict[str, Any], depth: int) -> dict[str, Any]:
    plain = not any(isinstance(value, dict) for value in record.values())
    if plain and not any(name in record for name in EXTRA):
        return record
    found: dict[str, Any] = {}
    for given, value in record.items():
        name = free_name(given) if depth == 1 else given
        if isinstance(value, dict) and depth < _DEEPEST:
            found |= {f"{name}.{inner}": held for inner, held in _flat(value, depth + 1).items()}
        else:
            found[name] = value
    return found


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = text_of(value)
    return orjson.dumps(value).decode() if text is None else text
