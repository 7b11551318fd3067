"""Detection quality of Ringwatch beside other people's methods, one table from one run.

    python -m benchmarks.quality [--only SET ...] [--rows ROW ...] [--data DIR] [--splits N] [--seed N]
                                 [--threads N] [--work DIR] [--fresh | --finished] [--write]

Sets: tolokers (official splits), hop_sybil (ring-disjoint folds), game_signups (simulated, blocks of time,
and its last sign-ups as of sign-up); with --data, a folder that holds theirs, also fraud_ecommerce and
jodie_wikipedia (cut in time, each example as of its moment); first_days repeats tolokers and hop_sybil with
no verdicts, bans only, 1 % and 10 %.
Rows: the names in the first column of --list. A finished cell is kept in the work folder and found again as
long as data and code behind it stay the same, so a run that was stopped goes on; --fresh computes all anew,
--finished computes nothing and names the rows that are not there.
--write puts the table into docs/benchmarks.md. Exits 1 if a row failed or a peer disagrees with what was
published of it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.quality import report, sets, timed
from benchmarks.quality.cells import ROOT, Cells, NotFinished
from benchmarks.quality.judging import Spread
from benchmarks.quality.measured import Row, measured
from benchmarks.quality.rows import PARTS, PUBLISHED, RINGWATCH, TITLES, Runner, parts_of
from graph_etl import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.quality.sets import DataSet

FIRST_DAYS: Final = "first_days"
_FIRST_DAY_ROWS: Final = (*(row for row in TITLES if row != "reputation"), "less GraphSAGE")
_VERDICTS: Final = (
    sets.Verdicts("none", share=0.0),
    sets.Verdicts("bans only", bad_only=True),
    sets.Verdicts("1 %", share=0.01),
    sets.Verdicts("10 %", share=0.1),
)
_DRAWS: Final = 3


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ["tolokers", "hop_sybil", "fraud_ecommerce", "jodie_wikipedia", "game_signups", FIRST_DAYS]
    rows = [*TITLES, *(f"less {part}" for part in PARTS), "published"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SET")
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, metavar="ROW")
    parser.add_argument("--list", action="store_true", help="list sets and rows and stop")
    parser.add_argument("--data", type=Path, help="folder of data sets that are not shipped")
    parser.add_argument("--splits", type=int, default=10, help="of tolokers, the first so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, default=ROOT / ".ringwatch" / "bench" / "quality")
    cells = parser.add_mutually_exclusive_group()
    cells.add_argument("--fresh", action="store_true", help="compute again what is there already")
    cells.add_argument("--finished", action="store_true", help="show what is there and compute nothing")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.list:
        sys.stdout.write("".join(f"{one}\n" for one in (*names, *rows)))
        raise SystemExit(0)
    return options


class _Bench:
    """One run.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._began = time.perf_counter()
        cells = Cells(options.work / "cells", fresh=options.fresh, finished=options.finished, tell=self.tell)
        self._runner = Runner(cells, seed=options.seed, n_threads=options.threads)
        self.good = True
        self.train_s: float | None = None
        self.found: dict[str, list[Row]] = {}
        self.at_signup: dict[str, list[Row]] = {}

    def tell(self, line: str) -> None:
        """Progress, with the minutes since the start."""
        minutes = (time.perf_counter() - self._began) / 60
        sys.stderr.write(f"{minutes:6.1f} min  {line}\n")

    def row(self, data: DataSet, name: str) -> Row:
        """A row; one that fails says so in the table and does not stop the others."""
        try:
            return measured(self._runner, data, name)
        except NotFinished:
            return Row(name, finished=False)
        except Exception as error:
            self.good = False
            self.tell(f"{data.name}: {name} FAILED: {type(error).__name__}: {error}")
            return Row(name, failed=f"{type(error).__name__}: {error}".splitlines()[0])

    def section(self, data: DataSet) -> str:
        """One data set, and for tolokers the published figures."""
        wanted = [row for row in TITLES if row in self._options.rows]
        wanted[2:2] = list(data.own_rules) if "rule" in wanted else []
        wanted += [row for row in parts_of(data) if row in self._options.rows]
        rows = [self.row(data, name) for name in wanted]
        missing = [report.title_of(row.name) for row in rows if not row.finished]
        rows = [row for row in rows if row.spread or row.failed]
        if data.name == "hop_sybil":
            self.train_s = next((row.seconds for row in rows if row.name == RINGWATCH), None)
        self.found[data.name] = rows
        if isinstance(data, timed.TimedSet) and data.at_signup:
            self.at_signup[data.name] = rows
        text = report.section(data, rows)
        if missing:
            text += f"\nNot run: {'; '.join(missing)}.\n"
        if data.name == "tolokers" and "published" in self._options.rows:
            words, agree = report.published([self.row(data, name) for name in PUBLISHED])
            self.good = self.good and agree
            text += "\n" + words
        return text

    def first_days(self, data: DataSet) -> str:
        """A data set with few verdicts."""
        found: dict[str, dict[str, Spread | None]] = {}
        for verdicts in _VERDICTS:
            drawn = bool(data.splits) or 0.0 < verdicts.share < 1.0
            values: dict[str, list[float]] = {}
            for seed in range(_DRAWS if drawn else 1):
                few = data.with_verdicts(
                    sets.Verdicts(verdicts.name, verdicts.share, verdicts.bad_only, seed)
                )
                for name in _FIRST_DAY_ROWS:
                    if name in self._options.rows:
                        row = self.row(few, name)
                        values.setdefault(name, [])
                        if row.spread:
                            values[name].append(row.spread["average_precision"].mean)
            found[verdicts.name] = {name: Spread.of(each) if each else None for name, each in values.items()}
        return report.first_days(data.name, found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write where asked; returns the exit code."""
    options = _arguments(arguments)
    bench = _Bench(options)
    data: Path | None = options.data
    texts: list[str] = []
    shipped: dict[str, Callable[[], DataSet]] = {
        "tolokers": lambda: sets.tolokers(options.work, options.splits),
        "hop_sybil": lambda: sets.hop_sybil(options.work),
    }
    brought: dict[str, Callable[[Path, Path], list[DataSet]]] = {
        "fraud_ecommerce": timed.fraud_ecommerce,
        "jodie_wikipedia": timed.jodie_wikipedia,
    }
    try:
        for name, opened in shipped.items():
            if name in options.only:
                texts.append(bench.section(opened()))
        for name, several in brought.items():
            if name in options.only and data is None:
                texts.append(
                    f"### {name}\n\nSkipped: it is not shipped; name the folder that holds it, --data DIR.\n"
                )
            elif name in options.only and data is not None:
                texts += [bench.section(one) for one in several(options.work, data / name)]
        if "game_signups" in options.only:
            texts += [bench.section(one(options.work)) for one in (sets.game_signups, timed.game_sign_ups)]
        if FIRST_DAYS in options.only:
            texts += [bench.first_days(opened()) for opened in shipped.values()]
        head = (
            f"Seed {options.seed}, {options.threads} threads, {os.cpu_count()} cores, {platform.machine()}, "
            + (f"Python {platform.python_version()}.")
        )
        if bench.train_s is not None:
            head += f" `train` on hop_sybil took {bench.train_s:.0f} s."
        text = (
            "\n\n".join(
                [
                    head,
                    *(
                        one.strip()
                        for one in (report.summary(bench.found), report.at_signup(bench.at_signup), *texts)
                        if one
                    ),
                ]
            )
            + "\n"
        )
        sys.stdout.write(text)
        if options.write:
            report.written(ROOT / "docs" / "benchmarks.md", text)
            bench.tell("written to docs/benchmarks.md")
    except RingwatchError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if bench.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
