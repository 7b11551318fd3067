"""Running the learned stages in order: snapshot in, bundle out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import Queries, known_bad_of, last_time_ms, moment_ms, registry_of
from gnn.blend import Blend, choose_blend
from gnn.bundle import Bundle, BundleDraft, Head
from gnn.calibration import Calibration, fit_calibration
from gnn.inputs import input_specs, inputs, with_contacts
from gnn.label_free import label_free_calibration, label_free_margin
from gnn.sage import SageInputs, run_sage
from gnn.targets import Targets, targets
from gnn.trees import ROUNDS, SHAPES, Shape, fit_trees, margins
from gnn.validation import Fold, canonical_order, folds
from graph_etl import NO_TIME
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage
    from graph_etl import Snapshot, Workspace

# Contact with known bad accounts becomes an input only where held-out average precision gains this much.
_CONTACT_GAIN: Final = 0.005
_BASELINE_ROUNDS: Final = 150
_MANY_ACCOUNTS: Final = 20_000


class TrainingError(RingwatchError):
    """A snapshot that nothing can be learned from."""


@dataclass(slots=True)
class _Moment:
    """All accounts as they looked at one moment of their life, and what was learned about them there."""

    name: str
    queries: Queries
    columns: NDArray[np.float32]
    reached: NDArray[np.bool_]
    contact: bool = False
    rounds: int = ROUNDS[-1]
    shape: Shape = SHAPES[0]
    trees: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    sage: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    blend: Blend = field(default_factory=lambda: Blend(0.0))
    calibration: Calibration = field(default_factory=lambda: Calibration(1.0, 0.0))


@dataclass(frozen=True, slots=True)
class _Run:
    """What all stages of one training share."""

    snapshot: Snapshot
    seed: int
    n_threads: int
    tell: Callable[[str, int, int], None]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    folds: tuple[Fold, ...]
    final: Targets

    def columns(
        self, moment: _Moment, cut_ms: int | None, held_out: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Inputs of all accounts, verdicts of the held-out and those after the cut unknown."""
        if not moment.contact:
            return moment.columns
        since = self.since.copy()
        if cut_ms is not None:
            since[since >= self.snapshot.horizon_at(cut_ms)] = np.iinfo(np.int64).max
        since[held_out] = np.iinfo(np.int64).max
        return with_contacts(self.snapshot, moment.queries, moment.columns, since, self.until)

    def judged(self, moment: _Moment, held_out: NDArray[np.float64]) -> NDArray[np.int64]:
        """Accounts with a label that reached the moment and have a held-out margin."""
        return np.flatnonzero((self.final.label >= 0) & moment.reached & ~np.isnan(held_out))


