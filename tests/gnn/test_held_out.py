"""Inputs from epochs must prove themselves on held-out accounts; more trees too."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gnn
from features import Queries
from gnn import Scorer
from gnn.growing import HeldOutTrees
from gnn.held_out import held_out_trees
from gnn.inputs import EPOCH_FAMILIES, inputs, places_of
from gnn.sage import SageInputs
from gnn.sage_fit import fit_sage
from gnn.sage_kernel import Sage
from gnn.stages import Moment, Run
from gnn.targets import Targets, targets
from gnn.trees import ROUNDS, Trees, fit_trees
from graph_etl import Snapshot
from tests.building import PLATFORM_SPEC, TRANSFERS_SPEC, build_from_text, platform_files, transfer_files

training = importlib.import_module("gnn.train")


@pytest.fixture(scope="module")
def wallets(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The small bridge in three folds."""
    files = transfer_files()
    header, *rows = files["accounts.csv"].splitlines()
    dealt = [f"{header},fold", *(f"{row},{number % 3}" for number, row in enumerate(rows))]
    spec = TRANSFERS_SPEC.replace("  - {source: accounts, account: account, group: ring, role: train}\n", "")
    spec = spec.replace("groups:\n", "folds: {source: accounts, account: account, fold: fold}\n")
    files |= {"accounts.csv": "\n".join(dealt) + "\n"}
    return build_from_text(tmp_path_factory.mktemp("wallets"), spec, files).snapshot


def prepared(snapshot: Snapshot, without: tuple[str, ...] = ()) -> tuple[Run, Moment]:
    run = training.prepare(snapshot, without=without, n_threads=1)
    (moment,) = training.moments_of(run, snapshot.manifest["moments"])
    return run, moment


def with_epoch_columns(moment: Moment, places: list[int], values: NDArray[np.float64]) -> Moment:
    """The moment with some values over and over in the columns of epochs, and noise in all others."""
    moment.columns[:] = np.random.default_rng(0).normal(size=moment.columns.shape)
    for at, place in enumerate(places):
        moment.columns[:, place] = values[:, at % values.shape[1]]
    moment.rows = moment.columns
    return moment


def misleading(run: Run) -> NDArray[np.float64]:
    """One column a fold: it tells the label everywhere else and its opposite there."""
    label = (run.final.label == 1).astype(float)
    fold_of = np.asarray(run.snapshot.folds)
    return np.stack([np.where(fold_of == fold, 1.0 - label, label) for fold in range(3)], axis=1)


def separation(run: Run, margin: NDArray[np.float64]) -> float:
    """How much higher the margins of bad accounts are, on average."""
    label = run.final.label
    return float(margin[label == 1].mean() - margin[label == 0].mean())


