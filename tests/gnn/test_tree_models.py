"""Trees of every library score as the library does, explain themselves and come back from their text."""

import sys

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.errors import BundleError
from gnn.shapley import TreeShapley
from gnn.tree_models import forest_text, xgboost_text
from gnn.tree_walk import Trees, read_trees
from gnn.trees import (
    MODELS,
    SHAPES,
    GrowingTrees,
    Model,
    Shape,
    TreesError,
    check_model,
    fit_trees,
    margins,
    mixed,
)

N_ROWS = 1500
N_COLUMNS = 12
# Nothing nearer to zero than 1e-35 is told from zero by LightGBM; the others tell all.
TINY = (0.0, -0.0, 1e-35, -1e-35, 1e-40, -1e-40)


def table(rng: np.random.Generator, n_rows: int = N_ROWS) -> NDArray[np.float32]:
    """Numbers, counts and what is nearly zero; NaN in the first eight columns only."""
    values = rng.normal(size=(n_rows, N_COLUMNS))
    values[:, ::3] = rng.poisson(1.0, size=values[:, ::3].shape)
    values[:, 1] = rng.choice(TINY, size=n_rows)
    values[:, :8][rng.random((n_rows, 8)) < 0.2] = np.nan
    return values.astype(np.float32)


def labels(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    told = np.nan_to_num(values[:, :6], nan=0.7).sum(axis=1) + (values[:, 1] > 0)
    found: NDArray[np.int64] = (told + rng.normal(size=len(values)) > 3.5).astype(np.int64)
    return found


def drawn() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """Rows to fit on, their labels and weights; rows to score, NaN in all columns and infinities too."""
    rng = np.random.default_rng(3)
    values = table(rng)
    unseen = table(rng, 600)
    unseen[rng.random(unseen.shape) < 0.05] = np.nan
    return values, labels(values, rng), rng.uniform(0.2, 1.0, N_ROWS), unseen


def test_margins_of_xgboost_are_its_own_but_for_rounding() -> None:
    xgboost = pytest.importorskip("xgboost")
    values, label, weight, unseen = drawn()
    booster = xgboost.train(
        {"objective": "binary:logistic", "base_score": 0.3, "max_depth": 5, "nthread": 1, "seed": 0},
        xgboost.QuantileDMatrix(values, label, weight=weight, nthread=1),
        num_boost_round=60,
    )
    trees = read_trees(xgboost_text(booster, 0.3), "here")
    for rounds in (1, 25, 60):
        expected = booster.predict(
            xgboost.DMatrix(unseen, nthread=1), output_margin=True, iteration_range=(0, rounds)
        )
        found = margins(trees, unseen, rounds)
        # One sum of 60 single-precision numbers of at most 1: a wrong turn at any node is far more.
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6)
    assert len(np.unique(expected)) > 300  # not vacuous


@pytest.mark.parametrize("name", ["ExtraTreesClassifier", "RandomForestClassifier"])
def test_rows_of_a_forest_end_in_the_library_s_own_leaves(name: str) -> None:
    import sklearn.ensemble

    values, label, weight, unseen = drawn()
    forest = getattr(sklearn.ensemble, name)(n_estimators=40, min_samples_leaf=3, random_state=0)
    forest.fit(values, label, sample_weight=weight)
    trees = read_trees(forest_text(forest, "extra_trees", 0.25), "here")
    summed = np.zeros(len(unseen))
    for number, tree in enumerate(estimator.tree_ for estimator in forest.estimators_):
        leaf = tree.apply(unseen)
        bad, held = tree.value[leaf, 0, 1], tree.weighted_n_node_samples[leaf]
        share = (held * bad + 0.25) / (held + 1)
        summed += np.log(share / (1 - share))
        # Fewer trees are a smaller forest, not a part of the sum.
        expected = summed / (number + 1)
        np.testing.assert_allclose(margins(trees, unseen, number + 1), expected, rtol=1e-9, atol=1e-12)
    assert len(np.unique(margins(trees, unseen))) > 300  # not vacuous
    assert np.corrcoef(margins(trees, unseen), forest.predict_proba(unseen)[:, 1])[0, 1] > 0.95


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_and_comes_back_from_its_text(model: Model) -> None:
    if model == "xgboost":
        pytest.importorskip("xgboost")
    values, label, weight, unseen = drawn()
    values[0, :4] = (np.inf, -np.inf, np.inf, 3e38)
    unseen[0, :4] = (-np.inf, np.inf, np.inf, np.nan)
    trees = fit_trees(values, label, weight, rounds=30, model=model, n_threads=1)
    assert trees.model == model
    assert len(trees) == 30
    found = margins(trees, unseen)
    again = read_trees(trees.text, "a bundle")
    assert (again.model, again.averaged, again.n_features) == (model, trees.averaged, N_COLUMNS)
    np.testing.assert_array_equal(margins(again, unseen), found)
    same = fit_trees(values, label, weight, rounds=30, model=model, n_threads=1)
    assert same.text == trees.text
    other = fit_trees(values, label, weight, rounds=30, model=model, n_threads=1, seed=1)
    assert other.text != trees.text
    unseen_label = labels(unseen, np.random.default_rng(9)) == 1
    assert found[unseen_label].mean() > found[~unseen_label].mean() + found.std() / 2


def mean_by_cover(trees: Trees, number: int) -> float:
    """A tree's leaves, each by the share of the training weight that the splits send there."""
    reach = {int(trees.root[number]): 1.0}
    total = 0.0
    while reach:
        at, share = reach.popitem()
        if at < 0:
            total += share * float(trees.leaf_value[~at])
            continue
        for child in (int(trees.nodes[at]["left"]), int(trees.nodes[at]["right"])):
            cover = trees.node_count[child] if child >= 0 else trees.leaf_count[~child]
            reach[child] = share * float(cover) / float(trees.node_count[at])
    return total


