"""The gate: its measure of drift by hand."""

import numpy as np
import pytest

from ringwatch.gate import stability_index


def moved(*shares: tuple[float, float]) -> float:
    return float(sum((new - old) * np.log(new / old) for old, new in shares))


@pytest.mark.parametrize(
    ("new", "calibrated", "expected"),
    [
        pytest.param([0.0] * 90 + [0.7] * 10, True, 0.0, id="the-same"),
        pytest.param([0.005] * 90 + [0.65] * 10, True, 0.0, id="within-the-bands"),
        pytest.param([0.0] * 80 + [0.7] * 20, True, moved((0.9, 0.8), (0.1, 0.2)), id="twice-as-many"),
        # An empty band counts as a share of 0.0001.
        pytest.param([0.0] * 90 + [0.95] * 10, True, moved((0.1, 1e-4), (1e-4, 0.1)), id="another-band"),
        # The two deciles of the old scores are 0 and 0.7; uncalibrated scores only rank.
        pytest.param([0.005] * 90 + [0.7] * 10, False, moved((0.9, 0.9), (0.1, 0.1)), id="by-deciles"),
    ],
)
def test_stability_index_by_hand(new: list[float], calibrated: bool, expected: float) -> None:
    old = np.array([0.0] * 90 + [0.7] * 10)
    assert stability_index(old, np.array(new), calibrated=calibrated) == pytest.approx(expected, abs=1e-9)