def train(
    snapshot: Snapshot,
    workspace: Workspace,
    *,
    seed: int = 0,
    split: int | None = None,
    n_threads: int | None = None,
    publish: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bundle:
    """Train a bundle on a snapshot.

    The chain of each fold (trees, GraphSAGE, verdict inputs) is fitted without the labels of its held-out
    accounts; number of trees, verdict inputs, blend and calibration are chosen on held-out margins.

    Args:
        snapshot: The snapshot.
        workspace: Where the bundle goes.
        seed: Of everything random; the same seed and number of threads give the same bundle.
        split: Number of a given split to train on; the fold table if None.
        n_threads: Threads of trees and GraphSAGE; by the number of accounts if None, since on small data
            starting threads costs more than they bring.
        publish: Whether the bundle becomes the workspace's current one.
        progress: Called with a stage, steps done and steps in all.

    Returns:
        The bundle.

    Raises:
        TrainingError: If the snapshot holds no accounts.
    """
    if snapshot.n_accounts == 0:
        message = f"snapshot {snapshot.id} holds no accounts; map `accounts` or an account's end of `events`"
        raise TrainingError(message)
    final = targets(snapshot)
    if split is not None and snapshot.splits is not None:
        part = np.asarray(snapshot.splits)[:, split]
        final = Targets(np.where(part == 0, final.label, -1).astype(np.int8), final.weight, final.supervision)
    known_bad = known_bad_of(snapshot, untimed=False)
    since, until = known_bad.since, known_bad.until
    held_out = tuple(folds(snapshot, split)) if final.supervision != "label_free" else ()
    judge = targets(snapshot) if split is not None else final
    threads = n_threads or (1 if snapshot.n_accounts < _MANY_ACCOUNTS else 2)
    run = _Run(
        snapshot,
        seed,
        threads,
        progress or (lambda _stage, _done, _total: None),
        since,
        until,
        held_out,
        judge,
    )
    moments: list[_Moment] = []
    names = snapshot.manifest["moments"]
    for number, name in enumerate(names):
        run.tell("features", number, len(names))
        queries = Queries.for_accounts(snapshot, moment=name)
        moments.append(_Moment(name, queries, inputs(snapshot, queries), _reached(snapshot, name)))
    run.tell("features", len(names), len(names))
    draft = BundleDraft(snapshot, seed, final.supervision, len(held_out))
    if final.supervision == "label_free":
        for moment in moments:
            margin = label_free_margin(input_specs(snapshot, with_contact=True), moment.columns)
            moment.calibration = label_free_calibration(margin, snapshot.manifest.get("prevalence"))
            draft.add(Head(moment.name, None, moment.blend, moment.calibration, contact=False), margin, None)
        return draft.write(workspace, publish=publish)
    sage = _graph_sage(run, moments, final)
    for moment in moments:
        _held_out_trees(run, moment)
        _choose(run, moment)
    for number, moment in enumerate(moments):
        run.tell("final fit", number, len(moments))
        rows = _labelled(snapshot, final)
        rows = rows[moment.reached[rows]]
        columns = run.columns(moment, None, np.zeros(0, np.int64))
        booster = fit_trees(
            columns[rows],
            final.label[rows],
            final.weight[rows],
            rounds=moment.rounds,
            shape=moment.shape,
            seed=seed,
            n_threads=threads,
        )
        head = Head(moment.name, booster, moment.blend, moment.calibration, contact=moment.contact)
        odds = None
        if moment.blend.weight > 0.0:
            odds, _ = run_sage(sage, SageInputs.of(snapshot, moment.queries), moment.queries)
        held = moment.blend(moment.trees, moment.sage)
        draft.add(head, moment.blend(margins(booster, columns), odds), moment.calibration(held))
        draft.metrics[moment.name] = _metrics(run, moment)
        draft.baselines[moment.name] = _baselines(run, moment)
    run.tell("final fit", len(moments), len(moments))
    draft.sage = sage
    return draft.write(workspace, publish=publish)


def _reached(snapshot: Snapshot, moment: str) -> NDArray[np.bool_]:
    """Accounts old enough to have been seen at a moment."""
    age_ms = moment_ms(moment)
    first_seen_ms = np.asarray(snapshot.first_seen_ms)
    if age_ms is None:
        return np.ones(len(first_seen_ms), dtype=np.bool_)
    reached: NDArray[np.bool_] = (first_seen_ms == NO_TIME) | (
        first_seen_ms <= last_time_ms(snapshot) - age_ms
    )
    return reached


def _labelled(snapshot: Snapshot, labels: Targets) -> NDArray[np.int64]:
    order = canonical_order(snapshot)
    return order[labels.label[order] >= 0]


def _graph_sage(run: _Run, moments: Sequence[_Moment], final: Targets) -> Sage:
    """Held-out log odds for every moment, then the model on all labels."""
    for moment in moments:
        moment.sage = np.full(run.snapshot.n_accounts, np.nan)
    steps = len(run.folds) + 1
    for number, fold in enumerate(run.folds):
        run.tell("GraphSAGE", number, steps)
        model = _fit_sage(run, moments, fold.train, fold.targets)
        for moment in moments:
            asked = moment.queries.take(fold.held_out)
            moment.sage[fold.held_out], _ = run_sage(model, SageInputs.of(run.snapshot, asked), asked)
    run.tell("GraphSAGE", len(run.folds), steps)
    model = _fit_sage(run, moments, _labelled(run.snapshot, final), final)
    run.tell("GraphSAGE", steps, steps)
    return model


def _fit_sage(run: _Run, moments: Sequence[_Moment], accounts: NDArray[np.int64], labels: Targets) -> Sage:
    """One model for all moments: an account is an example at each of them."""
    from gnn.sage_fit import fit_sage  # here: scoring needs no PyTorch

    asked = Queries.join([moment.queries.take(accounts) for moment in moments])
    copies = len(moments)
    return fit_sage(
        SageInputs.of(run.snapshot, asked),
        asked,
        np.tile(labels.label[accounts], copies),
        np.tile(labels.weight[accounts], copies),
        seed=run.seed,
        n_threads=run.n_threads,
    )


def _held_out_trees(run: _Run, moment: _Moment) -> None:
    """Held-out margins; shape and number of trees and verdict inputs chosen by them."""
    small = run.snapshot.n_accounts < _MANY_ACCOUNTS
    best = -1.0
    for shape in SHAPES if small else SHAPES[:1]:
        held_out, precision, rounds = _out_of_fold(run, moment, shape)
        if precision > best:
            best, moment.trees, moment.rounds, moment.shape = precision, held_out, rounds, shape
    if (run.since == np.iinfo(np.int64).max).all() or np.isnan(moment.trees).all():
        return
    moment.contact = True
    richer, precision, rounds = _out_of_fold(run, moment, moment.shape)
    if precision >= best + _CONTACT_GAIN:
        moment.trees, moment.rounds = richer, rounds
    else:
        moment.contact = False


def _out_of_fold(run: _Run, moment: _Moment, shape: Shape) -> tuple[NDArray[np.float64], float, int]:
    from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

    stage = f"{shape} trees at {moment.name}{' with verdicts of others' if moment.contact else ''}"
    table = np.full((len(ROUNDS), run.snapshot.n_accounts), np.nan)
    for number, fold in enumerate(run.folds):
        run.tell(stage, number, len(run.folds))
        columns = run.columns(moment, fold.cut_ms, fold.held_out)
        rows = fold.train[(fold.targets.label[fold.train] >= 0) & moment.reached[fold.train]]
        booster = fit_trees(
            columns[rows],
            fold.targets.label[rows],
            fold.targets.weight[rows],
            shape=shape,
            seed=run.seed,
            n_threads=run.n_threads,
        )
        for place, rounds in enumerate(ROUNDS):
            table[place, fold.held_out] = margins(booster, columns[fold.held_out], rounds)
    run.tell(stage, len(run.folds), len(run.folds))
    judged = run.judged(moment, table[0])
    if len(np.unique(run.final.label[judged])) < 2:
        return table[-1], 0.0, ROUNDS[-1]
    precision = [
        float(
            average_precision_score(
                run.final.label[judged], row[judged], sample_weight=run.final.weight[judged]
            )
        )
        for row in table
    ]
    best = int(np.argmax(precision))
    return table[best], precision[best], ROUNDS[best]


def _choose(run: _Run, moment: _Moment) -> None:
    """Blend and calibration on held-out margins."""
    judged = run.judged(moment, moment.trees)
    label, weight = run.final.label[judged], run.final.weight[judged]
    if len(np.unique(label)) < 2:
        return
    moment.blend = choose_blend(label, moment.trees[judged], moment.sage[judged], weight)
    margin = moment.blend(moment.trees[judged], moment.sage[judged])
    if run.final.supervision == "positive_unlabelled":
        plain = fit_calibration(margin, label, weight)
        # Elkan and Noto (2008): the mean score of labelled bad accounts is the share of bad that is labelled.
        share = float(np.average(plain(margin)[label == 1], weights=weight[label == 1]))
        declared = run.snapshot.manifest.get("prevalence")
        scale = 1.0 / max(share, 1e-3)
        if declared is not None:
            scale = float(declared) / max(float(plain(margin).mean()), 1e-9)
        moment.calibration = Calibration(plain.slope, plain.offset, scale)
    else:
        moment.calibration = fit_calibration(margin, label, None, run.snapshot.manifest.get("prevalence"))


def _metrics(run: _Run, moment: _Moment) -> dict[str, Any]:
    """Held-out figures of a head, and what GraphSAGE adds to it."""
    from gnn.evaluation import calibration_error, evaluate  # here: scoring needs no scikit-learn

    margin = moment.blend(moment.trees, moment.sage)
    judged = run.judged(moment, margin)
    label = run.final.label[judged]
    if len(np.unique(label)) < 2:
        return {}
    score = moment.calibration(margin[judged])
    figures: dict[str, Any] = {
        name: metric.as_dict() for name, metric in evaluate(label, margin[judged], seed=run.seed).items()
    }
    figures["calibration_error"] = calibration_error(label, score)
    figures["accounts"] = len(judged)
    figures["bad"] = int(label.sum())
    figures["folds"] = run.snapshot.manifest["fold_policy"]
    figures["graph_sage"] = {
        "alone": _shown(run, label, moment.sage[judged])["average_precision"],
        "gain": moment.blend.gain,
        "weight": moment.blend.weight,
    }
    return figures


def _baselines(run: _Run, moment: _Moment) -> dict[str, Any]:
    """The same folds with less: no graph (own attributes only), and nothing but degrees."""
    specs = registry_of(run.snapshot).specs
    picks = {
        "no graph": [i for i, spec in enumerate(specs) if spec.family == "attribute"],
        "degree only": [i for i, spec in enumerate(specs) if spec.name.endswith(".counterparts")],
    }
    judged = run.judged(moment, moment.trees)
    label = run.final.label[judged]
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
                fold.targets.weight[fold.train],
                rounds=_BASELINE_ROUNDS,
                seed=run.seed,
                n_threads=run.n_threads,
            )
            held[fold.held_out] = margins(booster, values[fold.held_out])
        found[name] = _shown(run, label, held[judged])
    return found


def _shown(run: _Run, label: NDArray[np.int8], score: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """The two figures by which anything beside the head is judged."""
    from gnn.evaluation import evaluate  # here: scoring needs no scikit-learn

    figures = evaluate(label, score, seed=run.seed, bootstraps=30, metrics=("average_precision", "auroc"))
    return {name: figure.as_dict() for name, figure in figures.items()}
