"""Attributions are the exact tree Shapley values."""

from itertools import combinations
from math import factorial

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.shapley import TreeShapley
from gnn.tree_walk import Trees, read_trees
from gnn.trees import SHAPES, Shape, fit_trees, margins

N_ROWS = 4000


def table(rng: np.random.Generator, n_columns: int) -> NDArray[np.float32]:
    values = rng.normal(size=(N_ROWS, n_columns))
    values[rng.random(values.shape) < 0.15] = np.nan
    return values.astype(np.float32)


def fitted(shape: Shape, n_columns: int) -> tuple[Trees, NDArray[np.float32]]:
    rng = np.random.default_rng(11)
    values = table(rng, n_columns)
    known = np.nan_to_num(values, nan=0.5)
    bad = known[:, 0] * known[:, 1] + known[:, 2:].sum(axis=1) + rng.normal(size=N_ROWS) > 1.0
    return fit_trees(values, bad, np.ones(N_ROWS), rounds=50, shape=shape, n_threads=1), table(rng, n_columns)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_columns", [3, 40])  # with few columns the same one splits a path many times
def test_attributions_are_those_of_lightgbm(shape: Shape, n_columns: int) -> None:
    trees, unseen = fitted(shape, n_columns)
    shapley = TreeShapley.of(trees)
    booster = lightgbm.Booster(model_str=trees.text)
    expected = np.asarray(booster.predict(unseen[:40], pred_contrib=True))
    found = np.concatenate([[shapley.attributions(unseen[row : row + 1])] for row in range(40)])
    np.testing.assert_allclose(found, expected[:, :-1], rtol=1e-9, atol=1e-12)
    # Together with the mean they are the raw score.
    np.testing.assert_allclose(found.sum(axis=1) + expected[:, -1], margins(trees, unseen[:40]), rtol=1e-9)
    assert (found != 0).sum() > 40  # not vacuous


# Root: column 0 at 0; its left child: column 1 at 0; that one's left child: column 0 again, at -1.
BY_HAND = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1

Tree=0
num_leaves=4
num_cat=0
split_feature=0 1 0
threshold=0 0 -1
decision_type=2 2 2
left_child=1 2 -2
right_child=-1 -4 -3
leaf_value=8 1 3 5
leaf_count=40 12 24 24
internal_count=100 60 36
is_linear=0
shrinkage=1


end of trees
"""


def expected_by_hand(row: tuple[float, float], known: frozenset[int]) -> float:
    """Mean of the tree where only some columns are known: the definition, written out."""

    def share(column: int, left: bool, of_left: float) -> float:
        return float(left) if column in known else of_left

    inner = share(0, row[0] <= -1, 12 / 36)
    left = share(1, row[1] <= 0, 36 / 60) * (inner * 1 + (1 - inner) * 3)
    left += (1 - share(1, row[1] <= 0, 36 / 60)) * 5
    root = share(0, row[0] <= 0, 60 / 100)
    return root * left + (1 - root) * 8


@pytest.mark.parametrize("row", [(-2.0, -1.0), (-0.5, -1.0), (-0.5, 1.0), (1.0, -1.0)])
def test_attributions_are_the_mean_over_all_orders(row: tuple[float, float]) -> None:
    shapley = TreeShapley.of(read_trees(BY_HAND, "here"))
    found = shapley.attributions(np.array([row], dtype=np.float32))
    columns = {0, 1}
    for column in columns:
        others = columns - {column}
        worth = 0.0
        for size in range(len(others) + 1):
            weight = factorial(size) * factorial(len(columns) - size - 1) / factorial(len(columns))
            for some in combinations(others, size):
                known = frozenset(some)
                worth += weight * (expected_by_hand(row, known | {column}) - expected_by_hand(row, known))
        assert found[column] == pytest.approx(worth, rel=1e-12)


def test_trees_that_are_but_a_leaf_attribute_nothing() -> None:
    leaf = BY_HAND[: BY_HAND.index("Tree=0")] + "Tree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=8\nis_linear=0\n"
    row = np.zeros((1, 2), dtype=np.float32)
    assert TreeShapley.of(read_trees(leaf, "here")).attributions(row).tolist() == [0.0, 0.0]
    both = f"{BY_HAND[: BY_HAND.index('end of trees')]}{leaf[leaf.index('Tree=0') :]}"
    alone = TreeShapley.of(read_trees(BY_HAND, "here")).attributions(row)
    np.testing.assert_array_equal(TreeShapley.of(read_trees(both, "here")).attributions(row), alone)
    assert alone.all()  # not vacuous
