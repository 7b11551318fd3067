"""A journal in a file of lines, for tests of what reads journals."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from graph_etl import Content, JournalRow, decode, encode, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class LinesJournal:
    """Reads rows from lines ``[seq, received_ms, kind, payload]``."""

    path: Path

    def rows(self, after_seq: int = 0, limit: int | None = None) -> Iterator[JournalRow]:
        """Rows above a ``seq``, at most ``limit``."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        found = (json.loads(line) for line in lines)
        rows = (
            JournalRow(seq, known, decode(kind, text.encode()))
            for seq, known, kind, text in found
            if seq > after_seq
        )
        return islice(rows, limit)

    def last_seq(self) -> int:
        """``seq`` of the last row."""
        return max((row.seq for row in self.rows()), default=0)


def write_journal(path: Path, said: Iterable[tuple[int, Content]], *, append: bool = False) -> LinesJournal:
    """Write a journal.

    Args:
        path: Where to.
        said: When each row was received, milliseconds, and what it says.
        append: Go on after the rows that are there.

    Returns:
        Its reader.
    """
    journal = LinesJournal(path)
    start = journal.last_seq() + 1 if append else 1
    with path.open("a" if append else "w") as stream:
        for seq, (received_ms, content) in enumerate(said, start):
            line = [seq, received_ms, kind_of(content), encode(content).decode()]
            stream.write(json.dumps(line) + "\n")
    return journal
