"""Growing trees: LightGBM, XGBoost and scikit-learn's forests, all ending as the same text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from scipy.special import logit

from gnn.tree_text import GrownTree, write_trees
from graph_etl.errors import RingwatchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Model = Literal["lightgbm", "xgboost", "extra_trees", "random_forest"]
MODELS: Final[tuple[Model, ...]] = ("lightgbm", "xgboost", "extra_trees", "random_forest")
Shape = Literal["wide", "narrow"]
SHAPES: Final[tuple[Shape, ...]] = ("wide", "narrow")

_LIGHTGBM: Final[dict[str, Any]] = {
    "objective": "binary",
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    # As good as 255 on all sets tried, at two thirds of the time.
    "max_bin": 63,
    "verbose": -1,
    "deterministic": True,
    # By rows gives the same trees, a third slower on one thread with hundreds of columns.
    "force_col_wise": True,
}
_XGBOOST: Final[dict[str, Any]] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "colsample_bytree": 0.3,
    "subsample": 0.8,
    "lambda": 5.0,
    "verbosity": 0,
}
# Hundreds of bad accounts fill deep trees; tens are learned better by shallow ones. Whole levels, since trees
# grown leaf by leaf chase single rings: on unseen rings of hop_sybil average precision rose by .005.
_LEAVES: Final[dict[Shape, int]] = {"wide": 63, "narrow": 6}
_DEPTH: Final[dict[Shape, int]] = {"wide": 6, "narrow": 5}
_LEARNING_RATE: Final[dict[Shape, float]] = {"wide": 0.05, "narrow": 0.04}
_MIN_LEAF: Final = 40
_MIN_LEAF_SHARE: Final = 0.004
# A leaf is bounded by its weight, so that no large ring can be one: this share of what as many rows have at
# the start, whose Hessians are p (1 - p). A quarter as many rows may then fill it.
_LEAST_WEIGHT: Final = 0.6
# A forest's trees see as many columns at a split as the square root of all, and may end at so few rows; more
# trees than these add size to a bundle and nothing else.
_FOREST_TREES: Final = 150
_FOREST_LEAF: Final[dict[Shape, int]] = {"wide": 3, "narrow": 10}


class TreesError(RingwatchError):
    """Trees that cannot be grown here."""


@dataclass(frozen=True, slots=True)
class Growing:
    """What trees are grown on, and how.

    Attributes:
        features: ``float32[n, F]``; NaN is a value of its own.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``.
        rounds: Number of trees; a forest has at most 150.
        shape: ``wide`` trees of 6 levels, or ``narrow`` ones of 6 leaves; forests end at 3 rows, or at 10.
        seed: Of the sampling of rows and columns.
        n_threads: The same number gives the same trees, bit by bit.
    """

    features: NDArray[np.float32]
    label: NDArray[Any]
    weight: NDArray[np.float64]
    rounds: int
    shape: Shape
    seed: int
    n_threads: int

    @property
    def share(self) -> float:
        """Weighted share of bad accounts, never 0 or 1."""
        return float(np.clip(np.average(self.label, weights=self.weight), 1e-6, 1 - 1e-6))

    @property
    def _full_leaf(self) -> float:
        return min(_MIN_LEAF, max(5, _MIN_LEAF_SHARE * len(self.label)))

    @property
    def least_rows(self) -> int:
        """Rows that a leaf of boosted trees has at least."""
        return max(5, int(self._full_leaf / 4))

    @property
    def least_hessian(self) -> float:
        """Sum of Hessians, the weights included, that a leaf of boosted trees has at least."""
        return _LEAST_WEIGHT * self._full_leaf * self.share * (1.0 - self.share)


def check_model(model: str) -> None:
    """Refuse a model that cannot be grown here, before any work is done.

    Args:
        model: Its name.

    Raises:
        TreesError: If there is no such model, or its library is not installed.
    """
    if model not in MODELS:
        message = f"no model '{model}'; there are: {', '.join(MODELS)}"
        raise TreesError(message)
    if model == "xgboost":
        _xgboost()


def grow(model: Model, how: Growing) -> str:
    """Grow trees.

    Args:
        model: Which library's.
        how: On what, and how.

    Returns:
        Their text, for `gnn.tree_walk.read_trees`.

    Raises:
        TreesError: If there is no such model, or its library is not installed.
    """
    check_model(model)
    if model == "lightgbm":
        return _grow_lightgbm(how)
    if model == "xgboost":
        return _grow_xgboost(how)
    return _grow_forest(model, how)


class Grower:
    """Trees that grow on: with LightGBM further rounds cost no more than if they had been asked for at once.

    Args:
        model: Which library's.
        how: On what, and how; its ``rounds`` are the most that will be asked for.

    Raises:
        TreesError: If there is no such model, or its library is not installed.
    """

    def __init__(self, model: Model, how: Growing) -> None:
        check_model(model)
        self._booster: Any = _lightgbm_booster(how) if model == "lightgbm" else None
        # The others grow all at once: their first trees are those of a smaller model.
        self._text = "" if model == "lightgbm" else grow(model, how)
        self._rounds = 0

    def grow(self, rounds: int) -> str:
        """Grow on.

        Args:
            rounds: At least so many trees.

        Returns:
            The text of all trees so far, to the byte that of a model grown at once.
        """
        if self._booster is not None:
            while self._rounds < rounds:
                self._booster.update()
                self._rounds += 1
            self._text = self._booster.model_to_string()
        return self._text


def _grow_lightgbm(how: Growing) -> str:
    booster = _lightgbm_booster(how)
    for _ in range(how.rounds):
        booster.update()
    text: str = booster.model_to_string()
    return text


def _lightgbm_booster(how: Growing) -> Any:
    """LightGBM before its first tree."""
    import lightgbm  # here, since only training needs it: it takes seconds to import

    parameters = _LIGHTGBM | {
        "num_leaves": _LEAVES[how.shape],
        "max_depth": _DEPTH[how.shape],
        "learning_rate": _LEARNING_RATE[how.shape],
        "min_child_samples": how.least_rows,
        "min_sum_hessian_in_leaf": how.least_hessian,
        "seed": how.seed,
        "num_threads": how.n_threads,
    }
    label = how.label.astype(np.float32)
    data = lightgbm.Dataset(how.features, label, weight=how.weight, params=parameters, free_raw_data=True)
    return lightgbm.Booster(parameters, data)


def _grow_xgboost(how: Growing) -> str:
    """XGBoost (Chen and Guestrin, 2016); its base margin goes into the first tree's leaves.

    It sums in single precision, the walk in double: margins differ by the rounding of XGBoost's sum alone.
    """
    xgboost = _xgboost()
    parameters = _XGBOOST | {
        "base_score": how.share,
        "grow_policy": "depthwise" if how.shape == "wide" else "lossguide",
        "max_leaves": 0 if how.shape == "wide" else _LEAVES[how.shape],
        "max_depth": _DEPTH[how.shape],
        "eta": _LEARNING_RATE[how.shape],
        "min_child_weight": how.least_hessian,
        "seed": how.seed,
        "nthread": how.n_threads,
    }
    data = xgboost.QuantileDMatrix(
        _finite(how.features), how.label.astype(np.float32), weight=how.weight, nthread=how.n_threads
    )
    booster = xgboost.train(parameters, data, num_boost_round=how.rounds)
    return xgboost_text(booster, how.share)


def xgboost_text(booster: Any, base_score: float) -> str:
    """The text of an XGBoost model with one tree a round.

    Args:
        booster: ``xgboost.Booster``.
        base_score: Probability that it starts from.

    Returns:
        The text.
    """
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    base = np.float32(base_score)
    start = float(-np.log(np.float32(1.0) / base - np.float32(1.0)))
    trees = []
    for number, tree in enumerate(learner["gradient_booster"]["model"]["trees"]):
        # At a leaf the condition is its value.
        condition = np.array(tree["split_conditions"], dtype=np.float32)
        trees.append(
            GrownTree(
                left=np.array(tree["left_children"], dtype=np.int64),
                right=np.array(tree["right_children"], dtype=np.int64),
                feature=np.array(tree["split_indices"], dtype=np.int64),
                # XGBoost asks `<`, the walk `<=`.
                threshold=np.nextafter(condition, np.float32(-np.inf)).astype(np.float64),
                nan_left=np.array(tree["default_left"], dtype=np.bool_),
                value=condition.astype(np.float64) + (start if number == 0 else 0.0),
                weight=np.array(tree["sum_hessian"], dtype=np.float32).astype(np.float64),
            )
        )
    width = int(learner["learner_model_param"]["num_feature"])
    return write_trees(trees, model="xgboost", n_features=width, averaged=False)


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError:
        message = "XGBoost is not installed; pip install 'ringwatch[xgboost]', or choose another model"
        raise TreesError(message) from None
    return xgboost


def _grow_forest(model: Literal["extra_trees", "random_forest"], how: Growing) -> str:
    """Extremely randomised trees (Geurts et al., 2006) or a random forest (Breiman, 2001)."""
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = ExtraTreesClassifier if model == "extra_trees" else RandomForestClassifier
    forest = kind(
        n_estimators=min(how.rounds, _FOREST_TREES),
        max_features="sqrt",
        min_samples_leaf=_FOREST_LEAF[how.shape],
        n_jobs=how.n_threads,
        random_state=how.seed,
    ).fit(_finite(how.features), how.label, sample_weight=how.weight)
    return forest_text(forest, model, how.share)


def forest_text(forest: Any, model: Model, share: float) -> str:
    r"""The text of a forest: the margin is the mean over trees of a leaf's log odds.

    A sum over trees, so that attributions add up to it, in the unit of boosted trees, so that it blends and
    is calibrated as they are. A leaf's share of bad accounts is shrunken towards that of all by one account's
    weight (Provost and Domingos, 2003), since most leaves are pure:

    .. math:: v = \operatorname{logit} \frac{w p + q}{w + 1}

    With complete verdicts it ranked as the mean of shares does or a little better, and beta calibration left
    half the calibration error of that.

    Args:
        forest: A fitted classifier of scikit-learn with ``estimators_`` and the classes 0 and 1.
        model: Its name.
        share: Weighted share of bad accounts in training, :math:`q`.

    Returns:
        The text.
    """
    q = float(np.clip(share, 1e-6, 1.0 - 1e-6))
    trees = []
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        weight = tree.weighted_n_node_samples.astype(np.float64)
        trees.append(
            GrownTree(
                left=tree.children_left.astype(np.int64),
                right=tree.children_right.astype(np.int64),
                feature=tree.feature.astype(np.int64),
                threshold=tree.threshold.astype(np.float64),
                nan_left=tree.missing_go_to_left.astype(np.bool_),
                value=logit((weight * tree.value[:, 0, 1] + q) / (weight + 1.0)),
                weight=weight,
            )
        )
    return write_trees(trees, model=model, n_features=int(forest.n_features_in_), averaged=True)


def _finite(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Infinities as the largest numbers, which no split tells from them: two of the libraries refuse them."""
    most = np.finfo(np.float32).max
    return np.clip(features, -most, most)  # NaN stays NaN
