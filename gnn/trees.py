"""Trees on as-of features: the head of a bundle. LightGBM (Ke et al., 2017) by default, others by choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gnn.tree_models import MODELS, SHAPES, Grower, Growing, Model, Shape, TreesError, check_model, grow
from gnn.tree_text import mix
from gnn.tree_walk import Trees, read_trees, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "MODELS",
    "ROUNDS",
    "SHAPES",
    "GrowingTrees",
    "Model",
    "Shape",
    "Trees",
    "TreesError",
    "check_model",
    "fit_trees",
    "margins",
    "mixed",
]

# The same for every data set; number of rounds and, where it is cheap, shape are chosen on held-out folds.
ROUNDS: Final = (40, 75, 150, 300, 450)


def fit_trees(
    features: NDArray[np.float32],
    label: NDArray[Any],
    weight: NDArray[np.float64],
    *,
    rounds: int = ROUNDS[-1],
    shape: Shape = "wide",
    seed: int = 0,
    n_threads: int = 2,
    model: Model = "lightgbm",
) -> Trees:
    """Fit trees.

    Args:
        features: ``float32[n, F]``; NaN is a value of its own.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        rounds: Number of trees; a forest has at most 150.
        shape: ``wide`` trees of 6 levels, or ``narrow`` ones of 6 leaves; forests end at 3 rows, or at 10.
        seed: Of the sampling of rows and columns.
        n_threads: The same number gives the same trees, bit by bit.
        model: ``lightgbm``, ``xgboost``, ``extra_trees`` or ``random_forest``.

    Returns:
        The trees, as they score.

    Raises:
        TreesError: If there is no such model, or its library is not installed.
    """
    how = Growing(features, label, weight, rounds, shape, seed, n_threads)
    return read_trees(grow(model, how), f"the text of {model}")


class GrowingTrees:
    """Trees of which more may be wanted once the first ones have been judged.

    Args:
        features: ``float32[n, F]``; NaN is a value of its own.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        shape: See `fit_trees`.
        seed: Of the sampling of rows and columns.
        n_threads: The same number gives the same trees, bit by bit.
        model: ``lightgbm``, ``xgboost``, ``extra_trees`` or ``random_forest``.

    Raises:
        TreesError: If there is no such model, or its library is not installed.
    """

    def __init__(
        self,
        features: NDArray[np.float32],
        label: NDArray[Any],
        weight: NDArray[np.float64],
        *,
        shape: Shape = "wide",
        seed: int = 0,
        n_threads: int = 2,
        model: Model = "lightgbm",
    ) -> None:
        self._model = model
        self._grower = Grower(model, Growing(features, label, weight, ROUNDS[-1], shape, seed, n_threads))

    def upto(self, rounds: int) -> Trees:
        """Grow on.

        Args:
            rounds: At least so many trees; at most the last of ``ROUNDS``.

        Returns:
            All trees so far: those of `fit_trees`.
        """
        return read_trees(self._grower.grow(rounds), f"the text of {self._model}")


def margins(trees: Trees, features: NDArray[np.float32], rounds: int | None = None) -> NDArray[np.float64]:
    """What trees say of rows, one by one, however many rows are asked at once.

    Log odds of boosted trees: LightGBM's own to the last bit, XGBoost's but for the rounding of its sums
    (5e-6 over 60 trees). Of a forest, the mean log odds of its leaves.

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


def mixed(parts: Sequence[tuple[Trees, float]], n_features: int | None = None) -> Trees:
    """Several models as one, walked, explained and kept as any other.

    Args:
        parts: Models of the same columns, each with what its margin is multiplied by.
        n_features: Columns that the model is asked with, those of the parts first; theirs if None.

    Returns:
        A model whose margin is the sum of theirs, each times its factor; its parts stand one after another:
        its first trees are no smaller model of the same sort.

    Raises:
        ValueError: If there are no models, or if they are of other columns.
    """
    return read_trees(mix(parts, n_features), "mixed models")
