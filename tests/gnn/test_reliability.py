"""A reliability diagram shows what was promised beside what came true, and how sure that is."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gnn.evaluation import calibration_error
from gnn.reliability import reliability, reliability_svg, wilson_interval


def drawn(n: int = 3000, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores; right ones, unless a power bends them."""
    rng = np.random.default_rng(0)
    chance = rng.beta(0.5, 1.5, n)
    return (rng.random(n) < chance).astype(int), chance**power


@pytest.mark.parametrize(
    ("share", "n", "expected"),
    [
        pytest.param(0.5, 100, (0.4038, 0.5962), id="half-of-a-hundred"),
        pytest.param(0.0, 10, (0.0, 0.2775), id="none-of-ten"),
        pytest.param(1.0, 10, (0.7225, 1.0), id="all-of-ten"),
    ],
)
def test_wilson_interval_by_the_book(share: float, n: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(share, n) == pytest.approx(expected, abs=1e-4)


def test_a_share_of_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="n above 0"):
        wilson_interval(0.5, 0)


def test_bins_count_every_account_once_and_hold_as_many_each() -> None:
    label, score = drawn()
    found = reliability(label, score, bootstraps=5)
    assert sum(one.accounts for one in found.bins) == len(label)
    assert sum(one.bad for one in found.bins) == label.sum()
    assert {one.accounts for one in found.bins} == {200}
    promised = [one.score for one in found.bins]
    assert promised == sorted(promised)


def test_right_scores_keep_their_promise_within_chance() -> None:
    label, score = drawn()
    found = reliability(label, score)
    assert found.error.value == calibration_error(label, score)
    assert found.error.value < 2 * found.by_chance
    inside = [one.low <= one.score <= one.high for one in found.bins]
    assert sum(inside) >= 13  # of 15, each with 95 %


def test_bent_scores_are_found_out() -> None:
    label, score = drawn(power=2.0)
    found = reliability(label, score)
    assert found.error.low > 2 * found.by_chance
    assert found.error.low < found.error.value < found.error.high
    assert sum(one.low <= one.score <= one.high for one in found.bins) < 8


def test_weights_count_as_copies_do() -> None:
    label, score = drawn(600)
    weight = np.where(label == 1, 3.0, 1.0)
    copied = np.repeat(np.arange(600), weight.astype(int))
    weighed = reliability(label, score, weight=weight, bootstraps=0)
    promised = sum(one.share * one.accounts for one in weighed.bins) / 600
    assert promised > label.mean()
    whole = reliability(label[copied], score[copied], bootstraps=0)
    assert weighed.error.value == pytest.approx(whole.error.value, abs=0.02)


def test_few_accounts_have_as_many_bins() -> None:
    found = reliability(np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9]), bootstraps=2)
    assert [one.accounts for one in found.bins] == [1, 1, 1]
    with pytest.raises(ValueError, match="got none"):
        reliability(np.zeros(0), np.zeros(0))


def test_the_drawing_is_an_svg_with_a_point_for_each_bin() -> None:
    label, score = drawn()
    found = reliability(label, score, bootstraps=20)
    drawing = ET.fromstring(reliability_svg(found, "Held out <at signup> & later"))
    name = "{http://www.w3.org/2000/svg}"
    points = drawing.findall(f"{name}circle")
    assert len(points) == len(found.bins)
    last = found.bins[-1]
    assert float(points[-1].attrib["cx"]) == pytest.approx(52 + 360 * last.score, abs=0.1)
    assert float(points[-1].attrib["cy"]) == pytest.approx(52 + 360 * (1 - last.share), abs=0.1)
    assert any(text.text == "Held out <at signup> & later" for text in drawing.iter(f"{name}text"))
