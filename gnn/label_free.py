"""A platform's first day: no verdicts to learn from, so rarity and alikeness give the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import logit

from gnn.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features import FeatureSpec

# What a newcomer shares and whom it is linked to, that within the hour a little more.
WEIGHTS: Final = {"shared.joint": 1.0, "link.sum": 1.0, "shared.within_1h": 0.25, "link.within_1h": 0.25}
# Without a declared prevalence: a share that analysts of sign-up fraud call usual; it only sets the level.
_USUAL_PREVALENCE: Final = 0.05


def label_free_margin(specs: Sequence[FeatureSpec], columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much of what an account shares is rare, close in time and alike.

    Args:
        specs: The columns, in order.
        columns: ``float32[Q, F]`` of `gnn.inputs.inputs`.

    Returns:
        ``float64[Q]``; greater is more suspicious. It is the logarithm of the sum over an account's links.
    """
    places = {spec.name: place for place, spec in enumerate(specs)}
    margin = np.zeros(len(columns))
    for name, weight in WEIGHTS.items():
        margin += weight * np.nan_to_num(columns[:, places[name]].astype(np.float64))
    return margin


def label_free_calibration(margin: NDArray[np.float64], prevalence: float | None) -> Calibration:
    """Put margins on a scale from 0 to 1 whose level is the declared prevalence; it is no probability.

    Args:
        margin: ``float64[A]`` of all accounts.
        prevalence: Declared share of bad accounts, or None.

    Returns:
        An increasing map; the account at the quantile of the prevalence gets 0.5.
    """
    share = _USUAL_PREVALENCE if prevalence is None else prevalence
    middle = float(np.quantile(margin, 1.0 - share)) if len(margin) else 0.0
    spread = float(margin.std()) if len(margin) else 1.0
    slope = 1.7 / max(spread, 1e-3)
    return Calibration(slope, float(logit(0.5)) - slope * middle)
