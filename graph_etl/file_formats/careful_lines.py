"""CSV line by line, for files in which fields span lines or a quote is opened and never closed."""

from __future__ import annotations

import csv
import io
from collections import deque
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# A field may span this many lines; a quote not closed by then is taken for a stray one.
_MOST_LINES = 1_000

Record = tuple[list[str] | None, str | None]


class CarefulLines:
    """The records of a CSV file: fields, or why there are none.

    A record that starts with a quoted field may span lines if it is strictly valid (each quote closed right
    before a delimiter or the end) and has the right number of fields. If no such record is found, the first
    line alone is unreadable and reading goes on with the next.

    Args:
        lines: Text that keeps its line ends.
        delimiter: Between the fields.
        n_fields: Fields that a record has.
        skip_lines: Lines of the header.
    """

    def __init__(self, lines: IO[str], delimiter: str, n_fields: int, skip_lines: int) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._n_fields = n_fields
        self._waiting: deque[str] = deque()
        for _ in range(skip_lines):
            lines.readline()

    def __iter__(self) -> Iterator[Record]:
        while line := self._next_line():
            if line.strip("\r\n"):
                yield self._record(line)

    def _next_line(self) -> str:
        return self._waiting.popleft() if self._waiting else self._lines.readline()

    def _record(self, line: str) -> Record:
        if line.count('"') % 2 == 0:
            fields = self._parsed(line, strict=False)
            if fields is not None and len(fields) == self._n_fields:
                return fields, None
            return None, fields_problem(0 if fields is None else len(fields), self._n_fields)
        taken = [line]
        odd = True
        while len(taken) < _MOST_LINES and (following := self._next_line()):
            taken.append(following)
            odd ^= following.count('"') % 2 == 1
            if odd:
                continue
            fields = self._parsed("".join(taken), strict=True)
            if fields is not None and len(fields) == self._n_fields:
                return fields, None
        self._waiting.extendleft(reversed(taken[1:]))
        return None, "a quote is opened and never closed"

    def _parsed(self, text: str, *, strict: bool) -> list[str] | None:
        try:
            # Not splitlines(), which knows more line ends than CSV does.
            lines = io.StringIO(text, newline="")
            records = list(csv.reader(lines, delimiter=self._delimiter, strict=strict))
        except csv.Error:
            return None
        return records[0] if len(records) == 1 else None


def fields_problem(found: int, expected: int) -> str:
    """Say that a line has the wrong number of fields."""
    return f"{found} field{'' if found == 1 else 's'}, expected {expected}"
