"""Inputs from epochs must prove themselves on held-out accounts; more trees too."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gnn
from features import Queries
from gnn import Scorer
from gnn.budget import Budget
from gnn.held_out import held_out_trees
from gnn.inputs import EPOCH_FAMILIES, places_of
from gnn.stages import Moment, Run
from gnn.trees import ROUNDS
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
    run = training._prepare(snapshot, 0, None, "lightgbm", Budget(None), without, 1, None)
    (moment,) = training._moments(run)
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
    run = training._prepare(
        wallets,
        0,
        None,
        "lightgbm",
        Budget(None),
        EPOCH_FAMILIES,
        1,
        lambda stage, _done, _total: stages.append(stage),
    )
    (moment,) = training._moments(run)
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
    grown = held_out._HeldOut(run, moment, "wide")
    by_margin: dict[int, int] = {}

    def told(self: object, margin: NDArray[np.float64], among: object = None) -> float:
        assert among is None
        count = next(count for count, found in grown.table.items() if found is margin)
        by_margin[count] = by_margin.get(count, 0) + 1
        return curve[count]

    monkeypatch.setattr(held_out._HeldOut, "precision", told)
    assert grown.best() == 75
    assert set(grown.table) == {40, 75, 150} == set(by_margin)
    curve |= {150: 0.7}
    assert grown.best() == 300  # as good with 450: the fewer
    assert set(grown.table) == set(ROUNDS)


def test_a_bundle_scores_as_it_was_trained_where_only_some_moments_drop_inputs(
    hash_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GraphSAGE serves all moments, so it must see at each of them what the scorer will show it.

    Fails with ``rows=moment.columns`` in `gnn.train._finish`.
    """
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
    scored = Scorer(built.snapshot, bundle).score(Queries.for_accounts(built.snapshot))
    np.testing.assert_array_equal(scored.score, bundle.scores["score"].to_numpy())
