"""The gate: its measures of drift and of quality by hand."""

import numpy as np
import pytest

from ringwatch.gate import held_out_quality, stability_index


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


def test_bundles_are_compared_on_accounts_that_both_held_out() -> None:
    label = np.array([1] * 10 + [0] * 10 + [-1], np.int8)
    # The new one ranks five good accounts above all bad ones.
    old = np.array([0.9] * 10 + [0.1] * 10 + [0.5])
    new = np.array([0.9] * 10 + [0.95] * 5 + [0.1] * 5 + [0.5])
    found = held_out_quality(label, old, new)
    assert found is not None
    assert found == (20, 1.0, 10 / 15)
    # Good accounts that only one of them held out make its task easier or harder, and count for neither.
    more = np.append(label, np.zeros(100, np.int8))
    for one, other in ((0.0, np.nan), (np.nan, 0.99)):
        grown = held_out_quality(more, np.append(old, [one] * 100), np.append(new, [other] * 100))
        assert grown == found
    assert held_out_quality(label[1:], old[1:], new[1:]) is None
