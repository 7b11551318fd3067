"""The gate: its measures of drift and of quality by hand."""

import numpy as np
import pytest

from ringwatch.gate import held_out_quality, likely_change, stability_index


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


def drawn(n: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and scores that tell bad accounts from good ones with some skill."""
    chance = np.random.default_rng(5)
    label = (np.arange(n) % 10 == 0).astype(np.int8)
    return label, skill * label + chance.normal(size=n)


@pytest.mark.parametrize(
    ("n", "old", "new", "is_loss"),
    [
        pytest.param(300, 2.0, 1.9, False, id="few-accounts-and-little-lost"),
        pytest.param(300, 3.0, 0.0, True, id="few-accounts-and-all-lost"),
        pytest.param(20_000, 2.0, 1.7, True, id="many-accounts-and-some-lost"),
        pytest.param(20_000, 2.0, 2.0, False, id="the-same"),
    ],
)
def test_a_change_is_a_loss_only_beyond_chance(n: int, old: float, new: float, is_loss: bool) -> None:
    label, before = drawn(n, old)
    low, high = likely_change(label, before, drawn(n, new)[1])
    assert low <= high
    assert (high < -0.02) == is_loss