@pytest.mark.parametrize("model", MODELS)
def test_attributions_and_the_mean_add_up_to_the_margin(model: Model) -> None:
    if model == "xgboost":
        pytest.importorskip("xgboost")
    values, label, weight, unseen = drawn()
    trees = fit_trees(values, label, weight, rounds=20, model=model, n_threads=1)
    shapley = TreeShapley.of(trees)
    mean = sum(mean_by_cover(trees, number) for number in range(len(trees)))
    mean = mean / len(trees) if trees.averaged else mean
    for row in range(20):
        asked = unseen[row : row + 1]
        told = shapley.attributions(asked)
        assert told.sum() + mean == pytest.approx(margins(trees, asked)[0], rel=1e-5, abs=1e-6)
        assert (told != 0).sum() >= 3  # not vacuous


def test_attributions_of_xgboost_are_its_own() -> None:
    xgboost = pytest.importorskip("xgboost")
    values, label, weight, unseen = drawn()
    booster = xgboost.train(
        {"objective": "binary:logistic", "base_score": 0.3, "max_depth": 4, "nthread": 1},
        xgboost.QuantileDMatrix(values, label, weight=weight, nthread=1),
        num_boost_round=15,
    )
    shapley = TreeShapley.of(read_trees(xgboost_text(booster, 0.3), "here"))
    expected = booster.predict(xgboost.DMatrix(unseen[:20], nthread=1), pred_contribs=True)
    found = np.array([shapley.attributions(unseen[row : row + 1]) for row in range(20)])
    np.testing.assert_allclose(found, expected[:, :-1], rtol=0, atol=2e-5)


@pytest.mark.parametrize("model", ["extra_trees", "random_forest"])
def test_lightgbm_reads_the_text_of_a_forest(model: Model) -> None:
    """A walk that is not ours comes to the same margins."""
    values, label, weight, unseen = drawn()
    unseen[:, 1] = np.nan  # LightGBM would take what is nearly zero for zero
    trees = fit_trees(values, label, weight, rounds=15, model=model, n_threads=1)
    summed = np.asarray(lightgbm.Booster(model_str=trees.text).predict(unseen, raw_score=True))
    np.testing.assert_allclose(margins(trees, unseen), summed / len(trees), rtol=1e-12)


def test_mixed_models_are_one_that_adds_them_up() -> None:
    values, label, weight, unseen = drawn()
    boosted, forest = (
        fit_trees(values, label, weight, rounds=10, model=model, n_threads=1)
        for model in ("lightgbm", "extra_trees")
    )
    both = mixed([(boosted, 0.7), (forest, 0.5)])
    assert (both.model, len(both), both.averaged) == ("lightgbm+extra_trees", 20, False)
    expected = 0.7 * margins(boosted, unseen) + 0.5 * margins(forest, unseen)
    np.testing.assert_allclose(margins(both, unseen), expected, rtol=1e-9, atol=1e-12)
    again = mixed([(both, 2.0)])
    np.testing.assert_allclose(margins(again, unseen), 2.0 * expected, rtol=1e-9, atol=1e-12)
    asked = unseen[3:4]
    told = TreeShapley.of(both).attributions(asked)
    parts = 0.7 * TreeShapley.of(boosted).attributions(asked) + 0.5 * TreeShapley.of(forest).attributions(
        asked
    )
    np.testing.assert_allclose(told, parts, rtol=1e-9, atol=1e-12)


def test_models_of_other_columns_are_not_mixed() -> None:
    values, label, weight, _ = drawn()
    wide, slim = (
        fit_trees(part, label, weight, rounds=2, n_threads=1) for part in (values, values[:, 1:].copy())
    )
    with pytest.raises(ValueError, match=r"got some of \[11, 12\] columns"):
        mixed([(wide, 0.5), (slim, 0.5)])


def test_a_damaged_forest_is_refused() -> None:
    values, label, weight, _ = drawn()
    text = fit_trees(values, label, weight, rounds=5, model="extra_trees", n_threads=1).text
    line = next(line for line in text.splitlines() if line.startswith("leaf_weight="))
    with pytest.raises(BundleError, match=r"trees\.txt: damaged"):
        read_trees(text.replace(line, "leaf_weight=1", 1), "trees.txt")


def test_a_library_that_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(TreesError, match=r"pip install 'ringwatch\[xgboost\]'") as told:
        check_model("xgboost")
    assert "\n" not in str(told.value)
    check_model("extra_trees")


def test_an_unknown_model_is_told_with_those_there_are() -> None:
    with pytest.raises(TreesError, match="no model 'catboost'; there are: lightgbm, xgboost"):
        check_model("catboost")


@pytest.mark.parametrize("shape", SHAPES)
def test_trees_that_grow_on_are_those_grown_at_once(shape: Shape) -> None:
    values, label, weight, _ = drawn()
    growing = GrowingTrees(values, label, weight, shape=shape, seed=3, n_threads=1)
    for rounds in (20, 50):
        at_once = fit_trees(values, label, weight, rounds=rounds, shape=shape, seed=3, n_threads=1)
        assert growing.upto(rounds).text == at_once.text
    assert len(growing.upto(30)) == 50  # nothing is cut off again


@pytest.mark.parametrize("model", MODELS)
def test_the_first_of_growing_trees_are_those_of_a_smaller_model(model: Model) -> None:
    values, label, weight, unseen = drawn()
    growing = GrowingTrees(values, label, weight, n_threads=1, model=model)
    small = fit_trees(values, label, weight, rounds=12, n_threads=1, model=model)
    np.testing.assert_array_equal(margins(growing.upto(12), unseen, 12), margins(small, unseen, 12))
