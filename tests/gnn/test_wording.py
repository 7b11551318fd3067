"""Scores in words: no score is told as certainty, and two that differ are told apart."""

import pytest

from gnn.wording import change_in_words, score_in_words


@pytest.mark.parametrize(
    ("score", "words"),
    [
        pytest.param(0.93, "0.93", id="plain"),
        pytest.param(0.99, "0.99", id="two-digits-suffice"),
        pytest.param(0.9982, "0.998", id="near-1"),
        pytest.param(0.99989, "0.9999", id="last-that-has-digits"),
        pytest.param(0.99996, "over 0.9999", id="beyond"),
        pytest.param(1.0, "over 0.9999", id="certain"),
        pytest.param(0.004, "0.004", id="near-0"),
        pytest.param(0.00004, "under 0.0001", id="below"),
    ],
)
def test_a_score_has_the_digits_that_tell_it_from_certainty(score: float, words: str) -> None:
    assert score_in_words(score) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(0.93, 0.31, "0.93 → 0.31", id="plain"),
        pytest.param(0.93, 0.926, "0.930 → 0.926", id="third-digit"),
        pytest.param(0.93, 0.9302, "still 0.93", id="same-to-three-digits"),
        pytest.param(0.9999999, 0.9982, "over 0.9999 → 0.998", id="nine-in-log-odds"),
        pytest.param(0.99982, 0.998, "0.9998 → 0.998", id="near-1"),
        pytest.param(0.9999999, 0.99999, "still over 0.9999", id="both-beyond"),
        pytest.param(0.29, 1e-5, "0.29 → under 0.0001", id="all-gone"),
        pytest.param(0.0004, 0.0003, "0.0004 → 0.0003", id="near-0"),
    ],
)
def test_a_change_tells_its_two_scores_apart(before: float, after: float, words: str) -> None:
    assert change_in_words(before, after) == words
