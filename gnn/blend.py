"""Blending trees and GraphSAGE: a weight chosen on held-out accounts, nothing where it brings nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnn.sage_gain import LEAST_GAIN, WEIGHTS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Blend:
    """A weighted mean of log odds, those of GraphSAGE brought to the spread of the trees'.

    Attributes:
        weight: Of GraphSAGE, 0 to 0.5.
        centre: Mean of GraphSAGE's log odds on held-out accounts.
        spread: Their standard deviation over that of the trees.
        offset: Mean of the trees' log odds there.
        gain: Average precision gained on held-out accounts by the best weight, also where it is not used.
    """

    weight: float
    centre: float = 0.0
    spread: float = 1.0
    offset: float = 0.0
    gain: float = 0.0

    def __call__(self, trees: NDArray[np.float64], sage: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Blended log odds, ``float64[n]``."""
        if sage is None or self.weight == 0.0:
            return trees
        return _mixed(self, trees, sage, self.weight)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers for a manifest."""
        return {
            "weight": self.weight,
            "centre": self.centre,
            "spread": self.spread,
            "offset": self.offset,
            "gain": self.gain,
        }


def _mixed(
    blend: Blend, trees: NDArray[np.float64], sage: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    level = (sage - blend.centre) / blend.spread + blend.offset
    return (1.0 - weight) * trees + weight * level


def choose_blend(
    label: NDArray[Any],
    trees: NDArray[np.float64],
    sage: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> Blend:
    """Choose the weight of GraphSAGE on held-out accounts.

    Args:
        label: ``[n]`` of 0 and 1.
        trees: ``float64[n]`` log odds of the trees, out of fold.
        sage: ``float64[n]`` log odds of GraphSAGE, out of fold.
        weight: ``float64[n]`` of the accounts.

    Returns:
        The blend; weight 0 where the gain is not worth a second model.
    """
    from sklearn.metrics import average_precision_score  # here: scoring needs no scikit-learn

    spread = float(sage.std() / max(trees.std(), 1e-9))
    frame = Blend(0.0, float(sage.mean()), max(spread, 1e-9), float(trees.mean()))
    precision = [
        float(average_precision_score(label, _mixed(frame, trees, sage, w), sample_weight=weight))
        for w in WEIGHTS
    ]
    best = int(np.argmax(precision))
    gain = precision[best] - precision[0]
    chosen = WEIGHTS[best] if gain >= LEAST_GAIN else 0.0
    return Blend(chosen, frame.centre, frame.spread, frame.offset, gain)
