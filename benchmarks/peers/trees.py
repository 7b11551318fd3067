"""Trees as peers: LightGBM on own attributes, XGBGraph and RFGraph on neighbour aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import lightgbm
import numpy as np
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from benchmarks.peers.problem import Part, Scored, class_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

# The first of each list is what the authors' code uses when nothing is searched; the others come from the
# ranges that the paper searches (Tang et al., 2023, appendix). Validation chooses among them.
XGB_SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"n_estimators": 100, "learning_rate": 0.3},
    {"n_estimators": 200, "learning_rate": 0.05, "reg_lambda": 10, "subsample": 0.75},
    {"n_estimators": 100, "learning_rate": 0.1, "reg_lambda": 10, "subsample": 0.5},
)
FOREST_SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"n_estimators": 100},
    {"n_estimators": 200, "criterion": "entropy"},
    {"n_estimators": 200, "max_samples": 0.5},
)
# No paper to follow: LightGBM's defaults, and more care where there is little to learn from.
LIGHTGBM_SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"n_estimators": 100},
    {"n_estimators": 200, "learning_rate": 0.03, "num_leaves": 15, "reg_lambda": 10},
    {"n_estimators": 100, "learning_rate": 0.05, "num_leaves": 6, "reg_lambda": 10},
)


class Model(Protocol):
    """What scikit-learn calls a classifier."""

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit on rows."""
        ...

    def predict_proba(self, x: Any) -> Any:
        """Probabilities ``[n, 2]``."""
        ...


def _xgboost(settings: Mapping[str, Any], seed: int, n_threads: int) -> Model:
    model: Model = xgboost.XGBClassifier(tree_method="hist", random_state=seed, n_jobs=n_threads, **settings)
    return model


def _forest(settings: Mapping[str, Any], seed: int, n_threads: int) -> Model:
    model: Model = RandomForestClassifier(random_state=seed, n_jobs=n_threads, **settings)
    return model


class _LightGBM:
    """LightGBM in scikit-learn's manner, without its complaints about columns that have no names."""

    def __init__(self, settings: Mapping[str, Any], seed: int, n_threads: int) -> None:
        self._model = lightgbm.LGBMClassifier(random_state=seed, n_jobs=n_threads, verbose=-1, **settings)

    def fit(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit on rows."""
        return self._model.fit(x, y, sample_weight=sample_weight)

    def predict_proba(self, x: Any) -> Any:
        """Probabilities ``[n, 2]``."""
        chance = np.asarray(self._model.booster_.predict(x))
        return np.stack([1.0 - chance, chance], axis=1)


def chosen_and_scored(
    make: Callable[[Mapping[str, Any], int, int], Model],
    settings: Sequence[Mapping[str, Any]],
    table: NDArray[np.float32],
    part: Part,
    *,
    seed: int,
    n_threads: int,
) -> Scored:
    """Fit every setting, keep the one of the best average precision on validation, score the test part.

    Args:
        make: Gives a model for settings, seed and threads.
        settings: To choose among.
        table: ``float32[R, F]``.
        part: The division; its test labels are not known here.
        seed: Of the models.
        n_threads: Of the models.

    Returns:
        Scores and what was chosen. Where validation holds one class only, the first settings are taken and
        fitted on all labels that there are.

    Raises:
        OneClass: If all labels say the same.
    """

    def fitted(one: Mapping[str, Any], rows: NDArray[np.int64]) -> Model:
        model = make(one, seed, n_threads)
        label = part.label[rows]
        model.fit(table[rows], label, sample_weight=class_weights(label, part.weight[rows]))
        return model

    rows = part.everything()
    if not part.can_choose or len(settings) == 1:
        model = fitted(settings[0], rows if part.refit or not part.can_choose else part.train)
        return Scored(np.asarray(model.predict_proba(table[part.test])[:, 1], np.float64), {**settings[0]})
    models = [fitted(one, part.train) for one in settings]
    truth, weight = part.label[part.valid], part.weight[part.valid]
    precision = [
        average_precision_score(truth, model.predict_proba(table[part.valid])[:, 1], sample_weight=weight)
        for model in models
    ]
    best = int(np.argmax(precision))
    model = models[best]
    if part.refit:
        model = fitted(settings[best], rows)
    score = np.asarray(model.predict_proba(table[part.test])[:, 1], np.float64)
    return Scored(score, {**settings[best], "validation": round(float(precision[best]), 4)})


def features_only(table: NDArray[np.float32], part: Part, *, seed: int = 0, n_threads: int = 1) -> Scored:
    """LightGBM (Ke et al., 2017) on what an account says of itself.

    Args:
        table: ``float32[R, d]``, without anything of the graph.
        part: The division.
        seed: Of the model.
        n_threads: Of the model.

    Returns:
        Scores and what was chosen.
    """
    return chosen_and_scored(_LightGBM, LIGHTGBM_SETTINGS, table, part, seed=seed, n_threads=n_threads)


def xgb_graph(
    table: NDArray[np.float32],
    part: Part,
    *,
    seed: int = 0,
    n_threads: int = 1,
    settings: Sequence[Mapping[str, Any]] = XGB_SETTINGS,
) -> Scored:
    """XGBGraph (Tang et al., 2023): XGBoost (Chen and Guestrin, 2016) on neighbour aggregates.

    Args:
        table: ``float32[R, F]`` of `benchmarks.peers.aggregates.aggregates`.
        part: The division.
        seed: Of the model.
        n_threads: Of the model.
        settings: To choose among.

    Returns:
        Scores and what was chosen.
    """
    return chosen_and_scored(_xgboost, settings, table, part, seed=seed, n_threads=n_threads)


def rf_graph(
    table: NDArray[np.float32],
    part: Part,
    *,
    seed: int = 0,
    n_threads: int = 1,
    settings: Sequence[Mapping[str, Any]] = FOREST_SETTINGS,
) -> Scored:
    """RFGraph (Tang et al., 2023): a random forest (Breiman, 2001) on neighbour aggregates.

    Args:
        table: ``float32[R, F]`` of `benchmarks.peers.aggregates.aggregates`.
        part: The division.
        seed: Of the model.
        n_threads: Of the model.
        settings: To choose among.

    Returns:
        Scores and what was chosen.
    """
    return chosen_and_scored(_forest, settings, table, part, seed=seed, n_threads=n_threads)
