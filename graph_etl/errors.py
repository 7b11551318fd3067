"""What can go wrong between a file and the graph.

Every error is one line that says what was wrong, where, and what to do::

    RingwatchError
    ├── SpecError            a dataset spec cannot be used: file, line, column, nearest key
    ├── DataError            a source's file cannot be read: file, row, column
    ├── IdentifierError      one identifier cannot be read as its kind
    └── HashKeyError         identifiers have to be hashed and there is no usable key
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["DataError", "HashKeyError", "IdentifierError", "RingwatchError", "SpecError"]


class RingwatchError(Exception):
    """Base of all errors that a person can act upon; the message is one line."""


class SpecError(RingwatchError):
    """A dataset spec cannot be used.

    Args:
        problem: What is wrong and what was expected.
        path: The spec's file.
        line: Line in the file, from 1.
        column: Column in the line, from 1.
        more: How many further problems the spec has.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
        more: int = 0,
    ) -> None:
        self.problem = problem
        self.path = None if path is None else Path(path)
        self.line = line
        self.column = column
        self.more = more
        place = "spec" if path is None else str(path)
        if line is not None:
            place += f":{line}:{column or 1}"
        rest = f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
        super().__init__(f"{place}: {problem}{rest}")


class DataError(RingwatchError):
    """A source's file cannot be read.

    Args:
        problem: What is wrong and what was expected.
        source: Name of the source in the spec.
        path: The file.
        row: Number of the row in the file, from 0, headers not counted.
        column: Name of the column.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | None = None,
        path: Path | str | None = None,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.problem = problem
        self.source = source
        self.path = None if path is None else Path(path)
        self.row = row
        self.column = column
        parts = [str(path) if path is not None else f"source '{source}'"]
        if path is not None and source is not None:
            parts[0] += f" (source '{source}')"
        if row is not None:
            parts.append(f"row {row}")
        if column is not None:
            parts.append(f"column '{column}'")
        super().__init__(f"{', '.join(parts)}: {problem}")


class IdentifierError(RingwatchError):
    """One identifier cannot be read as its kind; the message never holds the identifier itself.

    Args:
        kind: Name of the kind.
        problem: What is wrong and what was expected.
    """

    def __init__(self, kind: str, problem: str) -> None:
        self.kind = kind
        self.problem = problem
        super().__init__(f"{kind}: {problem}")


class HashKeyError(RingwatchError):
    """Identifiers have to be hashed and there is no usable key.

    Args:
        problem: What is wrong.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"RINGWATCH_HASH_KEY {problem}. Identifiers that are not public are stored only as a keyed hash: "
            "set it to a secret of at least 16 characters, the same for every build and for the service "
            "(for example `export RINGWATCH_HASH_KEY=$(openssl rand -hex 32)`, kept where you keep secrets)"
        )
