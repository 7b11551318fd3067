"""The compiled walk gives what LightGBM gives, to the last bit, for one row as for many."""

from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from gnn import BundleError
from gnn.tree_walk import Trees, read_trees
from gnn.trees import SHAPES, Shape, fit_trees, margins

N_ROWS = 3000
N_COLUMNS = 24
# LightGBM tells nothing nearer to zero than 1e-35 from zero.
TINY = (0.0, -0.0, 1e-35, -1e-35, 2e-35, -2e-35, 1e-40, -1e-40)


def table(rng: np.random.Generator, n_rows: int = N_ROWS) -> NDArray[np.float32]:
    """Numbers, counts and flags; missing values, zeros and what is nearly zero."""
    values = rng.normal(size=(n_rows, N_COLUMNS))
    values[:, ::3] = rng.poisson(1.0, size=values[:, ::3].shape)
    values[rng.random(values.shape) < 0.15] = np.nan
    near_zero = rng.random(values.shape) < 0.05
    values[near_zero] = rng.choice(TINY, size=int(near_zero.sum()))
    values[:, 1] = rng.choice(TINY, size=n_rows)
    values[0, :6] = (np.inf, -np.inf, 3e38, -3e38, np.nan, 0.0)
    return values.astype(np.float32)


def labels(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_]:
    told = np.nan_to_num(values[:, :6], nan=0.7, posinf=1.0, neginf=-1.0).clip(-3, 3).sum(axis=1)
    found: NDArray[np.bool_] = told + (values[:, 1] > 0) + rng.normal(size=len(values)) > 1.5
    return found


def booster_of(trees: Trees) -> lightgbm.Booster:
    return lightgbm.Booster(model_str=trees.text)


def fitted(shape: Shape) -> tuple[Trees, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    values = table(rng)
    trees = fit_trees(values, labels(values, rng), np.ones(N_ROWS), rounds=60, shape=shape, n_threads=1)
    return trees, table(rng)


@pytest.mark.parametrize("shape", SHAPES)
def test_margins_are_those_of_lightgbm_bit_by_bit(shape: Shape) -> None:
    trees, unseen = fitted(shape)
    expected = booster_of(trees).predict(unseen, raw_score=True)
    np.testing.assert_array_equal(margins(trees, unseen), expected)
    np.testing.assert_array_equal(
        margins(trees, unseen, 25), booster_of(trees).predict(unseen, raw_score=True, num_iteration=25)
    )
    assert len(np.unique(expected)) > 500  # not vacuous


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 1000])
def test_a_row_scores_the_same_alone_and_among_others(size: int) -> None:
    trees, unseen = fitted("wide")
    together = margins(trees, unseen)
    np.testing.assert_array_equal(margins(trees, unseen[100 : 100 + size]), together[100 : 100 + size])
    alone = np.array([margins(trees, unseen[row : row + 1])[0] for row in range(50)])
    np.testing.assert_array_equal(alone, together[:50])


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"use_missing": False}, id="nothing-is-missing"),
        pytest.param({"zero_as_missing": True}, id="zero-is-missing"),
        pytest.param({}, id="nan-is-missing"),
        pytest.param({"min_gain_to_split": 1e9}, id="leaves-only"),
    ],
)
def test_every_meaning_of_missing_is_followed(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    values = table(rng)
    if not options.get("use_missing", True):
        values = np.nan_to_num(values, posinf=9.0, neginf=-9.0)
    told = labels(values, rng).astype(np.float32)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1, **options},
        lightgbm.Dataset(values, told),
        num_boost_round=30,
    )
    unseen = table(rng)
    trees = read_trees(booster.model_to_string(), "here")
    np.testing.assert_array_equal(margins(trees, unseen), booster.predict(unseen, raw_score=True))


def test_splits_on_categories_are_refused() -> None:
    rng = np.random.default_rng(7)
    values = rng.integers(0, 9, size=(N_ROWS, 2)).astype(np.float32)
    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1},
        lightgbm.Dataset(values, np.isin(values[:, 0], (1, 4, 6)), categorical_feature=[0]),
        num_boost_round=2,
    )
    with pytest.raises(BundleError, match=r"trees\.txt: tree 0 splits on categories"):
        read_trees(booster.model_to_string(), "trees.txt")


@pytest.mark.parametrize(
    ("field", "broken"),
    [
        pytest.param("left_child", "left_child=0 0", id="a-walk-in-circles"),
        pytest.param("split_feature", "split_feature=9999", id="a-column-that-is-not-there"),
        pytest.param("leaf_value", "leaf_value=nonsense", id="no-numbers"),
        pytest.param("leaf_count", "", id="a-field-is-gone"),
    ],
)
def test_damaged_trees_are_refused(field: str, broken: str) -> None:
    text = fitted("narrow")[0].text
    line = next(line for line in text.splitlines() if line.startswith(f"{field}="))
    with pytest.raises(BundleError, match=r"trees\.txt: damaged"):
        read_trees(text.replace(line, broken, 1), "trees.txt")


def test_rows_of_another_width_are_refused() -> None:
    trees, unseen = fitted("narrow")
    with pytest.raises(ValueError, match=f"fitted on {N_COLUMNS} columns"):
        margins(trees, unseen[:, 1:])
