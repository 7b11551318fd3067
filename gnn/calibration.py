"""From a model's margin to a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    r"""Platt's sigmoid, kept increasing: :math:`p = \sigma(a m + b)` (Platt, 1999).

    Attributes:
        slope: :math:`a > 0`.
        offset: :math:`b`.
        scale: Factor on the probability; below 1 only where unlabelled accounts stood for good ones
            (Elkan and Noto, 2008), then ``1 / share of bad accounts that are labelled``.
    """

    slope: float
    offset: float
    scale: float = 1.0

    def __call__(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of margins, ``float64[n]`` each."""
        probability: NDArray[np.float64] = expit(self.slope * margin + self.offset)
        return np.minimum(self.scale * probability, 1.0)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest."""
        return {"slope": self.slope, "offset": self.offset, "scale": self.scale}


def fit_calibration(
    margin: NDArray[np.float64],
    label: NDArray[Any],
    weight: NDArray[np.float64] | None = None,
    prevalence: float | None = None,
) -> Calibration:
    """Fit the sigmoid on margins that the models gave without having seen the labels.

    Args:
        margin: ``float64[n]``.
        label: ``[n]`` of 0 and 1.
        weight: ``float64[n]``; all 1 if None.
        prevalence: Share of bad accounts on the platform, where the spec declares one; the labelled share
            otherwise. Labelled samples are rarely drawn at random (Elkan, 2001: prior shift).

    Returns:
        The calibration.
    """
    from sklearn.linear_model import LogisticRegression  # here: scoring needs no scikit-learn

    weights = np.ones(len(margin)) if weight is None else weight
    model = LogisticRegression(C=1e6, max_iter=1000).fit(margin.reshape(-1, 1), label, sample_weight=weights)
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0.0:
        # The margins say nothing: the honest probability is the share of bad accounts, the order is kept.
        share = float(np.average(label, weights=weights))
        slope, offset = 1e-6, float(logit(np.clip(share, 1e-6, 1 - 1e-6)))
    if prevalence is not None:
        share = float(np.average(label, weights=weights))
        offset += float(logit(prevalence) - logit(np.clip(share, 1e-6, 1 - 1e-6)))
    return Calibration(slope, offset)
