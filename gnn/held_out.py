"""Held-out margins of trees, and what they choose: inputs that must prove themselves, number of trees."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from gnn.growing import HeldOutTrees
from gnn.inputs import EPOCH_FAMILIES, places_of
from gnn.spectral import with_coordinates
from gnn.trees import ROUNDS, SHAPES, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gnn.stages import Columns, Moment, Run
    from gnn.validation import Fold
    from rings.spread import Shared

# Inputs prove themselves with so many trees of one shape: where precision is near its best on all sets tried.
TRIAL_ROUNDS: Final = 150
CONTACT_GAIN: Final = 0.005
"""Verdicts of others become an input only where held-out average precision gains this much."""
# So do communities and neighbourhoods of epochs. Less is asked of them: where they helped on test accounts
# (tolokers, all of five splits) the gain on validation was .005 to .026.
_EPOCH_GAIN: Final = 0.002
MANY_ACCOUNTS: Final = 20_000


def held_out_trees(run: Run, moment: Moment) -> None:
    """Held-out margins; inputs and number of trees are chosen by them.

    Inputs from epochs stay, and coordinates and contact with known bad accounts become inputs, where average
    precision gains over all held-out accounts, and in more folds than it loses in: one odd fold decides
    nothing. On small data both shapes are grown and their margins averaged: better than the better of both.

    Args:
        run: The training.
        moment: Its margins, rounds and inputs are set.
    """
    name = f"trees at {moment.name}"
    trial = f"trial of {name}"
    with run.budget.step(name):
        with run.budget.step(trial):
            first = HeldOut(run, moment, SHAPES[0])
            first.upto(TRIAL_ROUNDS)
        # Time for the rest of the trees that are needed anyway.
        kept = (trial,) * 3
        places = [
            at for at in places_of(run.snapshot, EPOCH_FAMILIES) if not np.isnan(moment.columns[:, at]).all()
        ]
        if places and first.judged and run.budget.allows(f"{name} without epochs", like=trial, kept=kept):
            bare = replace(moment, columns=moment.columns.copy(), epochs=False)
            bare.columns[:, places] = np.nan
            second = HeldOut(run, bare, SHAPES[0], " without epochs")
            second.upto(TRIAL_ROUNDS)
            if not _worth_it(first, second, _EPOCH_GAIN):
                moment.columns, moment.epochs, first = bare.columns, False, second
        if (
            run.coordinates is not None
            and first.judged
            and not (moment.queries.horizon < run.coordinates.horizon).any()
            and run.budget.allows(f"{name} with coordinates", like=trial, kept=kept)
        ):
            found = with_coordinates(moment.columns, run.snapshot, moment.queries, run.coordinates)
            richer = replace(moment, columns=found, spectral=True)
            second = HeldOut(run, richer, SHAPES[0], " with coordinates")
            second.upto(TRIAL_ROUNDS)
            if _worth_it(second, first, _EPOCH_GAIN):
                moment.columns, moment.spectral, first = richer.columns, True, second
        nobody_known = bool((run.since == np.iinfo(np.int64).max).all())
        if (
            not nobody_known
            and "contact" not in run.without
            and first.judged
            and run.budget.allows(f"verdicts of others at {moment.name}", like=trial, kept=kept)
        ):
            second = HeldOut(run, replace(moment, contact=True), SHAPES[0], " with verdicts of others")
            second.upto(TRIAL_ROUNDS)
            if _worth_it(second, first, CONTACT_GAIN):
                moment.contact, first = True, second
        grown = [first]
        for shape in SHAPES[1:] if run.snapshot.n_accounts < MANY_ACCOUNTS else ():
            if run.budget.allows(f"{shape} {name}", like=trial, kept=(*kept, trial, trial)):
                grown.append(HeldOut(run, moment, shape))
        moment.rounds = {one.shape: one.best() for one in grown}
        moment.trees = np.mean([one.table[moment.rounds[one.shape]] for one in grown], axis=0)


class HeldOut:
    """Trees of one shape on the inputs of a moment, one model a fold, and what they say of the held-out.

    Args:
        run: The training.
        moment: Gives the inputs.
        shape: Of the trees.
        note: For the progress.
    """

    def __init__(self, run: Run, moment: Moment, shape: Shape, note: str = "") -> None:
        self.shape = shape
        self.table: dict[int, NDArray[np.float64]] = {}
        self._run = run
        self._moment = moment
        self._stage = f"{shape} trees at {moment.name}{note}"
        columns = run.spread.share(run.columns(moment))
        self._trees = [self._of_fold(columns, fold) for fold in run.folds]

    def upto(self, rounds: int) -> None:
        """Grow on, and add to the table all of ``ROUNDS`` up to there."""
        run = self._run
        wanted = [count for count in ROUNDS if count <= rounds and count not in self.table]
        if not wanted:
            return
        for count in wanted:
            self.table[count] = np.full(run.snapshot.n_accounts, np.nan)
        pieces = [partial(trees.upto, wanted) for trees in self._trees]
        found = run.spread.each(self._stage, pieces, run.tell)
        for fold, of_fold in zip(run.folds, found, strict=True):
            for count, margin in zip(wanted, of_fold, strict=True):
                self.table[count][fold.held_out] = margin

    def _of_fold(self, columns: Shared[Columns], fold: Fold) -> HeldOutTrees:
        run = self._run
        known = (fold.targets.label[fold.train] >= 0) & self._moment.reached[fold.train]
        rows = fold.train[known]
        return HeldOutTrees(
            partial(_inputs, columns, fold.cut_ms, rows, fold.held_out),
            fold.targets.label[rows],
            fold.targets.fit_weight(rows),
            self.shape,
            run.seed,
            run.n_threads,
            run.model,
        )

    @property
    def judged(self) -> bool:
        """Whether anything can be chosen by these margins: both classes are among the held-out."""
        margin = self.table[max(self.table)]
        return len(np.unique(self._run.judge.label[self._run.choosing(self._moment, margin)])) == 2

    def best(self) -> int:
        """The number of trees; no more are grown once more have been worse than fewer."""
        for rounds in [TRIAL_ROUNDS, *(count for count in ROUNDS if count > TRIAL_ROUNDS)]:
            self.upto(rounds)
            precision = {count: self.precision(margin) for count, margin in sorted(self.table.items())}
            if precision[max(precision)] < max(precision.values()):
                break
        # Where nothing can be judged all are 0: then as many trees as there are.
        at_best = max(precision.values())
        return min(precision, key=lambda count: -precision[count]) if at_best > 0.0 else max(precision)

    def precision(self, margin: NDArray[np.float64]) -> float:
        """Average precision on the accounts that choose; 0 where one of the classes is missing."""
        return _precision(self._run, self._moment, margin)

    def precision_of_folds(self, rounds: int) -> NDArray[np.float64]:
        """Average precision of all held-out accounts, then of each fold."""
        return precision_of_folds(self._run, self._moment, self.table[rounds])


def precision_of_folds(run: Run, moment: Moment, margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average precision of all held-out accounts that choose, then of those of each fold.

    Args:
        run: The training.
        moment: Says who has reached it.
        margin: ``float64[A]``, NaN where an account was never held out.

    Returns:
        ``float64[1 + folds]``; 0 where one of the classes is missing.
    """
    parts: Sequence[NDArray[np.int64] | None] = [None, *(fold.held_out for fold in run.folds)]
    return np.array([_precision(run, moment, margin, part) for part in parts])


def _precision(
    run: Run, moment: Moment, margin: NDArray[np.float64], among: NDArray[np.int64] | None = None
) -> float:
    from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

    judged = run.choosing(moment, margin)
    if among is not None:
        judged = np.intersect1d(judged, among)
    label, weight = run.judge.label[judged], run.judge.weight[judged]
    if len(np.unique(label)) < 2:
        return 0.0
    return float(average_precision_score(label, margin[judged], sample_weight=weight))


def _inputs(
    columns: Shared[Columns], cut_ms: int | None, rows: NDArray[np.int64], held_out: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a fold's trees are fitted on, and what they are asked about."""
    seen = columns.get().of(cut_ms, held_out)
    return seen[rows], seen[held_out]


def _worth_it(richer: HeldOut, plain: HeldOut, least: float) -> bool:
    """Whether more inputs gain enough, in all and in more folds than they lose in."""
    rounds = max(count for count in plain.table if count <= TRIAL_ROUNDS)
    gained = richer.precision_of_folds(rounds) - plain.precision_of_folds(rounds)
    return bool(gained[0] >= least and (gained[1:] > 0.0).sum() > (gained[1:] < 0.0).sum())
