"""How good scores are: rank metrics with bootstrap intervals, calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_BOOTSTRAPS: Final = 60
_BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest."""
        return {"value": self.value, "low": self.low, "high": self.high}


def calibration_error(
    label: NDArray[Any], score: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> float:
    r"""Expected calibration error over equally filled bins (Naeini et al., 2015).

    .. math:: \sum_b \frac{w_b}{w} \left| \bar y_b - \bar s_b \right|

    Args:
        label: ``[n]`` of 0 and 1.
        score: ``float64[n]`` probabilities.
        weight: ``float64[n]``; all 1 if None.

    Returns:
        Error in [0, 1].
    """
    order = np.argsort(score, kind="stable")
    weights = np.ones(len(score)) if weight is None else weight
    total = 0.0
    for rows in np.array_split(order, min(_BINS, len(order))):
        mass = weights[rows].sum()
        if mass > 0:
            gap = np.average(label[rows], weights=weights[rows]) - np.average(
                score[rows], weights=weights[rows]
            )
            total += mass * abs(gap)
    return float(total / weights.sum())


def recall_at_false_positive_rate(
    label: NDArray[Any],
    score: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
    rate: float = 0.01,
) -> float:
    """Share of bad accounts found at the threshold that flags at most ``rate`` of the good ones.

    Args:
        label: ``[n]`` of 0 and 1.
        score: ``float64[n]``, higher is worse.
        weight: ``float64[n]``; all 1 if None.
        rate: False positive rate allowed.

    Returns:
        Recall in [0, 1].
    """
    weights = np.ones(len(score)) if weight is None else weight
    good = label == 0
    order = np.argsort(-score[good], kind="stable")
    mass = np.cumsum(weights[good][order]) / weights[good].sum()
    allowed = int(np.searchsorted(mass, rate, side="right"))
    threshold = score[good][order][allowed] if allowed < len(order) else -np.inf
    bad = ~good
    return float(weights[bad][score[bad] > threshold].sum() / weights[bad].sum())


def recall_at_k(
    label: NDArray[Any], score: NDArray[np.float64], weight: NDArray[np.float64] | None = None
) -> float:
    """Share of bad accounts among the first K scores, K being the number of bad accounts.

    Args:
        label: ``[n]`` of 0 and 1.
        score: ``float64[n]``, higher is worse.
        weight: Not used: K counts accounts.

    Returns:
        Recall in [0, 1].
    """
    del weight
    k = int((label == 1).sum())
    first = np.argsort(-score, kind="stable")[:k]
    return float((label[first] == 1).mean())


_METRICS: Final[dict[str, Callable[..., float]]] = {
    "average_precision": lambda y, s, w: float(average_precision_score(y, s, sample_weight=w)),
    "auroc": lambda y, s, w: float(roc_auc_score(y, s, sample_weight=w)),
    "recall_at_1pct_fpr": recall_at_false_positive_rate,
    "recall_at_k": recall_at_k,
}


def evaluate(
    label: NDArray[Any],
    score: NDArray[np.float64],
    *,
    weight: NDArray[np.float64] | None = None,
    seed: int = 0,
    bootstraps: int = _BOOTSTRAPS,
    metrics: Sequence[str] | None = None,
) -> dict[str, Metric]:
    """Rank metrics with bootstrap intervals over accounts.

    Args:
        label: ``[n]`` of 0 and 1, both present.
        score: ``float64[n]``, higher is worse.
        weight: ``float64[n]``; all 1 if None.
        seed: Of the resampling.
        bootstraps: Number of resamples.
        metrics: Names of those wanted; all if None.

    Returns:
        ``average_precision``, ``auroc``, ``recall_at_1pct_fpr`` and ``recall_at_k``.

    Raises:
        ValueError: If one class is missing.
    """
    if len(np.unique(label)) != 2:
        message = f"both bad and good accounts are needed to judge scores, got labels {np.unique(label)}"
        raise ValueError(message)
    rng = np.random.default_rng(seed)
    weights = np.ones(len(label)) if weight is None else weight
    wanted = {name: _METRICS[name] for name in (_METRICS if metrics is None else metrics)}
    drawn: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(bootstraps):
        rows = rng.integers(0, len(label), len(label))
        if len(np.unique(label[rows])) == 2:
            for name, metric in wanted.items():
                drawn[name].append(metric(label[rows], score[rows], weights[rows]))
    return {
        name: Metric(metric(label, score, weights), *_interval(drawn[name]))
        for name, metric in wanted.items()
    }


def _interval(drawn: list[float]) -> tuple[float, float]:
    if not drawn:
        return float("nan"), float("nan")
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
