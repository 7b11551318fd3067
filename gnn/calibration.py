"""From a model's margin to a probability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import expit, log_expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Parts of the cross-fit that decides between one slope and two, where no fold table is given.
_PARTS: Final = 5
# Two slopes must lower the held-out log loss by so many standard errors of the difference.
_SURE: Final = 1.0
_LEAST_SLOPE: Final = 1e-3
# With fewer accounts a standard error is no measure.
_LEAST_JUDGED: Final = 100


@dataclass(frozen=True, slots=True)
class Calibration:
    r"""Platt's sigmoid, kept increasing: :math:`p = \sigma(z)` with :math:`z = a m + b` (Platt, 1999).

    Where held-out margins ask for it, beta calibration on top of it (Kull et al., 2017), whose slopes for low
    margins and for high ones differ, with :math:`s = \sigma(z)`:

    .. math:: p = \sigma\bigl(l \ln s - h \ln (1 - s) + c\bigr)

    Attributes:
        slope: :math:`a > 0`.
        offset: :math:`b`.
        scale: Factor on the probability; below 1 only where unlabelled accounts stood for good ones
            (Elkan and Noto, 2008), then ``1 / share of bad accounts that are labelled``.
        low: :math:`l > 0`; 1 for Platt's sigmoid alone.
        high: :math:`h > 0`; likewise.
        shift: :math:`c`; 0 likewise.
    """

    slope: float
    offset: float
    scale: float = 1.0
    low: float = 1.0
    high: float = 1.0
    shift: float = 0.0

    def __call__(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of margins, ``float64[n]`` each."""
        odds = self.slope * margin + self.offset
        if self.low != 1.0 or self.high != 1.0:
            odds = self.low * log_expit(odds) - self.high * log_expit(-odds)
        probability: NDArray[np.float64] = expit(odds + self.shift if self.shift else odds)
        return np.minimum(self.scale * probability, 1.0)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest; those of older bundles have only the first three."""
        return {
            "slope": self.slope,
            "offset": self.offset,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
            "shift": self.shift,
        }


def fit_calibration(
    margin: NDArray[np.float64],
    label: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
    prevalence: float | None = None,
    part: NDArray[Any] | None = None,
) -> Calibration:
    """Fit the sigmoid on margins that the models gave without having seen the labels.

    A second slope comes in only where it lowers the log loss of accounts that it was not fitted on.

    Args:
        margin: ``float64[n]``.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``; all 1 if None.
        prevalence: Share of bad accounts on the platform, where the spec declares one; the labelled share
            otherwise. Labelled samples are rarely drawn at random (Elkan, 2001: prior shift).
        part: ``[n]`` fold of each account, so that the choice is made on rings that the fit did not see;
            dealt by turns if None.

    Returns:
        The calibration.
    """
    weights = np.ones(len(margin)) if weight is None else weight
    parts = np.arange(len(margin)) % _PARTS if part is None else np.asarray(part)
    fitted = _platt(margin, label, weights)
    if _two_slopes_win(margin, label, weights, parts):
        fitted = _beta(fitted, margin, label, weights)
    if prevalence is None:
        return fitted
    share = float(np.average(label, weights=weights))
    by = float(logit(prevalence) - logit(np.clip(share, 1e-6, 1 - 1e-6)))
    return replace(fitted, shift=fitted.shift + by)


def _platt(margin: NDArray[np.float64], label: NDArray[Any], weight: NDArray[np.float64]) -> Calibration:
    from sklearn.linear_model import LogisticRegression  # here: scoring needs no scikit-learn

    # In units of its own spread: the penalty then weighs the same on log odds and on a forest's shares.
    spread = max(float(margin.std()), 1e-12)
    model = LogisticRegression(C=1e6, max_iter=1000)
    model.fit((margin / spread).reshape(-1, 1), label, sample_weight=weight)
    slope, offset = float(model.coef_[0, 0]) / spread, float(model.intercept_[0])
    if slope > 0.0:
        return Calibration(slope, offset)
    # The margins say nothing: the honest probability is the share of bad accounts, the order is kept.
    share = float(np.average(label, weights=weight))
    return Calibration(1e-6, float(logit(np.clip(share, 1e-6, 1 - 1e-6))))


def _beta(
    platt: Calibration, margin: NDArray[np.float64], label: NDArray[Any], weight: NDArray[np.float64]
) -> Calibration:
    """Two slopes by maximum likelihood, on top of Platt's sigmoid; convex, so any start leads there."""
    from scipy.optimize import minimize  # here: scoring does not fit

    odds = platt.slope * margin + platt.offset
    inputs = np.column_stack([log_expit(odds), -log_expit(-odds), np.ones(len(odds))])
    bad = label == 1
    share = weight / weight.sum()

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = inputs @ at
        value = -float(share @ np.where(bad, log_expit(z), log_expit(-z)))
        return value, inputs.T @ (share * (expit(z) - bad))

    bounds = [(_LEAST_SLOPE, None), (_LEAST_SLOPE, None), (None, None)]
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    low, high, shift = (float(one) for one in found.x)
    return Calibration(platt.slope, platt.offset, low=low, high=high, shift=shift)


def _two_slopes_win(
    margin: NDArray[np.float64], label: NDArray[Any], weight: NDArray[np.float64], part: NDArray[Any]
) -> bool:
    """Whether beta calibration has a surely lower log loss on parts that it was not fitted on."""
    gain = np.full(len(margin), np.nan)
    for one in np.unique(part):
        rest, held = part != one, part == one
        if len(np.unique(label[rest])) < 2:
            continue
        platt = _platt(margin[rest], label[rest], weight[rest])
        beta = _beta(platt, margin[rest], label[rest], weight[rest])
        gain[held] = _log_loss(platt(margin[held]), label[held]) - _log_loss(beta(margin[held]), label[held])
    judged = ~np.isnan(gain)
    if judged.sum() < _LEAST_JUDGED:
        return False
    share = weight[judged] / weight[judged].sum()
    mean = float(share @ gain[judged])
    error = float(np.sqrt(np.sum((share * (gain[judged] - mean)) ** 2)))
    return mean > _SURE * error


def _log_loss(score: NDArray[np.float64], label: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = -np.log(np.clip(np.where(label == 1, score, 1.0 - score), 1e-12, 1.0))
    return found
