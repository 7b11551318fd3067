"""Held-out figures of a training: of its heads, of what GraphSAGE adds, of baselines on the same folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import registry_of
from gnn.evaluation import calibration_error, evaluate
from gnn.trees import fit_trees, margins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gnn.stages import Moment, Run

_BASELINE_ROUNDS: Final = 150


def metrics_of(run: Run, moment: Moment) -> dict[str, Any]:
    """Held-out figures of a head, and what GraphSAGE adds to it.

    Args:
        run: The training.
        moment: The head's moment, all chosen.

    Returns:
        Figures for a manifest; none where one of the classes is missing.
    """
    margin = moment.blend(moment.trees, moment.sage)
    told = run.reported(moment, margin)
    label = run.judge.label[told]
    if len(np.unique(label)) < 2:
        return {}
    figures: dict[str, Any] = {
        name: metric.as_dict() for name, metric in evaluate(label, margin[told], seed=run.seed).items()
    }
    figures["calibration_error"] = calibration_error(label, moment.calibration(margin[told]))
    figures["accounts"] = len(told)
    figures["bad"] = int(label.sum())
    figures["folds"] = run.policy
    figures["communities"] = moment.epochs
    figures["spectral"] = moment.spectral
    figures["share_of_events"] = moment.of_events
    figures["graph_sage"] = {
        "alone": _alone(run, moment),
        "gain": 0.0 if moment.gain is None else moment.gain.gain,
        "interval": None if moment.gain is None else moment.gain.as_dict(),
        "weight": moment.blend.weight,
        "told_of_verdicts": moment.told,
    }
    return figures


def _alone(run: Run, moment: Moment) -> dict[str, float] | None:
    """GraphSAGE on the accounts that it was tried on."""
    tried = run.reported(moment, moment.sage)
    label = run.judge.label[tried]
    if len(np.unique(label)) < 2:
        return None
    return _shown(run, label, moment.sage[tried])["average_precision"]


def baselines_of(run: Run, moment: Moment) -> dict[str, Any]:
    """The same folds with less: no graph (own attributes only), and nothing but degrees.

    Args:
        run: The training.
        moment: Gives the columns.

    Returns:
        Figures by the baseline's name.
    """
    specs = registry_of(run.snapshot).specs
    picks = {
        "no graph": [i for i, spec in enumerate(specs) if spec.family == "attribute"],
        "degree only": [i for i, spec in enumerate(specs) if spec.name.endswith(".counterparts")],
    }
    told = run.reported(moment, moment.trees)
    label = run.judge.label[told]
    found: dict[str, Any] = {}
    if len(np.unique(label)) < 2:
        return found
    found["prevalence"] = {"average_precision": {"value": float(label.mean())}, "auroc": {"value": 0.5}}
    for name, columns in picks.items():
        if not columns:
            continue
        held = np.full(run.snapshot.n_accounts, np.nan)
        values = np.ascontiguousarray(moment.columns[:, columns])
        for fold in run.folds:
            booster = fit_trees(
                values[fold.train],
                fold.targets.label[fold.train],
                fold.targets.fit_weight(fold.train),
                rounds=_BASELINE_ROUNDS,
                seed=run.seed,
                n_threads=run.n_threads,
            )
            held[fold.held_out] = margins(booster, values[fold.held_out])
        found[name] = _shown(run, label, held[told])
    return found


def _shown(run: Run, label: NDArray[np.int8], score: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """The two figures by which anything beside the head is judged."""
    figures = evaluate(label, score, seed=run.seed, bootstraps=30, metrics=("average_precision", "auroc"))
    return {name: figure.as_dict() for name, figure in figures.items()}
