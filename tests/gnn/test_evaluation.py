"""Metrics on cases small enough to work out by hand."""

import numpy as np
import pytest

from gnn.evaluation import calibration_error, evaluate, recall_at_false_positive_rate, recall_at_k

LABEL = np.array([1, 0, 1, 0, 0])
SCORE = np.array([0.9, 0.8, 0.7, 0.2, 0.1])


def test_rank_metrics_by_hand() -> None:
    figures = evaluate(LABEL, SCORE, bootstraps=0)
    assert figures["average_precision"].value == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert figures["auroc"].value == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        pytest.param(0.0, 0.5, id="no-false-positive"),
        pytest.param(0.4, 1.0, id="one-of-three-allowed"),
        pytest.param(1.0, 1.0, id="all-allowed"),
    ],
)
def test_recall_at_false_positive_rate(rate: float, expected: float) -> None:
    assert recall_at_false_positive_rate(LABEL, SCORE, rate=rate) == expected


def test_recall_at_k_looks_at_as_many_as_are_bad() -> None:
    assert recall_at_k(LABEL, SCORE) == 0.5


def test_calibration_error_is_the_gap_between_promise_and_share() -> None:
    label = np.array([0, 1] * 50)
    assert calibration_error(label, np.full(100, 0.5)) == pytest.approx(0.0, abs=0.1)
    assert calibration_error(label, np.full(100, 0.9)) == pytest.approx(0.4, abs=0.01)


def test_interval_holds_the_value() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    metric = evaluate(label, label + rng.normal(0, 1, 400), bootstraps=50)["auroc"]
    assert metric.low < metric.value < metric.high


def test_one_class_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="both bad and good"):
        evaluate(np.ones(3), SCORE[:3])
