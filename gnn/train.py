"""Running the learned stages in order: snapshot in, bundle out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from features import Queries, known_bad_of, last_time_ms, moment_ms
from gnn.blend import Blend, choose_blend
from gnn.budget import Budget
from gnn.bundle import Bundle, BundleDraft, Head
from gnn.calibration import fit_calibration
from gnn.event_head import EventHead, fit_event_head
from gnn.held_out import MANY_ACCOUNTS, held_out_trees
from gnn.held_out_sage import MEMBERS, fit_sage_on, held_out_sage
from gnn.inputs import input_specs, inputs, places_of
from gnn.label_free import label_free_calibration, label_free_margin
from gnn.sage import SageInputs, run_sage
from gnn.sage_verdicts import Known
from gnn.signing_up import ask_both, both_as_one, sign_up_of
from gnn.spectral import FAMILY, coordinates_of
from gnn.spread import Here
from gnn.stages import Moment, Run
from gnn.targets import MIN_OF_A_CLASS, targets
from gnn.trees import Model, check_model, fit_trees, margins, mixed
from gnn.validation import TEST, TRAIN, VALIDATION, canonical_order, folds
from graph_etl import NO_TIME
from graph_etl.errors import RingwatchError
from graph_etl.progress import silent
from rings import epoch_at, epoch_horizons

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from gnn.sage_kernel import Sage
    from gnn.spread import Spread
    from gnn.targets import Targets
    from gnn.trees import Trees
    from gnn.validation import Fold
    from graph_etl import Snapshot, Workspace
    from rings import Epoch
    from rings.spread import Shared


class TrainingError(RingwatchError):
    """A snapshot that nothing can be learned from."""


def train(
    snapshot: Snapshot,
    workspace: Workspace,
    *,
    seed: int = 0,
    split: int | None = None,
    model: Model = "lightgbm",
    budget_s: float | None = None,
    without: Collection[str] = (),
    n_threads: int | None = None,
    publish: bool = True,
    spread: Spread | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bundle:
    """Train a bundle on a snapshot.

    The chain of each fold (trees, GraphSAGE, verdict inputs) is fitted without the labels of its held-out
    accounts; number of trees, verdict inputs, blend and calibration are chosen on held-out margins. The head
    for events goes by blocks of time instead, and so does its share of sign-up (`gnn.signing_up`).

    Args:
        snapshot: The snapshot.
        workspace: Where the bundle goes.
        seed: Of everything random; the same seed and number of threads give the same bundle.
        split: Number of a given split to train on; the fold table if None. Its training part is fitted on,
            its validation part chooses, its test part is only reported on.
        model: ``lightgbm``, ``xgboost``, ``extra_trees`` or ``random_forest``.
        budget_s: Seconds that the search may take; as much as it needs if None. Within a budget shapes,
            verdict inputs, the head for events and GraphSAGE may be left out, and the bundle says so.
        without: Families of inputs (see `features.FeatureSpec`) that no model may use, to measure what each
            is worth; ``contact`` (all that verdicts of others say, reputation too) and ``graph_sage`` leave
            those stages out.
        n_threads: Threads of trees and GraphSAGE; by the number of accounts if None, since on small data
            starting threads costs more than they bring.
        publish: Whether the bundle becomes the workspace's current one.
        spread: What runs the independent pieces of each stage; this process, one after another, if None. With
            the same number of threads all that run GraphSAGE in one process give the same bundle.
        progress: Called with a stage, steps done and steps in all.

    Returns:
        The bundle.

    Raises:
        TrainingError: If the snapshot holds no accounts.
        TreesError: If there is no such model, or its library is not installed.
    """
    if snapshot.n_accounts == 0:
        message = f"snapshot {snapshot.id} holds no accounts; map `accounts` or an account's end of `events`"
        raise TrainingError(message)
    check_model(model)
    run = prepare(
        snapshot,
        seed=seed,
        split=split,
        model=model,
        budget=Budget(budget_s),
        without=without,
        n_threads=n_threads,
        spread=spread,
        progress=progress,
    )
    moments = moments_of(run, snapshot.manifest["moments"])
    draft = BundleDraft(snapshot, seed, run.final.supervision, len(run.folds), run.epochs, model)
    if run.final.supervision == "label_free":
        for moment in moments:
            margin = label_free_margin(input_specs(snapshot, with_contact=True), moment.columns)
            moment.calibration = label_free_calibration(margin, snapshot.manifest.get("prevalence"))
            draft.add(Head(moment.name, None, moment.blend, moment.calibration, contact=False), margin, None)
        return draft.write(workspace, publish=publish)
    for moment in moments:
        held_out_trees(run, moment)
    event = _event_head(run, moments, draft)
    held_out_sage(run, moments)
    for moment in moments:
        _choose(run, moment)
    sage = _final_sage(run, moments)
    if sage is None and any(moment.blend.weight > 0.0 for moment in moments):
        for moment in moments:  # no time for it is no reason for none at all
            moment.blend = Blend(0.0)
            moment.gain, moment.told = None, False
            _choose(run, moment)
    for moment, columns, booster in _final_trees(run, moments, event):
        _finish(run, moment, columns, booster, sage, draft)
    draft.sage = sage
    draft.coordinates = run.coordinates if any(moment.spectral for moment in moments) else None
    draft.left_out = run.budget.left_out
    return draft.write(workspace, publish=publish)


def prepare(
    snapshot: Snapshot,
    *,
    seed: int = 0,
    split: int | None = None,
    model: Model = "lightgbm",
    budget: Budget | None = None,
    without: Collection[str] = (),
    n_threads: int | None = None,
    spread: Spread | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Run:
    """What all stages of a training share: labels, folds, communities.

    Args:
        snapshot: The snapshot.
        seed: See `train`, as all that follow.
        split: Number of a given split.
        model: Which trees.
        budget: The time that may be taken; all that is needed if None.
        without: Families of inputs that are left out.
        n_threads: Threads of trees and GraphSAGE.
        spread: What runs independent pieces.
        progress: Called with a stage, steps done and steps in all.

    Returns:
        The training, nothing fitted yet.
    """
    judge = final = targets(snapshot)
    chooses = reports = np.ones(snapshot.n_accounts, np.bool_)
    if split is not None and snapshot.splits is not None:
        part = np.asarray(snapshot.splits)[:, split]
        label = np.where(part == TRAIN, final.label, -1).astype(np.int8)
        final = replace(final, label=label)
        chooses, reports = part == VALIDATION, part == TEST
    parts = tuple(folds(snapshot, split)) if final.supervision != "label_free" else ()
    if not _enough_old(judge, parts, chooses):
        judge = replace(
            judge, young=np.zeros(snapshot.n_accounts, np.bool_)
        )  # better a biased judge than none
    known_bad = known_bad_of(snapshot, untimed=False)
    tell = progress or silent
    spread = spread or Here()
    shared = spread.share(snapshot)
    horizons = epoch_horizons(snapshot, snapshot.manifest["moments"])
    epochs = spread.each("communities", [partial(_epoch, shared, at, seed) for at in horizons], tell)
    coordinates = None
    if FAMILY not in without and final.supervision != "label_free":
        tell("coordinates", 0, 1)
        coordinates = coordinates_of(snapshot, seed)
        tell("coordinates", 1, 1)
    return Run(
        snapshot=snapshot,
        seed=seed,
        n_threads=n_threads or threads_for(snapshot),
        tell=tell,
        since=known_bad.since,
        until=known_bad.until,
        folds=parts,
        policy=snapshot.manifest["fold_policy"] if split is None or snapshot.splits is None else "split",
        final=final,
        judge=judge,
        chooses=chooses,
        reports=reports,
        epochs=tuple(epochs),
        model=model,
        without=frozenset(without),
        budget=budget or Budget(None),
        spread=spread,
        shared=shared,
        coordinates=coordinates,
    )


def threads_for(snapshot: Snapshot) -> int:
    """Threads of a training that was not told how many: on small data starting them costs too much.

    Args:
        snapshot: The snapshot.

    Returns:
        The number.
    """
    return 1 if snapshot.n_accounts < MANY_ACCOUNTS else 2


def _epoch(snapshot: Shared[Snapshot], horizon: int, seed: int) -> Epoch:
    return epoch_at(snapshot.get(), horizon, seed)


def _enough_old(judge: Targets, parts: Sequence[Fold], chooses: NDArray[np.bool_]) -> bool:
    """Whether enough accounts of both classes are held out that are no young ones."""
    held_out = np.zeros(len(chooses), np.bool_)
    for part in parts:
        held_out[part.held_out] = True
    found = judge.label[held_out & ~judge.young & chooses]
    return min(int((found == 1).sum()), int((found == 0).sum())) >= MIN_OF_A_CLASS


def moments_of(run: Run, names: Sequence[str]) -> list[Moment]:
    """The inputs of all accounts at some moments.

    Args:
        run: The training.
        names: Of the moments.

    Returns:
        One for each name, nothing learned there yet.
    """
    left_out = places_of(run.snapshot, run.without)
    epochs = run.spread.share(run.epochs)
    found: list[Moment] = []
    for name in names:
        pieces = [
            partial(_columns, run.shared, name, accounts, epochs)
            for accounts in run.spread.parts(run.snapshot.n_accounts)
        ]
        parts = run.spread.each(f"features at {name}", pieces, run.tell)
        columns = parts[0] if len(parts) == 1 else np.concatenate(parts)
        # Trees never split a column without values: what is left out here plays no part in scoring either.
        columns[:, left_out] = np.nan
        queries = Queries.for_accounts(run.snapshot, moment=name)
        found.append(Moment(name, queries, columns, columns, _reached(run, name)))
    return found


def _columns(
    snapshot: Shared[Snapshot], moment: str, accounts: NDArray[np.int64], epochs: Shared[Sequence[Epoch]]
) -> NDArray[np.float32]:
    source = snapshot.get()
    return inputs(source, Queries.for_accounts(source, accounts, moment), epochs=epochs.get())


def _reached(run: Run, moment: str) -> NDArray[np.bool_]:
    """Accounts old enough to have been seen at a moment; all where too few are to learn from."""
    age_ms = moment_ms(moment)
    first_seen_ms = np.asarray(run.snapshot.first_seen_ms)
    everybody = np.ones(len(first_seen_ms), dtype=np.bool_)
    if age_ms is None:
        return everybody
    reached: NDArray[np.bool_] = (first_seen_ms == NO_TIME) | (
        first_seen_ms <= last_time_ms(run.snapshot) - age_ms
    )
    enough = all((run.final.label[reached] == label).sum() >= MIN_OF_A_CLASS for label in (0, 1))
    return reached if enough else everybody


def _labelled(run: Run) -> NDArray[np.int64]:
    order = canonical_order(run.snapshot)
    return order[run.final.label[order] >= 0]


def _event_head(run: Run, moments: Sequence[Moment], draft: BundleDraft) -> EventHead | None:
    """The head for accounts at their events, which may answer along at sign-up.

    A given split says which accounts are trained on, not which events: there is no such head then.
    """
    if not run.chooses.all():
        return None
    first = run.snapshot.manifest["moments"][0]
    if not run.budget.allows("the head for events", like=f"trees at {first}", kept=(f"trees at {first}",)):
        return None
    sign_up = sign_up_of(moments)
    event = fit_event_head(
        run.snapshot,
        run.final,
        epochs=run.epochs,
        model=run.model,
        without=run.without,
        seed=run.seed,
        n_threads=run.n_threads,
        sign_up=None if sign_up is None else sign_up.rows,
        budget=run.budget,
        spread=run.spread,
        progress=run.tell,
    )
    if event is not None:
        draft.add(event.head, event.margin, None)
        draft.metrics[event.head.moment] = event.metrics
        if sign_up is not None:
            ask_both(run, sign_up, event)
    return event


def _final_sage(run: Run, moments: Sequence[Moment]) -> Sage | None:
    """The model on all labels; where no head uses it, one member for its embeddings. None without time."""
    if "graph_sage" in run.without:
        return None
    used = any(moment.blend.weight > 0.0 for moment in moments)
    # Time for the final trees of all moments is left: they take less than the held-out ones of one.
    kept = (f"trees at {moments[-1].name}",)
    if not run.budget.allows(
        "GraphSAGE on all labels" if used else "embeddings", like="GraphSAGE", kept=kept
    ):
        return None
    members = MEMBERS if used else 1
    known = Known(run.since, run.until) if moments[0].told and used else None
    return fit_sage_on(run, "GraphSAGE on all labels", moments, _labelled(run), run.final, members, known)


def _choose(run: Run, moment: Moment) -> None:
    """Blend and calibration on held-out margins."""
    judged = run.choosing(moment, moment.trees)
    label, weight = run.judge.label[judged], run.judge.weight[judged]
    if len(np.unique(label)) < 2:
        return
    if moment.gain is not None and not np.isnan(moment.sage[judged]).any():
        moment.blend = choose_blend(label, moment.trees[judged], moment.sage[judged], weight)
    margin = moment.blend(moment.trees[judged], moment.sage[judged])
    declared = run.snapshot.manifest.get("prevalence")
    part = np.asarray(run.snapshot.folds)[judged]
    if run.final.supervision == "positive_unlabelled":
        plain = fit_calibration(margin, label, weight, part=part)
        # Elkan and Noto (2008): the mean score of labelled bad accounts is the share of bad that is labelled.
        share = float(np.average(plain(margin)[label == 1], weights=weight[label == 1]))
        scale = 1.0 / max(share, 1e-3)
        if declared is not None:
            scale = float(declared) / max(float(plain(margin).mean()), 1e-9)
        moment.calibration = replace(plain, scale=scale)
    else:
        moment.calibration = fit_calibration(margin, label, None, declared, part=part)


def _final_trees(
    run: Run, moments: Sequence[Moment], event: EventHead | None
) -> Iterator[tuple[Moment, NDArray[np.float32], Trees]]:
    """Each moment with its inputs and the trees fitted on all its labels, all shapes as one model."""
    for moment in moments:
        rows = _labelled(run)
        rows = rows[moment.reached[rows]]
        columns = run.columns(moment).of(None, np.zeros(0, np.int64))
        asked = run.spread.share(columns[rows])
        pieces = [
            partial(
                _trees_on,
                asked,
                run.final.label[rows],
                run.final.fit_weight(rows),
                rounds=rounds,
                shape=shape,
                seed=run.seed,
                n_threads=run.n_threads,
                model=run.model,
            )
            for shape, rounds in moment.rounds.items()
        ]
        grown = run.spread.each(f"final fit at {moment.name}", pieces, run.tell)
        trees = grown[0] if len(grown) == 1 else mixed([(one, 1.0 / len(grown)) for one in grown])
        if moment.of_events and event is not None and event.head.booster is not None:
            trees = both_as_one(trees, event.head.booster, moment.of_events)
            moment.contact = moment.contact or event.head.contact
            # Epochs may be inputs of the one head and not of the other: scoring gives them to both.
            moment.columns = moment.rows
            columns = run.columns(moment).of(None, np.zeros(0, np.int64))
        yield moment, columns, trees


def _trees_on(
    columns: Shared[NDArray[np.float32]],
    label: NDArray[np.int8],
    weight: NDArray[np.float64],
    **options: Any,
) -> Trees:
    return fit_trees(columns.get(), label, weight, **options)


def _finish(
    run: Run,
    moment: Moment,
    columns: NDArray[np.float32],
    booster: Trees,
    sage: Sage | None,
    draft: BundleDraft,
) -> None:
    """The head on all labels, with its figures."""
    from gnn.figures import baselines_of, metrics_of  # here: scoring needs no scikit-learn

    head = Head(
        moment.name,
        booster,
        moment.blend,
        moment.calibration,
        contact=moment.contact,
        spectral=moment.spectral,
    )
    odds = None
    if moment.blend.weight > 0.0 and sage is not None:
        where = SageInputs.of(run.snapshot, moment.queries)
        known = Known(run.since, run.until)
        odds, _ = run_sage(sage, where, moment.queries, rows=moment.rows, known=known)
    held = moment.blend(moment.trees, moment.sage)
    draft.add(head, moment.blend(margins(booster, columns), odds), moment.calibration(held))
    draft.metrics[moment.name] = metrics_of(run, moment)
    draft.baselines[moment.name] = baselines_of(run, moment)
