"""Calibration keeps the order, meets the share of bad accounts and a declared prevalence."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from gnn.calibration import Calibration, fit_calibration


def drawn(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 2, n)
    return margin, (rng.random(n) < 1 / (1 + np.exp(-1.5 * margin - 0.5))).astype(int)


def bent(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Margins that are right when low and far too sure of themselves when high."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(-1, 3, n)
    odds = np.where(margin < 0, margin, 0.25 * margin)
    return margin, (rng.random(n) < expit(odds)).astype(int)


@settings(max_examples=20)
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


def test_one_slope_stays_where_two_bring_nothing() -> None:
    fitted = [fit_calibration(*drawn(seed)) for seed in range(5)]
    assert [(one.low, one.high) for one in fitted] == [(1.0, 1.0)] * 5


def test_a_second_slope_comes_in_where_margins_ask_for_it() -> None:
    margin, label = bent(0)
    fitted = fit_calibration(margin, label)
    assert fitted.high < 0.6 * fitted.low
    unseen, truth = bent(1, 40_000)
    plain = Calibration(fitted.slope, fitted.offset)

    def gap(calibration: Calibration, of: np.ndarray) -> float:
        return abs(float(calibration(unseen[of]).mean() - truth[of].mean()))

    for of in (unseen < -4, unseen > 4):
        assert gap(fitted, of) < 0.02
    assert gap(plain, unseen > 4) > 0.05  # not vacuous
    assert (np.diff(fitted(np.sort(unseen))) >= 0).all()


def test_prevalence_moves_two_slopes_too() -> None:
    margin, label = bent(2)
    fitted = fit_calibration(margin, label, prevalence=0.02)
    assert fitted.low != 1.0  # not vacuous
    assert fitted(margin).mean() < 0.3 * label.mean()


def test_parts_that_were_not_fitted_on_decide() -> None:
    """Two folds that bend in opposite ways: dealt by turns, the larger one's bend is taken for a law."""
    (margin, label), (other, told) = bent(3, 6000), bent(4, 2500)
    margins, labels = np.concatenate([margin, -other]), np.concatenate([label, 1 - told])
    part = np.concatenate([np.zeros(len(margin)), np.ones(len(other))])
    assert fit_calibration(margins, labels).low != 1.0
    assert fit_calibration(margins, labels, part=part).low == 1.0


@pytest.mark.parametrize("scale", [1.0, 40.0, 0.01])
def test_the_unit_of_the_margin_is_no_matter(scale: float) -> None:
    margin, label = drawn(5)
    score = fit_calibration(margin, label)(margin)
    np.testing.assert_allclose(fit_calibration(margin * scale, label)(margin * scale), score, atol=2e-4)


def test_a_manifest_gives_the_same_scores_back() -> None:
    margin, label = bent(6)
    fitted = fit_calibration(margin, label, prevalence=0.1)
    again = Calibration(**json.loads(json.dumps(fitted.as_dict())))
    np.testing.assert_array_equal(again(margin), fitted(margin))


def test_a_manifest_of_before_there_were_two_slopes_is_read() -> None:
    old = Calibration(**{"slope": 1.5, "offset": -0.5, "scale": 1.0})
    np.testing.assert_array_equal(old(np.array([0.0, 2.0])), expit(np.array([-0.5, 2.5])))
