"""Calibration keeps the order, meets the share of bad accounts and a declared prevalence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnn.calibration import fit_calibration


def drawn(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 2, n)
    return margin, (rng.random(n) < 1 / (1 + np.exp(-1.5 * margin - 0.5))).astype(int)


@given(seed=st.integers(0, 1000))
def test_scores_keep_the_order_of_margins(seed: int) -> None:
    margin, label = drawn(seed, 300)
    score = fit_calibration(margin, label)(np.sort(margin))
    assert (np.diff(score) >= 0).all()
    assert ((score >= 0) & (score <= 1)).all()


def test_mean_score_is_the_share_of_bad_accounts() -> None:
    margin, label = drawn(1)
    fitted = fit_calibration(margin, label)
    assert abs(fitted(margin).mean() - label.mean()) < 0.005
    assert abs(fitted.slope - 1.5) < 0.2  # the slope that drew the labels


def test_declared_prevalence_moves_the_level() -> None:
    margin, label = drawn(2)
    rare = fit_calibration(margin, label, prevalence=0.01)(margin)
    assert rare.mean() < 0.3 * label.mean()


def test_margins_that_mislead_give_the_share() -> None:
    margin, label = drawn(3)
    score = fit_calibration(-margin, label)(-margin)
    np.testing.assert_allclose(score, label.mean(), atol=0.01)
