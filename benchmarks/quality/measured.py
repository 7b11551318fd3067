"""Figures of all rows of a data set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.quality.judging import FIGURES, Judged, Spread, bootstrap, figures, prior_figures
from benchmarks.quality.rows import PRIOR, RINGWATCH
from gnn.evaluation import calibration_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.cells import Cell
    from benchmarks.quality.rows import Runner
    from benchmarks.quality.sets import DataSet

_NORMAL_95: Final = 1.96
# Fewer bad or good accounts than this and a figure is noise.
_LEAST: Final = 20


@dataclass
class Row:
    """One method on one data set.

    Attributes:
        name: Of the row.
        spread: Mean and spread by figure; empty where the method has nothing to say.
        values: The figure of each part, by figure.
        resampled: The figure of each resample of the examples, by figure, where there is one part only.
        slices: Mean and spread by slice and figure.
        calibration_error: Expected calibration error of probabilities, or None.
        seconds: Of all its cells.
        notes: Of its cells.
        failed: Why there are no figures, where something broke.
        finished: Whether its cells are there, where nothing is computed.
    """

    name: str
    spread: dict[str, Spread] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)
    resampled: dict[str, list[float]] = field(default_factory=dict)
    slices: dict[str, dict[str, Spread]] = field(default_factory=dict)
    calibration_error: float | None = None
    seconds: float = 0.0
    notes: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""
    finished: bool = True


def measured(runner: Runner, data: DataSet, row: str) -> Row:
    """Compute a row, or read it from finished cells.

    Args:
        runner: Computes.
        data: The data set.
        row: Name of the row.

    Returns:
        Its figures.
    """
    if row == PRIOR:
        return _prior(data)
    cells = runner.scores(data, row)
    found = Row(row)
    if cells is None:
        return found
    found.values, found.spread, found.resampled = _judged(data, data.judged, cells)
    for name, chosen in data.slices.items():
        some = data.judged.within(chosen)
        if _worth_a_slice(data, some):
            found.slices[name] = _judged(data, some, cells)[1]
    unique = {id(cell): cell for cell in cells}.values()
    found.seconds = sum(cell.seconds for cell in unique)
    found.notes = [cell.notes for cell in unique]
    if row == RINGWATCH and all(cell.notes.get("supervision") == "supervised" for cell in cells):
        found.calibration_error = _calibration(data, cells)
    return found


def _worth_a_slice(data: DataSet, some: Judged) -> bool:
    enough = min(some.bad.sum(), (~some.bad).sum()) >= _LEAST
    return bool(enough and len(some.rows) < len(data.judged.rows))


def _prior(data: DataSet) -> Row:
    each = [prior_figures(one) for one in _by_part(data, data.judged)]
    values = {name: [one[name] for one in each] for name in FIGURES}
    whole = prior_figures(data.judged) if data.pooled else None
    spread = _summed(values, whole)
    slices = {}
    for name, chosen in data.slices.items():
        some = data.judged.within(chosen)
        if _worth_a_slice(data, some):
            figures_of = prior_figures(some)
            slices[name] = {figure: Spread(figures_of[figure], float("nan"), 1) for figure in FIGURES}
    return Row(PRIOR, spread, values, slices=slices)


def _by_part(data: DataSet, judged: Judged) -> list[Judged]:
    found = []
    for part in data.parts:
        chosen = np.zeros(len(part.label), np.bool_)
        chosen[part.test] = True
        found.append(judged.within(chosen))
    return found


def _judged(
    data: DataSet, judged: Judged, cells: Sequence[Cell]
) -> tuple[dict[str, list[float]], dict[str, Spread], dict[str, list[float]]]:
    """Figures of each part, their summary, and those of resamples where there is one part."""
    each = [
        figures(one, cell.scores) for one, cell in zip(_by_part(data, judged), cells, strict=True) if one.both
    ]
    values = {name: [one[name] for one in each] for name in FIGURES}
    if len(each) == 1:  # nothing to spread over but the examples themselves
        drawn = bootstrap(_by_part(data, judged)[0], cells[0].scores)
        spread = {name: Spread(each[0][name], float(np.std(drawn[name], ddof=1)), 1) for name in FIGURES}
        return values, spread, drawn
    whole = figures(judged, _joined(data, cells)) if data.pooled else None
    return values, _summed(values, whole), {}


def _summed(values: dict[str, list[float]], whole: dict[str, float] | None) -> dict[str, Spread]:
    return {name: Spread.of(values[name], None if whole is None else whole[name]) for name in FIGURES}


def _joined(data: DataSet, cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Each example's score by the part that held it out."""
    joined = np.full(len(data.label), np.nan)
    for part, cell in zip(data.parts, cells, strict=True):
        joined[part.test] = cell.scores[part.test]
    return joined


def _calibration(data: DataSet, cells: Sequence[Cell]) -> float:
    """Calibration error over all test examples that have a verdict, each counting alike."""
    truth = data.label if data.truth is None else data.truth

    def error(rows: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
        rows = rows[(truth[rows] >= 0) & ~np.isnan(scores[rows])]
        return calibration_error(truth[rows], scores[rows])

    if data.pooled:
        return error(np.concatenate([part.test for part in data.parts]), _joined(data, cells))
    return float(
        np.mean([error(part.test, cell.scores) for part, cell in zip(data.parts, cells, strict=True)])
    )


def gain(row: Row, other: Row, figure: str = "average_precision") -> Spread:
    """How much a row is ahead of another one, part by part.

    Args:
        row: The one.
        other: The other.
        figure: By which figure.

    Returns:
        Mean of the differences and their standard deviation.
    """
    pairs = zip(row.values[figure], other.values[figure], strict=True)
    return Spread.of([one - two for one, two in pairs])


def interval(row: Row, other: Row, figure: str = "average_precision") -> tuple[float, float] | None:
    """Between what a row is ahead of another one, with 95 % confidence.

    Args:
        row: The one.
        other: The other, of the same data set.
        figure: By which figure.

    Returns:
        Mean of the parts plus and minus 1.96 standard errors; where there is one part, the 2.5th and the
        97.5th percentile of the differences on the same resamples of its examples. None without either.
    """
    ahead = gain(row, other, figure)
    if ahead.n > 1:
        half = _NORMAL_95 * ahead.sd / math.sqrt(ahead.n)
        return ahead.mean - half, ahead.mean + half
    if not row.resampled or not other.resampled:
        return None
    pairs = zip(row.resampled[figure], other.resampled[figure], strict=True)
    low, high = np.percentile([one - two for one, two in pairs], [2.5, 97.5])
    return float(low), float(high)
