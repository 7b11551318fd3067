"""What the command line shows: results on stdout, progress on stderr, one JSON object with `--json`."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

MACHINE_WIDTH = 160
"""Columns of the output when nobody watches: wide enough that no table cell is cut."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, in a form that people and programs can read.

    Attributes:
        command: Name of the command, such as `build`.
        workspace: Workspace that it worked on.
        result: The command's own answer; its keys are documented in docs/cli.md.
        wrote: Files and folders that it wrote.
        next_command: The command that a person would run next, if there is one.
    """

    command: str
    workspace: Path
    result: Mapping[str, Any]
    wrote: Sequence[Path] = field(default_factory=tuple)
    next_command: str | None = None

    def as_json(self) -> str:
        """Return the one JSON object that `--json` prints; numbers that are not finite become null."""
        document = {
            "command": self.command,
            "workspace": str(self.workspace),
            "wrote": [str(path) for path in self.wrote],
            "next": self.next_command,
            "result": finite(self.result),
        }
        return json.dumps(document, ensure_ascii=False, indent=2)


def finite(value: Any) -> Any:
    """Return `value` in types that JSON has: NaN and infinities as null, numpy scalars as numbers."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [finite(item) for item in value]
    if hasattr(value, "tolist"):
        return finite(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


class Screen:
    """Writes results to stdout and progress to stderr.

    Args:
        as_json: Print one JSON object at the end and no other result.
        is_part: The command is a step of another one, which says what was written and what comes next.
    """

    def __init__(self, *, as_json: bool = False, is_part: bool = False) -> None:
        self.as_json = as_json
        self._is_part = is_part
        width = None if sys.stdout.isatty() else MACHINE_WIDTH
        self._out = Console(file=sys.stdout, width=width, highlight=False, soft_wrap=True, emoji=False)
        self._err = Console(file=sys.stderr, highlight=False, soft_wrap=True, emoji=False)

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """Print one line of a result; square brackets stay as they are. Silent with `--json`."""
        if not self.as_json:
            self._out.print(text, style=style, markup=False)

    def heading(self, text: str) -> None:
        """Print a heading with an empty line before it."""
        self.say()
        self.say(text, style="bold")

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None
    ) -> None:
        """Print rows below their columns; numbers stand to the right."""
        if self.as_json:
            return
        numeric = [
            bool(rows) and all(isinstance(row[at], (int, float)) or row[at] is None for row in rows)
            for at in range(len(columns))
        ]
        if title is not None:
            self.say(title, style="italic")
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, right in zip(columns, numeric, strict=True):
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(_cell(value) for value in row))
        self._out.print(table, markup=False, soft_wrap=False)

    def note(self, text: str) -> None:
        """Print one line that is no result, a warning for example, to stderr."""
        self._err.print(text, markup=False, style="yellow" if text.startswith("warning") else None)

    def finish(self, outcome: Outcome) -> None:
        """Print what was written and what to run next, or the whole outcome as JSON."""
        if self._is_part:
            return
        if self.as_json:
            sys.stdout.write(outcome.as_json() + "\n")
            return
        for path in outcome.wrote:
            self.say(f"wrote {path}", style="green")
        if outcome.next_command is not None:
            self.say(f"next: {outcome.next_command}", style="cyan")

    @contextmanager
    def progress(self) -> Iterator["Steps"]:
        """Show steps on stderr while the block runs; bars only where a person watches."""
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._err,
            transient=True,
            disable=not self._err.is_terminal,
        )
        with bar:
            yield Steps(bar, self._err)


class Steps:
    """Progress of a long command, as the libraries tell it: the step, how much of it is done, of how much.

    A person at a terminal sees one moving bar; a log gets one line for each step.

    Args:
        bar: The bar.
        console: Where lines go if no bar is shown.
    """

    def __init__(self, bar: Progress, console: Console) -> None:
        self._bar = bar
        self._console = console
        self._task = bar.add_task("", total=None)
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `step` are done."""
        if step != self._step:
            self._step = step
            if self._bar.disable:
                self._console.print(f"... {step}", markup=False, style="dim")
        self._bar.update(self._task, description=step, completed=done, total=max(total, 1))


def _cell(value: Any) -> str:
    """Return a table cell: counts with separators, fractions with three digits, nothing for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return str(value)
