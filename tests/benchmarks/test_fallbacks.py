"""The quality of fallbacks: figures worked out by hand, and (slow) a small game through real generations."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fallbacks import (
    CHAIN,
    DEFAULT,
    FULL,
    LAST,
    REPUTATION,
    RULE,
    Asked,
    Generations,
    Quality,
    game_of,
    judge,
    learn,
    recall_at,
    stream,
)


def _asked(is_bad: bool, full: float, reputation: float | None) -> Asked:
    scores = {FULL: full} if reputation is None else {FULL: full, REPUTATION: reputation}
    source = DEFAULT if reputation is None else REPUTATION
    return Asked(True, "someone", is_bad, scores, {FULL: "allow", source: "challenge"})


def _of(rows: list[Quality], source: str) -> Quality:
    return next(row for row in rows if row.source == source)


def test_an_event_without_a_score_ranks_last() -> None:
    rows = judge(
        [
            _asked(True, 0.9, 0.8),
            _asked(True, 0.7, None),
            _asked(False, 0.1, 0.3),
            _asked(False, 0.2, None),
        ]
    )
    assert _of(rows, FULL).average_precision == 1.0
    reputation = _of(rows, REPUTATION)
    # Recall 1/2 at precision 1; the other half among all four, two of them bad.
    assert reputation.average_precision == 0.5 * 1 + 0.5 * 0.5
    assert (reputation.coverage, reputation.covered_average_precision) == (0.5, 1.0)
    assert (reputation.stopped_bad, reputation.stopped_good) == (1.0, 1.0)
    assert _of(rows, DEFAULT).auroc == 0.5
    assert _of(rows, DEFAULT).coverage == 0.5
    assert _of(rows, LAST).covered_average_precision is None
    assert _of(rows, FULL).stopped_bad == 0.0


def test_recall_stops_where_too_many_honest_would_be_found() -> None:
    bad = np.array([True] * 4 + [False] * 100)
    # One honest account of 100 scores above the third bad one, two above the fourth.
    scores = np.array([0.99, 0.98, 0.90, 0.50, 0.95, 0.60] + [0.1] * 98)
    assert recall_at(bad, scores) == 0.75
    assert recall_at(bad, scores, max_fpr=0.0) == 0.5


def test_only_one_kind_of_event_cannot_be_judged() -> None:
    assert judge([_asked(False, 0.1, None), _asked(False, 0.2, None)]) == []


@pytest.mark.slow
def test_each_fallback_answers_in_a_small_game(tmp_path: Path, hash_key: str) -> None:
    assert hash_key
    game = game_of(600, 50, 54, None)
    answers = stream(game, Generations(learn(game, tmp_path / "learned"), tmp_path, len(game.happenings)))
    used = {source for one in answers for source in (*one.scores, *one.decisions)}
    assert used == {FULL, LAST, REPUTATION, DEFAULT, CHAIN, RULE}
    assert all(FULL in one.scores for one in answers)
    newcomers = {one.account for one in answers if one.is_signup}
    # Who was not there when the bundle was made has no last score.
    assert not any(LAST in one.scores for one in answers if one.account in newcomers)
