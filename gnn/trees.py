"""Boosted trees on as-of features: the head of a bundle (Ke et al., 2017, LightGBM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from gnn.tree_walk import Trees, read_trees, walk

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The same for every data set; number of rounds and, where it is cheap, shape are chosen on held-out folds.
ROUNDS: Final = (75, 150, 300, 450)
Shape = Literal["wide", "narrow"]
SHAPES: Final[tuple[Shape, ...]] = ("wide", "narrow")
_PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "verbose": -1,
    "deterministic": True,
    "force_row_wise": True,
}
# Hundreds of bad accounts fill deep trees; tens are learned better by shallow ones.
_SHAPE_PARAMETERS: Final[dict[Shape, dict[str, Any]]] = {
    "wide": {"num_leaves": 31, "learning_rate": 0.05},
    "narrow": {"num_leaves": 6, "learning_rate": 0.04},
}
_MIN_LEAF: Final = 40
_MIN_LEAF_SHARE: Final = 0.004


def fit_trees(
    features: NDArray[np.float32],
    label: NDArray[Any],
    weight: NDArray[np.float64],
    *,
    rounds: int = ROUNDS[-1],
    shape: Shape = "wide",
    seed: int = 0,
    n_threads: int = 2,
) -> Trees:
    """Fit boosted trees.

    Args:
        features: ``float32[n, F]``; NaN is a value of its own.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        rounds: Number of trees.
        shape: ``wide`` trees of 31 leaves, or ``narrow`` ones of 6.
        seed: Of the sampling of rows and columns.
        n_threads: The same number gives the same trees, bit by bit.

    Returns:
        The trees, as they score.
    """
    import lightgbm  # here, since only training needs it: it takes seconds to import

    leaf = int(min(_MIN_LEAF, max(5, _MIN_LEAF_SHARE * len(label))))
    parameters = _PARAMETERS | _SHAPE_PARAMETERS[shape]
    parameters |= {"seed": seed, "num_threads": n_threads, "min_child_samples": leaf}
    data = lightgbm.Dataset(features, label.astype(np.float32), weight=weight, free_raw_data=True)
    booster = lightgbm.train(parameters, data, num_boost_round=rounds)
    return read_trees(booster.model_to_string(), "LightGBM's model")


def margins(trees: Trees, features: NDArray[np.float32], rounds: int | None = None) -> NDArray[np.float64]:
    """Raw scores (log odds) of trees: those of LightGBM to the last bit, however many rows are asked at once.

    Args:
        trees: The trees.
        features: ``float32[n, F]``.
        rounds: Only the first so many trees; all if None.

    Returns:
        ``float64[n]``.

    Raises:
        ValueError: If the number of columns is not that of the trees.
    """
    return walk(trees, features, len(trees) if rounds is None else rounds)