def test_epoch_inputs_that_mislead_on_unseen_accounts_are_dropped(
    wallets: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, moment = prepared(wallets)
    places = places_of(wallets, EPOCH_FAMILIES)
    with_epoch_columns(moment, places, misleading(run))
    held_out_trees(run, moment)
    assert not moment.epochs
    assert np.isnan(moment.columns[:, places]).all()
    assert not np.isnan(moment.rows[:, places]).any()  # GraphSAGE goes on seeing them
    _, kept = prepared(wallets)
    with_epoch_columns(kept, places, misleading(run))
    monkeypatch.setattr("gnn.held_out._worth_it", lambda *_: True)
    held_out_trees(run, kept)
    # Not vacuous: they do harm.
    assert separation(run, kept.trees) < separation(run, moment.trees) - 1.0


def test_epoch_inputs_that_tell_more_stay(wallets: Snapshot) -> None:
    run, moment = prepared(wallets)
    places = places_of(wallets, EPOCH_FAMILIES)
    label = (run.final.label == 1).astype(float)
    with_epoch_columns(moment, places, label[:, None])
    held_out_trees(run, moment)
    assert moment.epochs
    np.testing.assert_array_equal(moment.columns[:, places[0]], label)


def test_epoch_inputs_that_change_nothing_are_dropped(wallets: Snapshot) -> None:
    """A tie goes to fewer inputs."""
    run, moment = prepared(wallets)
    places = places_of(wallets, EPOCH_FAMILIES)
    with_epoch_columns(moment, places, np.zeros((wallets.n_accounts, 1)))
    held_out_trees(run, moment)
    assert not moment.epochs


def test_one_odd_fold_decides_nothing(wallets: Snapshot) -> None:
    """A gain over all that comes from one fold, beside a loss in the two others, is no gain."""
    held_out = importlib.import_module("gnn.held_out")

    class Told:
        def __init__(self, *precision: float) -> None:
            self.table = {75: None, 150: None, 300: None}
            self._precision = np.array(precision)

        def precision_of_folds(self, rounds: int) -> NDArray[np.float64]:
            assert rounds == 150
            return self._precision

    plain = Told(0.50, 0.50, 0.50, 0.50)
    assert not held_out._worth_it(Told(0.60, 0.90, 0.49, 0.49), plain, 0.002)
    assert held_out._worth_it(Told(0.60, 0.90, 0.49, 0.51), plain, 0.002)
    assert held_out._worth_it(Told(0.60, 0.90, 0.50, 0.50), plain, 0.002)  # two folds say nothing
    assert not held_out._worth_it(Told(0.501, 0.51, 0.51, 0.51), plain, 0.002)


def test_left_out_families_are_not_tried(wallets: Snapshot) -> None:
    stages: list[str] = []
    run = training.prepare(
        wallets,
        without=EPOCH_FAMILIES,
        n_threads=1,
        progress=lambda stage, _done, _total: stages.append(stage),
    )
    (moment,) = training.moments_of(run, wallets.manifest["moments"])
    held_out_trees(run, moment)
    assert moment.epochs  # nothing was dropped: there was nothing
    assert {stage for stage in stages if "trees" in stage} == {
        "wide trees at retrospective",
        "narrow trees at retrospective",
    }


def test_no_more_trees_are_grown_once_more_were_worse(
    wallets: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = importlib.import_module("gnn.held_out")
    run, moment = prepared(wallets, EPOCH_FAMILIES)
    curve = dict(zip(ROUNDS, (0.3, 0.6, 0.5, 0.9, 0.9), strict=True))
    grown = held_out.HeldOut(run, moment, "wide")
    by_margin: dict[int, int] = {}

    def told(self: object, margin: NDArray[np.float64], among: object = None) -> float:
        assert among is None
        count = next(count for count, found in grown.table.items() if found is margin)
        by_margin[count] = by_margin.get(count, 0) + 1
        return curve[count]

    monkeypatch.setattr(held_out.HeldOut, "precision", told)
    assert grown.best() == 75
    assert set(grown.table) == {40, 75, 150} == set(by_margin)
    curve |= {150: 0.7}
    assert grown.best() == 300  # as good with 450: the fewer
    assert set(grown.table) == set(ROUNDS)


def test_a_bundle_scores_as_it_was_trained_where_only_some_moments_drop_inputs(
    hash_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GraphSAGE serves all moments, so it must see at each of them what the scorer will show it."""
    fitted: list[tuple[Queries, NDArray[np.float32], NDArray[np.float64]]] = []

    def recorded(
        drawn: SageInputs,
        asked: Queries,
        label: NDArray[np.int8],
        weight: NDArray[np.float64],
        **options: Any,
    ) -> Sage:
        fitted.append((asked, options["rows"], weight))
        return fit_sage(drawn, asked, label, weight, **options)

    monkeypatch.setattr("gnn.sage_fit.fit_sage", recorded)
    held_out = importlib.import_module("gnn.held_out")
    monkeypatch.setattr("gnn.blend.WEIGHTS", (0.3,))
    monkeypatch.setattr("gnn.blend.LEAST_GAIN", -1.0)
    monkeypatch.setattr("gnn.sage_gain.Gain.hopeless", False)
    monkeypatch.setattr(held_out, "_worth_it", lambda richer, plain, least: "1d" in richer._stage)
    built = build_from_text(
        tmp_path, PLATFORM_SPEC.replace("moments: [signup,", "moments: ["), platform_files()
    )
    bundle = gnn.train(built.snapshot, built.workspace, without=("contact",))
    metrics = bundle.manifest["metrics"]
    assert metrics["1d"]["communities"]
    assert not metrics["retrospective"]["communities"]
    assert bundle.heads["retrospective"].blend.weight > 0.0
    scorer = Scorer(built.snapshot, bundle)
    scored = scorer.score(Queries.for_accounts(built.snapshot))
    np.testing.assert_array_equal(scored.score, bundle.scores["score"].to_numpy())
    assert len(fitted) > 1
    for asked, rows, weight in fitted:
        np.testing.assert_array_equal(rows, inputs(built.snapshot, asked, epochs=scorer.epochs))
        assert len(weight) == len(rows)
    last = targets(built.snapshot)
    np.testing.assert_array_equal(
        fitted[-1][2][: len(fitted[-1][2]) // 2], last.fit_weight(labelled(last, fitted))
    )


def labelled(last: Targets, fitted: list[tuple[Queries, Any, Any]]) -> NDArray[np.int64]:
    """Accounts of the first moment's half of what was fitted last."""
    asked = fitted[-1][0].account
    assert (last.label[asked] >= 0).all()
    return asked[: len(asked) // 2]


def test_trees_are_fitted_with_the_weights_of_young_bad_accounts(
    hash_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drawn platform has 21 old bad accounts and 6 young ones, whose weight is 30 / (30 + 21)."""
    least: dict[str, list[float]] = {"held out": [], "final": []}

    class Recorded(HeldOutTrees):
        def __init__(self, inputs: Any, label: Any, weight: NDArray[np.float64], *rest: Any) -> None:
            least["held out"].append(float(weight.min()))
            super().__init__(inputs, label, weight, *rest)

    def fitted(features: Any, label: Any, weight: NDArray[np.float64], **options: Any) -> Trees:
        least["final"].append(float(weight.min()))
        return fit_trees(features, label, weight, **options)

    monkeypatch.setattr("gnn.held_out.HeldOutTrees", Recorded)
    monkeypatch.setattr(training, "fit_trees", fitted)
    spec = PLATFORM_SPEC.replace("moments: [signup, 1d, retrospective]", "moments: [retrospective]")
    built = build_from_text(tmp_path, spec, platform_files())
    gnn.train(built.snapshot, built.workspace, without=("graph_sage",))
    assert least["final"] == pytest.approx([30 / (30 + 21)] * 2)  # a model of each shape
    of_folds = {float(fold.targets.fit_weight(fold.train).min()) for fold in training.folds(built.snapshot)}
    assert set(least["held out"]) == of_folds
    assert min(of_folds) < 1.0  # not vacuous


def test_young_accounts_judge_nothing_where_there_are_old_ones(wallets: Snapshot) -> None:
    run, moment = prepared(wallets)
    margin = np.zeros(wallets.n_accounts)
    everybody = run.choosing(moment, margin)
    young = np.zeros(wallets.n_accounts, dtype=np.bool_)
    young[everybody[::2]] = True
    fair = replace(run, judge=replace(run.judge, young=young))
    np.testing.assert_array_equal(fair.choosing(moment, margin), everybody[1::2])
    np.testing.assert_array_equal(fair.reported(moment, margin), everybody[1::2])


@pytest.mark.parametrize(("young_bad", "expected"), [(7, True), (8, False)])
def test_ten_old_accounts_of_each_class_must_be_held_out_to_judge_alone(
    wallets: Snapshot, young_bad: int, expected: bool
) -> None:
    """Of 17 bad wallets, all held out, so many are young."""
    run, _ = prepared(wallets)
    young = np.zeros(wallets.n_accounts, dtype=np.bool_)
    young[np.flatnonzero(run.judge.label == 1)[:young_bad]] = True
    judge = replace(run.judge, young=young)
    assert training._enough_old(judge, run.folds, run.chooses) is expected
    assert not training._enough_old(judge, (), run.chooses)
