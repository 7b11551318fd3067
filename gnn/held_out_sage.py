"""Held-out log odds of GraphSAGE, and whether it is told of verdicts on others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from features import Queries
from gnn.blend import choose_blend
from gnn.held_out import CONTACT_GAIN
from gnn.sage import SageInputs, run_sage
from gnn.sage_gain import Gain, gain_of, held_together
from gnn.sage_kernel import FANOUTS
from gnn.sage_problem import SageProblem
from gnn.sage_verdicts import NEVER, Known, Told
from gnn.stages import known_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage
    from gnn.stages import Moment, Run
    from gnn.targets import Targets
    from gnn.validation import Fold

MEMBERS: Final = 3
"""Networks that GraphSAGE averages where it is blended in."""
# Of the held-out accounts that choose, so many must have somebody known to be bad around them for verdicts to
# be tried: with fewer nothing could be gained.
_LEAST_TOLD: Final = 1 / 50


def held_out_sage(run: Run, moments: Sequence[Moment]) -> None:
    """Held-out log odds of GraphSAGE; no further folds once they can add nothing worth having anywhere.

    Where verdicts have times, GraphSAGE is fitted once more with those on neighbours among its inputs, masked
    at random (`gnn.sage_verdicts`), unless the one without was given up. It takes the place of the one
    without where that gains in the blend, on average over the moments, in more folds than it loses in, and
    does not lose on the accounts that have nobody known around them: rings that nobody has seen.

    Args:
        run: The training.
        moments: Their log odds, gains and ``told`` are set; the same model serves all of them.
    """
    for moment in moments:
        moment.sage = np.full(run.snapshot.n_accounts, np.nan)
    if "graph_sage" in run.without:
        return
    _over_folds(run, moments, told=False)
    nobody_known = bool((run.since == NEVER).all())
    if nobody_known or "contact" in run.without or not _judged(run, moments) or _given_up(moments):
        return
    tried = [
        replace(moment, told=True, sage=np.full_like(moment.sage, np.nan), gain=None) for moment in moments
    ]
    around = [_anybody_known(run, moment) for moment in moments]
    if not any(
        known[run.choosing(moment, moment.trees)].mean() >= _LEAST_TOLD
        for known, moment in zip(around, moments, strict=True)
    ):
        return
    _over_folds(run, tried, told=True, beside=[_blended(run, moment) for moment in moments])
    if not _worth_it(run, moments, tried, around):
        return
    for moment, richer in zip(moments, tried, strict=True):
        moment.told, moment.sage, moment.gain = True, richer.sage, richer.gain


def _over_folds(
    run: Run, moments: Sequence[Moment], *, told: bool, beside: Sequence[NDArray[np.float64]] = ()
) -> None:
    """Fit and ask fold by fold, until nothing can be gained any more.

    Args:
        run: The training.
        moments: Their log odds and gains are set.
        told: Whether the network is told of verdicts.
        beside: ``float64[A]`` held-out margins at each moment that it is to add to; those of the trees if
            there are none.
    """
    for number, fold in enumerate(run.folds):
        # All folds or none: with some of them missing there is nothing to choose a blend by.
        # The one on all labels comes last and takes as long.
        left = ("GraphSAGE",) * (len(run.folds) - number + 1)
        what = "verdicts of others in GraphSAGE" if told else "GraphSAGE in the blend"
        if not run.budget.allows(what, like="GraphSAGE", kept=left):
            break
        known = _known_to(run, fold) if told else None
        with run.budget.step("GraphSAGE"):
            stage = f"GraphSAGE, {fold.name}" + (" with verdicts of others" if told else "")
            model = fit_sage_on(run, stage, moments, fold.train, fold.targets, MEMBERS, known)
            for moment in moments:
                asked = moment.queries.take(fold.held_out)
                where = SageInputs.of(run.snapshot, asked)
                rows = moment.rows[fold.held_out]
                moment.sage[fold.held_out], _ = run_sage(model, where, asked, rows=rows, known=known)
                moment.gain = _gain(run, moment, moment.trees)
        further = [_gain(run, moment, margin) for moment, margin in zip(moments, beside, strict=False)]
        if _given_up(moments) or (further and all(one is not None and one.hopeless for one in further)):
            break


def _judged(run: Run, moments: Sequence[Moment]) -> bool:
    """Whether every account that chooses has held-out log odds of GraphSAGE, and there are any."""
    asked = [moment.sage[run.choosing(moment, moment.trees)] for moment in moments]
    return all(len(odds) and not np.isnan(odds).any() for odds in asked)


def _given_up(moments: Sequence[Moment]) -> bool:
    """Whether GraphSAGE adds nothing worth having at any moment."""
    return all(moment.gain is not None and moment.gain.hopeless for moment in moments)


def fit_sage_on(
    run: Run,
    stage: str,
    moments: Sequence[Moment],
    accounts: NDArray[np.int64],
    labels: Targets,
    members: int,
    known: Known | None,
) -> Sage:
    """One model for all moments: an account is an example at each of them.

    Args:
        run: The training.
        stage: In words, for the progress.
        moments: The moments.
        accounts: ``int64[n]`` to fit on.
        labels: Of all accounts.
        members: Number of networks.
        known: Verdicts on others that they are told of; None: of none.

    Returns:
        The model.
    """
    copies = len(moments)
    problem = SageProblem(
        run.shared,
        Queries.join([moment.queries.take(accounts) for moment in moments]),
        np.tile(labels.label[accounts], copies),
        np.tile(labels.fit_weight(accounts), copies),
        rows=np.concatenate([moment.rows[accounts] for moment in moments]),
        group=np.tile(held_together(run.snapshot, accounts), copies),
        members=members,
        seed=run.seed,
        n_threads=run.n_threads,
        known=known,
    )
    return run.spread.fit_sage(stage, problem, run.tell)


def _known_to(run: Run, fold: Fold) -> Known:
    """What a fold may be told: no verdict on the held-out, none that came after its cut."""
    return Known(known_to(run.snapshot, run.since, fold.cut_ms, fold.held_out), run.until)


def _anybody_known(run: Run, moment: Moment) -> NDArray[np.bool_]:
    """Held-out accounts of which GraphSAGE would be told that somebody around them is bad, ``bool[A]``."""
    found = np.zeros(run.snapshot.n_accounts, np.bool_)
    for fold in run.folds:
        asked = moment.queries.take(fold.held_out)
        told = Told.of(run.snapshot, asked, _known_to(run, fold), FANOUTS[0])
        found[fold.held_out[np.unique(told.message // FANOUTS[0])]] = True
    return found


def _gain(run: Run, moment: Moment, beside: NDArray[np.float64]) -> Gain | None:
    """What GraphSAGE adds to held-out margins; None where it cannot be judged."""
    both = run.choosing(moment, moment.trees + moment.sage)
    label = run.judge.label[both]
    if len(np.unique(label)) < 2:
        return None
    return gain_of(
        label,
        beside[both],
        moment.sage[both],
        run.judge.weight[both],
        group=held_together(run.snapshot, both),
        seed=run.seed,
    )


def _worth_it(
    run: Run, plain: Sequence[Moment], told: Sequence[Moment], around: Sequence[NDArray[np.bool_]]
) -> bool:
    """Whether being told gains in the blend: overall, in most folds, and not at the cost of unseen rings."""
    if not _judged(run, told):
        return False  # it was given up: no gain in sight, or no time
    overall: list[float] = []
    untold: list[float] = []
    of_folds: list[float] = []
    for before, after, known in zip(plain, told, around, strict=True):
        margins = _blended(run, before), _blended(run, after)
        everybody = np.ones(len(known), np.bool_)
        overall.append(_gained(run, before, margins, everybody))
        untold.append(_gained(run, before, margins, ~known))
        for fold in run.folds:
            part = np.zeros(len(known), np.bool_)
            part[fold.held_out] = True
            of_folds.append(_gained(run, before, margins, part))
    wins, losses = sum(one > 0.0 for one in of_folds), sum(one < 0.0 for one in of_folds)
    return bool(np.mean(overall) >= CONTACT_GAIN and np.mean(untold) >= 0.0 and wins > losses)


def _blended(run: Run, moment: Moment) -> NDArray[np.float64]:
    """Held-out margins as they would be blended; the trees alone where GraphSAGE was given up."""
    judged = run.choosing(moment, moment.trees)
    label, weight = run.judge.label[judged], run.judge.weight[judged]
    if np.isnan(moment.sage[judged]).any() or len(np.unique(label)) < 2:
        return moment.trees
    return choose_blend(label, moment.trees[judged], moment.sage[judged], weight)(moment.trees, moment.sage)


def _gained(
    run: Run,
    moment: Moment,
    margins: tuple[NDArray[np.float64], NDArray[np.float64]],
    among: NDArray[np.bool_],
) -> float:
    """Average precision gained among some accounts; 0 where one of the classes is missing."""
    from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

    judged = run.choosing(moment, moment.trees)
    judged = judged[among[judged]]
    label, weight = run.judge.label[judged], run.judge.weight[judged]
    if len(np.unique(label)) < 2:
        return 0.0
    before, after = (
        float(average_precision_score(label, margin[judged], sample_weight=weight)) for margin in margins
    )
    return after - before
